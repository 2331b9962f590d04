"""The recorded run of a program in the tile language, in the form in which the debugger moves along any program.

The language issues all steps between two syncs at once, so control passes several at the same time; a step of the
debugger goes on to where the next of them begins or ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from tilework.debug.trace import CHANNEL, StreamTrace, Time, UnitTrace
from tilework.errors import DebugError
from tilework.isa.tile_language import Loop, Section, Statement
from tilework.machine.machine import Machine
from tilework.simulator.tile_steps import Chip, Processor, decimal
from tilework.simulator.tile_timeline import Event, tile_events

MAX_EVENTS = 1 << 18


class TileRecording:
    """The run of a program in the tile language.

    Raises SimulationError, as `simulate_tiles` does, for a program that its machine can't run.
    """

    def __init__(self, program: Sequence[Section], machine: Machine) -> None:
        timeline = tile_events(program, machine, MAX_EVENTS)
        self.problem = ""
        cut = len(timeline.events) == MAX_EVENTS
        last = max((event.end for event in timeline.events), default=Fraction(0))
        self.end: Time | None = None if cut else _plain(last)
        self.horizon: Time = max(event.start for event in timeline.events if not event.units) if cut else _plain(last)
        processors = Chip(machine).processors(program)
        several = len(processors) > 1
        self.streams: Sequence[StreamTrace] = [
            _stream(one, [e for e in timeline.events if e.processor == (one.name if several else "")], ends=not cut)
            for one in processors
        ]

    def reach(self, now: Time) -> None:
        """Raises DebugError if `now` is after what is recorded."""
        if self.end is None and now > self.horizon:
            raise DebugError(
                f"the debugger must stay in the first {MAX_EVENTS:,} steps of a program in the tile language, which "
                f"end in cycle {decimal(Fraction(self.horizon))}; tilework simulate gives the whole time"
            )

    def takes(self, stream: int, place: int) -> Sequence[tuple[str, int]]:
        """The DRAM channel or a port of the SRAM."""
        words = self.streams[stream].code[place].split()
        if words[0] == "move" and "dram" in words:
            return [(CHANNEL, 0)]
        return [("a port of the SRAM", 0)] if "sram" in words else []


def _plain(time: Fraction) -> Time:
    return time.numerator if time.denominator == 1 else time


def _stream(processor: Processor, events: Sequence[Event], ends: bool) -> StreamTrace:
    rows = list(_code(processor.body, 0))
    place_of = {line: place for place, (line, _) in enumerate(rows) if line}
    units: dict[str, UnitTrace] = {}
    cycles: list[Time] = []
    issued: Time = 0
    stops: set[Time] = {0}
    for order, event in enumerate(events):
        start, end, place = _plain(event.start), _plain(event.end), place_of[event.line]
        if event.units:
            name = event.units[0].removeprefix(f"{processor.name} ")
            unit = units.setdefault(name, UnitTrace(name))
            for column, value in ((unit.issued, issued), (unit.starts, start), (unit.ends, end)):
                column.append(value)
            unit.places.append(place)
            unit.orders.append(order)
        else:
            issued = start
        cycles.append(issued)
        stops |= {start, end}
    places = [place_of[event.line] for event in events]
    if ends:
        cycles.append(max(stops))
        places.append(len(rows) - 1)
    return StreamTrace(
        processor.name,
        processor.cluster,
        code=[text for _, text in rows],
        numbers=[line for line, _ in rows],
        layers=[""] * len(rows),
        labels={},
        counts=[()] * len(rows),
        units=tuple(units.values()),
        cycles=cycles,
        places=places,
        counters=[()] * len(places),
        stops=sorted(stops),
        rest=len(rows) - 1,
        tokens={},
    )


def _code(body: Sequence[Statement], depth: int) -> Iterator[tuple[int, str]]:
    """Lines and texts; of an `endloop`, which the program does not keep, the line is 0."""
    for statement in body:
        if isinstance(statement, Loop):
            yield statement.line, f"{'  ' * depth}loop {statement.count}"
            yield from _code(statement.body, depth + 1)
            yield 0, f"{'  ' * depth}endloop"
        else:
            yield statement.line, f"{'  ' * depth}{statement}"
    if not depth:
        yield 0, "end"
