"""The steps of a program in the tile language: as text, as a picture in characters and as a trace for Perfetto."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from itertools import islice

from tilework.isa.tile_language import Statement
from tilework.machine.machine import Machine
from tilework.simulator.tile_steps import UNITS, Core, Event, check_dtypes, steps

MAX_EVENTS = 100_000


def tile_events(program: Sequence[Statement], machine: Machine, limit: int = MAX_EVENTS) -> list[Event]:
    """The first `limit` steps in the order of the program; raises as `simulate_tiles` does."""
    check_dtypes(program, machine)
    return [event for _, event in islice(steps(program, Core(machine)), limit)]


def tile_listing(timeline: Sequence[Event]) -> str:
    """One line per step: start and end in cycles, unit, line of the program, instruction."""
    head = f"{'start':>14} {'end':>14}  {'unit':<7}  {'line':>5}  instruction"
    return "\n".join([head, *map(str, timeline)])


def tile_gantt(timeline: Sequence[Event], width: int = 100) -> str:
    """One row per unit and one column per cycle, or per several cycles if they are more than `width`.

    A column's character is the last digit of the line of the first step at work in it, "." if there is none.
    """
    last = -int(-max((event.end for event in timeline), default=0) // 1)
    scale = max(1, -(-last // width))
    rows = {unit: ["."] * -(-last // scale) for unit in UNITS}
    for event in reversed([event for event in timeline if event.unit in UNITS]):
        for column in range(int(event.start // scale), -int(-event.end // scale)):
            rows[event.unit][column] = str(event.line % 10)
    head = f"{'':<7}  one column is {scale} cycle{'s' if scale > 1 else ''}"
    return "\n".join([head, *(f"{unit:<7}  {''.join(row)}".rstrip() for unit, row in rows.items())])


def tile_trace(timeline: Sequence[Event], clock_hz: float) -> str:
    """The steps as Chrome's trace JSON, which Perfetto opens, in microseconds."""
    microsecond = Fraction(clock_hz) / 10**6
    names = [
        {"name": "thread_name", "ph": "M", "pid": 0, "tid": tid, "args": {"name": unit}}
        for tid, unit in enumerate(UNITS)
    ]
    slices = [
        {
            "name": event.text,
            "ph": "X",
            "pid": 0,
            "tid": UNITS.index(event.unit),
            "ts": float(event.start / microsecond),
            "dur": float((event.end - event.start) / microsecond),
            "args": {"line": event.line},
        }
        for event in timeline
        if event.unit in UNITS
    ]
    return json.dumps({"traceEvents": [*names, *slices], "displayTimeUnit": "ns"})
