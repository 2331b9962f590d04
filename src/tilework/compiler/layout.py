"""Addresses: where a buffer's tile begins on chip and in DRAM, as affine functions of the tile loops.

A `Place` says where the emitter stands: for each tiled loop around it, the run of equal tiles it is in. A run that
repeats is a hardware loop, and its counter gives the tile within the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

from tilework.compiler.buffers import Buffer
from tilework.compiler.group import Group
from tilework.compiler.memory import axis_order, axis_strides
from tilework.compiler.tile import Tiling
from tilework.isa.instruction import ELEMENT_BYTES, Operand


@dataclass(frozen=True)
class Run:
    """`count` neighbouring tiles of a loop, from tile `first` on, each of `size` iterations.

    `begins`: the first tile of a reduction, which sets its result instead of adding to it.
    """

    first: int
    count: int
    size: int
    begins: bool


Place = tuple[Run, ...]


def linear(place: Place, weights: dict[int, int]) -> tuple[int, tuple[int, ...]]:
    """The constant and the steps per hardware loop of sum(weights[d] * number of the current tile of loop d)."""
    constant = sum(weights.get(depth, 0) * run.first for depth, run in enumerate(place))
    steps = tuple(weights.get(depth, 0) for depth, run in enumerate(place) if run.count > 1)
    return constant, steps


@dataclass(frozen=True)
class Frame:
    """A buffer of a group under its tiling, with its base address on chip; all sizes of one tile in bytes."""

    group: Group
    tiling: Tiling
    index: int
    base: int = 0

    @property
    def buffer(self) -> Buffer:
        return self.tiling.plan.buffers[self.index]

    @property
    def level(self) -> int:
        return self.tiling.levels[self.index]

    @property
    def slots(self) -> int:
        return self.tiling.slots[self.index]

    @cached_property
    def ranges(self) -> dict[str, int]:
        """Iterations of each loop that one tile covers, at most."""
        return self.group.extents | {n: self.tiling.tiles[n] for n in self.tiling.order[: self.level]}

    def sizes(self, ranges: dict[str, int]) -> tuple[int, ...]:
        """The box that an access covers while the loops cover `ranges`."""
        return tuple(1 + sum(abs(c) * (ranges[n] - 1) for n, c in axis.terms) for axis in self.buffer.access.index)

    @cached_property
    def packed_loops(self) -> tuple[str, ...]:
        """The loops of a packed constant, outermost first: outputs, then what is summed, nearest in the input last."""
        loops = self.buffer.access.loops()
        inputs = next(a for a in self.group.main.reads if a != self.buffer.access)
        strides = axis_strides(self.group.tensors[inputs.tensor].shape)
        near = {
            name: abs(c) * stride for axis, stride in zip(inputs.index, strides, strict=True) for name, c in axis.terms
        }
        parallel = [n for n, _ in self.group.main.parallel_loops if n in loops]
        summed = [n for n, _ in self.group.main.reduction_loops if n in loops]
        return (*parallel, *sorted(summed, key=lambda n: -near.get(n, 0)))

    def strides(self, place: Place) -> dict[str, int]:
        """Bytes on chip from one iteration of a loop to the next."""
        if self.buffer.packed:
            return self._dense(self.packed_loops, self.current(place))
        return self._box_strides

    @cached_property
    def _box_strides(self) -> dict[str, int]:
        result: dict[str, int] = {}
        for axis, stride in zip(self.buffer.access.index, axis_strides(self.sizes(self.ranges)), strict=True):
            for name, c in axis.terms:
                result[name] = result.get(name, 0) + c * stride
        return result

    @staticmethod
    def _dense(loops: tuple[str, ...], ranges: dict[str, int]) -> dict[str, int]:
        strides, stride = {}, ELEMENT_BYTES
        for name in reversed(loops):
            strides[name] = stride
            stride *= ranges[name]
        return strides

    @cached_property
    def tile_bytes(self) -> int:
        if self.buffer.packed:
            return ELEMENT_BYTES * prod(self.ranges[n] for n in self.packed_loops)
        return ELEMENT_BYTES * prod(self.sizes(self.ranges))

    @property
    def slot_bytes(self) -> int:
        return self.tile_bytes * self.buffer.copies

    @property
    def total_bytes(self) -> int:
        return self.slot_bytes * self.slots

    def operand(self, place: Place, strides: tuple[int, ...], offset: int = 0) -> Operand:
        """The buffer's current tile, `offset` bytes in, moved on by the tile loops that this tile covers whole."""
        weights = self._slot_weights() if self.slots > 1 else {}
        inner = self.strides(place)
        for depth in range(self.level, len(place)):
            loop = self.tiling.order[depth]
            weights[depth] = inner.get(loop, 0) * self.tiling.tiles[loop]
        constant, steps = linear(place, weights)
        constant += offset
        if self.slots == 1:
            return Operand(self.buffer.memory, self.base + constant, strides, _trim(steps))
        wrap = self.total_bytes
        steps = _trim(tuple(step % wrap for step in steps))
        if not steps:
            return Operand(self.buffer.memory, self.base + constant % wrap, strides)
        return Operand(self.buffer.memory, self.base, strides, steps, constant % wrap, wrap)

    def offset(self, low: list[int]) -> int:
        """Bytes on chip from the lowest corner of a box to the place `low` in it."""
        strides = axis_strides(self.sizes(self.ranges))
        return sum(skip * stride for skip, stride in zip(low, strides, strict=True))

    def _slot_weights(self) -> dict[int, int]:
        weights, stride = {}, self.slot_bytes
        for depth in reversed(range(self.level)):
            weights[depth] = stride
            stride *= self.tiling.count(self.group, depth)
        return weights

    def corner(self, axis: int, ranges: dict[str, int]) -> tuple[int, dict[int, int]]:
        """The lowest index of a tile's box along an axis: a constant and weights of the tile numbers."""
        index = self.buffer.access.index[axis]
        constant = index.offset + sum(c * (ranges[n] - 1) for n, c in index.terms if c < 0)
        weights = {
            depth: index.coefficient(loop) * self.tiling.tiles[loop]
            for depth, loop in enumerate(self.tiling.order[: self.level])
        }
        return constant, weights

    def clip(self, place: Place) -> tuple[tuple[int, int], ...]:
        """Per axis, how much of the tile's box lies before and behind the tensor, for the first tile of each run."""
        ranges = self.current(place)
        result = []
        for axis in range(len(self.buffer.access.index)):
            constant, weights = self.corner(axis, ranges)
            result.append(self.cut(axis, constant + linear(place[: self.level], weights)[0], ranges))
        return tuple(result)

    def cut(self, axis: int, low: int, ranges: dict[str, int]) -> tuple[int, int]:
        """How much of a box that begins at `low` lies before and behind the tensor along an axis."""
        extent = self.sizes(ranges)[axis]
        over = low + extent - self.group.tensors[self.buffer.access.tensor].shape[axis]
        return min(extent, max(0, -low)), min(extent, max(0, over))

    def current(self, place: Place) -> dict[str, int]:
        """Iterations of each loop that the tile at this place covers: less than `ranges` at a ragged edge."""
        return self.ranges | {self.tiling.order[d]: run.size for d, run in enumerate(place[: self.level])}

    def dram(self, place: Place, address: int, clip: tuple[tuple[int, int], ...], strides: tuple[int, ...]) -> Operand:
        """The tensor's part that belongs to the current tile, what lies outside cut off."""
        ranges = self.current(place)
        shape = self.group.tensors[self.buffer.access.tensor].shape
        constant, weights = address, dict.fromkeys(range(self.level), 0)
        for axis, stride in enumerate(axis_strides(shape)):
            low, axis_weights = self.corner(axis, ranges)
            constant += stride * (low + clip[axis][0])
            weights = {depth: w + stride * axis_weights.get(depth, 0) for depth, w in weights.items()}
        moved, steps = linear(place[: self.level], weights)
        return Operand("dram", constant + moved, strides, _trim(steps))

    def packed_dram(self, place: Place, address: int) -> Operand:
        """Where the current tile of a packed constant begins: all tiles before it lie before it, without gaps."""
        sizes = {n: self.group.extents[n] for n in self.packed_loops}
        weights: dict[int, int] = {}
        for depth, run in enumerate(place[: self.level]):
            loop = self.tiling.order[depth]
            if loop in sizes:
                rest = prod(size for name, size in sizes.items() if name != loop)
                weights[depth] = ELEMENT_BYTES * rest * self.tiling.tiles[loop]
                sizes[loop] = run.size
        constant, steps = linear(place[: self.level], weights)
        return Operand("dram", address + constant, (ELEMENT_BYTES,), _trim(steps))


