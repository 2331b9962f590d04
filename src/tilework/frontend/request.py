"""What a user asks of a network's inputs: a batch, shapes, dtypes; sizes may be symbols such as N or S."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tilework.errors import NetworkError
from tilework.network.graph import DTYPE_BYTES
from tilework.network.operations import Shape

Size = int | str
Sizes = tuple[Size, ...]

_SYMBOL = re.compile(r"[A-Za-z_]\w*\Z", re.ASCII)


@dataclass(frozen=True)
class Asked:
    """A shape asked for, for the input called `name` or, without one, for the next that has none; `dtype` may be ""."""

    name: str | None
    sizes: Sizes
    dtype: str = ""


@dataclass(frozen=True)
class Request:
    """Everything asked of how a network is read: `batch` is the first size of every input, `phase` a language model's;
    repeated blocks of a torch module are read once with `reuse`."""

    batch: Size | None = None
    inputs: tuple[Asked, ...] = ()
    phase: str = ""
    reuse: bool = True

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols in it, each once, in the order in which they appear."""
        sizes = (self.batch, *(size for asked in self.inputs for size in asked.sizes))
        return tuple(dict.fromkeys(size for size in sizes if isinstance(size, str)))

    def at(self, values: Mapping[str, int]) -> Request:
        """The same with numbers for symbols."""
        inputs = tuple(replace(asked, sizes=_numbers(asked.sizes, values)) for asked in self.inputs)
        batch = values.get(self.batch, self.batch) if isinstance(self.batch, str) else self.batch
        return replace(self, batch=batch, inputs=inputs)

    @property
    def batch_number(self) -> int | None:
        """The batch; raises NetworkError for a symbol where a number is needed."""
        return None if self.batch is None else _integer(self.batch)


def request(
    batch: Size | None = None, inputs: Iterable[str | Sequence[Size]] = (), phase: str = "", reuse: bool = True
) -> Request:
    """A request from what a user writes.

    An input is "3,224,224" or "3x224x224", with a name "image=1,3,224,224", with a dtype "ids=1,128:int64", or a
    sequence of sizes. Raises NetworkError for what is neither a positive size nor a symbol.
    """
    if isinstance(batch, str) and batch.lstrip("-").isdecimal():
        batch = int(batch)
    if isinstance(batch, int) and batch < 1:
        raise NetworkError(f"the batch must be at least 1, not {batch}")
    if isinstance(batch, str) and not _SYMBOL.match(batch):
        raise NetworkError(f"the batch must be a positive number or a symbol such as N, not {batch!r}")
    return Request(batch, tuple(_asked(item) for item in inputs), phase, reuse)


def numbers(asked: Asked) -> Shape:
    """The sizes asked for; raises NetworkError for a symbol where a number is needed."""
    return tuple(map(_integer, asked.sizes))


def shapes(network: str, own: Mapping[str, Shape], request: Request) -> dict[str, Shape]:
    """The inputs' shapes by name: `own` with the batch and the shapes asked for.

    Raises NetworkError for inputs that the network lacks and for shapes with another number of sizes.
    """
    asked = _by_name(network, list(own), request.inputs)
    return {name: _resized(name, shape, request.batch_number, asked.get(name)) for name, shape in own.items()}


def _integer(size: Size) -> int:
    if isinstance(size, str):
        raise NetworkError(f"a size must be a number here, not the symbol {size}; symbols are for formulas")
    return size


def _numbers(sizes: Sizes, values: Mapping[str, int]) -> Sizes:
    return tuple(values.get(size, size) if isinstance(size, str) else size for size in sizes)


def _asked(item: str | Sequence[Size]) -> Asked:
    if not isinstance(item, str):
        return Asked(None, tuple(item))
    name, equals, rest = item.rpartition("=")
    sizes, colon, dtype = rest.partition(":")
    if colon and dtype not in DTYPE_BYTES:
        raise NetworkError(f"an input's dtype must be one of {', '.join(DTYPE_BYTES)}, not {dtype!r}")
    crosses = "," not in sizes and re.fullmatch(r"\d+(x\d+)+", sizes)
    parts = [part.strip() for part in sizes.split("x" if crosses else ",")]
    if not all(_is_size(part) for part in parts):
        raise NetworkError(
            f"an input's shape must be positive sizes such as 3,224,224, or symbols such as N, not {sizes!r}"
        )
    return Asked(name.strip() if equals else None, tuple(int(p) if p.isdecimal() else p for p in parts), dtype)


def _is_size(text: str) -> bool:
    return int(text) > 0 if text.isdecimal() else bool(_SYMBOL.match(text))


def _by_name(network: str, names: Sequence[str], inputs: Sequence[Asked]) -> dict[str, Shape]:
    """The shape asked for by input name; those without a name go to the first inputs that are left."""
    asked = {item.name: numbers(item) for item in inputs if item.name is not None}
    if unknown := asked.keys() - set(names):
        raise NetworkError(f"network {network} has the inputs {', '.join(names)}, not {min(unknown)!r}")
    free = [name for name in names if name not in asked]
    unnamed = [numbers(item) for item in inputs if item.name is None]
    if len(unnamed) > len(free) or len(asked) + len(unnamed) < len(inputs):
        raise NetworkError(f"network {network} takes one shape for each of {', '.join(names)}, not {len(inputs)}")
    return asked | dict(zip(free, unnamed, strict=False))


def _resized(name: str, own: Shape, batch: int | None, asked: Shape | None) -> Shape:
    if asked is None:
        return own if batch is None or not own else (batch, *own[1:])
    if not own:  # an ONNX file may tell none
        return asked
    if len(asked) == len(own) - 1:
        return (own[0] if batch is None else batch, *asked)
    if len(asked) != len(own):
        raise NetworkError(
            f"input {name} is {list(own)}: its shape must have {len(own)} sizes, or {len(own) - 1} without the "
            f"batch, not {list(asked)}"
        )
    if batch is not None and asked[0] != batch:
        raise NetworkError(f"input {name} must have the batch {batch} as its first size, not {list(asked)}")
    return asked
