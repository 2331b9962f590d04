"""How a nest's accesses become strided views of arrays, one axis per loop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from tilework.errors import NetworkError
from tilework.network.halves import is_inexact
from tilework.network.matrices import Array
from tilework.network.nest import Access
from tilework.network.operations import Shape

Loop = tuple[str, int]


def simplified(arrays: Sequence[Array]) -> list[Array]:
    """The views of the same elements with fewer axes: the first array's outermost axis first, without axes of size 1,
    and axes merged that lie evenly in all arrays. The first has every axis whole; another may have 1 for it."""
    first = arrays[0]
    axes = [axis for axis, size in enumerate(first.shape) if size > 1]
    axes.sort(key=lambda i: [-abs(array.strides[i]) if array.shape[i] > 1 else 0 for array in arrays])
    groups: list[list[int]] = []
    for axis in axes:
        if groups and all(_lies_evenly(array, groups[-1][-1], axis) for array in arrays):
            groups[-1].append(axis)
        else:
            groups.append([axis])
    return [
        as_strided(array, [prod(array.shape[i] for i in g) for g in groups], [array.strides[g[-1]] for g in groups])
        for array in arrays
    ]


def _lies_evenly(array: Array, outer: int, inner: int) -> bool:
    if array.shape[outer] == 1 or array.shape[inner] == 1:
        return bool(array.shape[outer] == array.shape[inner])
    return bool(array.strides[outer] == array.strides[inner] * array.shape[inner])


def view(array: Array, access: Access, origin: Shape, loops: Sequence[Loop], whole: bool) -> Array:
    """The array with one axis per loop; one that the index lacks has stride 0 or, unless `whole`, the extent 1."""
    used = access.loops()
    strides = loop_strides(array, access, loops)
    shape = [extent if whole or name in used else 1 for name, extent in loops]
    start: list[Any] = [slice(index.offset - low, None) for index, low in zip(access.index, origin, strict=True)]
    return strided(array[(*start, ...)], shape, strides)


def loop_strides(array: Array, access: Access, loops: Sequence[Loop]) -> Shape:
    """How far each loop moves in the array's memory, in bytes."""
    axes = list(zip(access.index, array.strides, strict=True))
    return tuple(sum(index.coefficient(name) * stride for index, stride in axes) for name, _ in loops)


def strided(array: Array, shape: Sequence[int], strides: Sequence[int]) -> Array:
    """A view that begins where the array does."""
    return as_strided(array, shape, strides)


def box(array: Array, access: Access, extents: Mapping[str, int], fill: float | None) -> tuple[Array, Shape]:
    """What a nest touches of a tensor, and the index where that begins: the tensor itself or, where the nest goes
    outside, a new array of the region touched, which holds `fill`.

    Raises NetworkError where the access has another number of axes, or must not go outside as `fill` is None.
    """
    if len(access.index) != array.ndim:
        raise NetworkError(f"an access to {access.tensor} must have {array.ndim} indices, not {len(access.index)}")
    bounds = [axis.bounds(extents) for axis in access.index]
    if all(low >= 0 and high < size for (low, high), size in zip(bounds, array.shape, strict=True)):
        return array, (0,) * array.ndim
    if fill is None:
        raise NetworkError(f"a read of {access.tensor} must lie inside {list(array.shape)} or declare a pad value")
    box = np.empty_like(array, shape=[high - low + 1 for low, high in bounds])
    box.fill(fitting(fill, array.dtype))
    return box, tuple(low for low, _ in bounds)


def shared(array: Array, box: Array, origin: Shape) -> tuple[Array, Array]:
    """The views of what a tensor and a box have in common, in the one and in the other."""
    inside, part = overlap(origin, box.shape, array.shape)
    return array[part], box[inside]


def laid_out(flat: Array, shape: Shape, order: Sequence[int]) -> Array:
    """An array of this shape at the start of a flat one, its axes in memory in this order, the outermost first."""
    strides, step = [0] * len(shape), flat.itemsize
    for axis in reversed(order):
        strides[axis], step = step, step * shape[axis]
    return as_strided(flat, shape, strides)


def order_of(array: Array) -> list[int]:
    """The axes of an array as they lie in memory, the outermost first."""
    return sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))


def overlap(origin: Shape, box: Shape, shape: Shape) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The part that a box and a tensor share, as slices of the one and of the other."""
    starts = [max(low, 0) for low in origin]
    stops = [max(start, min(low + n, size)) for start, low, n, size in zip(starts, origin, box, shape, strict=True)]
    inside = tuple(slice(a - low, b - low) for a, b, low in zip(starts, stops, origin, strict=True))
    return inside, tuple(map(slice, starts, stops))


def fitting(value: float, dtype: npt.DTypeLike) -> float:
    """The value, or the nearest that an integer dtype has."""
    if is_inexact(dtype):
        return value
    if np.dtype(dtype).kind == "b":
        return value > 0
    return int(min(max(value, np.iinfo(dtype).min), np.iinfo(dtype).max))


def distinct(access: Access, loops: Iterable[Loop]) -> bool:
    """Whether different iterations of these loops, the others held, surely have different indices."""
    left = {name: extent for name, extent in loops if extent > 1}
    while left:
        axes = [[(abs(c), left[n], n) for n, c in axis.terms if n in left] for axis in access.index]
        solved = {name for terms in axes if _are_digits(terms) for _, _, name in terms}
        if not solved:
            return False
        left = {name: extent for name, extent in left.items() if name not in solved}
    return True


def _are_digits(terms: Sequence[tuple[int, int, str]]) -> bool:
    """Whether each coefficient exceeds what the smaller ones reach together, as the digits of a number do."""
    reach = 0
    for coefficient, extent, _ in sorted(terms):
        if coefficient <= reach:
            return False
        reach += coefficient * (extent - 1)
    return True