def _trim(steps: tuple[int, ...]) -> tuple[int, ...]:
    """Steps without trailing zeros: missing ones are 0."""
    while steps and steps[-1] == 0:
        steps = steps[:-1]
    return steps


def dense_axes(frame: Frame, sizes: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """For each axis in DRAM order: the extent to move, the tile's stride on chip, the tensor's stride in DRAM."""
    shape = frame.group.tensors[frame.buffer.access.tensor].shape
    chip, dram = axis_strides(frame.sizes(frame.ranges)), axis_strides(shape)
    return [(sizes[axis], chip[axis], dram[axis]) for axis in axis_order(len(shape))]


def merge(loops: list[tuple[int, ...]], operands: int) -> list[tuple[int, ...]]:
    """Loops as (extent, a stride per operand), outermost first, without those that run once, and two as one where
    every operand's outer stride continues the inner one; at least one loop is left."""
    merged: list[tuple[int, ...]] = []
    for loop in (loop for loop in loops if loop[0] > 1):
        if merged and all(o == i * loop[0] for o, i in zip(merged[-1][1:], loop[1:], strict=True)):
            merged[-1] = (merged[-1][0] * loop[0], *loop[1:])
        else:
            merged.append(loop)
    return merged or [(1, *(ELEMENT_BYTES,) * operands)]
