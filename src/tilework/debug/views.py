"""A session as plain text and as JSON: where it stands, the code around, units and queues, the timeline so far."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from tilework.debug.session import Session, time_text
from tilework.debug.trace import Time
from tilework.debug.waiting import StreamState, UnitState, cycles_text

SHOWN_QUEUE = 6


def plain_time(time: Time) -> int | float:
    """A time as JSON has it."""
    return time if isinstance(time, int) else float(time)


def state_record(session: Session) -> dict[str, Any]:
    """The time and every stream's control, loops, registers that aren't 0, tokens and units."""
    end = session.recording.end
    return {
        "cycle": plain_time(session.now),
        "end": None if end is None else plain_time(end),
        "ended": session.ended,
        "problem": session.recording.problem if session.ended else "",
        "streams": [_stream_record(session, number, state) for number, state in enumerate(session.streams())],
    }


def _stream_record(session: Session, number: int, state: StreamState) -> dict[str, Any]:
    trace = session.recording.streams[number]
    registers = session.values.registers[number] if session.values else []
    return {
        "name": state.name,
        "instruction": trace.numbers[state.place],
        "text": trace.code[state.place].strip(),
        "layer": trace.layers[state.place],
        "ended": state.ended,
        "waits": state.why,
        "loops": [list(pair) for pair in zip(state.counters, trace.counts[state.place], strict=False)],
        "registers": {f"r{place}": value for place, value in enumerate(registers) if value},
        "tokens": {str(token): left for token, left in state.tokens.items()},
        "units": [_unit_record(trace.numbers, unit) for unit in state.units],
    }


def _unit_record(numbers: Any, unit: UnitState) -> dict[str, Any]:
    at_work = unit.working is not None
    return {
        "name": unit.name,
        "instruction": numbers[unit.working] if unit.working is not None else None,
        "since": plain_time(unit.since) if at_work else None,
        "until": plain_time(unit.until) if at_work else None,
        "queue": [numbers[place] for place in unit.queue],
        "waits": unit.why,
    }


def where(session: Session) -> str:
    """One line: the time, and the instruction at which control stands."""
    state = session.streams()[session.focus]
    if session.ended:
        return time_text(session)
    who = f"{state.name} " if len(session.recording.streams) > 1 else ""
    return f"{time_text(session)} · {who}at {instruction(session, session.focus, state.place)}"


def instruction(session: Session, stream: int, place: int) -> str:
    """Its number and its text."""
    trace = session.recording.streams[stream]
    return f"{trace.numbers[place]}: {trace.code[place].strip()}"


def queues(session: Session) -> str:
    """Each unit of every stream: what it works on, what waits in its queue, and why."""
    lines = []
    for number, state in enumerate(session.streams()):
        lines.append(f"{state.name}{' (ended)' if state.ended else ''}")
        trace = session.recording.streams[number]
        if not state.ended:
            lines.append(f"  control  at {instruction(session, number, state.place)}{_why(state.why)}")
        for unit in state.units:
            lines.append(f"  {unit.name:<8} {unit_line(session, number, unit)}")
            waiting = [f"{trace.numbers[place]} {trace.code[place].split()[0]}" for place in unit.queue[:SHOWN_QUEUE]]
            more = len(unit.queue) - SHOWN_QUEUE
            if waiting:
                lines.append(f"  {'':<8} queue: {', '.join(waiting)}{f' and {more} more' if more > 0 else ''}")
    return "\n".join(lines)


def unit_line(session: Session, stream: int, unit: UnitState) -> str:
    """What a unit does, in a line."""
    if unit.working is not None:
        cycles = f"cycles {cycles_text(unit.since)} to {cycles_text(unit.until)}"
        return f"{instruction(session, stream, unit.working)} ({cycles})"
    return unit.why or "idle"


def _why(why: str) -> str:
    return f" · {why}" if why else ""


def registers(session: Session) -> str:
    """Registers that aren't 0, hardware loops and tokens of the stream looked at."""
    state = session.streams()[session.focus]
    values = session.values.registers[session.focus] if session.values else []
    shown = [f"r{number} = {value}" for number, value in enumerate(values) if value]
    return "\n".join(
        (
            f"registers  {', '.join(shown) or 'all 0' if session.values else 'the tile language has none'}",
            f"loops      {', '.join(loops(session, state)) or 'none open'}",
            f"tokens     {', '.join(f'{token}: {left}' for token, left in state.tokens.items()) or 'all 0'}",
        )
    )


