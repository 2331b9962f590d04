"""What a debugger moves along: when every instruction was issued, began and ended, as the simulator recorded it.

The debugger's time stands before a cycle: everything of earlier cycles has happened and nothing of this one. So an
instruction that begins in cycle 5 has not begun at time 5, and one whose cycles end at 9 has ended at time 9.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

from tilework.errors import DebugError
from tilework.isa.instruction import QUEUES
from tilework.isa.program import Program
from tilework.isa.wellformed import QUEUES_OF
from tilework.simulator.core import CONTROL, NEVER, Core
from tilework.simulator.cycle import plan_of
from tilework.simulator.engine import attempt
from tilework.simulator.plan import POST, WAIT, Plan, ranges
from tilework.simulator.state import Array
from tilework.simulator.structure import walk

Time = int | Fraction
FIRST_EVENTS, MAX_EVENTS = 20_000, 1 << 21
CHANNEL = "the DRAM channel"
FREE_PLACES = frozenset({"endloop"})  # what takes no cycle of control, and so is never where it stands


@dataclass(slots=True)
class UnitTrace:
    """What one unit was given, in order; an entry of each list for every instruction.

    `orders` are their numbers among all that their stream executed. Of the last, which had not begun when the recording
    ended, `starts` and `ends` are NEVER.
    """

    name: str
    places: list[int] = field(default_factory=list)
    orders: list[int] = field(default_factory=list)
    issued: list[Time] = field(default_factory=list)
    starts: list[Time] = field(default_factory=list)
    ends: list[Time] = field(default_factory=list)

    def begun(self, now: Time) -> int:
        """How many it has begun."""
        return bisect_left(self.starts, now)

    def at_work(self, now: Time) -> int | None:
        """The number of the entry that it works on."""
        begun = self.begun(now)
        return begun - 1 if begun and self.ends[begun - 1] > now else None

    def waiting(self, now: Time) -> range:
        """The numbers of the entries in its queue."""
        return range(self.begun(now), bisect_left(self.issued, now))


@dataclass(slots=True)
class StreamTrace:
    """What one stream executed, in program order: the cycles in which control passed each, places, loops' counters.

    `code` is each instruction as text, `layers` its layer or "", `numbers` what a person calls it by (its place, or its
    line in the tile language). `counts` are the iterations of the loops around each place. `rest` is the place where
    control stands when the recording ends. `stops` are the times at which a step may end. `tokens`
    has the times of each token's posts and of its waits, in order.
    """

    name: str
    cluster: int
    code: Sequence[str]
    numbers: Sequence[int]
    layers: Sequence[str]
    labels: Mapping[str, int]
    counts: Sequence[tuple[int, ...]]
    units: tuple[UnitTrace, ...]
    cycles: list[Time]
    places: list[int]
    counters: list[tuple[int, ...]]
    stops: list[Time]
    rest: int
    tokens: Mapping[int, tuple[list[Time], list[Time]]]

    def current(self, now: Time) -> int | None:
        """The number of what control passes next, or waits to pass; None if that isn't recorded."""
        number = bisect_left(self.cycles, now)
        while number < len(self.cycles) and self.code[self.places[number]] in FREE_PLACES:
            number += 1
        return number if number < len(self.cycles) else None

    def has_ended(self, now: Time, end: Time | None) -> bool:
        """Whether control has passed its `end`; the program's last takes no time after `end`, the program's."""
        passed = bool(self.places) and self.code[self.places[-1]] == "end"
        return passed and (self.cycles[-1] < now or now == end)

    def place(self, now: Time) -> int:
        """The place of the instruction at which control stands."""
        number = self.current(now)
        return self.rest if number is None else self.places[number]


class Recording(Protocol):
    """A run, as far as it is recorded: all of what comes before `horizon` is known, and all there is if there is an
    `end`. If the program stood still there or left something undone, `problem` says so."""

    streams: Sequence[StreamTrace]
    horizon: Time
    end: Time | None
    problem: str

    def reach(self, now: Time) -> None:
        """Record on until `now` is known, or the end; raises DebugError if that is too far."""

    def takes(self, stream: int, place: int) -> Sequence[tuple[str, int]]:
        """What that instruction shares with others, and how many cycles before its end others can have it."""


