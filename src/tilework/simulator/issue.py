"""The same program on a core that starts instructions out of order: what queues and tokens gain, and what they can't.

A core with a window looks at the bytes that instructions touch and needs no tokens. In program order each instruction
enters the window, one in a cycle, once fewer than `window` before it are between the first that hasn't ended and it
(a reorder buffer: Smith and Pleszkun 1985). It starts, from the next cycle on, when its unit and the channel are free
and nothing before it that shares bytes with it, of which one writes, is still to end; of several that could start on a
unit, the first. Memory on chip isn't renamed. With a window of 1 instructions run one after another.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from heapq import heappop, heappush, heapreplace
from typing import Any

from tilework.errors import SimulationError
from tilework.isa.instruction import QUEUES
from tilework.isa.program import Program
from tilework.simulator.core import CONTROL, NEVER
from tilework.simulator.cycle import plan_of_a_core
from tilework.simulator.occurrence import Occurrence, occurrences
from tilework.simulator.plan import DRAIN, Plan
from tilework.simulator.state import Array
from tilework.simulator.touches import shared

MAX_EVENTS = 500_000
ORDERING = ("wait", "post", "sync")  # what a core with a window has no use for


@dataclass(frozen=True)
class WindowTime:
    """A program's cycles within a window, and what bounds them: each unit's busy cycles and the channel's."""

    window: int
    cycles: int
    seconds: float
    busy_cycles: dict[str, int]
    instructions: int

    @property
    def most_parallel(self) -> float:
        """How many times as fast as one after another any order could be: all busy cycles over the most of a unit."""
        units = [cycles for unit, cycles in self.busy_cycles.items() if unit != "channel"]
        return sum(units) / max(1, *self.busy_cycles.values())

    def to_dict(self) -> dict[str, Any]:
        """All of it, in plain data."""
        return asdict(self) | {"most_parallel": self.most_parallel}


def out_of_order(
    program: Program, window: int, inputs: Mapping[str, Array] | None = None, limit: int = MAX_EVENTS
) -> WindowTime:
    """The program's time on its machine, if it started instructions out of order within a window of so many.

    `inputs` are used as in `simulate`. Raises SimulationError for a window below 1, for a program of several streams,
    and for one that executes more than `limit` instructions.
    """
    if window < 1:
        raise SimulationError(f"a window must hold 1 instruction or more, not {window}; give a larger one")
    plan = plan_of_a_core(program, inputs)
    core, executed = _Core(plan, window), 0
    for executed, occurrence in enumerate(occurrences(plan.streams[0], 0), 1):
        if executed > limit:
            raise SimulationError(
                f"out-of-order issue is timed for at most {limit:,} executed instructions, "
                f"and {program.name} has more; take a smaller network or one of its layers"
            )
        core.pass_by(occurrence.at(index=executed))
    core.drain()
    return WindowTime(window, core.now, core.now / program.machine.clock_hz, dict(core.busy), executed)


@dataclass(slots=True)
class _Entry:
    """An instruction in the window, how many it still waits for, and who waits for it."""

    occurrence: Occurrence
    blockers: int = 0
    blocked: list[_Entry] = field(default_factory=list)
    ended: bool = False


@dataclass(slots=True)
class _Core:
    """The core in the cycle `now`; `ready` has the entries of each unit that wait for nothing else, oldest first."""

    plan: Plan
    size: int
    now: int = 0
    window: deque[_Entry] = field(default_factory=deque)
    ready: list[list[_Entry]] = field(default_factory=lambda: [[] for _ in QUEUES])
    running: list[tuple[int, int, _Entry]] = field(default_factory=list)
    free: list[int] = field(default_factory=lambda: [0] * len(QUEUES))
    busy: Counter[str] = field(default_factory=Counter)
    resources: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.resources = [[0], *([0] * self.plan.sram_ports for _ in range(self.plan.clusters))]

    def pass_by(self, occurrence: Occurrence) -> None:
        """Control decodes the instruction, as soon as it may, and the next cycle begins."""
        if occurrence.mnemonic in ORDERING:
            return
        if occurrence.unit == CONTROL:
            if self.plan.streams[0].kind[occurrence.pc] == DRAIN:
                self.drain()
            self._go_to(self.now + self.plan.streams[0].issue_cycles(occurrence.pc))
            return
        while len(self.window) >= self.size:
            self._go_to(self._next_event())
        self._enter(_Entry(occurrence))
        self._go_to(self.now + 1)

    def drain(self) -> None:
        """Go on until nothing is under way."""
        while self.window:
            self._go_to(self._next_event())

    def _enter(self, entry: _Entry) -> None:
        for older in self.window:
            if not older.ended and _conflict(older.occurrence, entry.occurrence):
                older.blocked.append(entry)
                entry.blockers += 1
        self.window.append(entry)
        if not entry.blockers:
            self._make_ready(entry)

    def _make_ready(self, entry: _Entry) -> None:
        insort(self.ready[entry.occurrence.unit], entry, key=lambda one: one.occurrence.index)

    def _go_to(self, cycle: int) -> None:
        """All that ends or starts until then, and in that cycle."""
        while (event := self._next_event()) < cycle:
            self._settle(event)
        self._settle(cycle)

    def _settle(self, now: int) -> None:
        self.now = now
        changed = True
        while changed:
            changed = sum([self._end(), *map(self._start, range(len(QUEUES)))]) > 0

    def _end(self) -> bool:
        ended = 0
        while self.running and self.running[0][0] <= self.now:
            entry = heappop(self.running)[2]
            entry.ended = True
            ended += 1
            for other in entry.blocked:
                other.blockers -= 1
                if not other.blockers:
                    self._make_ready(other)
        while self.window and self.window[0].ended:
            self.window.popleft()
        return bool(ended)

    def _start(self, unit: int) -> bool:
        if self.free[unit] > self.now:
            return False
        stream = self.plan.streams[0]
        for entry in self.ready[unit]:
            place = entry.occurrence.pc
            if all(self.resources[resource][0] <= self.now for resource, _ in stream.takes[place]):
                for resource, occupied in stream.takes[place]:
                    heapreplace(self.resources[resource], self.now + occupied)
                self.free[unit] = self.now + stream.costs[place].cycles
                heappush(self.running, (self.free[unit], entry.occurrence.index, entry))
                self.ready[unit].remove(entry)
                self.busy[QUEUES[unit]] += stream.costs[place].cycles
                self.busy["channel"] += stream.costs[place].channel_cycles
                return True
        return False

    def _next_event(self) -> int:
        """The next cycle in which something ends or a channel is free again."""
        ends = [self.running[0][0]] if self.running else []
        return min([*ends, *(heap[0] for heap in self.resources if heap and heap[0] > self.now)], default=NEVER)


def _conflict(first: Occurrence, second: Occurrence) -> bool:
    return any(shared(a, b) is not None for a in first.touches for b in second.touches)
