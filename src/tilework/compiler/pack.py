"""The program's weight image: every constant in the order in which the program loads it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.compiler.group import Group
from tilework.compiler.layout import Frame
from tilework.compiler.memory import Constant, DramMap, axis_order
from tilework.compiler.tile import Tiling
from tilework.errors import WeightsError
from tilework.network.weights import Weights

Array = npt.NDArray[Any]


def pack_weights(
    dram: DramMap, groups: tuple[Group, ...], tilings: tuple[Tiling, ...], weights: Weights
) -> npt.NDArray[np.uint8]:
    """All constants as bytes; each array is read once, packed, and let go.

    Raises WeightsError for a weight that is missing or has another shape.
    """
    image = np.zeros(dram.weight_bytes, np.uint8)
    for constant in dram.constants:
        tensor = constant.tensor
        values = np.asarray(weights[tensor.name], np.float32)
        if values.shape != tensor.shape:
            raise WeightsError(f"{tensor.name} must have the shape {list(tensor.shape)}, not {list(values.shape)}")
        target = image[constant.address : constant.address + tensor.size_bytes].view(np.float32)
        if constant.group is None:
            order = axis_order(values.ndim)
            target.reshape([values.shape[a] for a in order])[...] = values.transpose(order)
        else:
            _pack_tiles(constant, groups[constant.group], tilings[constant.group], values, target)
    image.flags.writeable = False
    return image


def _pack_tiles(constant: Constant, group: Group, tiling: Tiling, values: Array, target: Array) -> None:
    index = next(i for i, b in enumerate(tiling.plan.buffers) if b.packed and b.access == constant.access)
    frame = Frame(group, tiling, index)
    view = _by_loops(frame, np.ascontiguousarray(values))
    cuts = [loop for loop in tiling.order[: frame.level] if loop in frame.packed_loops]
    _copy_tiles(view, [(frame.packed_loops.index(loop), tiling.tiles[loop]) for loop in cuts], target, 0)


def _by_loops(frame: Frame, values: Array) -> Array:
    """The weight with one axis per loop of its access, in packed order."""
    access, extents = frame.buffer.access, frame.group.extents
    strides = [
        sum(axis.coefficient(name) * step for axis, step in zip(access.index, values.strides, strict=True))
        for name in frame.packed_loops
    ]
    offset = sum(axis.offset * step for axis, step in zip(access.index, values.strides, strict=True))
    shape = [extents[name] for name in frame.packed_loops]
    return np.ndarray(shape, values.dtype, values, offset, strides)


def _copy_tiles(view: Array, cuts: list[tuple[int, int]], target: Array, start: int) -> int:
    """Copy a view tile by tile, the first cut outermost; returns where the next tile goes."""
    if not cuts:
        target[start : start + view.size].reshape(view.shape)[...] = view
        return start + view.size
    axis, size = cuts[0]
    for low in range(0, view.shape[axis], size):
        part = view[(slice(None),) * axis + (slice(low, low + size),)]
        start = _copy_tiles(part, cuts[1:], target, start)
    return start