class ProgramRecording:
    """The run of a program of instructions, recorded further and further as it is asked for.

    Raises ProgramError or SimulationError, as `simulate` does, for a program that its machine can't run.
    """

    def __init__(self, program: Program, inputs: Mapping[str, Array] | None = None) -> None:
        self.program = program
        self.plan: Plan = plan_of(program, inputs)
        self.streams: Sequence[StreamTrace] = ()
        self.horizon: Time = 0
        self.end: Time | None = None
        self.problem = ""
        self._record(FIRST_EVENTS)

    def reach(self, now: Time) -> None:
        """Record four times as much until it is enough."""
        while self.end is None and self.horizon < now:
            if self._limit >= MAX_EVENTS:
                raise DebugError(
                    f"the debugger must stay in the first {MAX_EVENTS:,} events of a stream, which end in cycle "
                    f"{self.horizon:,}, not go on to {now:,}; tilework simulate gives the whole time"
                )
            self._record(min(4 * self._limit, MAX_EVENTS))

    def takes(self, stream: int, place: int) -> Sequence[tuple[str, int]]:
        """The DRAM channel or a port of a cluster's SRAM; rows and refreshes delay it and its instruction alike."""
        cluster = self.program.streams[stream].cluster
        names = {0: CHANNEL, 1 + cluster: f"a port of cluster {cluster}'s SRAM"}
        plan = self.plan.streams[stream]
        return [(names[which], plan.costs[place].cycles - occupied) for which, occupied in plan.takes[place]]

    def _record(self, limit: int) -> None:
        self._limit = limit
        run = attempt(self.plan, fold=False, record=True, limit=limit, max_instructions=NEVER)
        cut = [core.now for core in run.cores if len(core.records) >= limit and not _ended(core)]
        self.end, self.problem = (None, "") if cut else (run.cycles, run.problem)
        self.horizon = min(cut, default=run.cycles)
        self.streams = [_stream(self.program, core) for core in run.cores]


def _ended(core: Core) -> bool:
    return bool(core.issued) and core.issued[-1][1] == len(core.plan.kind) - 1


def _stream(program: Program, core: Core) -> StreamTrace:
    stream, structure = core.plan.stream, core.plan.structure
    cycles: list[Time] = [cycle for cycle, _ in core.issued]
    places = [place for _, place in core.issued]
    path = walk(stream.instructions, structure, core.plan.flow.taken)
    counters = [counters for _, (_, counters) in zip(core.issued, path, strict=False)]
    code = [str(instruction) for instruction in stream.instructions]
    layers = [""] * len(code)
    for layer in program.layers:
        first, last = ranges(layer, len(program.streams))[core.index]
        layers[first:last] = [layer.name] * (last - first)
    stops: list[Time] = [0, *(cycle + 1 for cycle, place in core.issued if code[place] not in FREE_PLACES)]
    units = _units(core)
    return StreamTrace(
        stream.name,
        stream.cluster,
        code,
        range(len(code)),
        layers,
        _labels(core),
        structure.counts,
        units,
        cycles,
        places,
        counters,
        stops,
        core.pause[2],
        _tokens(core, units),
    )


def _tokens(core: Core, units: Sequence[UnitTrace]) -> dict[int, tuple[list[Time], list[Time]]]:
    kinds, number = core.plan.kind, core.plan.number
    times: dict[int, tuple[list[Time], list[Time]]] = {token: ([], []) for token in core.plan.tokens}
    for unit in units:
        for place, start in zip(unit.places, unit.starts, strict=True):
            if kinds[place] in (POST, WAIT) and start != NEVER:
                times[core.plan.tokens[number[place]]][kinds[place] == WAIT].append(start)
    return {token: (sorted(posts), sorted(waits)) for token, (posts, waits) in times.items()}


def _labels(core: Core) -> dict[str, int]:
    """The labels of the text, or those that the disassembly writes before the targets of jumps."""
    instructions = core.plan.stream.instructions
    targets = sorted({i.target for i in instructions if i.mnemonic.startswith("jump")})
    return dict(core.plan.stream.labels) or {f"L{place}": place for place in targets}


def _units(core: Core) -> tuple[UnitTrace, ...]:
    units = {QUEUES.index(name): UnitTrace(name) for name in QUEUES_OF[core.plan.stream.role]}
    for order, (cycle, place) in enumerate(core.issued):
        if (queue := core.plan.queue[place]) >= 0:
            unit = units[queue]
            unit.places.append(place)
            unit.orders.append(order)
            unit.issued.append(cycle)
    for queue, start, end, _ in core.records:
        if queue != CONTROL:
            units[queue].starts.append(start)
            units[queue].ends.append(end)
    for unit in units.values():
        missing = len(unit.places) - len(unit.starts)
        unit.starts += [NEVER] * missing
        unit.ends += [NEVER] * missing
    return tuple(units.values())
