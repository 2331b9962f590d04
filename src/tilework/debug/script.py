"""The debugger's commands as text: the same for a script, and for the command line at the bottom of the screen."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from tilework.debug.conditions import Condition
from tilework.debug.explain import explain, hazards, text_of, unit_place, written
from tilework.debug.look import Tile
from tilework.debug.session import Session
from tilework.debug.views import (
    code,
    code_text,
    plain_time,
    queues,
    registers,
    state_record,
    timeline,
    timeline_rows,
    where,
)
from tilework.errors import DebugError, TileworkError
from tilework.isa.instruction import MEMORIES

MAX_STEPS = 10**9
_KINDS = ("label", "layer", "instruction", "if")
_SHAPE = re.compile(r"\d{1,9}(?:x\d{1,9}){0,7}")
_STRIDES = re.compile(r"\s*\{\s*(-?\d{1,15}(?:\s*,\s*-?\d{1,15})*)\s*\}\s*$")


@dataclass(frozen=True)
class Answer:
    """What a command answers: lines, and the same as JSON."""

    text: str
    record: dict[str, Any]


Command = Callable[[Session, str], Answer]


def perform(session: Session, line: str) -> Answer:
    """Do one command. Raises DebugError, one sentence, for one that can't be done; SimulationError for a forbidden
    access of the program on the way; the session then stays where it was."""
    word, _, rest = line.strip().partition(" ")
    name = SHORT.get(word, word)
    if name not in COMMANDS:
        near = get_close_matches(word, COMMANDS, 1)
        advice = f"did you mean {near[0]!r}?" if near else "'help' lists them"
        raise DebugError(f"a command must be one of the debugger's, not {word!r}; {advice}")
    return COMMANDS[name][2](session, rest.strip())


def run_script(session: Session, lines: Iterable[str]) -> Iterator[tuple[int, str, Answer]]:
    """The answers to a script's commands: line, command, answer. Blank lines and those that begin with # do nothing.

    Raises DebugError that begins with the line's number.
    """
    for number, line in enumerate(lines, 1):
        command = line.strip()
        if command and not command.startswith("#"):
            try:
                answer = perform(session, command)
            except TileworkError as error:
                raise DebugError(f"line {number} of the script: {error}") from None
            yield number, command, answer


def number_of(text: str, what: str = "a number", default: int | None = None) -> int:
    """A whole number, decimal or hexadecimal, that isn't negative."""
    if not text and default is not None:
        return default
    if not re.fullmatch(r"0[xX][0-9a-fA-F]{1,15}|[0-9]{1,16}", text):
        raise DebugError(f"{what} must be a whole number that is not negative, not {text!r}")
    return int(text, 16 if text[:2] in ("0x", "0X") else 10)


def _moved(session: Session, note: str = "", **more: Any) -> Answer:
    state = session.streams()[session.focus]
    record = {"instruction": session.trace.numbers[state.place], "ended": session.ended, **more}
    return Answer(f"{note}{' · ' if note else ''}{where(session)}", record)


def _step(session: Session, rest: str) -> Answer:
    return _steps(session, rest, session.step, session.step_cycles)


def _back(session: Session, rest: str) -> Answer:
    return _steps(session, rest, session.back, lambda times: session.step_cycles(-times))


def _steps(
    session: Session, rest: str, by_instruction: Callable[[int], None], by_cycle: Callable[[int], None]
) -> Answer:
    word, _, count = rest.partition(" ")
    cycles = word in ("cycle", "cycles")
    times = number_of((count if cycles else rest).strip(), "the number of steps", 1)
    if times:
        (by_cycle if cycles else by_instruction)(min(times, MAX_STEPS))
    return _moved(session)


def _run(session: Session, rest: str) -> Answer:
    if not rest:
        met = session.run()
        note = f"breakpoint {met.number}, {met.text}" if met else ""
        return _moved(session, note, breakpoint=met.number if met else None)
    word, _, target = rest.partition(" ")
    if word != "to" or not target.strip():
        raise DebugError(
            f"run must stand alone or go on with 'to', not with {rest!r}; write it as in: run to cycle 500"
        )
    kind, _, name = target.strip().partition(" ")
    if kind == "end" and not name:
        session.run_to_end()
        return _moved(session)
    if kind == "cycle" and re.fullmatch(r"\s*\w+\s*", name):
        session.run_to_cycle(number_of(name.strip(), "a cycle"))
        return _moved(session)
    reached = session.run_to(*_target(kind, name.strip(), target))
    return _moved(session, "" if reached else f"it does not come to {target.strip()} any more", reached=reached)


