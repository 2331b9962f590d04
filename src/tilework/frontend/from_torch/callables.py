"""`py:MODULE:CALLABLE` and torch modules as networks whose inputs are still to be said."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tilework.errors import MissingPackageError, NetworkError
from tilework.frontend.request import Asked, Request, numbers
from tilework.frontend.resolve import GraphSource, Source
from tilework.network.graph import Graph

try:
    import torch
except ImportError:
    raise MissingPackageError("torch modules need the package torch: pip install 'tilework[torch]'") from None

if TYPE_CHECKING:
    from tilework.network.blocks import Blocks

NEEDS_INPUTS = (
    "a torch module must be given its inputs' shapes, such as --input 1,3,224,224, or --input 1,128:int64 for "
    "token numbers"
)


@dataclass(frozen=True)
class ModuleSource:
    """A torch module, and example inputs where its maker gave some."""

    module: torch.nn.Module
    examples: tuple[Any, ...] = ()

    def at(self, request: Request) -> Blocks:
        """The module's graph for inputs of these shapes: unnamed ones in order, named ones as keywords."""
        from tilework.frontend.from_torch import trace_blocks

        if request.phase:
            raise NetworkError("a phase is for language models given as hf:CONFIG, not for a torch module")
        positional: list[Any] = [_tensor(a) for a in request.inputs if a.name is None] or list(self.examples)
        named: dict[str, Any] = {a.name: _tensor(a) for a in request.inputs if a.name is not None}
        if not positional and not named:
            raise NetworkError(NEEDS_INPUTS)
        if request.batch_number is not None:
            positional = [_resized(value, request.batch_number) for value in positional]
            named = {name: _resized(value, request.batch_number) for name, value in named.items()}
        return trace_blocks(self.module, *positional, reuse=request.reuse, **named)

    def decoding(self, request: Request) -> None:
        """None: a cache is known of hf:CONFIG alone."""
        return

    def usual(self, request: Request) -> dict[str, int]:
        """Nothing: a module says nothing of its inputs."""
        return {}

    def classes(self) -> dict[str, str]:
        """Each module's class by its path."""
        return {path: type(module).__name__ for path, module in self.module.named_modules()}

    def facts(self, request: Request) -> dict[str, int]:
        """None."""
        return {}


def open_callable(spec: str) -> Source:
    """What `MODULE:CALLABLE` returns when it is called without arguments: this runs the user's code.

    It must return a torch module, a pair of one and its example inputs, or a Graph. Modules are built on the meta
    device where their code allows, so that no weights are made. Raises NetworkError where there is no such callable,
    where it fails, and where it returns something else.
    """
    made = _call(_find(spec), spec)
    if isinstance(made, Graph):
        return GraphSource(made)
    module, *examples = made if isinstance(made, tuple | list) else (made,)
    if not isinstance(module, torch.nn.Module):
        raise NetworkError(f"py:{spec} must return a torch module or a Graph, not {type(module).__name__}")
    return ModuleSource(module, tuple(examples))


def _find(spec: str) -> Callable[[], Any]:
    place, colon, name = spec.partition(":")
    if not (place and colon and name):
        raise NetworkError(f"a Python callable must be given as py:MODULE:CALLABLE, not 'py:{spec}'")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = import_module(place)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise NetworkError(f"py:{spec} must name something that Python can import: {_first_line(error)}") from error
    if not callable(found):
        raise NetworkError(f"py:{spec} must name a callable, not a {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def _call(make: Callable[[], Any], spec: str) -> Any:
    try:
        with torch.device("meta"):
            return make()
    except Exception:  # some code needs values while it builds
        try:
            return make()
        except Exception as error:
            raise NetworkError(
                f"py:{spec} must return a network when called without arguments, but {_first_line(error)}"
            ) from error


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"


def _tensor(asked: Asked) -> torch.Tensor:
    dtype: torch.dtype = getattr(torch, asked.dtype or "float32")
    return torch.empty(numbers(asked), dtype=dtype, device="meta")


def _resized(value: Any, batch: int) -> Any:
    """A tensor on the meta device with another first size."""
    if not isinstance(value, torch.Tensor) or value.ndim == 0 or value.shape[0] == batch:
        return value
    return torch.empty((batch, *value.shape[1:]), dtype=value.dtype, device="meta")
