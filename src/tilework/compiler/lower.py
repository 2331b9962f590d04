"""From a tiled group to instructions.

The code is the tile loops in natural order: load, compute, store. Units run ahead of one another through their queues;
each buffer hands its slots from unit to unit by tokens, so a load for the next tile starts as soon as a slot is free.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import groupby

from tilework.compiler.ahead import Home
from tilework.compiler.buffers import unit_of
from tilework.compiler.emit import Emitter
from tilework.compiler.group import Group
from tilework.compiler.layout import Frame, Place, Ring, Run, dense_axes
from tilework.compiler.pieces import is_piece, loop_of
from tilework.compiler.split import Part
from tilework.compiler.stock import Stock
from tilework.compiler.tile import Tiling
from tilework.isa.blocks import BLOCK
from tilework.isa.instruction import Immediate, Instruction, Operand

BARRIER = Instruction("barrier", scope="chip")


@dataclass(frozen=True)
class _Item:
    """A piece of code at one loop level, and which unit touches which buffers in it."""

    uses: frozenset[tuple[str, int]]
    emit: Callable[[], None]


@dataclass(frozen=True)
class Code:
    """A group's instructions, which begin and end with every unit idle; `ahead`: the loads that come before, by the
    number of their buffer; `last`: waits that come after the loads for the next group."""

    steps: list[Instruction]
    ahead: dict[int, list[Instruction]]
    last: list[Instruction] = field(default_factory=list)


def lower(
    part: Part,
    home: Home,
    plain: dict[str, int],
    packed: dict[int, int],
    ring: Ring | None = None,
    stocks: tuple[Stock, ...] = (),
) -> Code:
    """The instructions of a part of a group with its buffers in a home; `ahead.ending` is to follow.

    `plain` gives the DRAM address of each tensor, `packed` that of each packed buffer of this group. With a `ring` that
    buffer's tiles come from the SRAM; before each chunk of them all cores and the movers meet at a barrier. With
    `stocks` some of them do, which lie there when the group begins.
    """
    lowering = Lowering(part.group, part.tiling, home.frames(part), plain, packed, ring, frozenset(home.early), stocks)
    return lowering.code()


class Lowering(Emitter):
    """The code of a group that is tiled by itself."""

    def __init__(
        self,
        group: Group,
        tiling: Tiling,
        frames: list[Frame],
        plain: dict[str, int],
        packed: dict[int, int],
        ring: Ring | None = None,
        early: frozenset[int] = frozenset(),
        stocks: tuple[Stock, ...] = (),
    ) -> None:
        super().__init__(group, tiling, frames)
        self.plain, self.packed, self.ring, self.early, self.stocks = plain, packed, ring, early, stocks
        self.depth = len(tiling.order)
        self.tokens = self.plan.tokens
        self.ahead: dict[int, list[Instruction]] = {}
        self.peeled = max((frames[index].level for index in early), default=0)

    def code(self) -> Code:
        for index, (frame, tokens) in enumerate(zip(self.frames, self.tokens, strict=True)):
            if tokens:
                free = frame.slots * self.tiling.shares(self.group, index)
                self.out += [Instruction("post", unit=frame.buffer.units[0], token=tokens[0])] * free
        if self.ring:
            self.out += [BARRIER] * (self.ring.late + (self.tiling.chunks == 1) * self.ring.meetings)
        self.level(())
        return Code(self.out, self.ahead)

    def level(self, place: Place) -> None:
        """Everything inside the loops that `place` stands in: loads, the next loop or the main nest, the rest."""
        items = self.items(place)
        here = [i for i in range(len(self.frames)) if self.handed(i) == len(place) and self.tokens[i]]
        for number, item in enumerate(items):
            for index in here:
                self.hand_over("wait", index, items, number, place)
            item.emit()
            for index in here:
                self.hand_over("post", index, items, number, place)

    def handed(self, index: int) -> int:
        """The loops around the code that hands a buffer over."""
        return self.depth if self.tiling.holds_pieces(index) else self.frames[index].level

    def ends(self, place: Place) -> bool:
        """Whether the sums are complete behind the main nest."""
        return all(run.ends for run in self.reducing(place))

    def hand_over(self, kind: str, index: int, items: list[_Item], number: int, place: Place) -> None:
        """A unit waits for its token before its first use of a buffer here, and posts the next after its last; a piece
        of the sums has its first in the first tiles of a reduction, and is finished in the last."""
        units = self.plan.buffers[index].units
        for stage, unit in enumerate(units):
            if stage == 0 and self.tiling.holds_pieces(index):
                edge = all(run.begins for run in self.reducing(place)) if kind == "wait" else self.ends(place)
                if not edge:
                    continue
            uses = [i for i, item in enumerate(items) if (unit, index) in item.uses]
            if kind == "wait" and uses and uses[0] == number:
                self.out.append(Instruction("wait", unit=unit, token=self.tokens[index][stage]))
            if kind == "post" and uses and uses[-1] == number:
                parks = unit == "matrix" and self.parks(index) and not self.ends(place)
                after = len(units) if parks else (stage + 1) % len(units)
                self.out.append(Instruction("post", unit=unit, token=self.tokens[index][after]))

    def parks(self, index: int) -> bool:
        """Whether a buffer holds pieces of sums that are parked."""
        return self.plan.parked is not None and index == self.plan.writes[0]

    def items(self, place: Place) -> list[_Item]:
        """Loads come first, those with a second slot before those that have to wait for their only one."""
        depth = len(place)
        ends = depth == self.depth and self.ends(place) if self.tiling.pieces else depth == self.tiling.parallel
        items = [
            _Item(frozenset({("load", i)}), lambda i=i: self.bring(self.frames[i], place))  # type: ignore[misc]
            for i, frame in sorted(enumerate(self.frames), key=lambda each: -each[1].slots)
            if frame.buffer.loaded and frame.level == depth and (ends or depth < self.depth or i not in self.plan.late)
        ]
        if depth < self.depth:
            items.append(_Item(self.uses_inside(depth), lambda: self.loop(place)))
        else:
            if self.plan.parked is not None:
                items += self.parking(place)
            items.append(_Item(self.uses_of(0), lambda: self.nest(0, place)))
        if ends:
            items += [
                _Item(self.uses_of(number), lambda n=number: self.nest(n, place))  # type: ignore[misc]
                for number in range(1, len(self.group.nests))
            ]
            last = self.plan.writes[len(self.group.nests) - 1]
            items.append(_Item(frozenset({("store", last)}), lambda: self.store(self.frames[last], place)))
        return items

    def parking(self, place: Place) -> list[_Item]:
        """A piece of parked sums comes, and the one before it goes back: later than it might, so that the load unit
        first brings what the matrix unit needs next. That of a step's last piece but one waits for the next step, so
        that the step's own loads come before it."""
        number, last = place[-1].first, self.tiling.count(self.group, len(place) - 1) - 1
        own = _Item(frozenset({("load", self.plan.writes[0])}), lambda: self.unpark(place))
        back = _Item(frozenset(), lambda: self.park(place, 1))
        if number == 0:
            return [_Item(frozenset(), lambda: self.park(place, 2)), own, back]
        return [own] if number == last else [own, back]

    def unpark(self, place: Place) -> None:
        """Bring a piece of parked sums that there are."""
        assert self.plan.parked is not None
        if not all(run.begins for run in self.reducing(place)):
            near, far = self.frames[self.plan.writes[0]], self.frames[self.plan.parked]
            self.move(near, place, far, place)

    def park(self, place: Place, back: int) -> None:
        """Take the piece so many before this one to where it is parked, unless it is complete."""
        assert self.plan.parked is not None
        *outer, run = place
        pieces = self.tiling.count(self.group, len(outer))
        reducing = self.reducing(place)
        if all(each.begins if run.first == 0 else each.ends for each in reducing):
            return
        near, far = self.frames[self.plan.writes[0]], self.frames[self.plan.parked]
        piece = self.tiling.order[-1]
        whole = place[self.tiling.order.index(loop_of(piece))].size
        before = (run.first - back) % pieces
        size = min(self.tiling.tiles[piece], whole - before * self.tiling.tiles[piece])
        token = self.tokens[near.index]
        self.out.append(Instruction("wait", unit="load", token=token[-1]))
        here, there = (replace(run, first=first, size=size) for first in (run.first - back, before))
        self.move(far, (*outer, there), near, (*outer, here))
        self.out.append(Instruction("post", unit="load", token=token[0]))

    def move(self, target: Frame, at: Place, source: Frame, place: Place) -> None:
        """A piece of sums from one place on chip to another."""
        sizes, far, near = target.current(at), target.strides(at), source.strides(place)
        sizes |= {loop_of(self.tiling.order[-1]): at[-1].size}
        loops = sorted(((sizes[n], far[n], near[n]) for n in far), key=lambda loop: -loop[2])
        self.emit("load", list(loops), [target.operand(at, ()), source.operand(place, ())], False)

    def uses_of(self, number: int) -> frozenset[tuple[str, int]]:
        unit = unit_of(self.group, number)
        return frozenset((unit, i) for i, b in enumerate(self.plan.buffers) if number in b.users)

    def uses_inside(self, depth: int) -> frozenset[tuple[str, int]]:
        if depth >= self.tiling.parallel and not self.tiling.pieces:
            return self.uses_of(0)
        every = frozenset().union(*(self.uses_of(n) for n in range(len(self.group.nests))))
        return every | {("store", i) for i, b in enumerate(self.plan.buffers) if b.stored}

    def loop(self, place: Place) -> None:
        for run in self.runs(place):
            if run.count > 1:
                self.out.append(Instruction("loop", count=run.count))
            if self.ring and not place and self.tiling.chunks > 1:
                self.out += [BARRIER] * self.ring.meetings
            self.level((*place, run))
            if run.count > 1:
                self.out.append(Instruction("endloop"))

    def runs(self, place: Place) -> list[Run]:
        """The tiles of a loop in runs of equal shape: what is cut off at the border, and whether it comes first; and
        whether some of its loads have come before, or lie in the SRAM."""
        depth, name = len(place), self.tiling.order[len(place)]
        tile, extent = self.tiling.tiles[name], self.group.extents[loop_of(name)]
        if is_piece(name):
            extent = place[self.tiling.order.index(loop_of(name))].size
        peeled, reduces = depth < self.peeled and _is_first(place), depth >= self.tiling.parallel and not is_piece(name)
        count = -(-extent // tile)
        marks = []
        for number in range(count):
            size = min(tile, extent - number * tile)
            alone, ends = peeled and number == 0, reduces and self.tiling.pieces and number == count - 1
            clips = tuple(self.clips(depth, loop_of(name), number, size))
            at = (number == 0, number == count - 1) if is_piece(name) and self.plan.parked is not None else ()
            here = (*place, Run(number, 1, size, begins=False))
            stocked = [stock.mark(self.frames[stock.buffer], here) for stock in self.stocks]
            marks.append((size, reduces and number == 0, ends, alone, at, stocked, clips))
        runs, start = [], 0
        for (size, begins, ends, *_), same in groupby(marks):
            runs.append(Run(start, len(list(same)), size, begins, ends))
            start += runs[-1].count
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

    def bring(self, frame: Frame, place: Place) -> None:
        """A tile's load, unless it has come before the group."""
        code = self.out
        if frame.index in self.early and _is_first(place):
            self.out = self.ahead[frame.index] = []
        self.load(frame, place)
        self.out = code

    def load(self, frame: Frame, place: Place) -> None:
        access = frame.buffer.access
        if frame.buffer.packed:
            self.load_packed(frame, place)
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

    def load_packed(self, frame: Frame, place: Place) -> None:
        """A tile of a constant, which stands in a row in DRAM; a compressed one is expanded if WRAM holds it whole."""
        source = self.packed_source(frame, place)
        (outputs, summed), size, blocks = frame.rows(frame.current(place)), frame.element_bytes, self.group.blocks
        if blocks.kept and not blocks.skipped:
            row = -(-summed // BLOCK) * BLOCK
            loops = [(outputs, summed * size, row * size), (summed, size, size)]
            source = replace(source, kept=blocks.kept)
        else:
            loops = [(blocks.held(outputs, summed, size), size, size)]
        self.emit("load", list(loops), [frame.operand(place, ()), source], False)

    def packed_source(self, frame: Frame, place: Place) -> Operand:
        if self.ring:
            return frame.packed_sram(place, self.ring)
        for stock in self.stocks:
            if self.out is not self.ahead.get(frame.index) and stock.state(frame, place):
                return replace(frame.packed_dram(place, stock.address), memory="sram")
        return frame.packed_dram(place, self.packed[frame.index])

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
        part = replace(frame, tiling=replace(self.tiling, levels=(len(place),) * len(self.frames)))
        access, sizes, chip = frame.buffer.access, part.current(place), frame.strides(place)
        steps = zip(access.index, frame.dram_strides, strict=True)
        dram = {n: c * stride for axis, stride in steps for n, c in axis.terms}
        loops = sorted(((sizes[n], dram[n], chip[n]) for n in dram), key=lambda loop: -loop[1])
        target = part.dram(place, self.plain[access.tensor], tuple((0, 0) for _ in access.index), ())
        self.emit("store", list(loops), [target, frame.operand(place, ())], False)


def _is_first(place: Place) -> bool:
    """Whether a place is that of the first tile alone."""
    return all(run.first == 0 and run.count == 1 for run in place)
