"""What a nest does to arrays, once its index maps have become strides.

Every array here is a view with one axis per loop, of equal shapes; a loop that an array's index lacks has stride 0
there. Both the NumPy execution of a graph and the processor's instructions come down to these functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.network.matrices import PLACES_LIMIT, plan_contraction

Array = npt.NDArray[Any]


def contract(out: Array, a: Array, b: Array, accumulate: bool) -> None:
    """out = sum over the loops that `out` lacks of a * b, or out += it with `accumulate`.

    Loops in out and a only become matrix rows, in out and b only columns, in a and b a summed axis, in all three a
    batch. `out` must not write a place twice nor share memory with a or b. Products of integers are exact while the
    sums stay below 2**53; of float16 they are summed in float32.
    """
    plan = plan_contraction(out.shape, (out.strides, a.strides, b.strides), (out.dtype, a.dtype, b.dtype))
    if plan.step:
        for part in pieces(out.shape, plan.axis, plan.step):
            contract(out[part], a[part], b[part], accumulate)
        return
    if plan.swapped:
        a, b = b, a
    if plan.direct and not accumulate:
        plan.multiply(a, b, plan.target.merge(out))
        return
    target = plan.target.select(out)
    values = (plan.multiply_by_place(a, b) if plan.by_place else plan.multiply(a, b)).reshape(target.shape)
    if accumulate:
        np.add(target, values, out=target, casting="unsafe")
    else:
        target[...] = values


def pieces(shape: Sequence[int], axis: int, step: int) -> Iterator[tuple[slice, ...]]:
    """Indices that cut an array of this shape along one axis."""
    for start in range(0, shape[axis], step):
        yield (*(slice(None) for _ in range(axis)), slice(start, start + step))


def reduce(out: Array, values: Array, ufunc: np.ufunc, accumulate: bool) -> None:
    """out = ufunc over the loops that `out` lacks of values (and of out's old value, with `accumulate`).

    Many values of float16 are reduced in float32.
    """
    axes = [i for i in range(out.ndim) if out.shape[i] > 1 and out.strides[i] == 0]
    kept = [i for i in range(out.ndim) if i not in axes]
    target = out[(*(0 if i in axes else slice(None) for i in range(out.ndim)), ...)]
    moved = values.transpose(axes + kept)
    places = prod(moved.shape[: len(axes)])
    # A window has few places and the output many, so go place by place: NumPy's reduce is slow on short axes.
    if places <= PLACES_LIMIT and target.size >= 16 * places:
        _reduce_by_place(target, moved, ufunc, accumulate)
        return
    dtype = np.float32 if moved.dtype == np.float16 else None
    total = ufunc.reduce(moved, axis=tuple(range(len(axes))), dtype=dtype)
    if accumulate:
        ufunc(target, total, out=target, casting="unsafe")
    else:
        target[...] = total


def _reduce_by_place(target: Array, moved: Array, ufunc: np.ufunc, accumulate: bool) -> None:
    for place in product(*map(range, moved.shape[: moved.ndim - target.ndim])):
        if accumulate:
            ufunc(target, moved[place], out=target, casting="unsafe")
        else:
            target[...], accumulate = moved[place], True
