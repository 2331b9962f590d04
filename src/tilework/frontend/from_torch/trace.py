"""Reading a torch module: its forward runs on tensors without elements, and what it does becomes a network."""

from __future__ import annotations

import threading
from typing import Any

from tilework.collection import no_collection
from tilework.errors import NetworkError
from tilework.frontend.from_torch import aten  # noqa: F401  # fills the table of operators
from tilework.frontend.from_torch.assemble import assemble
from tilework.frontend.from_torch.attributes import Module
from tilework.frontend.from_torch.calls import Frame
from tilework.frontend.from_torch.inputs import Sources, argument_names
from tilework.frontend.from_torch.modules import Modules
from tilework.frontend.from_torch.recorder import Recorder
from tilework.frontend.from_torch.sameness import Names
from tilework.frontend.from_torch.surroundings import deep, evaluation, in_parts
from tilework.network.blocks import Blocks
from tilework.network.graph import Graph

_lock = threading.RLock()


def from_torch(module: Module, *inputs: Any, name: str | None = None, reuse: bool = True, **keywords: Any) -> Graph:
    """The network that a module's forward is for such inputs; see `trace_blocks`."""
    return trace_blocks(module, *inputs, name=name, reuse=reuse, **keywords).graph()


def trace_blocks(module: Module, *inputs: Any, name: str | None = None, reuse: bool = True, **keywords: Any) -> Blocks:
    """The network that a module's forward is for such inputs, as blocks, each repeated one stated once.

    An input is a tensor on any device, of which only shape and dtype count, a shape (then float32), or a container of
    these; anything else is handed on as it is. The forward runs in evaluation mode and without gradients on tensors
    without elements: no weight is allocated or read, and the module is left as it was. With `reuse` False, every
    module call is run, also those that can only do what an earlier one did. `name` is the network's, else the class's.
    Raises NetworkError for what is no eager module and where the forward fails or depends on a tensor's elements.
    """
    if not isinstance(module, Module):
        raise NetworkError(f"the network must be a torch.nn.Module, not {type(module).__name__}")
    module = getattr(module, "_orig_mod", module)  # of what torch.compile returned
    with _lock, no_collection(), deep():
        trace = _Trace(module, inputs, keywords)
        if not trace.run(reuse):
            trace = _Trace(module, inputs, keywords)
            trace.run(reuse=False)
        return assemble(name or type(module).__name__, trace.root, trace.sources.tensors, trace.recorder.last)


class _Trace:
    """One run of a module's forward."""

    def __init__(self, module: Module, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        self.module, self.names = module, Names(module)
        self.root = Frame("", not module._modules)
        self.recorder = Recorder(self.root)
        self.sources = Sources(self.names, self.recorder)
        self.sources.weights()
        named = zip(argument_names(module, len(inputs)), inputs, strict=True)
        self.inputs = [self.sources.input(item, name) for name, item in named]
        self.keywords = {name: self.sources.input(item, name) for name, item in keywords.items()}

    def run(self, reuse: bool) -> bool:
        """Fill the root frame; False where it failed, but might not without reuse.

        Raises NetworkError where it fails all the same.
        """
        modules = Modules(self.names, self.recorder, reuse)
        try:
            with in_parts(), evaluation(self.names.modules.values()), modules.patched(), self.recorder:
                self.module(*self.inputs, **self.keywords)
        except Exception as error:
            if modules.watch.indices:
                return False
            if isinstance(error, NetworkError):
                raise
            raise modules.explain(error) from error
        return True
