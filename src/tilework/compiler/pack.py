"""The program's weight image: every constant in the order in which the program loads it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.compiler.axes import axis_order
from tilework.compiler.layout import Frame
from tilework.compiler.memory import Constant, DramMap
from tilework.compiler.pieces import loop_of
from tilework.compiler.prune import ELEMENTS
from tilework.errors import WeightsError
from tilework.isa.blocks import compressed
from tilework.isa.numbers import from_float32
from tilework.network.weights import Weights

Array = npt.NDArray[Any]


def pack_weights(dram: DramMap, weights: Weights) -> npt.NDArray[np.uint8]:
    """All constants as bytes; each array is read once, packed, and let go.

    Raises WeightsError for a weight that is missing or has another shape.
    """
    image = np.zeros(dram.weight_bytes, np.uint8)
    for tensor, constants in groupby(sorted(dram.constants, key=lambda c: c.tensor.name), lambda c: c.tensor):
        values = from_float32(weights[tensor.name], tensor.dtype)
        if values.shape != tensor.shape:
            raise WeightsError(f"{tensor.name} must have the shape {list(tensor.shape)}, not {list(values.shape)}")
        for constant in constants:
            _pack(constant, values, image[constant.address : constant.address + constant.size_bytes])
    image.flags.writeable = False
    return image


def _pack(constant: Constant, values: Array, image: Array) -> None:
    target = image.view(values.dtype)
    if constant.part is None:
        order = axis_order(values.ndim)
        target.reshape([values.shape[a] for a in order])[...] = values.transpose(order)
    else:
        _pack_tiles(Frame(constant.part.group, constant.part.tiling, constant.buffer), values, target)


def _pack_tiles(frame: Frame, values: Array, target: Array) -> None:
    tiling = frame.tiling
    view = _by_loops(frame, np.ascontiguousarray(values))
    cuts = [name for name in tiling.order[: frame.level] if loop_of(name) in frame.packed_loops]
    reduced, start = dict(frame.group.main.reduction_loops), 0
    outputs, kept = sum(name not in reduced for name in frame.packed_loops), frame.group.blocks.kept
    for part in _tiles(view, [(frame.packed_loops.index(loop_of(name)), tiling.tiles[name]) for name in cuts]):
        for tile in _blocks(part.reshape(prod(part.shape[:outputs]), -1), kept) if kept else [part.ravel()]:
            target[start : start + tile.size] = tile
            start += tile.size


def _blocks(rows: Array, kept: int) -> Iterator[Array]:
    """Rows of a tile as blocks, some rows at a time."""
    count = max(1, ELEMENTS // rows.shape[1])
    return (compressed(rows[first : first + count], kept) for first in range(0, len(rows), count))


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


def _tiles(view: Array, cuts: list[tuple[int, int]]) -> Iterator[Array]:
    """The tiles of a view, the first cut outermost."""
    if not cuts:
        yield view
        return
    axis, size = cuts[0]
    for low in range(0, view.shape[axis], size):
        yield from _tiles(view[(slice(None),) * axis + (slice(low, low + size),)], cuts[1:])
