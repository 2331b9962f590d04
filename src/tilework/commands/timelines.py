"""The timeline of a program, of either language, in every form in which a command shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tilework.errors import SimulationError
from tilework.isa.program import Program
from tilework.isa.tile_language import Section
from tilework.machine.machine import Machine
from tilework.report.timeline import Bar, draw_timeline
from tilework.simulator.tile_timeline import tile_events, tile_gantt, tile_listing, tile_trace
from tilework.simulator.timeline import UNITS, by_cycle, chrome_trace, events, gantt, listing

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


def of_program(program: Program, inputs: dict[str, Any] | None) -> Timeline:
    """The timeline of a program of instructions; `inputs` are given where their values decide its time."""

    def units_and_events() -> str:
        shown = events(program, SHOWN_EVENTS, inputs=inputs)
        return f"{gantt(shown)}\n\n{listing(shown)}"

    def cycles() -> str:
        shown = events(program, SHOWN_CYCLES * len(program.streams), inputs=inputs)
        if max(event.end for event in shown) > SHOWN_CYCLES:
            raise SimulationError(
                f"--cycles must go with a program of at most {SHOWN_CYCLES} cycles, not a longer one; "
                "use --timeline or -o"
            )
        return by_cycle(shown)

    def bars() -> list[Bar]:
        several = len(program.streams) > 1
        names = [stream.name for stream in program.streams]
        shown = [event for event in events(program, DRAWN_EVENTS, inputs=inputs) if event.end > event.start]
        return [
            Bar(event.stream if several else "", event.unit, event.start, event.end, event.layer, event.action)
            for event in sorted(shown, key=lambda event: (names.index(event.stream), UNITS.index(event.unit)))
        ]

    def trace() -> str:
        return chrome_trace(events(program, inputs=inputs), program.machine.clock_hz)

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
