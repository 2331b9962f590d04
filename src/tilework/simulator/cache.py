"""A cache in place of the memories on chip: what the same program would fetch, and how long it would take.

The core executes one instruction after another. Each looks every line that it touches up once for each of its operands;
a line that isn't there is fetched, unless all of it is going to be written, and takes the place of the one in its set
that was used least recently, which is written back if it was changed. What a program moves between its memories needs
no instruction any more; see `provenance`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from tilework.errors import SimulationError
from tilework.isa.program import Program
from tilework.simulator.cycle import plan_of_a_core
from tilework.simulator.provenance import Access, Places, accesses
from tilework.simulator.state import Array
from tilework.simulator.timing import transfer_cycles

ADDRESS_BITS = 40  # of a DRAM of up to 1 TiB


@dataclass(frozen=True)
class Cache:
    """A cache of so many bytes in lines of `line_bytes`, any of which may be in one of `ways` places.

    Raises SimulationError where these don't fit each other.
    """

    size_bytes: int
    line_bytes: int = 64
    ways: int = 8

    def __post_init__(self) -> None:
        if min(self.size_bytes, self.line_bytes, self.ways) < 1:
            raise SimulationError("a cache must have a size, a line and ways of 1 or more; give larger ones")
        if self.size_bytes % (self.line_bytes * self.ways):
            raise SimulationError(
                f"a cache must be a multiple of its line times its ways, {self.line_bytes * self.ways} bytes, "
                f"and {self.size_bytes} is none; change one of them"
            )
        if self.line_bytes & (self.line_bytes - 1):
            raise SimulationError(f"a cache's line must be a power of two of bytes, not {self.line_bytes}; change it")

    @property
    def sets(self) -> int:
        """How many groups of `ways` lines there are."""
        return self.size_bytes // (self.line_bytes * self.ways)

    @property
    def tag_bits(self) -> int:
        """The bits beside a line's own: its address above those that say which set, whether it is valid and changed."""
        return ADDRESS_BITS - (self.line_bytes.bit_length() - 1) - (self.sets.bit_length() - 1) + 2


@dataclass(frozen=True)
class CacheTime:
    """What a program would do with a cache: lines looked up, missed, fetched and written back, and cycles.

    `compute_cycles` are those of the instructions that don't move, one after another, and `cycles` add what they wait
    for lines. No prefetching could make it take fewer than `least_cycles`.
    """

    cache: Cache
    lookups: int
    misses: int
    fetched: int
    written_back: int
    dram_bytes: int
    compute_cycles: int
    cycles: int
    least_cycles: int

    @property
    def hit_rate(self) -> float:
        """The share of lookups that found their line."""
        return 1 - self.misses / max(1, self.lookups)

    def to_dict(self) -> dict[str, Any]:
        """All of it, in plain data."""
        return asdict(self) | {"hit_rate": self.hit_rate, "tag_bits": self.cache.tag_bits}


def with_cache(program: Program, cache: Cache, inputs: Mapping[str, Array] | None = None) -> CacheTime:
    """The program of a single core as it would run on its machine with a cache in place of NRAM and WRAM.

    `inputs` are used as in `simulate`. Raises SimulationError for a program of several streams, one with addresses in
    registers or compressed weights, and one that is too long.
    """
    plan, machine = plan_of_a_core(program, inputs), program.machine
    costs, lines, waited, computed = plan.streams[0].costs, _Lines(cache), 0, 0
    for access in accesses(program, plan):
        before = lines.fetched + lines.written_back, lines.stops
        lines.use(access)
        moved, stops = lines.fetched + lines.written_back - before[0], lines.stops - before[1]
        waited += _transfer(moved * cache.line_bytes, program) + stops * machine.dram.latency_cycles
        cost = costs[access.place]
        computed += 0 if cost.channel_cycles else max(1, cost.cycles)
    left = lines.flush(program.dram_bytes)
    total = (lines.fetched + lines.written_back) * cache.line_bytes
    return CacheTime(
        cache=cache,
        lookups=lines.lookups,
        misses=lines.misses,
        fetched=lines.fetched,
        written_back=lines.written_back,
        dram_bytes=total,
        compute_cycles=computed,
        cycles=computed + waited + _transfer(left * cache.line_bytes, program),
        least_cycles=max(computed, _transfer(total, program)),
    )


def _transfer(size: int, program: Program) -> int:
    machine = program.machine
    return transfer_cycles(size, machine.dram.bandwidth_bytes_per_second, machine.clock_hz)


@dataclass(slots=True)
class _Lines:
    """The lines that are there, by set, the least recently used first, each with whether it was changed."""

    cache: Cache
    lookups: int = 0
    misses: int = 0
    fetched: int = 0
    written_back: int = 0
    stops: int = 0
    sets: list[dict[int, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sets = [{} for _ in range(self.cache.sets)]

    def use(self, access: Access) -> None:
        """All that an instruction reads, then what it writes; where anything is fetched, it stops once for that."""
        before = self.fetched
        for places in access.reads:
            for line in self._lines(places):
                self._touch(line, changes=False, whole=False)
        held = Counter(self._numbers(np.unique(access.writes)).tolist())
        for line in self._lines(access.writes):
            self._touch(line, changes=True, whole=held[line] * access.grain >= self.cache.line_bytes)
        self.stops += self.fetched > before

    def _numbers(self, places: Places) -> Places:
        return places // self.cache.line_bytes

    def _lines(self, places: Places) -> list[int]:
        """The lines of these places in the order in which each is first used."""
        lines, first = np.unique(self._numbers(places), return_index=True)
        return list(lines[np.argsort(first)].tolist())

    def _touch(self, line: int, changes: bool, whole: bool) -> None:
        here = self.sets[line % len(self.sets)]
        self.lookups += 1
        changed = here.pop(line, None)
        if changed is None:
            self.misses += 1
            self.fetched += not whole
            if len(here) >= self.cache.ways:
                self.written_back += here.pop(next(iter(here)))
        here[line] = bool(changed) or changes

    def flush(self, end: int) -> int:
        """Write back what was changed below an address; what lies above was needed for the time being only."""
        left = sum(
            changed and line * self.cache.line_bytes < end for here in self.sets for line, changed in here.items()
        )
        self.written_back += left
        return left
