"""What every unit does in every cycle: as events, as text, as a picture in characters and as a trace for Perfetto."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tilework.isa.instruction import QUEUES
from tilework.isa.program import Program
from tilework.isa.wellformed import QUEUES_OF
from tilework.plain import columns
from tilework.simulator.core import CONTROL, Core
from tilework.simulator.cycle import plan_of
from tilework.simulator.engine import execute
from tilework.simulator.plan import ranges
from tilework.simulator.state import Array
from tilework.simulator.structure import walk

UNITS = (*QUEUES, "control")
MAX_EVENTS = 100_000


@dataclass(frozen=True, slots=True)
class Event:
    """An instruction at work on a unit of a stream in the cycles [start, end).

    `pc` is its place in the stream, `tile` has the counters of the loops around it when control issued it.
    """

    unit: str
    start: int
    end: int
    pc: int
    layer: str
    text: str
    tile: tuple[int, ...] = ()
    stream: str = "core 0 0"

    @property
    def mnemonic(self) -> str:
        return self.text.split(maxsplit=1)[0]

    @property
    def action(self) -> str:
        """Its tile and its instruction, in a few words."""
        tile = f"[{','.join(map(str, self.tile))}] " if self.tile else ""
        return f"{tile}{self.mnemonic}"

    @property
    def name(self) -> str:
        """Its layer, its tile and its instruction, in a few words."""
        return f"{self.layer} {self.action}".strip()


def events(program: Program, limit: int = MAX_EVENTS, *, inputs: Mapping[str, Array] | None = None) -> list[Event]:
    """The first `limit` events in the order in which they begin, simulated one by one; raises as `simulate` does."""
    run = execute(plan_of(program, inputs), fold=False, record=True, limit=limit)
    found = [event for core in run.cores for event in _events(program, core)]
    return sorted(found, key=lambda event: event.start)[:limit]


def _events(program: Program, core: Core) -> Iterator[Event]:
    stream = core.plan.stream
    layers = [""] * len(stream.instructions)
    for layer in program.layers:
        first, last = ranges(layer, len(program.streams))[core.index]
        layers[first:last] = [layer.name] * (last - first)
    texts = [str(instruction) for instruction in stream.instructions]
    for (unit, start, end, pc), tile in zip(core.records, _tiles(core), strict=True):
        yield Event(UNITS[unit], start, end, pc, layers[pc], texts[pc], tile, stream.name)


def _tiles(core: Core) -> list[tuple[int, ...]]:
    """The loops' counters for each record: a unit does its instructions in the order in which they were issued."""
    plan = core.plan
    tiles: list[tuple[int, ...]] = [()] * len(core.records)
    waiting: defaultdict[int, deque[int]] = defaultdict(deque)
    for number, (unit, *_) in enumerate(core.records):
        waiting[unit].append(number)
    missing = len(tiles)
    for pc, counters in walk(plan.stream.instructions, plan.structure, plan.flow.taken):
        if not missing:
            break
        unit = plan.queue[pc]
        if waiting[CONTROL if unit < 0 else unit]:
            tiles[waiting[CONTROL if unit < 0 else unit].popleft()] = counters
            missing -= 1
    return tiles


def listing(timeline: Sequence[Event]) -> str:
    """One line per event: start, end, stream if there are several, unit, place, instruction."""
    streams = list(_rows(timeline))
    wide = 2 + max(map(len, streams)) if len(streams) > 1 else 0
    head = f"{'start':>8} {'end':>8}  {'stream' if wide else '':<{wide}}{'unit':<7}  {'pc':>5}  instruction"
    lines = [
        f"{event.start:>8} {event.end:>8}  {event.stream if wide else '':<{wide}}"
        f"{event.unit:<7}  {event.pc:>5}  {event.text}"
        for event in timeline
    ]
    return "\n".join([head, *lines])


def by_cycle(timeline: Sequence[Event]) -> str:
    """One line per cycle and one column per unit: which instruction begins, "|" while it goes on.

    For short programs; of instructions that take no time, those that pass in the cycle are all named.
    """
    units = [(stream, unit) for stream, units in _rows(timeline).items() for unit in units]
    used = [row for row in units if any((event.stream, event.unit) == row for event in timeline)]
    cells: defaultdict[tuple[int, str, str], list[str]] = defaultdict(list)
    for event in timeline:
        cells[event.start, event.stream, event.unit].append(f"{event.mnemonic} {event.pc}")
        for cycle in range(event.start + 1, event.end):
            cells[cycle, event.stream, event.unit].append("|")
    several = len(_rows(timeline)) > 1
    head = ("cycle", *(f"{stream} {unit}" if several else unit for stream, unit in used))
    last = max((max(event.end, event.start + 1) for event in timeline), default=0)
    rows = [(str(cycle), *(", ".join(cells.get((cycle, *row), [])) for row in used)) for cycle in range(last)]
    return columns(head, rows, left=len(head))


def gantt(timeline: Sequence[Event], width: int = 100) -> str:
    """One row per unit and one column per cycle, or per several cycles if they are more than `width`.

    A column's character is the last digit of the place of the first instruction at work in it, "." if there is none.
    """
    last = max((event.end for event in timeline), default=0)
    scale = max(1, -(-last // width))
    rows = {(stream, unit): ["."] * -(-last // scale) for stream, units in _rows(timeline).items() for unit in units}
    for event in reversed(timeline):
        for column in range(event.start // scale, -(-event.end // scale) if event.end > event.start else 0):
            rows[event.stream, event.unit][column] = str(event.pc % 10)
    several = len(_rows(timeline)) > 1
    names = [f"{stream} {unit}" if several else unit for stream, unit in rows]
    wide = max(map(len, names))
    head = f"{'':<{wide}}  one column is {scale} cycle{'s' if scale > 1 else ''}"
    return "\n".join([head, *(f"{n:<{wide}}  {''.join(row)}" for n, row in zip(names, rows.values(), strict=True))])


def _rows(timeline: Sequence[Event]) -> dict[str, tuple[str, ...]]:
    """The streams, cores first, each with its units."""
    names = {event.stream for event in timeline} or {"core 0 0"}
    ordered = sorted(names, key=lambda name: (name.split()[0], *map(int, name.split()[1:])))
    return {name: (*QUEUES_OF[name.split()[0]], "control") for name in ordered}


def chrome_trace(timeline: Sequence[Event], clock_hz: float = 1e6) -> str:
    """The events as Chrome's trace JSON, which Perfetto opens; without a clock, one cycle shows as one microsecond.

    A stream is a process and a unit one of its threads.
    """
    microseconds, rows = 1e6 / clock_hz, _rows(timeline)
    pids = {stream: pid for pid, stream in enumerate(rows, 1)}
    names = [_named("process_name", stream, pids[stream], 0) for stream in rows]
    names += [
        _named("thread_name", unit, pids[stream], 1 + UNITS.index(unit))
        for stream, units in rows.items()
        for unit in units
    ]
    slices: list[dict[str, Any]] = [
        {
            "name": event.name,
            "cat": event.layer,
            "ph": "X",
            "ts": event.start * microseconds,
            "dur": (event.end - event.start) * microseconds,
            "pid": pids[event.stream],
            "tid": 1 + UNITS.index(event.unit),
            "args": {"layer": event.layer, "tile": list(event.tile), "instruction": event.text, "pc": event.pc},
        }
        for event in timeline
    ]
    return json.dumps({"traceEvents": [*names, *slices], "displayTimeUnit": "ns"})


def _named(what: str, name: str, pid: int, tid: int) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}}
