"""What a trace starts from: the module's weights and the inputs, by number, all numbers below 0."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from tilework.errors import NetworkError
from tilework.frontend.from_torch.attributes import Module
from tilework.frontend.from_torch.caches import is_cache, like
from tilework.frontend.from_torch.recorder import Recorder
from tilework.frontend.from_torch.sameness import Names
from tilework.frontend.from_torch.tensors import META, outline
from tilework.network.graph import BUFFER, FROZEN, INPUT, PARAMETER, Tensor


class Sources:
    """The tensors from outside of a network, taken up by a recorder."""

    def __init__(self, names: Names, recorder: Recorder) -> None:
        self.names, self.recorder = names, recorder
        self.tensors: dict[int, Tensor] = {}
        self.twins: dict[int, torch.Tensor] = {}
        self.taken: set[str] = set()

    def weights(self) -> None:
        """Take up the parameters and buffers, each under the first of its names, module by module.

        Raises NetworkError for TorchScript, whose forward can't be followed, and for weights without a shape.
        """
        seen: set[int] = set()
        for path, module in self.names.modules.items():
            if isinstance(module, torch.jit.ScriptModule):
                what = f"module {path}" if path else "the network"
                raise NetworkError(f"{what} must be an eager module, not TorchScript: give the one it was made from")
            start = f"{path}." if path else ""
            for name, tensor in (*module._parameters.items(), *module._buffers.items()):
                if tensor is not None and id(tensor) not in seen:
                    seen.add(id(tensor))
                    trained = PARAMETER if tensor.requires_grad else FROZEN
                    self._add(start + name, tensor, trained if name in module._parameters else BUFFER)

    def input(self, item: Any, name: str) -> Any:
        """An argument of the forward with tensors on the meta device in place of tensors and shapes."""
        if isinstance(item, torch.Size) or (type(item) is tuple and item and all(type(size) is int for size in item)):
            if any(size < 1 for size in item):
                raise NetworkError(f"the sizes of {name} must be at least 1, not {list(item)}")
            return self._input(torch.empty(item, device=META), name)
        if isinstance(item, torch.Tensor):
            if id(item) not in self.twins:
                self.twins[id(item)] = self._input(outline(item).tensor(), name)
            return self.twins[id(item)]
        if is_cache(item):
            return like(item, lambda tensor, place: self.input(tensor, f"{name}.{place}"))
        if isinstance(item, dict):
            return {key: self.input(part, f"{name}.{key}") for key, part in item.items()}
        if type(item) in (list, tuple):
            return type(item)([self.input(part, f"{name}.{place}") for place, part in enumerate(item)])
        return item

    def _input(self, tensor: torch.Tensor, name: str) -> torch.Tensor:
        while name in self.taken:
            name = f"{name}_"
        self._add(name, tensor, INPUT)
        return tensor

    def _add(self, name: str, tensor: torch.Tensor, role: str) -> None:
        if torch.nn.parameter.is_lazy(tensor):
            raise NetworkError(f"{name} must have a shape: run its lazy module once on real data first")
        value = self.recorder.source(tensor, "" if role == INPUT else name)
        if not value.is_empty:
            self.tensors[value.id] = Tensor(name, value.shape, value.dtype, role)
        self.taken.add(name)


def argument_names(module: Module, number: int) -> list[str]:
    """What the forward calls its first arguments."""
    try:
        parameters = list(inspect.signature(module.forward).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:number]
    return [*named, *(f"input{place}" for place in range(len(named), number))]