def loops(session: Session, state: StreamState) -> list[str]:
    """The open hardware loops: which iteration, from 0, of how many."""
    counts = session.trace.counts[state.place]
    return [
        f"i{depth} = {counter} of {count}"
        for depth, (counter, count) in enumerate(zip(state.counters, counts, strict=False))
    ]


def code(session: Session, around: int = 5, place: int | None = None) -> list[tuple[int, str, str, str]]:
    """Instructions around a place, or around control: place, marks, number and text.

    Marks: > where control stands, * at work, : in a queue, o a breakpoint.
    """
    trace, state = session.trace, session.streams()[session.focus]
    center = state.place if place is None else place
    first = max(0, min(center - around, len(trace.code) - 2 * around - 1))
    rows = []
    for at in range(first, min(len(trace.code), first + 2 * around + 1)):
        indent = "" if session.values is None else "  " * len(trace.counts[at])
        indent = indent[2:] if trace.code[at] == "endloop" else indent
        rows.append(
            (
                at,
                marks(session, state, at),
                "" if session.values is None and not trace.numbers[at] else str(trace.numbers[at]),
                indent + trace.code[at],
            )
        )
    return rows


def marks(session: Session, state: StreamState, place: int) -> str:
    """What is at an instruction, in four characters."""
    stopped = any(point.stream == session.focus and point.place == place for point in session.breakpoints)
    queued = any(place in unit.queue for unit in state.units)
    working = any(unit.working == place for unit in state.units)
    at = state.place == place and not state.ended
    return f"{'o' if stopped else ' '}{'*' if working else ' '}{':' if queued else ' '}{'>' if at else ' '}"


def code_text(session: Session) -> str:
    """The code around control as lines."""
    return "\n".join(f"{mark} {number:>5}  {text}".rstrip() for _, mark, number, text in code(session))


def timeline(session: Session, width: int = 72) -> str:
    """The time so far: a row per unit, a column per cycle or per several.

    A column has the last digit of the number of the instruction at work in it, "." if there is none.
    """
    rows, scale, first = timeline_rows(session, width)
    names = max((len(name) for name, _ in rows), default=0)
    head = f"{'':<{names}}  from cycle {cycles_text(first)}, one column is {cycles_text(scale)} cycle"
    return "\n".join([head + "s" * (scale > 1), *(f"{name:<{names}}  {cells}" for name, cells in rows)])


def timeline_rows(session: Session, width: int) -> tuple[list[tuple[str, str]], int, int]:
    """The rows' names and cells, the cycles of a column, and the first cycle that is shown."""
    now = -int(-session.now // 1)
    first = 0 if now <= 16 * width else now - 16 * width
    scale = max(1, -(-(now - first) // max(1, width)))
    size = -(-(now - first) // scale)
    several = len(session.recording.streams) > 1
    rows = []
    for trace in session.recording.streams:
        for unit in trace.units:
            cells = ["."] * size
            for number in range(unit.begun(session.now) - 1, -1, -1):
                if unit.ends[number] <= first and unit.ends[number] > unit.starts[number]:
                    break
                if unit.ends[number] == unit.starts[number]:
                    continue
                begin, end = max(Fraction(first), Fraction(unit.starts[number])), min(unit.ends[number], session.now)
                for column in range(int((begin - first) // scale), -int(-(end - first) // scale)):
                    cells[column] = str(trace.numbers[unit.places[number]] % 10)
            rows.append((f"{trace.name} {unit.name}" if several else unit.name, "".join(cells)))
    return rows, scale, first
