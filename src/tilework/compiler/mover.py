"""What a cluster's mover does: it brings the weights that all cores of the cluster load into the SRAM, once.

Two halves of the SRAM take turns. While the cores work with a chunk of a weight, the mover loads the next one, be it of
the same group or of a later one; all meet at a barrier before each chunk. Or a chunk takes all of it and is waited for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tilework.compiler.layout import Frame, Ring
from tilework.compiler.lower import BARRIER
from tilework.compiler.memory import DramMap
from tilework.compiler.split import ALIGNMENT, Part, Work, slot_bytes
from tilework.isa.instruction import DTYPES, Descriptor, Instruction, Operand
from tilework.machine.machine import Machine

PIECE_BYTES = 4096  # of a load at least; short ones let the cores' loads in between, long ones hide the latency
LATENCIES = 2
SHORT_BYTES = 1024  # of a load for a later group at least: those of the cores are more urgent


def rings(works: Sequence[Work], machine: Machine) -> list[Ring | None]:
    """For each group whose weight comes from the SRAM the slots that its chunks lie in, one after another."""
    found: list[Ring | None] = []
    chunks, before = 0, 2
    for work in works:
        if not work.chunks:
            found.append(None)
            continue
        slots = work.slots
        late = before < slots
        found.append(Ring(slot_bytes(machine, slots), chunks % slots, slots, late))
        chunks, before = chunks + work.chunks, slots
    return found


@dataclass(frozen=True)
class Span:
    """Bytes in a row on their way from DRAM to the SRAM."""

    source: int
    target: int
    size: int
    dtype: str

    def part(self, offset: int, size: int) -> Span:
        """Some of the bytes."""
        return Span(self.source + offset, self.target + offset, size, self.dtype)

    def load(self, piece_bytes: int, times: int = 1) -> list[Instruction]:
        """Loads in pieces; in a loop that runs so many times each brings the bytes behind those before."""
        number, rest = divmod(self.size, piece_bytes)
        whole = repeat([self._piece(0, piece_bytes, times, number)], number)
        return whole + ([self._piece(self.size - rest, rest, times, 1)] if rest else [])

    def _piece(self, offset: int, size: int, times: int, number: int) -> Instruction:
        element = DTYPES[self.dtype]
        steps = (*[self.size] * (times > 1), *[size] * (number > 1))
        target = Operand("sram", self.target + offset, (element,), steps, dtype=self.dtype)
        source = Operand("dram", self.source + offset, (element,), steps, dtype=self.dtype)
        return Instruction("load", Descriptor((size // element,), target, (source,)))


@dataclass(frozen=True)
class Errand:
    """What a mover loads for later groups beside the chunks of one: of each span an equal part in each of so many
    turns, and the rest when they are over."""

    spans: Sequence[Span]
    turns: int
    piece_bytes: int

    def turn(self, first: int, count: int) -> list[Instruction]:
        """Turns `first` to `first + count` - 1, in a loop around these loads if they are several."""
        parts = [span.part(first * self._share(span), self._share(span)) for span in self.spans]
        return [load for part in parts if part.size and count for load in part.load(self.piece_bytes, count)]

    def rest(self) -> list[Instruction]:
        """What no turn has brought."""
        done = [self.turns * self._share(span) for span in self.spans]
        rests = [span.part(size, span.size - size) for span, size in zip(self.spans, done, strict=True)]
        return [load for rest in rests for load in rest.load(self.piece_bytes)]

    def _share(self, span: Span) -> int:
        return span.size // (self.turns + 1) & -ALIGNMENT


@dataclass(frozen=True)
class Chunks:
    """A weight at an address in DRAM, cut into chunks of `size_bytes`, of which the last may be smaller.

    A chunk is loaded in pieces.
    """

    ring: Ring
    address: int
    total_bytes: int
    size_bytes: int
    dtype: str
    piece_bytes: int

    @property
    def number(self) -> int:
        return -(-self.total_bytes // self.size_bytes)

    @property
    def turns(self) -> int:
        """How many chunks come while the group runs, those that begin it apart."""
        return self.number - (self.ring.slots == 2)

    def load(self, first: int, count: int) -> list[Instruction]:
        """Loads of `count` chunks of equal size, each but the first after a barrier."""
        size = min(self.size_bytes, self.total_bytes - first * self.size_bytes)
        pieces, rest = divmod(size, self.piece_bytes)
        code = self._pieces(first, count, 0, self.piece_bytes, pieces) if pieces else []
        return code + (self._pieces(first, count, size - rest, rest, 1) if rest else [])

    def _pieces(self, first: int, count: int, offset: int, size: int, number: int) -> list[Instruction]:
        chip, dram = [self.ring.slot_bytes] * (count > 1), [self.size_bytes] * (count > 1)
        if number > 1:
            chip, dram = [*chip, size], [*dram, size]
        target = self.ring.operand(first * self.ring.slot_bytes + offset, tuple(chip), self.dtype)
        base = self.address + first * self.size_bytes + offset
        source = Operand("dram", base, target.strides, tuple(dram), dtype=self.dtype)
        load = Instruction("load", Descriptor((size // target.element_bytes,), target, (source,)))
        return repeat([load], number)

    def work(self, errand: Errand) -> list[Instruction]:
        """The barriers before each chunk, and, of two slots, after them the load of the next; of one, between them.
        Beside each chunk but the one that all have, a turn of the errand."""
        if self.ring.slots == 1:
            return self._loads(0, [BARRIER], errand)
        before = [BARRIER, *self.load(0, 1)] if self.ring.late else []
        return [*before, *self._loads(1, [], errand), BARRIER]

    def _loads(self, first: int, after: list[Instruction], errand: Errand) -> list[Instruction]:
        """All chunks from `first` on, a barrier before each."""
        last = self.number - 1
        whole = self.total_bytes % self.size_bytes == 0 or last < first
        equal = self.number - first - (not whole)
        code = repeat([BARRIER, *self.load(first, equal), *after, *errand.turn(0, equal)], equal)
        return code if whole else [*code, BARRIER, *self.load(last, 1), *after, *errand.turn(equal, 1)]


def repeat(body: list[Instruction], times: int) -> list[Instruction]:
    """A loop, where one is needed."""
    if times < 2:
        return body * times
    return [Instruction("loop", count=times), *body, Instruction("endloop")]


def mover(
    works: Sequence[Work],
    waits: Sequence[bool],
    dram: DramMap,
    machine: Machine,
    cluster: int,
    loads: Sequence[Sequence[Span]],
) -> list[list[Instruction]]:
    """The instructions of a cluster's mover for each group; `waits` says which groups end in a barrier, `loads` what it
    lays in while a group runs."""
    staged = [
        _chunks(work, place, ring, dram, machine, cluster)
        for place, (work, ring) in enumerate(zip(works, rings(works, machine), strict=True))
        if ring
    ]
    early = [chunks.ring.slots == 2 and not chunks.ring.late for chunks in staged]
    codes, done = [], 0
    for place, (work, wait, spans) in enumerate(zip(works, waits, loads, strict=True)):
        code = staged[0].load(0, 1) if place == 0 and early[:1] == [True] else []
        errand = Errand(spans, work.chunks and staged[done].turns, _piece_bytes(machine, SHORT_BYTES))
        if work.chunks:
            code += staged[done].work(errand)
            done += 1
            code += staged[done].load(0, 1) if early[done : done + 1] == [True] else []
        codes.append([*code, *errand.rest(), *[BARRIER] * wait])
    return codes


def _piece_bytes(machine: Machine, least: int = PIECE_BYTES) -> int:
    """What takes the DRAM's channel for a few times its latency, in whole elements of any dtype, together with the
    pieces that the movers of other clusters load meanwhile."""
    hidden = LATENCIES * machine.dram.latency_cycles * machine.dram_bytes_per_cycle / machine.clusters
    return max(least, int(hidden) & -ALIGNMENT)


def _chunks(work: Work, place: int, ring: Ring, dram: DramMap, machine: Machine, cluster: int) -> Chunks:
    """Those that the cluster's cores need; a cluster that has no part of the group loads what the last one does."""
    first = min(cluster * machine.cores, len(work.parts) - 1)
    frame = _staged(work.parts[first])
    address, sizes = dram.packed[place, first, frame.index], (frame.stored_bytes(frame.group.extents), _chunk(frame))
    return Chunks(ring, address, *sizes, frame.tensor.dtype, _piece_bytes(machine))


def chunk_bytes(work: Work) -> int:
    """The size of the chunks in which a group's weight comes through the SRAM."""
    return _chunk(_staged(work.parts[0]))


def _chunk(frame: Frame) -> int:
    extents, tiling = frame.group.extents, frame.tiling
    if tiling.chunks > 1:
        extents = extents | {tiling.order[0]: tiling.tiles[tiling.order[0]]}
    return frame.stored_bytes(extents)


def _staged(part: Part) -> Frame:
    """The buffer of the weight that comes through the SRAM."""
    index = next(i for i, buffer in enumerate(part.tiling.plan.buffers) if buffer.packed)
    return Frame(part.group, part.tiling, index)
