"""The DRAM's rows and refreshes: what they add to the time of each transfer, exactly as docs/processor.md defines.

The transfers of an ideal DRAM don't come here.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from tilework.isa.blocks import stored
from tilework.isa.instruction import QUEUES, Descriptor, Operand
from tilework.machine.machine import Refresh, Rows
from tilework.simulator.plan import Plan, StreamPlan
from tilework.simulator.structure import descriptor_of, walk
from tilework.simulator.timing import Cost, Runs, runs_of
from tilework.simulator.touches import Toucher

CLOSED = -1 << 60  # in place of a row: none is open

Times = Counter[tuple[int, int]]  # cycles of the channel and of the unit, and how many transfers took them
Taken = dict[int, Times]  # by the place of the instruction in its stream


@dataclass(frozen=True, slots=True)
class DramTime:
    """How often a burst found its row open, or not; cycles of the channel spent on opening rows and on refreshes."""

    row_hits: int
    row_misses: int
    miss_cycles: int
    refresh_cycles: int


class DramChannel:
    """The DRAM behind the channel, told of the transfers of all streams in the order in which they take it.

    `taken` has for each stream the cycles that its transfers really took.
    """

    def __init__(self, plan: Plan) -> None:
        self._dram, self._plans = plan.dram, plan.streams
        self._moved = [_in_dram(stream) for stream in plan.streams]
        self._addresses = [_Addresses(*both) for both in zip(plan.streams, self._moved, strict=True)]
        self._open = [CLOSED] * (plan.dram.rows.banks if plan.dram.rows else 0)
        self._refreshes = self._bursts = self._misses = self._refreshing = 0
        self.taken: list[Taken] = [defaultdict(Counter) for _ in plan.streams]

    def take(self, stream: int, place: int, now: int) -> tuple[int, int]:
        """The cycles in which the channel and the unit are free again after the transfer that begins now."""
        plan = self._plans[stream]
        cost = plan.costs[place]
        address = self._addresses[stream].next(plan.queue[place])
        if self._dram.refresh and now // self._dram.refresh.interval_cycles > self._refreshes:
            self._refreshes = now // self._dram.refresh.interval_cycles
            self._close()
        work = cost.channel_cycles + self._opening(cost, self._moved[stream][place].runs, address)
        channel = work + (standstill(self._dram.refresh, now, work) if self._dram.refresh else 0)
        self._refreshing += channel - work
        unit = cost.cycles - max(cost.channel_cycles, cost.sram_cycles) + max(channel, cost.sram_cycles)
        self.taken[stream][place][channel, unit] += 1
        return now + channel, now + unit

    def time(self) -> DramTime:
        """What all transfers so far have met."""
        rows = self._dram.rows
        opening = self._misses * rows.miss_cycles if rows else 0
        return DramTime(self._bursts - self._misses, self._misses, opening, self._refreshing)

    def _close(self) -> None:
        self._open = [CLOSED] * len(self._open)

    def _opening(self, cost: Cost, runs: Runs, address: int | None) -> int:
        """The cycles for the rows that the transfer opens; they are open afterwards."""
        rows, burst = self._dram.rows, self._dram.burst_bytes
        if rows is None:
            return 0
        if address is None:
            self._close()
            bursts = -(-runs.bytes // burst)
            misses = -(-bursts * burst // rows.size_bytes) * prod(extent for _, extent in runs.loops)
        else:
            around, phase = divmod(address, rows.size_bytes * rows.banks)
            misses, banks = _visits(runs, phase, rows, burst)
            for bank, first, last in banks:
                misses += self._open[bank] != around + first
                self._open[bank] = around + last
        self._bursts += cost.dram_bytes // burst
        self._misses += misses
        return misses * rows.miss_cycles


@dataclass(frozen=True, slots=True)
class _Moved:
    """The operand of a transfer that lies in DRAM, and its runs."""

    operand: Operand
    runs: Runs


class _Addresses:
    """The addresses of a stream's transfers with DRAM, in the order of each unit's queue.

    None stands for one that depends on what an sload has read.
    """

    def __init__(self, plan: StreamPlan, moved: Mapping[int, _Moved]) -> None:
        self._ahead: list[deque[int | None]] = [deque() for _ in QUEUES]
        self._every = _addresses(plan, moved)

    def next(self, unit: int) -> int | None:
        """Of the unit's next transfer, which control has passed: so no more are kept than the queues hold."""
        while not self._ahead[unit]:
            of, address = next(self._every)
            self._ahead[of].append(address)
        return self._ahead[unit].popleft()


def _addresses(plan: StreamPlan, moved: Mapping[int, _Moved]) -> Iterator[tuple[int, int | None]]:
    """The unit and the address of each transfer, in program order."""
    instructions, toucher = plan.stream.instructions, Toucher(plan.stream)
    for place, counters in walk(instructions, plan.structure, plan.flow.taken):
        if place in moved:
            yield plan.queue[place], toucher.address(moved[place].operand, counters)
        toucher.pass_by(place, instructions[place])


def _in_dram(plan: StreamPlan) -> dict[int, _Moved]:
    """What each transfer moves of DRAM, by its place; the same object for instructions that are one object."""
    known: dict[int, _Moved] = {}
    found = {}
    for place, (instruction, cost) in enumerate(zip(plan.stream.instructions, plan.costs, strict=True)):
        if cost.channel_cycles:
            if id(instruction) not in known:
                known[id(instruction)] = _moved(descriptor_of(instruction))
            found[place] = known[id(instruction)]
    return found


def _moved(descriptor: Descriptor) -> _Moved:
    operand = next(operand for operand in descriptor.operands if operand.memory == "dram")
    return _Moved(operand, runs_of(*stored(operand, descriptor.extents)))


@lru_cache(maxsize=1 << 14)
def _visits(runs: Runs, phase: int, rows: Rows, burst: int) -> tuple[int, tuple[tuple[int, int, int], ...]]:
    """What a transfer from this address on does with the rows: how often it leaves a row for another of the same bank,
    and for each bank that it uses the bank, the first and the last row in it.

    A burst lies in the row in which its first byte lies.
    """
    starts: Any = np.array([phase + runs.lowest])
    for stride, extent in runs.loops:
        starts = np.add.outer(starts, stride * np.arange(extent)).ravel()
    first = starts // rows.size_bytes
    number = (starts + (runs.bytes - 1) // burst * burst) // rows.size_bytes - first + 1
    visited = np.repeat(first - np.cumsum(number) + number, number) + np.arange(number.sum())
    bank, row = visited % rows.banks, visited // rows.banks
    order = np.argsort(bank, kind="stable")
    bank, row = bank[order], row[order]
    same = bank[1:] == bank[:-1]
    begins = np.flatnonzero(np.concatenate(([True], ~same)))
    ends = np.append(begins[1:], len(bank)) - 1
    used = zip(bank[begins].tolist(), row[begins].tolist(), row[ends].tolist(), strict=True)
    return int((same & (row[1:] != row[:-1])).sum()), tuple(used)


def standstill(refresh: Refresh, now: int, work: int) -> int:
    """The cycles for which refreshes hold up so many cycles of work that begin now.

    The k-th refresh goes from k * interval to k * interval + duration, k = 1, 2, …
    """
    interval, duration = refresh.interval_cycles, refresh.duration_cycles
    since, left = now % interval, work
    begun = max(0, duration - since) if now >= interval else 0
    room = interval - since - begun
    if left <= room:
        return begun
    return begun + duration * -(-(left - room) // (interval - duration))
