"""What control and the units of every stream do at a time, and what those that wait are waiting for."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from tilework.debug.trace import Recording, StreamTrace, Time, UnitTrace
from tilework.simulator.core import NEVER
from tilework.simulator.tile_steps import decimal

DRAINING = ("sync", "sload", "sstore", "end")


@dataclass(frozen=True)
class UnitState:
    """What a unit works on and until when, what is in its queue (places, the first to begin first), why it waits."""

    name: str
    working: int | None
    since: Time
    until: Time
    queue: tuple[int, ...]
    why: str


@dataclass(frozen=True)
class StreamState:
    """Where control stands, the counters of the loops there, tokens above 0, why it waits, and its units."""

    name: str
    place: int
    counters: tuple[int, ...]
    tokens: dict[int, int]
    why: str
    ended: bool
    units: tuple[UnitState, ...] = field(default=())


def cycles_text(time: Time) -> str:
    """A time as people write it."""
    return decimal(Fraction(time))


def stream_state(recording: Recording, stream: int, now: Time) -> StreamState:
    """One stream at a recorded time."""
    trace = recording.streams[stream]
    number, ended = trace.current(now), trace.has_ended(now, recording.end)
    units = tuple(unit_state(recording, stream, unit, now) for unit in trace.units)
    tokens = {token: left for token, times in trace.tokens.items() if (left := _left(times, now))}
    counters = () if number is None else trace.counters[number]
    why = "" if ended else _why_control(recording, stream, units, now)
    return StreamState(trace.name, trace.place(now), counters, tokens, why, ended, units)


def _left(times: tuple[list[Time], list[Time]], now: Time) -> int:
    posts, waits = times
    return bisect_left(posts, now) - bisect_left(waits, now)


def unit_state(recording: Recording, stream: int, unit: UnitTrace, now: Time) -> UnitState:
    """One unit at a recorded time."""
    working, waiting = unit.at_work(now), unit.waiting(now)
    queue = tuple(unit.places[number] for number in waiting)
    if working is not None:
        return UnitState(unit.name, unit.places[working], unit.starts[working], unit.ends[working], queue, "")
    why = _why_unit(recording, stream, unit, waiting[0], now) if waiting else ""
    return UnitState(unit.name, None, now, now, queue, why)


def _why_unit(recording: Recording, stream: int, unit: UnitTrace, number: int, now: Time) -> str:
    place, start = unit.places[number], unit.starts[number]
    if start == now:
        return "begins in this cycle"
    words = recording.streams[stream].code[place].split()
    why = "what is before it"
    if words[0] == "wait":
        why = f"token {words[2]}, {_poster(recording.streams[stream], int(words[2]), now)}"
    elif shared := recording.takes(stream, place):
        why = " and ".join(_holder(recording, name, (stream, unit.name), now, start) for name, _ in shared)
    return f"waits for {why}{_until(start)}"


def _until(start: Time) -> str:
    return "" if start == NEVER else f"; begins in cycle {cycles_text(start)}"


def _poster(trace: StreamTrace, token: int, now: Time) -> str:
    """Who posts the token next."""
    posts = trace.tokens[token][0]
    after = bisect_left(posts, now)
    if after == len(posts):
        return "which nothing posts any more"
    when = posts[after]
    for unit in trace.units:
        for number in range(bisect_left(unit.starts, when), bisect_right(unit.starts, when)):
            if trace.code[unit.places[number]].split()[0::2] == ["post", str(token)]:
                return f"which {unit.name} posts at {trace.numbers[unit.places[number]]}"
    raise AssertionError("a post has a unit")


def _holder(recording: Recording, name: str, own: tuple[int, str], now: Time, start: Time) -> str:
    """Who keeps a shared resource from a unit to the last: has it, or takes it before the unit begins."""
    held: list[tuple[Time, str]] = []
    for stream, unit, number, place in _near(recording, now, start):
        for what, before in recording.takes(stream, place):
            since, until = unit.starts[number], unit.ends[number] - before
            if what == name and (stream, unit.name) != own and now < until <= start:
                trace = recording.streams[stream]
                who = f"{trace.code[place].split()[0]} {trace.numbers[place]}"
                who = who if stream == own[0] else f"{trace.name}'s {who}"
                verb = "has" if since < now else "takes first and has"
                held.append((until, f"{name}, which {who} {verb} until cycle {cycles_text(until)}"))
    return max(held, default=(0, name))[1]


def _near(recording: Recording, now: Time, start: Time) -> Iterator[tuple[int, UnitTrace, int, int]]:
    """What is at work at `now`, and what begins from then on before `start`."""
    for stream, trace in enumerate(recording.streams):
        for unit in trace.units:
            begun = bisect_left(unit.starts, now)
            for number in range(max(0, begun - 1), bisect_left(unit.starts, start)):
                yield stream, unit, number, unit.places[number]


def _why_control(recording: Recording, stream: int, units: tuple[UnitState, ...], now: Time) -> str:
    trace = recording.streams[stream]
    number = trace.current(now)
    passes = NEVER if number is None else trace.cycles[number]
    if passes == now:
        return ""
    words = trace.code[trace.place(now)].split()
    busy = [_busy(unit) for unit in units if unit.working is not None or unit.queue]
    if words[0] in DRAINING and busy:
        why = f"until all is done: {', '.join(busy)}"
    elif words[0] == "barrier":
        why = f"until all is done: {', '.join(busy)}" if busy else f"for {_missing(recording, stream, words, now)}"
    else:
        full = max(units, key=lambda unit: len(unit.queue), default=None)
        why = f"for a place in the queue of {_unit_of(trace, number) or (full.name if full else 'its unit')}"
    return f"waits {why}" + ("" if passes == NEVER else f"; goes on in cycle {cycles_text(passes)}")


def _busy(unit: UnitState) -> str:
    work = [f"at work until {cycles_text(unit.until)}"] if unit.working is not None else []
    return f"{unit.name} ({', '.join([*work, *([f'{len(unit.queue)} in its queue'] if unit.queue else [])])})"


def _unit_of(trace: StreamTrace, number: int | None) -> str:
    for unit in trace.units:
        at = 0 if number is None else bisect_left(unit.orders, number)
        if number is not None and at < len(unit.orders) and unit.orders[at] == number:
            return unit.name
    return ""


def _missing(recording: Recording, stream: int, words: list[str], now: Time) -> str:
    """The streams that don't stand at the barrier with all their work done."""
    own = recording.streams[stream]
    missing = []
    for trace in recording.streams:
        if trace is own or ("chip" not in words and trace.cluster != own.cluster):
            continue
        idle = all(unit.at_work(now) is None and not unit.waiting(now) for unit in trace.units)
        if trace.code[trace.place(now)].split()[0] != "barrier" or not idle:
            missing.append(trace.name)
    return f"{', '.join(missing) or 'the others'} to come to it"
