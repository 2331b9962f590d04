"""A body's value over a nest's loops, as calls into arrays: ufuncs on pieces that stay in the cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from math import prod

import numpy as np

from tilework.network import kernels, scalars, views
from tilework.network.matrices import Array, Call, Room
from tilework.network.nest import Access, Apply, Constant, Expression, applications

Reads = Mapping[Access, Array]

PIECE = 1 << 14  # elements of a value between two functions


def evaluation(body: Expression, reads: Reads, out: Array, room: Room) -> list[Call]:
    """The calls that put a body's value into `out`, a view with one axis per loop in which no place stands twice.

    An array that is read has an axis per loop too, of size 1 where the body doesn't go along that loop.
    """
    target, *parts = views.simplified([out, *reads.values()])
    reads = dict(zip(reads, parts, strict=True))
    whole = sum(1 for _ in applications(body)) < 2 and not _is_bounded(body)
    calls: list[Call] = []
    for part, piece in [(reads, target)] if whole else cut(reads, target, PIECE):
        calls.append(_put(body, part, piece, room, calls))
    return calls


def cut(reads: Reads, target: Array, limit: int) -> Iterator[tuple[Reads, Array]]:
    """The arrays in pieces of at most so many elements, cut along the loops that are in `target`."""
    reach = [abs(stride) * (extent > 1) for stride, extent in zip(target.strides, target.shape, strict=True)]
    if target.size <= limit or not any(reach):
        yield reads, target
        return
    axis = reach.index(max(reach))
    for piece in kernels.pieces(target.shape, axis, max(1, target.shape[axis] * limit // target.size)):
        parts = {access: read[piece] if read.shape[axis] > 1 else read for access, read in reads.items()}
        yield from cut(parts, target[piece], limit)


def natural_dtype(body: Expression, reads: Reads) -> np.dtype[np.generic]:
    """The dtype that a body's value has of itself."""
    with np.errstate(all="ignore"):
        return np.asarray(_sample(body, reads)).dtype


def _sample(body: Expression, reads: Reads) -> Array | float:
    if isinstance(body, Apply):
        return scalars.apply(body.function, [_sample(argument, reads) for argument in body.arguments])
    return np.ones((), reads[body].dtype) if isinstance(body, Access) else float(body.value)


def _is_bounded(body: Expression) -> bool:
    return isinstance(body, Apply) and body.function in ("max", "min")


def _put(body: Expression, reads: Reads, out: Array, room: Room, calls: list[Call]) -> Call:
    """The last call; those before it are appended to `calls`."""
    if isinstance(body, Apply):
        return scalars.bound(body.function, _arguments(body, reads, room, calls, 0, out.dtype), out)
    value = reads[body] if isinstance(body, Access) else body.value
    return partial(np.copyto, out, value, casting="unsafe")


def _arguments(
    body: Apply, reads: Reads, room: Room, calls: list[Call], level: int, dtype: np.dtype[np.generic]
) -> list[Array | float]:
    values = [_value(argument, reads, room, calls, level + i) for i, argument in enumerate(body.arguments)]
    if _is_bounded(body):  # NumPy's maximum and minimum are thrice as quick with an array as with a number
        for place, other in ((0, 1), (1, 0)):
            array, number = values[other], values[place]
            if isinstance(number, float) and not isinstance(array, float) and array.dtype == dtype:
                values[place] = room.constant(number, array.shape, array.dtype)
    return values


def _value(expression: Expression, reads: Reads, room: Room, calls: list[Call], level: int) -> Array | float:
    if isinstance(expression, Access):
        return reads[expression]
    if isinstance(expression, Constant):
        return float(expression.value)
    dtype = natural_dtype(expression, reads)
    values = _arguments(expression, reads, room, calls, level, dtype)
    numbers = [value for value in values if isinstance(value, float)]
    if len(numbers) == len(values):
        with np.errstate(all="ignore"):
            return scalars.apply(expression.function, values)
    shape = np.broadcast_shapes(*(value.shape for value in values if not isinstance(value, float)))
    # What it is made of may lie at the same level, and is then as large or at most half as large.
    out = room.array(f"value {level} of {prod(shape).bit_length()} bits", shape, dtype)
    calls.append(scalars.bound(expression.function, values, out))
    return out
