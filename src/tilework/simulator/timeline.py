"""What every unit does in every cycle: as events, as text, as a picture in characters and as a trace for Perfetto."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tilework.isa.instruction import QUEUES
from tilework.isa.program import Program
from tilework.simulator.engine import Plan, execute

UNITS = (*QUEUES, "control")
MAX_EVENTS = 100_000


@dataclass(frozen=True, slots=True)
class Event:
    """An instruction at work on a unit in the cycles [start, end). `pc` is its place in the program."""

    unit: str
    start: int
    end: int
    pc: int
    layer: str
    text: str

    def __str__(self) -> str:
        return f"{self.start:>8} {self.end:>8}  {self.unit:<7}  {self.pc:>5}  {self.text}"


def events(program: Program, limit: int = MAX_EVENTS) -> list[Event]:
    """The first `limit` events in the order in which they begin, simulated one by one; raises as `simulate` does."""
    run = execute(Plan.of(program), fold=False, record=True, limit=limit)
    layers = [""] * len(program.instructions)
    for layer in program.layers:
        layers[layer.first : layer.last] = [layer.name] * (layer.last - layer.first)
    texts = [str(instruction) for instruction in program.instructions]
    return [
        Event(UNITS[unit], start, end, place, layers[place], texts[place])
        for unit, start, end, place in run.records[:limit]
    ]


def listing(timeline: Sequence[Event]) -> str:
    """One line per event: start, end, unit, place, instruction."""
    head = f"{'start':>8} {'end':>8}  {'unit':<7}  {'pc':>5}  instruction"
    return "\n".join([head, *map(str, timeline)])


def gantt(timeline: Sequence[Event], width: int = 100) -> str:
    """One row per unit and one column per cycle, or per several cycles if they are more than `width`.

    A column's character is the last digit of the place of the first instruction at work in it, "." if there is none.
    """
    last = max((event.end for event in timeline), default=0)
    scale = max(1, -(-last // width))
    rows = {unit: ["."] * -(-last // scale) for unit in UNITS}
    for event in reversed(timeline):
        for column in range(event.start // scale, -(-event.end // scale) if event.end > event.start else 0):
            rows[event.unit][column] = str(event.pc % 10)
    head = f"{'':<7}  one column is {scale} cycle{'s' if scale > 1 else ''}"
    return "\n".join([head, *(f"{unit:<7}  {''.join(row)}" for unit, row in rows.items())])


def chrome_trace(timeline: Sequence[Event], clock_hz: float = 1e6) -> str:
    """The events as Chrome's trace JSON, which Perfetto opens; without a clock, one cycle shows as one microsecond."""
    microseconds = 1e6 / clock_hz
    names = [
        {"name": "thread_name", "ph": "M", "pid": 0, "tid": tid, "args": {"name": unit}}
        for tid, unit in enumerate(UNITS)
    ]
    slices: list[dict[str, Any]] = [
        {
            "name": event.text.split(maxsplit=1)[0],
            "cat": event.layer,
            "ph": "X",
            "ts": event.start * microseconds,
            "dur": (event.end - event.start) * microseconds,
            "pid": 0,
            "tid": UNITS.index(event.unit),
            "args": {"pc": event.pc, "layer": event.layer, "text": event.text},
        }
        for event in timeline
    ]
    return json.dumps({"traceEvents": [*names, *slices], "displayTimeUnit": "ns"})
