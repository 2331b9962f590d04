"""The steps of a program in the tile language: as text, as a picture in characters and as a trace for Perfetto."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

from tilework.isa.tile_language import Loop, Section, Statement, Step
from tilework.machine.machine import Machine
from tilework.simulator.tile_engine import Engine, Issue
from tilework.simulator.tile_steps import KINDS, decimal

MAX_EVENTS = 100_000


@dataclass(frozen=True, slots=True)
class Event:
    """A step at work in the cycles [start, end) on `units`; a cast has the mover's and all ports of the cluster.

    A sync and a barrier are at work on no unit, and end where they start: when they are passed.
    """

    processor: str
    units: tuple[str, ...]
    start: Fraction
    end: Fraction
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The units that a program uses, and its first events: by when they are issued, of each processor in order."""

    units: tuple[str, ...]
    events: tuple[Event, ...]


def tile_events(program: Sequence[Section], machine: Machine, limit: int = MAX_EVENTS) -> Timeline:
    """The first `limit` steps of a program; raises as `simulate_tiles` does."""
    engine = Engine(program, machine, fold=False)
    return Timeline(tuple(engine.units), tuple(islice(_events(engine), limit)))


def tile_listing(timeline: Timeline) -> str:
    """One line per step: start and end in cycles, unit, line of the program, instruction."""
    shown = [(event, _row(event)) for event in timeline.events]
    width = max([7, *(len(row) for _, row in shown)])
    head = f"{'start':>14} {'end':>14}  {'unit':<{width}}  {'line':>5}  instruction"
    lines = [
        f"{decimal(event.start):>14} {decimal(event.end):>14}  {row:<{width}}  {event.line:>5}  {event.text}"
        for event, row in shown
    ]
    return "\n".join([head, *lines])


def tile_gantt(timeline: Timeline, width: int = 100) -> str:
    """One row per unit and one column per cycle, or per several cycles if they are more than `width`.

    A column's character is the last digit of the line of the first step at work in it, "." if there is none.
    """
    last = -int(-max((event.end for event in timeline.events), default=0) // 1)
    scale = max(1, -(-last // width))
    rows = {unit: ["."] * -(-last // scale) for unit in timeline.units}
    for event in sorted(timeline.events, key=lambda event: event.start, reverse=True):
        for unit in event.units:
            for column in range(int(event.start // scale), -int(-event.end // scale)):
                rows[unit][column] = str(event.line % 10)
    names = max(map(len, rows))
    head = f"{'':<{names}}  one column is {scale} cycle{'s' if scale > 1 else ''}"
    return "\n".join([head, *(f"{unit:<{names}}  {''.join(row)}".rstrip() for unit, row in rows.items())])


def tile_trace(timeline: Timeline, clock_hz: float) -> str:
    """The steps as Chrome's trace JSON, which Perfetto opens, in microseconds: a process for each core and mover."""
    microsecond = Fraction(clock_hz) / 10**6
    owners = list(dict.fromkeys(unit.rpartition(" ")[0] for unit in timeline.units))
    places = {unit: (owners.index(unit.rpartition(" ")[0]), tid) for tid, unit in enumerate(timeline.units)}
    names = [_name("process_name", pid, 0, owner or "chip") for pid, owner in enumerate(owners)]
    names += [_name("thread_name", *place, unit.rpartition(" ")[2]) for unit, place in places.items()]
    slices = [
        {
            "name": event.text,
            "ph": "X",
            "pid": places[unit][0],
            "tid": places[unit][1],
            "ts": float(event.start / microsecond),
            "dur": float((event.end - event.start) / microsecond),
            "args": {"line": event.line, "processor": event.processor},
        }
        for event in timeline.events
        for unit in event.units
    ]
    return json.dumps({"traceEvents": [*names, *slices], "displayTimeUnit": "ns"})


def _name(what: str, pid: int, tid: int, name: str) -> dict[str, object]:
    return {"name": what, "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}}


def _row(event: Event) -> str:
    """The unit, and whose step it is where that does not tell it; a sync's processor."""
    unit, own = event.units[0] if event.units else event.text, f"{event.processor} "
    return unit if unit.startswith(own) else f"{event.processor} {unit}".strip()


def _events(engine: Engine) -> Iterator[Event]:
    ticks, several = engine.chip.ticks, len(engine.streams) > 1
    for issue in engine.run():
        who = issue.stream.processor.name if several else ""
        if issue.stop:
            now = Fraction(issue.now, ticks)
            yield Event(who, (), now, now, issue.stop.line, str(issue.stop))
        yield from _issued(engine, issue, who)


def _issued(engine: Engine, issue: Issue, who: str) -> Iterator[Event]:
    free, ticks = dict(issue.starts), engine.chip.ticks
    for step in _unrolled(issue.statements):
        work = engine.chip.work(step)
        kind = next(kind for kind in KINDS if getattr(work, kind))
        start, free[kind] = free[kind], free[kind] + getattr(work, kind)
        units = tuple(engine.unit_names[place] for place in issue.stream.units[kind])
        yield Event(who, units, Fraction(start, ticks), Fraction(free[kind], ticks), step.line, str(step))


def _unrolled(statements: Sequence[Statement]) -> Iterator[Step]:
    for statement in statements:
        if isinstance(statement, Loop):
            for _ in range(statement.count):
                yield from _unrolled(statement.body)
        else:
            yield statement
