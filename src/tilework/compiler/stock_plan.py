"""Which weights the movers lay in: they come into the SRAM while earlier groups leave the DRAM's channel idle.

From the last group to the first: what a group's arithmetic doesn't hide of its bytes passes to the groups before it, as
far as their time leaves the channel idle and the SRAM has room beside activations that stay there, weights that come
through it, and what is in stock for later groups.

Barriers cut a program into *phases*. What lies in the SRAM lies there for whole phases, so that nothing is written
where another stream still reads, and what is laid in for a group comes in a phase before its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from tilework.compiler.ahead import Home
from tilework.compiler.chain_part import ChainPart
from tilework.compiler.layout import Frame, Ring
from tilework.compiler.memory import DramMap, align
from tilework.compiler.mover import Span, chunk_bytes
from tilework.compiler.resident import Gap, largest_gap
from tilework.compiler.split import ALIGNMENT, Work, arithmetic_cycles
from tilework.compiler.stock import Stock, loads_of, offset_of, tiles_of
from tilework.machine.machine import Machine

IDLE = 0.9  # of the channel's time may be full, as the loads of cores and mover are never quite even
WORTH = 0.01  # of a group's cycles: what a stock must save
STOCKS = 6  # of a group, about, if the largest room were all that there is

Homes = Sequence[Sequence[Home | None]]  # by core and group


@dataclass
class Stocks:
    """The stocks of each part, by group and core, and what each mover loads, by cluster and group."""

    parts: dict[tuple[int, int], tuple[Stock, ...]] = field(default_factory=dict)
    loads: dict[tuple[int, int], list[Span]] = field(default_factory=lambda: defaultdict(list))


class _Room:
    """An SRAM: what is taken of it in each phase."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken: dict[int, list[tuple[int, int]]] = defaultdict(list)

    def take(self, low: int, high: int, phases: Iterable[int]) -> None:
        for phase in phases:
            self.taken[phase].append((low, high))

    def gap(self, phases: range) -> Gap:
        """The largest room that is free in all these phases."""
        return largest_gap(sorted({each for phase in phases for each in self.taken[phase]}), 0, self.size)


@dataclass(frozen=True)
class _Weight:
    """The packed weight of a group's parts: `copies` has, of each cluster, the frames of the different ones that its
    cores read, by their addresses in DRAM. The first `first` tiles are no part of it."""

    buffer: int
    first: int
    copies: tuple[dict[int, Frame], ...]

    @cached_property
    def tiles(self) -> int:
        """How many there are of the copy that has most."""
        return max(map(tiles_of, self.frames))

    @cached_property
    def frames(self) -> list[Frame]:
        return [frame for copies in self.copies for frame in copies.values()]

    def offset(self, frame: Frame, tile: int) -> int:
        """The bytes of a copy before a tile."""
        return offset_of(frame, min(tile, tiles_of(frame)))

    def takes(self, first: int, last: int) -> list[int]:
        """What these tiles take of each cluster's SRAM."""
        return [
            sum(align(self.offset(frame, last) - self.offset(frame, first)) for frame in copies.values())
            for copies in self.copies
        ]

    def most(self, first: int, total: float, size: int) -> int:
        """The end of the most tiles that are no more than `total` bytes, and fit each SRAM."""
        low, high = first, self.tiles
        while low < high:
            last = (low + high + 1) // 2
            takes = self.takes(first, last)
            low, high = (last, high) if max(takes) <= size and sum(takes) <= total else (low, last - 1)
        return low


class _Found(NamedTuple):
    """Tiles up to `last` come from the group at `start` on, to `low` in the SRAM."""

    start: int
    last: int
    low: int


