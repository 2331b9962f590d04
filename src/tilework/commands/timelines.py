"""The timeline of a program, of either language, in every form in which a command shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tilework.errors import SimulationError
from tilework.isa.program import Program
from tilework.isa.tile_language import Section
from tilework.machine.machine import Machine
from tilework.report.timeline import Bar, draw_timeline
from tilework.simulator.cycle import simulate
from tilework.simulator.tile_timeline import tile_events, tile_gantt, tile_listing, tile_trace
from tilework.simulator.timeline import MAX_EVENTS, UNITS, Event, by_cycle, chrome_trace, events, gantt, listing

SHOWN_EVENTS = 200
SHOWN_CYCLES = 2000
DRAWN_EVENTS = 20_000


@dataclass(frozen=True)
class Timeline:
    """How a program's time is shown; each is computed when it is asked for."""

    units_and_events: Callable[[], str]
    cycles: Callable[[], str]
    trace: Callable[[], str]
    bars: Callable[[], Sequence[Bar]]

    def draw(self, path: str, title: str) -> None:
        """The first events as a picture."""
        draw_timeline(self.bars(), path, title)


def inputs_of(program: Program) -> dict[str, Any] | None:
    """What is given to a program whose instructions may depend on values: nothing, if it takes nothing."""
    return None if program.inputs else {}


def of_programs(programs: Sequence[Program]) -> Timeline:
    """The timeline of programs of instructions, one after another."""
    names = list(dict.fromkeys(stream.name for program in programs for stream in program.streams))

    def first(limit: int = MAX_EVENTS) -> list[Event]:
        found: list[Event] = []
        start = 0
        for program in programs:
            if len(found) < limit:
                own = events(program, limit - len(found), inputs=inputs_of(program))
                found += [replace(event, start=event.start + start, end=event.end + start) for event in own]
                start += simulate(program, inputs=inputs_of(program)).cycles if program is not programs[-1] else 0
        return found

    def units_and_events() -> str:
        shown = first(SHOWN_EVENTS)
        return f"{gantt(shown)}\n\n{listing(shown)}"

    def cycles() -> str:
        shown = first(SHOWN_CYCLES * len(names))
        if max(event.end for event in shown) > SHOWN_CYCLES:
            raise SimulationError(
                f"--cycles must go with a program of at most {SHOWN_CYCLES} cycles, not a longer one; "
                "use --timeline or -o"
            )
        return by_cycle(shown)

    def bars() -> list[Bar]:
        shown = [event for event in first(DRAWN_EVENTS) if event.end > event.start]
        return [
            Bar(event.stream if len(names) > 1 else "", event.unit, event.start, event.end, event.layer, event.action)
            for event in sorted(shown, key=lambda event: (names.index(event.stream), UNITS.index(event.unit)))
        ]

    def trace() -> str:
        return chrome_trace(first(), programs[0].machine.clock_hz)

    return Timeline(units_and_events, cycles, trace, bars)


def of_tiles(program: Sequence[Section], machine: Machine) -> Timeline:
    """The timeline of a program in the tile language, whose layers are the lines."""

    def units_and_events() -> str:
        shown = tile_events(program, machine, SHOWN_EVENTS)
        return f"{tile_gantt(shown)}\n\n{tile_listing(shown)}"

    def bars() -> list[Bar]:
        return [
            Bar("", unit, float(event.start), float(event.end), event.text.split()[0], f"{event.line} {event.text}")
            for event in tile_events(program, machine, DRAWN_EVENTS).events
            for unit in event.units
        ]

    def trace() -> str:
        return tile_trace(tile_events(program, machine), machine.clock_hz)

    return Timeline(units_and_events, units_and_events, trace, bars)
