"""Running the operators of an exported program once more, on tensors without elements, under a recorder.

An exported program is a list of operators; each says in which module calls it stood. Running them brings them to the
same basic operators, and so to the same graph, as a trace of the module itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from tilework.collection import no_collection
from tilework.frontend.from_torch import aten  # noqa: F401  # fills the table of operators
from tilework.frontend.from_torch.assemble import assemble
from tilework.frontend.from_torch.calls import Frame
from tilework.frontend.from_torch.recorder import CONSTANT_LIMIT, Recorder
from tilework.frontend.from_torch.surroundings import in_parts
from tilework.frontend.from_torch.tensors import tensors_in
from tilework.network.blocks import Blocks
from tilework.network.graph import INPUT, Tensor

INLINED = {"wrap_with_set_grad_enabled": 1, "wrap_with_autocast": 4}  # where among the arguments their graph stands

Stack = Sequence[tuple[str, str]]  # of module calls, outermost first: what tells the call apart, and the module's path


class Replay:
    """A recorder for operators that come with the module calls they stand in. `within` has every path that has others
    below it; `limit` is the recorder's."""

    def __init__(self, stacks: Iterable[Stack], limit: int = CONSTANT_LIMIT) -> None:
        self.within = {path for stack in stacks for _, path in stack[:-1]}
        self.root = Frame("", False)
        self.recorder = Recorder(self.root, limit)
        self.open: list[tuple[str, str]] = []
        self.tensors: dict[int, Tensor] = {}

    def source(self, name: str, tensor: torch.Tensor, role: str) -> torch.Tensor:
        """Take up a weight or an input."""
        value = self.recorder.source(tensor, "" if role == INPUT else name)
        if not value.is_empty:
            self.tensors[value.id] = Tensor(name, value.shape, value.dtype, role)
        return tensor

    def call(self, function: Callable[..., Any], stack: Stack, args: Any, keywords: dict[str, Any]) -> Any:
        """Run an operator within these module calls."""
        common = 0
        while common < min(len(stack), len(self.open)) and stack[common] == self.open[common]:
            common += 1
        for _ in self.open[common:]:
            self.recorder.leave()
        for _, path in stack[common:]:
            self.recorder.enter(Frame(path, path not in self.within))
        self.open = list(stack)
        if "rnn" in str(function) or "lstm" in str(function) or "gru" in str(function):
            args = self.recorder.hollow(args)  # these insist on one device
        return function(*args, **keywords)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """While this is open, operators are recorded."""
        with no_collection(), in_parts(), self.recorder:
            yield
            for _ in self.open:
                self.recorder.leave()
            self.open = []

    def blocks(self, name: str, outputs: Any) -> Blocks:
        """The network of the recorded operators."""
        self.root.outputs = tuple(self.recorder.find(tensor).value for tensor in tensors_in(outputs))
        return assemble(name, self.root, self.tensors, self.recorder.last)
