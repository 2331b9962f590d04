"""Conflicts between streams: of two that share bytes with no barrier in between."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tilework.isa.program import Stream
from tilework.simulator.occurrence import Hazard, Occurrence
from tilework.simulator.touches import Touch, shared

Place = tuple[object, ...]  # a memory of the chip, and how many of the chip's barriers have passed
Access = tuple[Touch, Occurrence]


def crossings(
    each: Sequence[Iterable[Occurrence]], streams: Sequence[Stream], unordered: Callable[[Occurrence, Occurrence], bool]
) -> list[Hazard]:
    """The pairs of executions of two streams, one of which writes, that share bytes between two barriers.

    `unordered` may leave out others; of pairs at the same places, only the first is given.
    """
    if len(streams) == 1:
        return []
    found: dict[tuple[object, ...], Hazard] = {}
    for accesses in _by_place(each, streams).values():
        for (a, first), (b, second) in _near(accesses):
            key = (first.stream, first.pc, second.stream, second.pc, a.memory)
            if key in found or not _same_epoch(first, second, streams) or not unordered(first, second):
                continue
            if common := shared(a, b):
                found[key] = Hazard(first, second, a.memory, *common)
    return sorted(found.values(), key=lambda h: (h.first.stream, h.second.stream, h.first.pc, h.second.pc))


def _by_place(each: Sequence[Iterable[Occurrence]], streams: Sequence[Stream]) -> dict[Place, list[Access]]:
    """Accesses to what two streams may reach."""
    places: defaultdict[Place, dict[object, Access]] = defaultdict(dict)
    for stream, executed in zip(streams, each, strict=True):
        for occurrence in executed:
            for touch in occurrence.touches:
                same = (occurrence.stream, occurrence.pc, occurrence.epoch, touch, occurrence.cycles)
                for memory in _reached(stream, touch, streams):
                    places[*memory, occurrence.epoch[0]].setdefault(same, (touch, occurrence))
    return {place: list(accesses.values()) for place, accesses in places.items()}


def _reached(stream: Stream, touch: Touch, streams: Sequence[Stream]) -> list[Place]:
    """The memories that a touch means: a mover reaches the NRAM and WRAM of every core of its cluster."""
    if touch.memory == "dram":
        return [("dram",)]
    if touch.memory == "sram":
        return [("sram", stream.cluster)]
    if stream.role == "core":
        return [(touch.memory, stream.cluster, stream.index)]
    cores = [other for other in streams if (other.role, other.cluster) == ("core", stream.cluster)]
    return [(touch.memory, core.cluster, core.index) for core in cores]


@dataclass(slots=True)
class _Open:
    """Accesses whose bytes the sweep has not left yet."""

    reads: list[Access] = field(default_factory=list)
    writes: list[Access] = field(default_factory=list)

    def leave(self, low: int) -> None:
        self.reads = [access for access in self.reads if access[0].high > low]
        self.writes = [access for access in self.writes if access[0].high > low]


def _near(accesses: list[Access]) -> Iterator[tuple[Access, Access]]:
    """Pairs of two streams, the lower one first, whose bounds overlap and one of which writes: a sweep by address."""
    if len({occurrence.stream for _, occurrence in accesses}) == 1:
        return
    opened = _Open()
    for access in sorted(accesses, key=lambda access: access[0].low):
        touch, occurrence = access
        opened.leave(touch.low)
        for other in (*opened.writes, *(opened.reads if touch.writes else ())):
            if other[1].stream != occurrence.stream:
                yield (other, access) if other[1].stream < occurrence.stream else (access, other)
        (opened.writes if touch.writes else opened.reads).append(access)


def _same_epoch(first: Occurrence, second: Occurrence, streams: Sequence[Stream]) -> bool:
    """Whether no barrier that both streams pass lies between the two; that of the chip is the same already."""
    same_cluster = streams[first.stream].cluster == streams[second.stream].cluster
    return not same_cluster or first.epoch[1] == second.epoch[1]
