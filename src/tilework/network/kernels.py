"""What a nest does to arrays, once its index maps have become strides.

Every array here is a view with one axis per loop, of equal shapes; a loop that an array's index lacks has stride 0
there. Both the NumPy execution of a graph and the processor's instructions come down to these functions. Each gives
calls that are bound to their arrays, so that what is planned once can run many times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.network import views
from tilework.network.halves import is_half
from tilework.network.matrices import PLACES_LIMIT, Call, Plan, Room, plan_contraction

Array = npt.NDArray[Any]
Evaluate = Callable[[Array | None, tuple[Any, ...]], tuple[list[Call], Array]]


def contract(out: Array, a: Array, b: Array, accumulate: bool) -> None:
    """out = sum over the loops that `out` lacks of a * b, or out += it with `accumulate`.

    Loops in out and a only become matrix rows, in out and b only columns, in a and b a summed axis, in all three a
    batch. `out` must not write a place twice nor share memory with a or b. Products of integers are exact while the
    sums stay below 2**53; of float16 and bfloat16 they are summed in float32.
    """
    for call in contraction(out, a, b, accumulate, Room.of_thread()):
        call()


def contraction(out: Array, a: Array, b: Array, accumulate: bool, room: Room) -> list[Call]:
    """The calls of `contract`."""
    plan = plan_contraction(out.shape, (out.strides, a.strides, b.strides), (out.dtype, a.dtype, b.dtype))
    if not plan.step:
        return _product(plan, out, a, b, accumulate, room)
    if is_half(out.dtype) and out.strides[plan.axis] == 0:
        return _rounded_once(out, a, b, accumulate, room)
    calls: list[Call] = []
    for place, part in enumerate(pieces(out.shape, plan.axis, plan.step)):
        again = accumulate or (place > 0 and out.strides[plan.axis] == 0)
        calls += contraction(out[part], a[part], b[part], again, room)
    return calls


def _product(plan: Plan, out: Array, a: Array, b: Array, accumulate: bool, room: Room) -> list[Call]:
    if plan.swapped:
        a, b = b, a
    if plan.direct and not accumulate:
        return plan.multiply(a, b, plan.target.merge(out), room)[0]
    target = plan.target.select(out)
    calls, values = plan.multiply_by_place(a, b, room) if plan.by_place else plan.multiply(a, b, None, room)
    return [*calls, combine(target, values.reshape(target.shape), np.add if accumulate else None)]


def _rounded_once(out: Array, a: Array, b: Array, accumulate: bool, room: Room) -> list[Call]:
    """A contraction whose pieces are summed in float32 before they become 16 bits."""
    index = (*(slice(None) if stride else slice(1) for stride in out.strides),)
    target = out[index]
    total = room.array("sum of pieces", target.shape, np.dtype(np.float32))
    steps = [own if stride else 0 for own, stride in zip(total.strides, out.strides, strict=True)]
    calls = contraction(views.strided(total, out.shape, steps), a, b, False, room)
    return [*calls, combine(target, total, np.add if accumulate else None)]


def combine(target: Array, values: Array, ufunc: np.ufunc | None) -> Call:
    """Put values into `target`, or together with what it holds."""
    if ufunc is None:
        return partial(np.copyto, target, values, casting="unsafe")
    return partial(ufunc, target, values, out=target, casting="unsafe")


def pieces(shape: Sequence[int], axis: int, step: int) -> Iterator[tuple[slice, ...]]:
    """Indices that cut an array of this shape along one axis."""
    for start in range(0, shape[axis], step):
        yield (*(slice(None) for _ in range(axis)), slice(start, start + step))


def reduce(out: Array, values: Array, ufunc: np.ufunc, accumulate: bool) -> None:
    """out = ufunc over the loops that `out` lacks of values (and of out's old value, with `accumulate`).

    Sums of float16 or bfloat16 are made in float32.
    """
    for call in reduction(out, lambda _, place: ([], values[place]), ufunc, accumulate, Room.of_thread()):
        call()


def reduction(out: Array, evaluate: Evaluate, ufunc: np.ufunc, accumulate: bool, room: Room) -> list[Call]:
    """The calls of `reduce`; `evaluate` gives those that make a part of the values, and where they are.

    It is given that part's index and, where the values are to be put into an array, that array.
    """
    gone = [i for i in range(out.ndim) if out.shape[i] > 1 and out.strides[i] == 0]
    target = out[(*(0 if i in gone else slice(None) for i in range(out.ndim)), ...)]
    places = prod(out.shape[i] for i in gone)
    # A window has few places and the output many, so go place by place: NumPy's reduce is slow on short axes.
    rounded = is_half(out.dtype) and ufunc is np.add  # then sums are rounded once, at their end
    if not rounded and places <= PLACES_LIMIT and target.size >= 16 * places:
        return _by_place(out, gone, evaluate, ufunc, accumulate)
    calls, values = evaluate(None, (...,))
    dtype = np.dtype(np.float32) if is_half(values.dtype) else None
    dtype = ufunc.reduce(np.ones(1, values.dtype), dtype=dtype).dtype
    axes = tuple(gone)
    if not accumulate and dtype == target.dtype:
        return [*calls, partial(ufunc.reduce, values, axes, dtype, target)]
    total = room.array("total", target.shape, dtype)
    return [
        *calls,
        partial(ufunc.reduce, values, axes, dtype, total),
        combine(target, total, ufunc if accumulate else None),
    ]


def _by_place(out: Array, gone: Sequence[int], evaluate: Evaluate, ufunc: np.ufunc, accumulate: bool) -> list[Call]:
    calls: list[Call] = []
    for point in product(*(range(out.shape[i]) for i in gone)):
        at = dict(zip(gone, point, strict=True))
        index = (*(at.get(i, slice(None)) for i in range(out.ndim)), ...)
        target = out[index]
        made, values = evaluate(None if accumulate else target, index)
        calls += made
        if accumulate or values is not target:
            calls.append(combine(target, values, ufunc if accumulate else None))
        accumulate = True
    return calls
