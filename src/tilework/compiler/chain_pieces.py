"""The pieces that a chain's steps are made of: what each unit does for one band or stage, and the rows it touches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tilework.compiler.axes import axis_order, axis_strides
from tilework.compiler.buffers import unit_of
from tilework.compiler.chain import Band, Stage
from tilework.compiler.chain_memory import Layout, whole
from tilework.compiler.chain_order import Item, Span
from tilework.compiler.chain_steps import Rows, Step
from tilework.compiler.emit import Emitter, instruction
from tilework.compiler.lower import Lowering
from tilework.isa.instruction import Descriptor, Immediate, Instruction, Operand

LOAD, SEND, MAIN, REST, STORE, MOVE = "load", "send", "main", "rest", "store", "move"
UNITS = {LOAD: "load", SEND: "load", MAIN: "matrix", REST: "vector", STORE: "store"}


@dataclass(frozen=True)
class Piece:
    """In one turn of each step: LOAD a band's rows, compute them (MAIN: a stage's contraction, REST: its other nests),
    SEND them to the WRAM, STORE them; or, once a step, MOVE those that are still needed to the front, by the unit that
    has brought them. It is done `lag` steps late."""

    kind: str
    band: str
    unit: str
    turn: int = 0
    lag: int = 0


def pieces(layout: Layout) -> list[Piece]:
    """Those of each step, in order."""
    bands, turns, lags = layout.chain.bands, range(layout.turns), layout.lags
    kinds = [(name, [LOAD]) for name, band in bands.items() if band.made_by is None]
    kinds += [(s.group.output.tensor, _kinds(s, bands[s.group.output.tensor])) for s in layout.chain.stages]
    several = [(name, kind, turn) for name, each in kinds for turn in turns for kind in each]
    found = [Piece(kind, name, UNITS[kind], turn, lags[name]) for name, kind, turn in several]
    for name in {name: 0 for step in layout.steps for name in step.shift if layout.moves(name, step)}:
        late = layout.late[name] > lags[name]
        before = [i for i, piece in enumerate(found) if _before_move(layout, piece, name)]
        place = min(before) if late else 1 + max(before)
        found.insert(place, Piece(MOVE, name, mover(bands[name]), 0, lags[name] + late))
    return found


def mover(band: Band) -> str:
    """The unit that brings a band's rows and moves them."""
    return "load" if band.made_by is None or band.memory == "wram" else "vector"


def _before_move(layout: Layout, piece: Piece, name: str) -> bool:
    """Whether rows of a band move only after a piece: one that makes them or, where they stay in the same buffer, one
    that reads them. Where readers come later they move in the next beat, before others are made."""
    if piece.kind == MOVE or piece.band == name:
        return piece.band == name
    place = layout.chain.bands[piece.band].made_by
    if place is None or layout.slots[name] > 1 or piece.kind == STORE:
        return False
    plan = layout.chain.stages[place].plan
    return any(b.loaded and b.access.tensor == name and piece.unit in b.units for b in plan.buffers)


def _kinds(stage: Stage, band: Band) -> list[str]:
    if stage.group.sends:
        return [SEND]
    contracts = stage.group.contracts
    rest = not contracts or len(stage.group.nests) > 1 or band.padded
    return [MAIN] * contracts + [REST] * rest + [STORE] * band.stored


