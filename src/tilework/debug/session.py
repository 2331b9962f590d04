"""A debugging session: a recorded run, a time in it, and the moves that change the time. Nothing here prints."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from fractions import Fraction

from tilework.debug.conditions import Condition
from tilework.debug.look import Sight
from tilework.debug.tiles import TileRecording
from tilework.debug.trace import ProgramRecording, Recording, StreamTrace, Time
from tilework.debug.values import Values
from tilework.debug.waiting import StreamState, cycles_text, stream_state
from tilework.errors import DebugError
from tilework.isa.program import Program
from tilework.isa.tile_language import Section
from tilework.machine.machine import Machine
from tilework.simulator.core import NEVER
from tilework.simulator.state import Array


@dataclass(frozen=True)
class Breakpoint:
    """Where `run` stops: before control passes the instruction at a place of a stream, or where a condition holds."""

    number: int
    text: str
    stream: int = 0
    place: int = -1
    condition: Condition | None = None


@dataclass
class Session:
    """A program, the time `now` (everything of earlier cycles has happened) and the stream that is looked at.

    `step` and `back` go by instructions of that stream, the others by cycles. `values` is None for a program in the
    tile language, which has none. All raise DebugError for what the program doesn't have.
    """

    name: str
    machine: Machine
    recording: Recording
    values: Values | None = None
    now: Time = 0
    focus: int = 0
    breakpoints: list[Breakpoint] = field(default_factory=list)
    _given: int = 0
    _moments: tuple[Time, list[Time]] = (-1, [])

    @classmethod
    def of_program(cls, program: Program, inputs: Mapping[str, Array]) -> Session:
        """Raises ProgramError or SimulationError for a program that its machine can't run, or for wrong inputs."""
        recording = ProgramRecording(program, inputs)
        return cls(program.name, program.machine, recording, Values(recording, inputs))

    @classmethod
    def of_tiles(cls, name: str, sections: Sequence[Section], machine: Machine) -> Session:
        """Raises SimulationError for a program in the tile language that the machine can't run."""
        return cls(name, machine, TileRecording(sections, machine))

    @property
    def trace(self) -> StreamTrace:
        """The stream that is looked at."""
        return self.recording.streams[self.focus]

    @property
    def ended(self) -> bool:
        """Whether nothing happens any more: the program is over, or stands still."""
        return self.now == self.recording.end

    def streams(self) -> list[StreamState]:
        """What every stream does now."""
        return [stream_state(self.recording, number, self.now) for number in range(len(self.recording.streams))]

    def look(self) -> Sight:
        """What conditions see now."""
        return Sight(self.recording, self.values, self.focus, self.now)

    def step(self, times: int = 1) -> None:
        """On until control has passed so many more instructions; `endloop`, which takes no time, is no step."""
        for _ in range(times):
            if self.ended:
                return
            self._go(self._next_stop())

    def back(self, times: int = 1) -> None:
        """Back to before so many of the instructions that control passed."""
        stops = self.trace.stops
        place = bisect_left(stops, self.now) - times
        self._go(stops[max(0, place)])

    def step_cycles(self, cycles: int = 1) -> None:
        """On, or with a negative number back, to the beginning of another cycle."""
        whole = int(self.now // 1) if cycles > 0 else -int(-self.now // 1)
        self._go(max(0, whole + cycles))

    def run_to_cycle(self, cycle: int) -> None:
        """To the beginning of that cycle, on or back, or to the end if it comes before."""
        self._go(cycle)

    def run_to_end(self) -> None:
        """To where nothing happens any more."""
        while self.recording.end is None:
            self.recording.reach(self.recording.horizon + 1)
        self._go(self.recording.end)

    def run(self) -> Breakpoint | None:
        """On to the next breakpoint, which is returned, or to the end."""
        return self._run(self.breakpoints)

    def run_to(self, kind: str, text: str) -> bool:
        """On to where a breakpoint `label`, `layer`, `instruction` or `if` would stop; whether it came to that."""
        return self._run([self._breakpoint(kind, text)]) is not None

    def stop_at(self, kind: str, text: str) -> Breakpoint:
        """A new breakpoint, of a kind as in `run_to`."""
        self.breakpoints.append(self._breakpoint(kind, text))
        self._given += 1
        return self.breakpoints[-1]

    def delete(self, number: int) -> None:
        """Remove a breakpoint by its number."""
        if all(one.number != number for one in self.breakpoints):
            there = ", ".join(str(one.number) for one in self.breakpoints) or "there is none"
            raise DebugError(f"a breakpoint must be one of those set ({there}), not {number}; 'breakpoints' lists them")
        self.breakpoints = [one for one in self.breakpoints if one.number != number]

    def select(self, name: str) -> None:
        """Look at the stream of that name."""
        names = [trace.name for trace in self.recording.streams]
        if name not in names:
            raise DebugError(f"a stream must be one of the program's, {', '.join(names)}, not {name!r}")
        self.focus = names.index(name)

    def find(self, number: int) -> int:
        """The place of the instruction with this number, in the tile language of the line; DebugError for none."""
        if number not in self.trace.numbers or (number == 0 and self.values is None):
            numbers = [each for each in self.trace.numbers if each or self.values is not None]
            what = "an instruction" if self.values is not None else "a line"
            raise DebugError(
                f"{what} of {self.trace.name} must be one of {min(numbers)} to {max(numbers)}, not {number}"
            )
        return self.trace.numbers.index(number)

    def _go(self, now: Time) -> None:
        """To a time; where a forbidden access lies on the way, it raises SimulationError and stays."""
        self.recording.reach(now)
        end = self.recording.end
        now = now if end is None else min(now, end)
        if self.values is not None:
            self.values.move(now)
        self.now = now

    def _next_stop(self) -> Time:
        while True:
            stops = self.trace.stops
            place = bisect_right(stops, self.now)
            if place < len(stops) and stops[place] <= self.recording.horizon:
                return stops[place]
            if self.recording.end is not None:
                return self.recording.end
            self.recording.reach(self.recording.horizon + 1)

    def _breakpoint(self, kind: str, text: str) -> Breakpoint:
        number = self._given + 1
        if kind == "if":
            condition = Condition(text)
            condition.holds(self.look())
            return Breakpoint(number, f"if {condition.text}", condition=condition)
        if kind == "instruction":
            stream, place = self.focus, self.find(_whole(text))
        else:
            stream, place = self._named(kind, text)
        if self.recording.streams[stream].code[place].strip() in ("endloop",) or self._is_loop(stream, place):
            raise DebugError(
                f"a breakpoint must be where control stands for a cycle, not at {kind} {text} "
                f"({self.recording.streams[stream].code[place].strip()}); take the instruction after it"
            )
        return Breakpoint(number, f"{kind} {text}", stream, place)

    def _is_loop(self, stream: int, place: int) -> bool:
        """A loop of the tile language is only written, and never passed."""
        return self.values is None and self.recording.streams[stream].code[place].strip().startswith("loop ")

    def _named(self, kind: str, name: str) -> tuple[int, int]:
        """The stream and the place of a label, or of a layer's first instruction: of the stream looked at if it can."""
        known: dict[str, tuple[int, int]] = {}
        streams = list(enumerate(self.recording.streams))
        for number, trace in [streams[self.focus], *streams]:
            places = trace.labels if kind == "label" else _first_places(trace.layers)
            for one, place in places.items():
                known.setdefault(one, (number, place))
        if name not in known:
            near = get_close_matches(name, known, 1)
            some = f"such as {', '.join(list(known)[:3])}" if known else "and there is none"
            advice = f"did you mean {near[0]!r}?" if near else f"'{kind}s' lists them"
            raise DebugError(f"a {kind} must be one of the program's, {some}, not {name!r}; {advice}")
        return known[name]

    def _run(self, points: Sequence[Breakpoint]) -> Breakpoint | None:
        start = self.now
        while True:
            found = min((self._arrival(point), point.number) for point in points) if points else (NEVER, 0)
            until = min(found[0], self.recording.horizon)
            met = self._first_that_holds([point for point in points if point.condition], until)
            if met is not None:
                return met
            if found[0] <= self.recording.horizon:
                self._go(found[0])
                return next(point for point in points if point.number == found[1])
            if self.recording.end is not None:
                self._go(self.recording.end)
                return None
            try:
                self.recording.reach(self.recording.horizon + 1)
            except DebugError:
                self._go(start)
                raise

    def _arrival(self, point: Breakpoint) -> Time:
        """When control next comes to a breakpoint's place."""
        trace = self.recording.streams[point.stream]
        for number in range(bisect_left(trace.cycles, self.now), len(trace.cycles)):
            if trace.places[number] == point.place:
                arrival = trace.stops[bisect_right(trace.stops, trace.cycles[number]) - 1]
                if arrival > self.now:
                    return arrival
        return NEVER

    def _first_that_holds(self, points: Sequence[Breakpoint], until: Time) -> Breakpoint | None:
        """Go on from moment to moment, at most to `until`, to where a condition holds."""
        if not points:
            return None
        for moment in self._between(until, every=any(p.condition and p.condition.by_cycle for p in points)):
            self._go(moment)
            look = self.look()
            for point in points:
                if point.condition and point.condition.holds(look):
                    return point
        return None

    def _between(self, until: Time, every: bool) -> Iterator[Time]:
        """The times after now at which something is different, or `every` cycle too."""
        if self._moments[0] != self.recording.horizon:
            self._moments = self.recording.horizon, _moments(self.recording)
        moments = self._moments[1]
        chosen = moments[bisect_right(moments, self.now) : bisect_right(moments, until)]
        cycles = range(int(self.now // 1) + 1, int(until // 1) + 1) if every else range(0)
        yield from sorted({*chosen, *cycles}) if every else chosen


def _moments(recording: Recording) -> list[Time]:
    """The times at which something differs from before."""
    found: set[Time] = set()
    for trace in recording.streams:
        found.update(trace.stops)
        for unit in trace.units:
            found.update(unit.ends)
            found.update(start if isinstance(recording, TileRecording) else start + 1 for start in unit.starts)
    return sorted(moment for moment in found if moment <= recording.horizon)


def _first_places(layers: Sequence[str]) -> dict[str, int]:
    """By the name of each layer, and of each of the nodes that a layer fuses."""
    found: dict[str, int] = {}
    for place, layer in enumerate(layers):
        if layer and layer not in found:
            for name in (layer, *layer.split("+")):
                found.setdefault(name, place)
    return found


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise DebugError(f"a number must be whole and not negative, not {text!r}")
    return int(text)


def time_text(session: Session) -> str:
    """The time, and whether the program has ended there."""
    end = session.recording.end
    if end is not None and session.now == end:
        problem = session.recording.problem
        return f"cycle {cycles_text(end)}: " + (problem if problem else "the program has ended")
    return f"cycle {cycles_text(Fraction(session.now))}" + (f" of {cycles_text(end)}" if end is not None else "")