def _target(kind: str, name: str, whole: str) -> tuple[str, str]:
    """The kind and the name of a place; what names no kind is a condition."""
    if kind not in _KINDS:
        return "if", whole
    if not name:
        raise DebugError(f"{kind} must have a name after it; write it as in: break {kind} {_EXAMPLES[kind]}")
    return kind, name


_EXAMPLES = {"label": "again", "layer": "conv1", "instruction": "12", "if": "r3 == 4"}


def _break(session: Session, rest: str) -> Answer:
    if not rest:
        raise DebugError("break must say where to stop; write it as in: break label again, or: break r3 == 4")
    kind, _, name = rest.partition(" ")
    point = session.stop_at(*_target(kind, name.strip(), rest))
    return Answer(f"breakpoint {point.number}, {point.text}", {"breakpoint": point.number, "at": point.text})


def _delete(session: Session, rest: str) -> Answer:
    number = number_of(rest, "a breakpoint")
    session.delete(number)
    return Answer(f"no breakpoint {number} any more", {"deleted": number})


def _breakpoints(session: Session, rest: str) -> Answer:
    found = [{"breakpoint": point.number, "at": point.text} for point in session.breakpoints]
    return Answer("\n".join(f"{p['breakpoint']}  {p['at']}" for p in found) or "no breakpoints", {"breakpoints": found})


def _stream(session: Session, rest: str) -> Answer:
    session.select(rest)
    return _moved(session)


def _print(session: Session, rest: str) -> Answer:
    if not rest:
        raise DebugError("print must say what; write it as in: print r3, or: print nram 0x40 4x8 float32, or: print d")
    word, _, after = rest.partition(" ")
    memory, _, dtype = word.partition(".")
    look = session.look()
    if memory in MEMORIES and after:
        return _tile(_memory_tile(session, memory, dtype, after))
    if rest in ("d", "a", "b"):
        return _tile(look.operand(session.streams()[session.focus].place, rest))
    port = look.port(rest)
    if port is not None:
        return _tile(port)
    value = Condition(rest).value(look)
    shown = int(value) if isinstance(value, bool) or value == int(value) else value
    return Answer(f"{rest} = {shown:g}" if isinstance(shown, float) else f"{rest} = {shown}", {"value": shown})


def _memory_tile(session: Session, memory: str, dtype: str, rest: str) -> Tile:
    strides: tuple[int, ...] = ()
    if found := _STRIDES.search(rest):
        strides, rest = tuple(int(stride) for stride in found[1].split(",")), rest[: found.start()]
    address, *others = rest.split()
    shape = others.pop(0) if others and others[0][:1].isdigit() else "x".join(["1"] * len(strides)) or "8"
    if not _SHAPE.fullmatch(shape):
        raise DebugError(f"a shape must be written as in 4x8, not as {shape!r}")
    dtype = dtype or (others.pop(0) if others else "float32")
    extents = [int(extent) for extent in shape.split("x")]
    if others or (strides and len(strides) != len(extents)):
        raise DebugError(
            f"print must name a memory, an address, a shape, a dtype and a stride for each axis, not {rest!r}; "
            "write it as in: print nram 0x40 4x8 float32 {128, 4}"
        )
    return session.look().tile(memory, number_of(address, "an address"), extents, dtype, strides)


def _tile(tile: Tile) -> Answer:
    return Answer(str(tile), tile.to_dict())


def _explain(session: Session, rest: str) -> Answer:
    place = None
    if rest[:1].isdigit():
        place = session.find(number_of(rest, "an instruction"))
    elif rest and (place := unit_place(session, rest)) is None:
        return Answer(
            f"{rest} is idle: it works on nothing, and its queue is empty", {"unit": rest, "instruction": None}
        )
    record = explain(session, place)
    return Answer(text_of(record), record)


def _tiles(session: Session, rest: str) -> Answer:
    tiles = written(session, number_of(rest, "how many tiles", 10))
    text = "\n".join(f"{tile.title}, by {who}" for tile, who in tiles) or "nothing is written yet"
    return Answer(text, {"tiles": [{"by": who, **tile.to_dict()} for tile, who in tiles]})


