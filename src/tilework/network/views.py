"""How a nest's accesses become strided views of arrays, one axis per loop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from tilework.errors import NetworkError
from tilework.network.kernels import Array
from tilework.network.nest import Access
from tilework.network.operations import Shape

Loop = tuple[str, int]


def view(array: Array, access: Access, origin: Shape, loops: Sequence[Loop], whole: bool) -> Array:
    """The array with one axis per loop; one that the index lacks has stride 0 or, unless `whole`, the extent 1."""
    used = access.loops()
    axes = list(zip(access.index, array.strides, strict=True))
    strides = [sum(index.coefficient(name) * stride for index, stride in axes) for name, _ in loops]
    shape = [extent if whole or name in used else 1 for name, extent in loops]
    start: list[Any] = [slice(index.offset - low, None) for index, low in zip(access.index, origin, strict=True)]
    return as_strided(array[(*start, ...)], shape, strides)


def box(array: Array, access: Access, extents: Mapping[str, int], fill: float | None) -> tuple[Array, Shape]:
    """What a nest touches of a tensor, and the index where that begins: the tensor itself or, where the nest goes
    outside, a copy of the region touched."""
    if len(access.index) != array.ndim:
        raise NetworkError(f"an access to {access.tensor} must have {array.ndim} indices, not {len(access.index)}")
    bounds = [axis.bounds(extents) for axis in access.index]
    if all(low >= 0 and high < size for (low, high), size in zip(bounds, array.shape, strict=True)):
        return array, (0,) * array.ndim
    if fill is None:
        raise NetworkError(f"a read of {access.tensor} must lie inside {list(array.shape)} or declare a pad value")
    origin = tuple(low for low, _ in bounds)
    box = np.full([high - low + 1 for low, high in bounds], fitting(fill, array.dtype), array.dtype)
    inside, part = overlap(origin, box.shape, array.shape)
    box[inside] = array[part]
    return box, origin


def overlap(origin: Shape, box: Shape, shape: Shape) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The part that a box and a tensor share, as slices of the one and of the other."""
    starts = [max(low, 0) for low in origin]
    stops = [max(start, min(low + n, size)) for start, low, n, size in zip(starts, origin, box, shape, strict=True)]
    inside = tuple(slice(a - low, b - low) for a, b, low in zip(starts, stops, origin, strict=True))
    return inside, tuple(map(slice, starts, stops))


def fitting(value: float, dtype: npt.DTypeLike) -> float:
    """The value, or the nearest that an integer dtype has."""
    if np.dtype(dtype).kind in "fc":
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
