"""What a nest does to arrays, once its index maps have become strides.

Every array here is a view with one axis per loop, of equal shapes; a loop that an array's index lacks has stride 0
there. Both the NumPy execution of a graph and the processor's instructions come down to these functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

GATHER_LIMIT = 1 << 21  # elements of one gathered operand; above it a contraction runs in pieces


def contract(out: Array, a: Array, b: Array, accumulate: bool) -> None:
    """out (+)= sum over the loops that `out` lacks of a * b; matrix products go to BLAS.

    Loops in out and a only become matrix rows, in out and b only columns, in a and b only the summed axis,
    in all three a batch.
    """
    roles: dict[tuple[bool, bool, bool], list[int]] = {}
    for axis, extent in enumerate(out.shape):
        if extent > 1:
            key = (out.strides[axis] != 0, a.strides[axis] != 0, b.strides[axis] != 0)
            roles.setdefault(key, []).append(axis)
    batch, rows = roles.pop((True, True, True), []), roles.pop((True, True, False), [])
    columns, summed = roles.pop((True, False, True), []), roles.pop((False, True, True), [])
    if roles:
        raise ValueError("every loop of a contraction must index at least two of its three operands")
    target = _select(out, batch + rows + columns)
    left, right = _select(a, batch + rows + summed), _select(b, batch + summed + columns)
    _multiply(target, left, right, (len(batch), len(rows), len(summed)), accumulate)


def _select(array: Array, axes: Sequence[int]) -> Array:
    """The axes named, in that order, all others at index 0."""
    index = tuple(slice(None) if axis in axes else 0 for axis in range(array.ndim))
    kept = sorted(axes)
    return array[index].transpose([kept.index(axis) for axis in axes])


def _multiply(out: Array, a: Array, b: Array, ranks: tuple[int, int, int], accumulate: bool) -> None:
    batch, rows, summed = ranks
    if batch:
        for i in range(out.shape[0]):
            _multiply(out[i], a[i], b[i], (batch - 1, rows, summed), accumulate)
        return
    step = _piece(a.shape, rows)
    if rows and step < a.shape[0]:
        for i in range(0, a.shape[0], step):
            _multiply(out[i : i + step], a[i : i + step], b, ranks, accumulate)
        return
    m, r, n = prod(a.shape[:rows]), prod(b.shape[:summed]), prod(b.shape[summed:])
    product = (a.reshape(m, r) @ b.reshape(r, n)).reshape(out.shape)
    if accumulate:
        out += product
    else:
        out[...] = product


def _piece(shape: tuple[int, ...], rows: int) -> int:
    """How many steps of the outermost row loop keep the gathered operand under the limit."""
    if not rows:
        return 1
    return max(1, GATHER_LIMIT // max(1, prod(shape[1:])))


def reduce(out: Array, values: Array, ufunc: np.ufunc, accumulate: bool) -> None:
    """out = ufunc over the loops that `out` lacks of values (and of out's old value, with `accumulate`)."""
    axes = [i for i in range(out.ndim) if out.shape[i] > 1 and out.strides[i] == 0]
    kept = [i for i in range(out.ndim) if i not in axes]
    index: tuple[Any, ...] = (..., *([0] * len(axes)))
    target = out.transpose(kept + axes)[index]
    moved = values.transpose(kept + axes).reshape(*target.shape, -1)
    # A window has few places and the output many, so go place by place: NumPy's reduce is slow on short axes.
    if moved.shape[-1] <= 128:
        if not accumulate:
            target[...] = moved[..., 0]
        for place in range(0 if accumulate else 1, moved.shape[-1]):
            ufunc(target, moved[..., place], out=target)
        return
    total = ufunc.reduce(moved, axis=-1)
    target[...] = ufunc(target, total) if accumulate else total