class Pieces:
    """What the pieces touch, and their instructions."""

    def __init__(self, layout: Layout, plain: dict[str, int], packed: dict[int, int], own: bool) -> None:
        self.layout, self.chain, self.plain, self.packed = layout, layout.chain, plain, packed
        self.before = own * layout.strip.number * sum(len(stage.plan.buffers) for stage in self.chain.stages)

    def item(self, piece: Piece, step: Step) -> Item:
        """The rows of buffers that a piece touches in a step."""
        name, fresh = piece.band, step.fresh[piece.turn].get(piece.band)
        if piece.kind == MOVE:
            if not self.layout.moves(name, step):
                return Item(piece.unit)
            low, kept = step.shift[name], step.kept[name]
            return Item(
                piece.unit,
                (self._rows(name, step.number, low, low + kept),),
                (self._rows(name, step.number + 1, 0, kept),),
            )
        if fresh is None or self._is_there(piece):
            return Item(piece.unit)
        rows = self._rows(name, step.number, fresh[0] - step.base[name], fresh[1] - step.base[name])
        if piece.kind == STORE:
            return Item(piece.unit, (rows,))
        if piece.kind == LOAD:
            return Item(piece.unit, (), (rows,))
        return self._stage_item(piece, step, rows)

    def _is_there(self, piece: Piece) -> bool:
        """Whether an earlier strip has loaded a piece's rows."""
        return piece.kind == LOAD and self.layout.strip.number > 0 and self.layout.shares(piece.band)

    def _stage_item(self, piece: Piece, step: Step, rows: Span) -> Item:
        place = self._stage(piece)
        stage, work = self.chain.stages[place], step.work[piece.turn].get(place)
        if work is None:
            return Item(piece.unit, (), (rows,))
        reads, writes = [], [rows]
        for index, buffer in enumerate(stage.plan.buffers):
            if (0 in buffer.users) if piece.kind == MAIN else (piece.unit in buffer.units):
                if index in self.layout.tiles[place]:
                    slot = piece.turn % self.layout.tiles_of(buffer)
                    writes.append((f"{place}:{index}", slot, slot + 1))
                elif buffer.loaded and not self.chain.stays(buffer):
                    reads.append(self._span(stage, buffer.access.tensor, index, step, work))
        return Item(piece.unit, tuple(reads), tuple(writes))

    def _span(self, stage: Stage, name: str, index: int, step: Step, work: Rows) -> Span:
        low, high = stage.reach(stage.plan.buffers[index].access, self.chain.bands[name].axis, *work)
        return self._rows(name, step.number, low - step.base[name], high - step.base[name])

    def _rows(self, name: str, number: int, low: int, high: int) -> Span:
        """Rows of a band's buffer for a step; of two buffers the second one's come behind the first one's."""
        first = self.layout.slot(name, number) * self.layout.rows[name]
        return name, first + low, first + high

    def _stage(self, piece: Piece) -> int:
        place = self.chain.bands[piece.band].made_by
        assert place is not None
        return place

    def code(self, piece: Piece, step: Step, loops: Sequence[bool]) -> list[Instruction]:
        """The instructions of a piece in a step; `loops` says of the hardware loops around it, outermost first, which
        goes over steps and which over repetitions."""
        found = self._code(piece, step, loops)
        return [self._in_turn(instruction, loops) for instruction in found] if any(loops) else found

    def hold(self, place: int) -> list[list[Instruction]]:
        """The loads of what a stage loads once."""
        first = self.before + sum(len(stage.plan.buffers) for stage in self.chain.stages[:place])
        stage, frames = self.chain.stages[place], self.layout.resident[place]
        packed = {index: self.packed.get(first + index, 0) for index in frames}
        found = []
        for frame in frames.values():
            loader = Lowering(stage.group, whole(stage.plan), list(frames.values()), self.plain, packed)
            loader.load(frame, ())
            found.append(loader.out)
        return found

    def _in_turn(self, instruction: Instruction, loops: Sequence[bool]) -> Instruction:
        """With operands that go from one buffer of a band to the other and back in a loop over steps."""
        old = instruction.descriptor
        assert old is not None
        sources = tuple(self._turning(o, loops) if isinstance(o, Operand) else o for o in old.sources)
        return replace(instruction, descriptor=Descriptor(old.extents, self._turning(old.destination, loops), sources))

    def _turning(self, operand: Operand, loops: Sequence[bool]) -> Operand:
        for name, base in self.layout.base.items():
            size = self.layout.band_bytes(name)
            offset = operand.base - base
            wrap = self.layout.slots[name] * size
            if operand.memory == self.chain.bands[name].memory and wrap > size and 0 <= offset < wrap:
                steps = tuple(size * by_rows for by_rows in loops)
                return replace(operand, base=base, steps=steps, phase=offset, wrap=wrap)
        return operand

    def _code(self, piece: Piece, step: Step, loops: Sequence[bool]) -> list[Instruction]:
        band, fresh = self.chain.bands[piece.band], step.fresh[piece.turn].get(piece.band)
        if piece.kind == MOVE:
            return [self._move(band, step)] if self.layout.moves(piece.band, step) else []
        if fresh is None or self._is_there(piece):
            return []
        if piece.kind in (LOAD, STORE):
            pad = self._pad(band, step, fresh, "fill") if piece.kind == LOAD else []
            return pad + self._transfer(piece.kind, band, step, fresh, loops)
        if piece.kind == SEND:
            return self._pad(band, step, fresh, "fill") + self._send(band, step, fresh)
        return self._compute(piece, step) + (self._pad(band, step, fresh, "vcopy") if piece.kind == REST else [])

    def _compute(self, piece: Piece, step: Step) -> list[Instruction]:
        place = self._stage(piece)
        if place not in step.work[piece.turn]:
            return []
        low, high = step.work[piece.turn][place]
        stage = self.chain.stages[place]
        emitter = Emitter(
            self.layout.part(place, high - low), whole(stage.plan), self.layout.frames(place, step, piece.turn)
        )
        for number in range(len(stage.group.nests)):
            if unit_of(stage.group, number) == piece.unit:
                emitter.nest(number, ())
        return emitter.out

    def _move(self, band: Band, step: Step) -> Instruction:
        """Rows lie one behind another, so that they are elements in a row."""
        name = band.tensor.name
        slots = (
            self.layout.slot(name, number) * self.layout.band_bytes(name) for number in (step.number + 1, step.number)
        )
        there, here = (self.layout.base[name] + offset for offset in slots)
        target = Operand(band.memory, there, (), dtype=band.tensor.dtype)
        source = Operand(band.memory, here + step.shift[name] * band.row_bytes, (), dtype=band.tensor.dtype)
        size = target.element_bytes
        mnemonic = {"vector": "vcopy", "load": "load"}[mover(band)]
        return instruction(name, mnemonic, [(step.kept[name] * band.row_bytes // size, size, size)], [target, source])

    def _pad(self, band: Band, step: Step, fresh: Rows, mnemonic: str) -> list[Instruction]:
        """The pad value in those of the fresh rows' places that lie outside the tensor, as boxes that don't overlap."""
        box = [(low, low + n) for low, n in band.box]
        if band.axis is not None:
            box[band.axis] = fresh
        found = []
        for axis, size in enumerate(band.tensor.shape):
            low, high = box[axis]
            outside = [part for part in ((low, min(high, 0)), (max(low, size), high)) if part[0] < part[1]]
            found += [self._constant(band, step, [*box[:axis], part, *box[axis + 1 :]], mnemonic) for part in outside]
            box[axis] = max(low, 0), min(high, size)
            if box[axis][0] >= box[axis][1]:
                break
        return found

    def _constant(self, band: Band, step: Step, box: list[Rows], mnemonic: str) -> Instruction:
        strides = self._strides(band)
        loops = [(box[a][1] - box[a][0], strides[a]) for a in axis_order(len(box))]
        return instruction(band.tensor.name, mnemonic, [*loops], [self._chip(band, step, box), Immediate(band.pad)])

    def _strides(self, band: Band) -> tuple[int, ...]:
        return band.strides(self.layout.rows[band.tensor.name])

    def _chip(self, band: Band, step: Step, box: list[Rows]) -> Operand:
        """A band's buffer from the lowest place of a box on."""
        skips = [low - start for (low, _), (start, _) in zip(box, band.box, strict=True)]
        if band.axis is not None:
            skips[band.axis] = box[band.axis][0] - step.base[band.tensor.name]
        return Operand(band.memory, self.layout.address(band, step, skips), (), dtype=band.tensor.dtype)

    def _transfer(self, kind: str, band: Band, step: Step, fresh: Rows, loops: Sequence[bool]) -> list[Instruction]:
        """The rows that lie inside the tensor, to or from DRAM."""
        tensor, box = band.tensor, _inside(band, fresh)
        if any(low >= high for low, high in box):
            return []
        chip, dram = self._strides(band), axis_strides(tensor.shape, tensor.dtype)
        address = self.plain[tensor.name] + sum(low * stride for (low, _), stride in zip(box, dram, strict=True))
        row = dram[band.axis] * step.shift.get(tensor.name, 0) if band.axis is not None else 0
        image = dram[0] * band.again if dram else 0  # a scalar is the same for all
        steps = tuple(row if by_rows else image for by_rows in loops)
        operands: list[Operand | Immediate] = [
            self._chip(band, step, box),
            Operand("dram", address, (), steps, dtype=tensor.dtype),
        ]
        order = axis_order(len(box))
        sizes = [(box[a][1] - box[a][0], chip[a], dram[a]) for a in order]
        if kind == STORE:
            operands, sizes = operands[::-1], [(n, there, here) for n, here, there in sizes]
        return [instruction(tensor.name, kind, [*sizes], operands)]

    def _send(self, band: Band, step: Step, fresh: Rows) -> list[Instruction]:
        """The rows that lie inside the tensor, from the band that they are a copy of."""
        source, box = self._source(band), _inside(band, fresh)
        if any(low >= high for low, high in box):
            return []
        there, here = self._strides(band), self._strides(source)
        sizes = [(box[a][1] - box[a][0], there[a], here[a]) for a in axis_order(len(box))]
        operands = [self._chip(band, step, box), self._chip(source, step, box)]
        return [instruction(band.tensor.name, "load", [*sizes], [*operands])]

    def _source(self, band: Band) -> Band:
        assert band.made_by is not None
        (access,) = self.chain.stages[band.made_by].group.main.reads
        return self.chain.bands[access.tensor]


def _inside(band: Band, fresh: Rows) -> list[Rows]:
    """The fresh rows' box, without what lies outside the tensor."""
    box = [(max(low, 0), min(low + n, size)) for (low, n), size in zip(band.box, band.tensor.shape, strict=True)]
    if band.axis is not None:
        box[band.axis] = max(fresh[0], 0), min(fresh[1], band.tensor.shape[band.axis])
    return box
