"""What the rows of the table of ATen operators have in common: bodies with constants, axes, work for the host."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from math import isnan

from tilework.frontend.from_torch.calls import Value
from tilework.frontend.from_torch.lowering import Lowering
from tilework.network.elementwise import broadcast_shape
from tilework.network.host import WORK

Operand = Value | float
Sizes = tuple[int, ...]

_OPERAND = re.compile(r"\bx(\d+)\b")


def scalar(number: float) -> str:
    """A number as a body writes it: truth values as 1 and 0, whole numbers without a point."""
    value = float(number)
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


@lru_cache(maxsize=4096)
def _with_constants(body: str, constants: tuple[str | None, ...]) -> str:
    """The body with constants in their places and the tensors (None) counted anew."""
    names, tensors = [], 0
    for constant in constants:
        names.append(f"x{tensors}" if constant is None else constant)
        tensors += constant is None
    return _OPERAND.sub(lambda match: names[int(match[1])], body)


def pointwise(c: Lowering, what: str, body: str, *operands: Operand, dtype: str | None = None) -> Value:
    """A scalar expression of x0, x1, …: the operands, of which Python's numbers become constants of the body.

    Complex numbers are work for the host where a row says how much, else unknown.
    """
    tensors = [o if isinstance(o, Value) else _nan(c) for o in operands if isinstance(o, Value) or isnan(o)]
    if any(is_complex(value) for value in (*tensors, c.result)):
        return complex_work(c, what, tensors)
    constants = tuple(None if isinstance(o, Value) or isnan(o) else scalar(o) for o in operands)
    return c.emit("pointwise", *tensors, what=what, body=_with_constants(body, constants), dtype=dtype)


def _nan(c: Lowering) -> Value:
    """A body's constants are numbers, so what is none is a tensor."""
    return c.emit("host", what="constant", shape=(), dtype=c.result.dtype)


def is_complex(value: Value) -> bool:
    """Whether its numbers are complex."""
    return value.dtype.startswith("complex")


def complex_work(c: Lowering, what: str, tensors: Iterable[Value]) -> Value:
    """An elementwise operation on complex numbers."""
    read = tuple(tensors)
    shape = broadcast_shape(what, [value.shape for value in read])
    if f"complex_{what}" in WORK:
        return c.emit("host", *read, what=f"complex_{what}", shape=shape)
    return c.emit("unknown", *read, what=c.call.operator, shape=shape)


def axis_of(axis: int, rank: int) -> int:
    """An axis counted from the front."""
    return axis % max(rank, 1)


def axes_of(axes: int | Sizes | None, rank: int) -> Sizes:
    """Axes counted from the front, ascending; none or an empty list are all of them."""
    if isinstance(axes, int):
        axes = (axes,)
    return tuple(sorted(axis_of(axis, rank) for axis in axes)) if axes else tuple(range(rank))


def host(c: Lowering, what: str, *inputs: Value, how: str = "") -> None:
    """The call is work for the host; each result that something reads is a part of it, and the first has the work.

    `how` says what the first result is, where a rule does (`network.host_rules`).
    """
    read = [value for value in inputs if not value.is_empty]
    for part, place in enumerate(place for place in range(len(c.results)) if c.is_used(place)):
        result = c.results[place]
        assert result is not None
        rule = {"how": how} if how and not place else {}
        c.set(c.emit("host", *read, what=what, shape=result.shape, part=part, dtype=result.dtype, **rule), place)


def rest(c: Lowering) -> None:
    """What few read of several results, such as the statistics of a normalisation, is unknown where it is read."""
    for place in range(1, len(c.results)):
        result = c.results[place]
        if result is not None and c.is_used(place):
            read = [value for value in c.call.tensors if not value.is_empty]
            c.set(c.emit("unknown", *read, what=c.call.operator, shape=result.shape, dtype=result.dtype), place)


def cast(c: Lowering, x: Value, dtype: str) -> Value:
    """The value with another dtype: a node, or the value itself where the dtype is its own."""
    return x if x.dtype == dtype else c.emit("pointwise", x, what="cast", body="x0", dtype=dtype)


def reshape(c: Lowering, x: Value, shape: Sizes) -> Value:
    """The same elements under another shape, pending."""
    return c.reshaped(x, shape)