class Planner:
    """Takes stock of a program: `waits` says which groups end in a barrier of all, `lies` where their buffers are."""

    def __init__(
        self,
        works: Sequence[Work],
        waits: Sequence[bool],
        rings: Sequence[Ring | None],
        dram: DramMap,
        machine: Machine,
    ) -> None:
        self.works, self.dram, self.machine = works, dram, machine
        self.phases = list(_phases(works, waits))
        assert machine.sram
        self.room = _Room(machine.sram.capacity_bytes & -ALIGNMENT)
        self._take_residents()
        self._take_rings(rings)
        self.idle = [self._idle(work) for work in works]
        self.stocks = Stocks()

    def plan(self, lies: Homes) -> Stocks:
        """What is laid in for all groups."""
        for place in reversed(range(1, len(self.works))):
            weight = self._weight(place, lies)
            if weight:
                self._lay_in(place, weight)
        return self.stocks

    def _take_residents(self) -> None:
        places: dict[str, list[int]] = defaultdict(list)
        for place, work in enumerate(self.works):
            for name in work.group.resident & set(work.group.names):
                places[name].append(place)
        for name, address in self.dram.resident.items():
            if found := places[name]:
                tensor = self.works[found[0]].group.tensors[name]
                alive = range(self.phases[found[0]].start, self.phases[found[-1]].stop)
                self.room.take(address, address + align(tensor.size_bytes), alive)

    def _take_rings(self, rings: Sequence[Ring | None]) -> None:
        """A chunk may come as soon as the last one of the group before is there."""
        before = 0
        for place, ring in enumerate(rings):
            if ring:
                alive = range(before, self.phases[place].stop)
                before = self.phases[place].stop - 1
                size = chunk_bytes(self.works[place])
                for slot in range(ring.slots):
                    self.room.take(slot * ring.slot_bytes, slot * ring.slot_bytes + size, alive)

    def _idle(self, work: Work) -> float:
        """The bytes that the channel could move beside those of a group."""
        cycles = work.parts[0].tiling.cycles
        return max(0.0, IDLE * cycles * self.machine.dram_bytes_per_cycle - _moved(work))

    def _weight(self, place: int, lies: Homes) -> _Weight | None:
        """That of a group whose cores load it from DRAM; what they load of it before the group begins is no part."""
        work = self.works[place]
        if work.chunks or any(isinstance(part, ChainPart) for part in work.parts):
            return None
        index = next((i for i, buffer in enumerate(work.parts[0].tiling.plan.buffers) if buffer.packed), None)
        if index is None:
            return None
        copies: tuple[dict[int, Frame], ...] = tuple({} for _ in range(self.machine.clusters))
        for core, part in enumerate(work.parts):
            address = self.dram.packed[place, core, index]
            copies[core // self.machine.cores][address] = Frame(part.group, part.tiling, index)
        early = any(home and index in home.early for home in (ours[place] for ours in lies))
        return _Weight(index, int(early), copies)

    def _lay_in(self, place: int, weight: _Weight) -> None:
        work, width = self.works[place], self.machine.dram_bytes_per_cycle
        wanted = _moved(work)
        if weight.tiles > 1:
            wanted -= arithmetic_cycles(work.group, self.machine, work.cut) * width
        first, again = weight.first, loads_of(weight.frames[0])
        _, most = self.room.gap(self._alive(place - 1, place))
        while found := self._next(place, weight, first, wanted / again, most / STOCKS):
            wanted -= again * self._put(place, weight, first, found)
            first = found.last

    def _next(self, place: int, weight: _Weight, first: int, wanted: float, enough: float) -> _Found | None:
        """From which group on how many tiles come, and to where: from the last that leaves time for `enough` bytes,
        or, where none does, so that most come."""
        width = self.machine.dram_bytes_per_cycle
        budget, best = 0.0, _Found(place, first, 0)
        for start in reversed(range(place)):
            if self.phases[start].stop > self.phases[place].start:
                continue
            budget += self.idle[start]
            low, size = self.room.gap(self._alive(start, place))
            last = weight.most(first, min(wanted, budget), size)
            if last > best.last:
                best = _Found(start, last, low)
            if sum(weight.takes(first, best.last)) >= enough or weight.most(first, wanted, size) <= best.last:
                break
        least = WORTH * self.works[place].parts[0].tiling.cycles * width
        return best if sum(weight.takes(first, best.last)) > least else None

    def _alive(self, start: int, place: int) -> range:
        """The phases in which what comes in the group at `start` lies in the SRAM for the one at `place`."""
        return range(self.phases[start].stop - 1, self.phases[place].stop)

    def _put(self, place: int, weight: _Weight, first: int, found: _Found) -> int:
        """Take the room, and note the stocks and the movers' loads; how many bytes come."""
        spans: list[tuple[int, Span]] = []
        bases: dict[tuple[int, int], int] = {}
        for cluster, copies in enumerate(weight.copies):
            target = found.low
            for address, frame in copies.items():
                begin, end = weight.offset(frame, first), weight.offset(frame, found.last)
                spans.append((cluster, Span(address + begin, target, end - begin, frame.tensor.dtype)))
                bases[cluster, address] = target - begin
                target += align(end - begin)
            self.room.take(found.low, target, self._alive(found.start, place))
        for core in range(len(self.works[place].parts)):
            base = bases[core // self.machine.cores, self.dram.packed[place, core, weight.buffer]]
            stock = Stock(weight.buffer, first, found.last, base)
            self.stocks.parts[place, core] = (*self.stocks.parts.get((place, core), ()), stock)
        self._spread(spans, found.start, place)
        return sum(span.size for _, span in spans)

    def _spread(self, spans: list[tuple[int, Span]], start: int, place: int) -> None:
        """Share the loads among the groups from `start` on, as much as each leaves time for: later ones keep theirs for
        what has room only then."""
        able = [group for group in range(start, place) if self.phases[group].stop <= self.phases[place].start]
        for group in able:
            left = sum(span.size for _, span in spans)
            share = left if group == able[-1] else min(left, int(self.idle[group]) & -ALIGNMENT)
            self.idle[group] = max(0.0, self.idle[group] - share)
            spans = self._load(spans, group, share)

    def _load(self, spans: list[tuple[int, Span]], group: int, share: int) -> list[tuple[int, Span]]:
        """Have the movers load so many bytes in a group; what is left of the spans."""
        rest = []
        for cluster, span in spans:
            size = min(share, span.size)
            share -= size
            if size:
                self.stocks.loads[cluster, group].append(span.part(0, size))
            if size < span.size:
                rest.append((cluster, span.part(size, span.size - size)))
        return rest


def _phases(works: Sequence[Work], waits: Sequence[bool]) -> Iterator[range]:
    """Of each group the phases from its beginning to its end."""
    phase = 0
    for work, wait in zip(works, waits, strict=True):
        end = phase + (work.chunks > 0)
        yield range(phase, end + 1)
        phase = end + wait


def _moved(work: Work) -> float:
    """A group's bytes to and from DRAM."""
    return work.parts[0].tiling.dram_bytes * len(work.parts)
