"""From a tiled group to instructions: one rule per kind of nest, none per operation.

The code is the tile loops in natural order: load, compute, store. Units run ahead of one another through their queues;
each buffer hands its slots from unit to unit by tokens, so a load for the next tile starts as soon as a slot is free.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import groupby

from tilework.compiler.body import Scratch, Source, steps
from tilework.compiler.buffers import contraction_operands, unit_of
from tilework.compiler.group import Group
from tilework.compiler.layout import Frame, Place, Ring, Run, dense_axes, merge
from tilework.compiler.tile import Tiling
from tilework.errors import CompileError
from tilework.isa.instruction import MAX_RANK, MAX_TOKENS, Descriptor, Immediate, Instruction, Operand
from tilework.network.nest import CONTRACTION, Access, Constant, Nest

BARRIER = Instruction("barrier", scope="chip")


@dataclass(frozen=True)
class _Item:
    """A piece of code at one loop level, and which unit touches which buffers in it."""

    uses: frozenset[tuple[str, int]]
    emit: Callable[[], None]


def lower(
    group: Group, tiling: Tiling, plain: dict[str, int], packed: dict[int, int], ring: Ring | None = None
) -> list[Instruction]:
    """The group's instructions, ending in a sync.

    `plain` gives the DRAM address of each tensor, `packed` that of each packed buffer of this group. With a `ring` that
    buffer's tiles come from the SRAM; before each chunk of them all cores and the movers meet at a barrier.
    """
    backwards = [
        a for nest in group.nests for a in (nest.output, *nest.reads) for i in a.index for _, c in i.terms if c < 0
    ]
    if backwards:
        raise CompileError(
            f"an index of {group.name} must grow with its loops, not run backwards in {backwards[0].tensor}"
        )
    return _Lowering(group, tiling, plain, packed, ring).code()


class _Lowering:
    def __init__(
        self, group: Group, tiling: Tiling, plain: dict[str, int], packed: dict[int, int], ring: Ring | None
    ) -> None:
        self.group, self.tiling, self.plan = group, tiling, tiling.plan
        self.plain, self.packed, self.ring = plain, packed, ring
        self.depth = len(tiling.order)
        self.frames = self._allocate()
        self.tokens = self._number_tokens()
        self.out: list[Instruction] = []

    def _allocate(self) -> list[Frame]:
        top = {"nram": 0, "wram": 0}
        frames = []
        for index, buffer in enumerate(self.plan.buffers):
            frame = Frame(self.group, self.tiling, index, top[buffer.memory])
            top[buffer.memory] += frame.total_bytes
            frames.append(frame)
        return frames

    def _number_tokens(self) -> list[range]:
        """For each buffer a token per unit that hands it on: unit j waits for token j and posts the next."""
        ranges, free = [], 0
        for buffer in self.plan.buffers:
            length = len(buffer.units) if len(buffer.units) > 1 else 0
            ranges.append(range(free, free + length))
            free += length
        if free > MAX_TOKENS:
            raise CompileError(f"{self.group.name} must need at most {MAX_TOKENS} tokens, not {free}; fuse less")
        return ranges

    def code(self) -> list[Instruction]:
        free = [(f.buffer.units[0], t[0], f.slots) for f, t in zip(self.frames, self.tokens, strict=True) if t]
        for unit, token, slots in free:
            self.out += [Instruction("post", unit=unit, token=token)] * slots
        if self.tiling.chunks == 1:
            self.out.append(BARRIER)
        self.level(())
        for unit, token, slots in free:
            self.out += [Instruction("wait", unit=unit, token=token)] * slots
        self.out.append(Instruction("sync"))
        return self.out

    def level(self, place: Place) -> None:
        """Everything inside the loops that `place` stands in: loads, the next loop or the main nest, the rest."""
        items = self.items(place)
        here = [i for i, frame in enumerate(self.frames) if frame.level == len(place) and self.tokens[i]]
        for number, item in enumerate(items):
            for index in here:
                self.hand_over("wait", index, items, number)
            item.emit()
            for index in here:
                self.hand_over("post", index, items, number)

    def hand_over(self, kind: str, index: int, items: list[_Item], number: int) -> None:
        """A unit waits for its token before its first use of a buffer here, and posts the next after its last."""
        units = self.plan.buffers[index].units
        for stage, unit in enumerate(units):
            uses = [i for i, item in enumerate(items) if (unit, index) in item.uses]
            if kind == "wait" and uses and uses[0] == number:
                self.out.append(Instruction("wait", unit=unit, token=self.tokens[index][stage]))
            if kind == "post" and uses and uses[-1] == number:
                self.out.append(Instruction("post", unit=unit, token=self.tokens[index][(stage + 1) % len(units)]))

    def items(self, place: Place) -> list[_Item]:
        depth, parallel = len(place), self.tiling.parallel
        items = [
            _Item(frozenset({("load", i)}), lambda i=i: self.load(self.frames[i], place))  # type: ignore[misc]
            for i, frame in enumerate(self.frames)
            if frame.buffer.loaded and frame.level == depth
        ]
        if depth < self.depth:
            items.append(_Item(self.uses_inside(depth), lambda: self.loop(place)))
        else:
            items.append(_Item(self.uses_of(0), lambda: self.nest(0, place)))
        if depth == parallel:
            items += [
                _Item(self.uses_of(number), lambda n=number: self.nest(n, place))  # type: ignore[misc]
                for number in range(1, len(self.group.nests))
            ]
            last = self.plan.writes[len(self.group.nests) - 1]
            items.append(_Item(frozenset({("store", last)}), lambda: self.store(self.frames[last], place)))
        return items

    def uses_of(self, number: int) -> frozenset[tuple[str, int]]:
        unit = unit_of(self.group.nests[number])
        return frozenset((unit, i) for i, b in enumerate(self.plan.buffers) if number in b.users)

    def uses_inside(self, depth: int) -> frozenset[tuple[str, int]]:
        if depth >= self.tiling.parallel:
            return self.uses_of(0)
        every = frozenset().union(*(self.uses_of(n) for n in range(len(self.group.nests))))
        return every | {("store", i) for i, b in enumerate(self.plan.buffers) if b.stored}

    def loop(self, place: Place) -> None:
        for run in self.runs(len(place)):
            if run.count > 1:
                self.out.append(Instruction("loop", count=run.count))
            if not place and self.tiling.chunks > 1:
                self.out.append(BARRIER)
            self.level((*place, run))
            if run.count > 1:
                self.out.append(Instruction("endloop"))

    def runs(self, depth: int) -> list[Run]:
        """The tiles of a loop in runs of equal shape: what is cut off at the border, and whether it comes first."""
        loop = self.tiling.order[depth]
        tile, extent = self.tiling.tiles[loop], self.group.extents[loop]
        marks = []
        for number in range(self.tiling.count(self.group, depth)):
            size = min(tile, extent - number * tile)
            begins = depth >= self.tiling.parallel and number == 0
            marks.append((size, begins, tuple(self.clips(depth, loop, number, size))))
        runs, start = [], 0
        for (size, begins, _), same in groupby(marks):
            count = len(list(same))
            runs.append(Run(start, count, size, begins))
            start += count
        return runs

    def clips(self, depth: int, loop: str, number: int, size: int) -> list[tuple[int, int]]:
        """What each padded operand loses at its borders along the axes that this loop moves."""
        found = []
        for frame in self.frames:
            if frame.buffer.access.pad is None or frame.level <= depth:
                continue
            ranges = frame.ranges | {loop: size}
            for axis, index in enumerate(frame.buffer.access.index):
                if index.coefficient(loop):
                    constant, weights = frame.corner(axis, ranges)
                    found.append(frame.cut(axis, constant + weights[depth] * number, ranges))
        return found

    def emit(self, mnemonic: str, loops: list[tuple[int, ...]], operands: list[Operand | Immediate], add: bool) -> None:
        """An instruction over merged loops; each loop gives its extent and a stride per operand."""
        merged = merge(loops, len(operands))
        if len(merged) > MAX_RANK:
            raise CompileError(f"a tile of {self.group.name} must have at most {MAX_RANK} loops, not {len(merged)}")
        placed = [
            replace(o, strides=tuple(loop[1 + i] for loop in merged)) if isinstance(o, Operand) else o
            for i, o in enumerate(operands)
        ]
        target, *sources = placed
        assert isinstance(target, Operand)
        descriptor = Descriptor(tuple(loop[0] for loop in merged), target, tuple(sources))
        self.out.append(Instruction(mnemonic, descriptor, accumulate=add))

    def load(self, frame: Frame, place: Place) -> None:
        access = frame.buffer.access
        if frame.buffer.packed:
            sizes = frame.current(place)
            count = 1
            for name in frame.packed_loops:
                count *= sizes[name]
            address = self.packed[frame.index]
            source = frame.packed_sram(place, self.ring) if self.ring else frame.packed_dram(place, address)
            size = frame.element_bytes
            self.emit("load", [(count, size, size)], [frame.operand(place, ()), source], False)
            return
        clip = frame.clip(place)
        self.fill(frame, place, clip)
        whole = frame.sizes(frame.current(place))
        sizes_in = tuple(extent - low - high for extent, (low, high) in zip(whole, clip, strict=True))
        if 0 in sizes_in:
            return
        axes = dense_axes(frame, sizes_in)
        offset = frame.offset([low for low, _ in clip])
        source = frame.dram(place, self.plain[access.tensor], clip, ())
        self.emit("load", list(axes), [frame.operand(place, (), offset), source], False)

    def fill(self, frame: Frame, place: Place, clip: tuple[tuple[int, int], ...]) -> None:
        """The pad value in the part of the tile that lies outside the tensor, as boxes that don't overlap."""
        whole = frame.sizes(frame.current(place))
        box = [(0, extent) for extent in whole]
        for axis, (low, high) in enumerate(clip):
            for start, stop in ((0, low), (whole[axis] - high, whole[axis])):
                part = [*box[:axis], (start, stop), *box[axis + 1 :]]
                if all(a < b for a, b in part):
                    axes = dense_axes(frame, tuple(b - a for a, b in part))
                    target = frame.operand(place, (), frame.offset([a for a, _ in part]))
                    pad = Immediate(frame.buffer.access.pad or 0.0)
                    self.emit("fill", [(e, chip) for e, chip, _ in axes], [target, pad], False)
            box[axis] = (low, whole[axis] - high)

    def store(self, frame: Frame, place: Place) -> None:
        """What the tile's loops have made; the box around it may have gaps, which belong to other tiles."""
        access, sizes, chip = frame.buffer.access, frame.current(place), frame.strides(place)
        steps = zip(access.index, frame.dram_strides, strict=True)
        dram = {n: c * stride for axis, stride in steps for n, c in axis.terms}
        loops = sorted(((sizes[n], dram[n], chip[n]) for n in dram), key=lambda loop: -loop[1])
        target = frame.dram(place, self.plain[access.tensor], tuple((0, 0) for _ in access.index), ())
        self.emit("store", list(loops), [target, frame.operand(place, ())], False)

    def nest(self, number: int, place: Place) -> None:
        nest = self.group.nests[number]
        sizes = self.group.extents | {self.tiling.order[d]: run.size for d, run in enumerate(place)}
        again = len(place) > self.tiling.parallel and not place[-1].begins
        if nest.kind == CONTRACTION:
            self.contraction(nest, place, sizes, again)
        else:
            self.vector(number, nest, place, sizes, again)

    def contraction(self, nest: Nest, place: Place, sizes: dict[str, int], again: bool) -> None:
        a, b = (self.frames[self.plan.reads[0, access]] for access in contraction_operands(self.group))
        frames = [self.frames[self.plan.writes[0]], a, b]
        near = a.strides(place)
        summed = sorted((n for n, _ in nest.reduction_loops), key=lambda n: -abs(near.get(n, 0)))
        names = [n for n, _ in nest.parallel_loops] + summed
        loops = [(sizes[n], *(f.strides(place).get(n, 0) for f in frames)) for n in names]
        self.emit("contract", list(loops), [f.operand(place, ()) for f in frames], again)

    def vector(self, number: int, nest: Nest, place: Place, sizes: dict[str, int], again: bool) -> None:
        *before, last = steps(nest)
        over_box = nest.update != "=" and bool(before)
        for step in before:
            operands = (step.target or nest.output, *step.sources)
            if over_box:
                self.box_step(step.mnemonic, number, place, operands)
            else:
                self.vector_step(step.mnemonic, number, nest, place, sizes, operands, False)
        self.vector_step(last.mnemonic, number, nest, place, sizes, (nest.output, *last.sources), again)

    def frame_of(self, number: int, source: Source, is_target: bool = False) -> tuple[Frame, int]:
        """The buffer that holds an operand of a nest, and how many bytes in."""
        if isinstance(source, Scratch):
            frame = self.frames[self.plan.scratch[number]]
            return frame, source.index * frame.tile_bytes
        assert isinstance(source, Access)
        if is_target:
            return self.frames[self.plan.writes[number]], 0
        return self.frames[self.plan.reads[number, source]], 0

    def vector_step(
        self,
        mnemonic: str,
        number: int,
        nest: Nest,
        place: Place,
        sizes: dict[str, int],
        operands: tuple[Source, ...],
        again: bool,
    ) -> None:
        loops: list[tuple[int, ...]] = [(sizes[n],) for n, _ in nest.loops]
        placed: list[Operand | Immediate] = []
        for position, source in enumerate(operands):
            if isinstance(source, Constant):
                placed.append(Immediate(source.value))
                loops = [(*loop, 0) for loop in loops]
                continue
            frame, offset = self.frame_of(number, source, position == 0)
            strides = frame.strides(place)
            loops = [(*loop, strides.get(n, 0)) for loop, (n, _) in zip(loops, nest.loops, strict=True)]
            placed.append(frame.operand(place, (), offset))
        self.emit(mnemonic, self.ordered(loops), placed, again)

    @staticmethod
    def ordered(loops: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Loops in the order of the target's memory, so that neighbours merge; reducing loops first, so that the vector
        unit's lanes take neighbours."""
        return sorted(loops, key=lambda loop: (loop[1] != 0, -abs(loop[1])))

    def box_step(self, mnemonic: str, number: int, place: Place, operands: tuple[Source, ...]) -> None:
        """One instruction on the whole box that a reduction reads, halo and padding included."""
        box = self.frames[self.plan.scratch[number]]
        axes = dense_axes(box, box.sizes(box.current(place)))
        placed: list[Operand | Immediate] = []
        for position, source in enumerate(operands):
            if isinstance(source, Constant):
                placed.append(Immediate(source.value))
                continue
            frame, offset = self.frame_of(number, source, position == 0 and not isinstance(source, Scratch))
            placed.append(frame.operand(place, (), offset))
        loops = [(extent, *(0 if isinstance(p, Immediate) else chip for p in placed)) for extent, chip, _ in axes]
        self.emit(mnemonic, list(loops), placed, False)
