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
from tilework.compiler.split import ALIGNMENT, Work, slot_bytes
from tilework.isa.instruction import Descriptor, Instruction, Operand
from tilework.machine.machine import Machine

PIECE_BYTES = 4096  # of a load at least; short ones let the cores' loads in between, long ones hide the latency
LATENCIES = 2


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

    def work(self) -> list[Instruction]:
        """The barriers before each chunk, and, of two slots, after them the load of the next; of one, between them."""
        if self.ring.slots == 1:
            return self._loads(0, [BARRIER])
        before = [BARRIER, *self.load(0, 1)] if self.ring.late else []
        return [*before, *self._loads(1, []), BARRIER]

    def _loads(self, first: int, after: list[Instruction]) -> list[Instruction]:
        """All chunks from `first` on, a barrier before each."""
        last = self.number - 1
        whole = self.total_bytes % self.size_bytes == 0 or last < first
        equal = self.number - first - (not whole)
        code = repeat([BARRIER, *self.load(first, equal), *after], equal)
        return code if whole else [*code, BARRIER, *self.load(last, 1), *after]


def repeat(body: list[Instruction], times: int) -> list[Instruction]:
    """A loop, where one is needed."""
    if times < 2:
        return body * times
    return [Instruction("loop", count=times), *body, Instruction("endloop")]


def mover(
    works: Sequence[Work], waits: Sequence[bool], dram: DramMap, machine: Machine, cluster: int
) -> list[list[Instruction]]:
    """The instructions of a cluster's mover for each group; `waits` says which groups end in a barrier."""
    staged = [
        _chunks(work, place, ring, dram, machine, cluster)
        for place, (work, ring) in enumerate(zip(works, rings(works, machine), strict=True))
        if ring
    ]
    early = [chunks.ring.slots == 2 and not chunks.ring.late for chunks in staged]
    codes, done = [], 0
    for place, (work, wait) in enumerate(zip(works, waits, strict=True)):
        code = staged[0].load(0, 1) if place == 0 and early[:1] == [True] else []
        if work.chunks:
            code += staged[done].work()
            done += 1
            code += staged[done].load(0, 1) if early[done : done + 1] == [True] else []
        codes.append(code + [BARRIER] * wait)
    return codes


def _piece_bytes(machine: Machine) -> int:
    """What takes the DRAM's channel for a few times its latency, in whole elements of any dtype, together with the
    pieces that the movers of other clusters load meanwhile."""
    hidden = LATENCIES * machine.dram.latency_cycles * machine.dram_bytes_per_cycle / machine.clusters
    return max(PIECE_BYTES, int(hidden) & -ALIGNMENT)


def _chunks(work: Work, place: int, ring: Ring, dram: DramMap, machine: Machine, cluster: int) -> Chunks:
    """Those that the cluster's cores need; a cluster that has no part of the group loads what the last one does."""
    first = min(cluster * machine.cores, len(work.parts) - 1)
    part = work.parts[first]
    index = next(i for i, buffer in enumerate(part.tiling.plan.buffers) if buffer.packed)
    frame = Frame(part.group, part.tiling, index)
    size = total = frame.stored_bytes(part.group.extents)
    if work.chunks > 1:
        outer = part.tiling.order[0]
        size = frame.stored_bytes(part.group.extents | {outer: part.tiling.tiles[outer]})
    return Chunks(ring, dram.packed[place, first, index], total, size, frame.tensor.dtype, _piece_bytes(machine))