def _hazards(session: Session, rest: str) -> Answer:
    found = hazards(session)
    text = "\n".join(found) or "none: what is shown in memory is what any order of time gives"
    return Answer(text, {"hazards": found})


def _timeline(session: Session, rest: str) -> Answer:
    width = min(max(number_of(rest, "a width", 72), 1), 1000)
    rows, scale, first = timeline_rows(session, width)
    return Answer(timeline(session, width), {"first": first, "cycles_per_column": scale, "rows": dict(rows)})


def _names(session: Session, kind: str) -> Answer:
    rows = []
    for trace in session.recording.streams:
        places = (
            trace.labels if kind == "labels" else {n: trace.layers.index(n) for n in dict.fromkeys(trace.layers) if n}
        )
        rows += [{"name": name, "stream": trace.name, "instruction": trace.numbers[p]} for name, p in places.items()]
    text = "\n".join(f"{row['name']}  {row['stream']}, instruction {row['instruction']}" for row in rows)
    return Answer(text or f"no {kind}", {kind: rows})


def _code(session: Session, rest: str) -> Answer:
    rows = [
        {"instruction": number, "marks": marks.strip(), "text": text.strip()}
        for _, marks, number, text in code(session)
    ]
    return Answer(code_text(session), {"code": rows})


def _whole_state(view: Callable[[Session], str]) -> Command:
    return lambda session, rest: Answer(view(session), state_record(session))


def _help(session: Session, rest: str) -> Answer:
    rows = [(usage, text) for usage, text, _ in COMMANDS.values()]
    width = max(len(usage) for usage, _ in rows)
    return Answer(
        "\n".join(f"{usage:<{width}}  {text}" for usage, text in rows), {"commands": [list(row) for row in rows]}
    )


COMMANDS: dict[str, tuple[str, str, Command]] = {  # by name: how it is written, what it does
    "step": ("step [cycle] [N]", "on by N instructions of this stream, or by N cycles", _step),
    "back": ("back [cycle] [N]", "back by N instructions, or by N cycles", _back),
    "run": (
        "run [to …]",
        "to the next breakpoint; to label X, layer X, instruction N, cycle N, end or a condition",
        _run,
    ),
    "break": (
        "break …",
        "stop there from now on: label X, layer X, instruction N, or a condition such as r3 == 4",
        _break,
    ),
    "breakpoints": ("breakpoints", "those that are set", _breakpoints),
    "delete": ("delete N", "remove a breakpoint", _delete),
    "stream": ("stream NAME", "look at another stream, such as core 0 1 or mover 0", _stream),
    "where": ("where", "the time, and where control stands", lambda session, rest: _moved(session)),
    "code": ("code", "instructions around: > control, * at work, : in a queue, o breakpoint", _code),
    "explain": (
        "explain [N|UNIT]",
        "the instruction here, number N, or what a unit does: its cycles, why it waits",
        _explain,
    ),
    "queues": ("queues", "what every unit works on, what waits in its queue, and why", _whole_state(queues)),
    "registers": ("registers", "registers that aren't 0, hardware loops, tokens", _whole_state(registers)),
    "print": ("print …", "r3, i0, token[1]; nram 0x40 4x8 float32; an operand d, a, b; an input or output", _print),
    "tiles": ("tiles [N]", "the last N tiles that were written on chip or in DRAM, and by which instruction", _tiles),
    "hazards": ("hazards", "instructions that share bytes and run out of order: tokens are missing", _hazards),
    "timeline": ("timeline [WIDTH]", "what every unit has done so far", _timeline),
    "labels": ("labels", "the labels to run to", lambda session, rest: _names(session, "labels")),
    "layers": ("layers", "the layers to run to", lambda session, rest: _names(session, "layers")),
    "help": ("help", "these commands", _help),
}
SHORT = {
    "s": "step",
    "b": "back",
    "r": "run",
    "p": "print",
    "e": "explain",
    "q": "queues",
    "t": "timeline",
    "?": "help",
}


def answers_record(session: Session, answers: Iterable[tuple[int, str, Answer]]) -> dict[str, Any]:
    """A whole script as one JSON document: each command's line, the cycle after it and its answer; the state then."""
    done = [
        {"line": line, "command": command, "cycle": plain_time(session.now), **answer.record}
        for line, command, answer in answers
    ]
    names = {"program": session.name, "machine": session.machine.name}
    return {**names, "commands": done, "state": state_record(session)}
