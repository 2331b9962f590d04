"""Addresses: where a buffer's tile begins on chip and in DRAM, as affine functions of the tile loops.

A `Place` says where the emitter stands: for each tiled loop around it, the run of equal tiles it is in. A run that
repeats is a hardware loop, and its counter gives the tile within the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

from tilework.compiler.axes import axis_order, axis_strides
from tilework.compiler.buffers import Buffer, packed_loops
from tilework.compiler.group import Group
from tilework.compiler.pieces import is_piece, loop_of
from tilework.compiler.tile import Tiling
from tilework.isa.blocks import BLOCK
from tilework.isa.instruction import DTYPES, ELEMENT_BYTES, Operand
from tilework.network.graph import Tensor


@dataclass(frozen=True)
class Run:
    """`count` neighbouring tiles of a loop, from tile `first` on, each of `size` iterations.

    `begins`: the first tile of a reduction, which sets its result instead of adding to it; where that is made in
    pieces, `ends` says which is the last.
    """

    first: int
    count: int
    size: int
    begins: bool
    ends: bool = False


Place = tuple[Run, ...]


@dataclass(frozen=True)
class Ring:
    """The SRAM in one or two slots: chunk c of a constant lies in slot `first` + c, modulo their number.

    Where there are two, the next chunk comes while the cores work with one, and chunk 0 before the group begins, unless
    it is `late`. Where there is one, they wait.
    """

    slot_bytes: int
    first: int
    slots: int = 2
    late: bool = False

    @property
    def meetings(self) -> int:
        """How many barriers there are before each chunk: what is in its slot is done with, and it is there."""
        return 3 - self.slots

    def operand(self, offset: int, steps: tuple[int, ...], dtype: str) -> Operand:
        """Elements in a row, `offset` bytes behind the beginning of chunk 0, moved by steps within the ring."""
        wrap = self.slots * self.slot_bytes
        phase = (self.first * self.slot_bytes + offset) % wrap
        strides = (DTYPES[dtype],)
        if not any(steps):
            return Operand("sram", phase, strides, dtype=dtype)
        return Operand("sram", 0, strides, steps, phase, wrap, dtype)


def linear(place: Place, weights: dict[int, int]) -> tuple[int, tuple[int, ...]]:
    """The constant and the steps per hardware loop of sum(weights[d] * number of the current tile of loop d)."""
    constant = sum(weights.get(depth, 0) * run.first for depth, run in enumerate(place))
    steps = tuple(weights.get(depth, 0) for depth, run in enumerate(place) if run.count > 1)
    return constant, steps


@dataclass(frozen=True)
class Frame:
    """A buffer of a group under its tiling, with its base address on chip; all sizes of one tile in bytes.

    A tile may be part of a larger box on chip, which has `held` places along each axis. The first tile lies in slot
    `turn`.
    """

    group: Group
    tiling: Tiling
    index: int
    base: int = 0
    held: tuple[int, ...] = ()
    turn: int = 0

    @property
    def buffer(self) -> Buffer:
        return self.tiling.plan.buffers[self.index]

    @cached_property
    def tensor(self) -> Tensor:
        """The tensor of which the buffer holds tiles; for temporaries one of the same dtype."""
        return self.group.tensors[self.buffer.access.tensor]

    @cached_property
    def element_bytes(self) -> int:
        return DTYPES[self.buffer.dtype]

    @property
    def level(self) -> int:
        return self.tiling.levels[self.index]

    @property
    def slots(self) -> int:
        return self.tiling.slots[self.index]

    @cached_property
    def ranges(self) -> dict[str, int]:
        """Iterations of each loop that one tile covers, at most."""
        return self.group.extents | {loop_of(n): self.tiling.tiles[n] for n in self.tiling.order[: self.level]}

    def sizes(self, ranges: dict[str, int]) -> tuple[int, ...]:
        """The box that an access covers while the loops cover `ranges`."""
        return tuple(1 + sum(abs(c) * (ranges[n] - 1) for n, c in axis.terms) for axis in self.buffer.access.index)

    @cached_property
    def packed_loops(self) -> tuple[str, ...]:
        """The loops of a packed constant, outermost first: outputs, then what is summed, nearest in the input last."""
        return packed_loops(self.group, self.buffer.access)

    def rows(self, ranges: dict[str, int]) -> tuple[int, int]:
        """How many rows a packed constant has for so many iterations of its loops, and how long each is."""
        return self.group.rows({name: ranges[name] for name in self.packed_loops})

    def stored_bytes(self, ranges: dict[str, int]) -> int:
        """Of a packed constant in DRAM."""
        return int(self.element_bytes * self.group.blocks.stored(*self.rows(ranges), self.element_bytes))

    def strides(self, place: Place) -> dict[str, int]:
        """Bytes on chip from one iteration of a loop to the next."""
        if self.buffer.packed:
            return self._dense(self.packed_loops, self.current(place))
        return self._box_strides

    @cached_property
    def _box_strides(self) -> dict[str, int]:
        result: dict[str, int] = {}
        for axis, stride in zip(self.buffer.access.index, self.chip_strides, strict=True):
            for name, c in axis.terms:
                result[name] = result.get(name, 0) + c * stride
        return result

    @cached_property
    def chip_strides(self) -> tuple[int, ...]:
        """Bytes on chip from one place of the largest tile to the next, along each axis."""
        return axis_strides(self.held or self.sizes(self.ranges), self.buffer.dtype)

    @cached_property
    def dram_strides(self) -> tuple[int, ...]:
        """Bytes in DRAM from one place of the tensor to the next, along each axis."""
        return axis_strides(self.tensor.shape, self.tensor.dtype)

    def _dense(self, loops: tuple[str, ...], ranges: dict[str, int]) -> dict[str, int]:
        strides, stride = {}, self.element_bytes
        reduced = dict(self.group.main.reduction_loops)
        whole = BLOCK * stride if self.group.blocks.skipped else 1
        for name in reversed(loops):
            if name not in reduced:
                stride = -(-stride // whole) * whole
            strides[name] = stride
            stride *= ranges[name]
        return strides

    @cached_property
    def tile_bytes(self) -> int:
        if self.buffer.packed:
            return self._held_bytes(*self.rows(self.ranges))
        return self.element_bytes * prod(self.sizes(self.ranges))

    def _held_bytes(self, outputs: int, summed: int) -> int:
        return int(self.element_bytes * self.group.blocks.held(outputs, summed, self.element_bytes))

    @property
    def slot_bytes(self) -> int:
        return self.tile_bytes * self.buffer.copies

    @property
    def total_bytes(self) -> int:
        return self.slot_bytes * self.slots

    def operand(self, place: Place, strides: tuple[int, ...], offset: int = 0, dtype: str | None = None) -> Operand:
        """The buffer's current tile, `offset` bytes in, moved on by the tile loops that this tile covers whole.

        `dtype` is what the elements are now, of the size of the buffer's: its tensor's unless said otherwise.
        """
        weights = self._slot_weights() if self.slots > 1 else {}
        inner = self.strides(place)
        for depth in range(self.level, len(place)):
            name = self.tiling.order[depth]
            weights[depth] = inner.get(loop_of(name), 0) * self.tiling.tiles[name]
            if self.buffer.packed:
                weights[depth] = self._held_bytes(1, weights[depth] // self.element_bytes)
        constant, steps = linear(place, weights)
        constant += offset + self.turn * self.slot_bytes
        dtype = dtype or self.tensor.dtype
        if self.slots == 1:
            return Operand(self.buffer.memory, self.base + constant, strides, _trim(steps), dtype=dtype)
        wrap = self.total_bytes
        steps = _trim(tuple(step % wrap for step in steps))
        if not steps:
            return Operand(self.buffer.memory, self.base + constant % wrap, strides, dtype=dtype)
        return Operand(self.buffer.memory, self.base, strides, steps, constant % wrap, wrap, dtype)

    def offset(self, low: list[int]) -> int:
        """Bytes on chip from the lowest corner of a box to the place `low` in it."""
        return sum(skip * stride for skip, stride in zip(low, self.chip_strides, strict=True))

    def _slot_weights(self) -> dict[int, int]:
        weights, stride = {}, self.slot_bytes
        for depth in reversed(range(self.level)):
            if (
                self.index in self.tiling.plan.late
                and depth >= self.tiling.parallel
                and not is_piece(self.tiling.order[depth])
            ):
                continue
            weights[depth] = stride
            stride *= self.tiling.count(self.group, depth)
        return weights

    def corner(self, axis: int, ranges: dict[str, int]) -> tuple[int, dict[int, int]]:
        """The lowest index of a tile's box along an axis: a constant and weights of the tile numbers."""
        index = self.buffer.access.index[axis]
        constant = index.offset + sum(c * (ranges[n] - 1) for n, c in index.terms if c < 0)
        weights = {
            depth: index.coefficient(loop_of(name)) * self.tiling.tiles[name]
            for depth, name in enumerate(self.tiling.order[: self.level])
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
        over = low + extent - self.tensor.shape[axis]
        return min(extent, max(0, -low)), min(extent, max(0, over))

    def current(self, place: Place) -> dict[str, int]:
        """Iterations of each loop that the tile at this place covers: less than `ranges` at a ragged edge."""
        return self.ranges | {loop_of(self.tiling.order[d]): run.size for d, run in enumerate(place[: self.level])}

    def dram(self, place: Place, address: int, clip: tuple[tuple[int, int], ...], strides: tuple[int, ...]) -> Operand:
        """The tensor's part that belongs to the current tile, what lies outside cut off."""
        ranges = self.current(place)
        constant, weights = address, dict.fromkeys(range(self.level), 0)
        for axis, stride in enumerate(self.dram_strides):
            low, axis_weights = self.corner(axis, ranges)
            constant += stride * (low + clip[axis][0])
            weights = {depth: w + stride * axis_weights.get(depth, 0) for depth, w in weights.items()}
        moved, steps = linear(place[: self.level], weights)
        memory = "sram" if self.tensor.name in self.group.resident else "dram"
        return Operand(memory, constant + moved, strides, _trim(steps), dtype=self.tensor.dtype)

    def packed_dram(self, place: Place, address: int) -> Operand:
        """Where the current tile of a packed constant begins: all tiles before it lie before it, without gaps."""
        constant, steps = linear(place[: self.level], self._packed_weights(place))
        return Operand("dram", address + constant, (self.element_bytes,), _trim(steps), dtype=self.tensor.dtype)

    def packed_sram(self, place: Place, ring: Ring) -> Operand:
        """The same in the SRAM, where the chunks of the constant take turns in its slots."""
        weights = self._packed_weights(place)
        if self.tiling.chunks > 1:
            weights[0] = ring.slot_bytes
        constant, steps = linear(place[: self.level], weights)
        return ring.operand(constant, _trim(steps), self.tensor.dtype)

    def _packed_weights(self, place: Place) -> dict[int, int]:
        """Bytes from one tile of a loop to the next in a packed constant."""
        sizes = {n: self.group.extents[n] for n in self.packed_loops}
        weights: dict[int, int] = {}
        for depth, run in enumerate(place[: self.level]):
            loop = loop_of(name := self.tiling.order[depth])
            if loop in sizes:
                weights[depth] = self.stored_bytes(sizes | {loop: self.tiling.tiles[name]})
                sizes[loop] = run.size
        return weights


def _trim(steps: tuple[int, ...]) -> tuple[int, ...]:
    """Steps without trailing zeros: missing ones are 0."""
    while steps and steps[-1] == 0:
        steps = steps[:-1]
    return steps


def dense_axes(frame: Frame, sizes: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """For each axis in DRAM order: the extent to move, the tile's stride on chip, the tensor's stride in DRAM."""
    chip, dram = frame.chip_strides, frame.dram_strides
    return [(sizes[axis], chip[axis], dram[axis]) for axis in axis_order(len(dram))]


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
