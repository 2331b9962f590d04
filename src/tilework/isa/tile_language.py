"""The tile language: programs of moves, computations, loops and syncs that say how long work takes, not what it gives.

    move dram wram 128KB        # what from where to where; KB = 1024 bytes
    loop 16
      move dram nram 64KB
      sync
      compute fp32 2097152      # multiply-accumulates
      sync
      move nram dram 32KB
    endloop

Words may be in capitals. A comment begins with `#`, `;` or `//`. The manual is docs/tile-language.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from math import prod

from tilework.errors import AssemblyError

MEMORIES = ("dram", "nram", "wram")
DTYPES = {
    "fp32": "fp32",
    "float32": "fp32",
    "fp16": "fp16",
    "float16": "fp16",
    "bf16": "bf16",
    "bfloat16": "bf16",
    "int8": "int8",
}
MAX_NUMBER = 2**63 - 1
MAX_DEPTH = 64

_UNITS = {"mb": 1 << 20, "mib": 1 << 20, "kb": 1 << 10, "kib": 1 << 10, "b": 1, "": 1}
_SIZE = re.compile(r"(-?\d{1,32}) ?([a-z]*)", re.ASCII | re.IGNORECASE)
_COMMENT = re.compile(r"#|;|//")
_FORMS = {
    "move": "write it as in: move dram nram 1KB",
    "compute": "write it as in: compute fp32 256",
    "loop": "write it as in: loop 16",
    "endloop": "write it alone",
    "sync": "write it alone",
}


@dataclass(frozen=True, slots=True)
class Move:
    """`size` bytes from one memory to another, one of which is dram."""

    source: str
    destination: str
    size: int
    line: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"move {self.source} {self.destination} {_print_size(self.size)}"


@dataclass(frozen=True, slots=True)
class Compute:
    """A number of multiply-accumulates of one dtype, a value of DTYPES."""

    dtype: str
    macs: int
    line: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"compute {self.dtype} {self.macs}"


@dataclass(frozen=True, slots=True)
class Sync:
    """What follows begins when all before it has finished."""

    line: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return "sync"


@dataclass(frozen=True, slots=True)
class Loop:
    """The body, `count` times."""

    count: int
    body: tuple[Statement, ...]
    line: int = field(default=0, compare=False)


Step = Move | Compute | Sync
Statement = Step | Loop


def print_tiles(program: Sequence[Statement]) -> str:
    """Text that `parse_tiles` reads back to equal statements."""
    return "".join(f"{line}\n" for line in _lines(program))


def parse_tiles(text: str) -> tuple[Statement, ...]:
    """The statements of a text. Raises AssemblyError, one sentence that begins with the line's number."""
    blocks: list[list[Statement]] = [[]]
    loops: list[Loop] = []
    for number, line in enumerate(text.split("\n"), 1):
        words = _COMMENT.split(line, maxsplit=1)[0].split()
        if not words:
            continue
        mnemonic = words[0].lower()
        if mnemonic == "loop":
            loops.append(_loop(words, number, loops))
            blocks.append([])
        elif mnemonic == "endloop":
            _alone(words, number)
            loop = _opened(loops, blocks[-1], number)
            blocks[-2:] = [[*blocks[-2], Loop(loop.count, tuple(blocks[-1]), loop.line)]]
        else:
            blocks[-1].append(_step(mnemonic, words, number))
    if loops:
        raise _error(loops[-1].line, "a loop must have its endloop", "the end of the program", "write endloop")
    if not blocks[0]:
        raise _error(1, "a program must hold an instruction", "nothing", _FORMS["move"])
    return tuple(blocks[0])


def _lines(program: Sequence[Statement]) -> list[str]:
    lines = []
    for statement in program:
        if isinstance(statement, Loop):
            lines += [f"loop {statement.count}", *(f"  {line}" for line in _lines(statement.body)), "endloop"]
        else:
            lines.append(str(statement))
    return lines


def _print_size(size: int) -> str:
    unit = next(unit for unit in ("mb", "kb", "b") if size % _UNITS[unit] == 0)
    return f"{size // _UNITS[unit]}{unit.upper()}"


def _step(mnemonic: str, words: Sequence[str], number: int) -> Step:
    if mnemonic == "move":
        return _move(words, number)
    if mnemonic == "compute":
        dtype = DTYPES.get(_word(words, 1).lower())
        if dtype is None:
            must = f"after compute must stand a type, one of {', '.join(DTYPES)}"
            raise _error(number, must, _shown(words, 1), _FORMS["compute"])
        return Compute(dtype, _count(words, 2, number, "a number of multiply-accumulates"), number)
    if mnemonic == "sync":
        _alone(words, number)
        return Sync(number)
    near = get_close_matches(mnemonic, _FORMS, 1)
    advice = f"did you mean {near[0]}?" if near else "correct it or begin the line with #"
    raise _error(number, f"a line must begin with one of {', '.join(_FORMS)}", _shown(words, 0), advice)


def _move(words: Sequence[str], number: int) -> Move:
    for place, what in ((1, "the memory to move from"), (2, "the memory to move to")):
        if _word(words, place).lower() not in MEMORIES:
            must = f"after {words[place - 1]} must stand {what}, one of {', '.join(MEMORIES)}"
            raise _error(number, must, _shown(words, place), _FORMS["move"])
    source, destination = words[1].lower(), words[2].lower()
    if (source == "dram") == (destination == "dram"):
        came = f"{source} to {destination}"
        raise _error(number, "a move must have dram on one side", came, "move from dram or to dram")
    return Move(source, destination, _size(words, number), number)


def _size(words: Sequence[str], number: int) -> int:
    must = "a size in bytes above 0 such as 4, 1KB or 2MB (KB = 1024 bytes)"
    match = _SIZE.fullmatch(" ".join(words[3:]))
    if match is None or match[2].lower() not in _UNITS:
        came = repr(_cut(" ".join(words[3:]))) if words[3:] else _shown(words, 3)
        raise _error(number, f"after {words[2]} must stand {must}", came, _FORMS["move"])
    return _in_range(int(match[1]) * _UNITS[match[2].lower()], number, must)


def _loop(words: Sequence[str], number: int, around: Sequence[Loop]) -> Loop:
    count = _count(words, 1, number, "a number of iterations")
    if len(around) == MAX_DEPTH:
        raise _error(number, f"loops must nest at most {MAX_DEPTH} deep", f"{MAX_DEPTH + 1} deep", "join two loops")
    times = count * prod(loop.count for loop in around)
    if times > MAX_NUMBER:
        must = f"loops together must repeat a line at most {MAX_NUMBER} times"
        raise _error(number, must, "more", "repeat it less")
    return Loop(count, (), number)


def _opened(loops: list[Loop], body: Sequence[Statement], number: int) -> Loop:
    if not loops:
        raise _error(number, "an endloop must end a loop", "stand without one", "remove it or write its loop")
    if not body:
        raise _error(number, "a loop must hold an instruction", "nothing", "remove the loop or write its body")
    return loops.pop()


def _count(words: Sequence[str], place: int, number: int, what: str) -> int:
    text = _word(words, place)
    if not re.fullmatch(r"-?\d{1,32}", text, re.ASCII):
        form = _FORMS[words[0].lower()]
        raise _error(number, f"after {words[place - 1]} must stand {what}", _shown(words, place), form)
    _nothing_after(words, place, number)
    return _in_range(int(text), number, f"{what} above 0")


def _in_range(value: int, number: int, must: str) -> int:
    if value < 1:
        raise _error(number, f"here must stand {must}", str(value), "write 1 or more, or remove the line")
    if value > MAX_NUMBER:
        raise _error(number, f"numbers must be at most {MAX_NUMBER}", str(value), "divide the work over a loop")
    return value


def _alone(words: Sequence[str], number: int) -> None:
    _nothing_after(words, 0, number)


def _nothing_after(words: Sequence[str], place: int, number: int) -> None:
    if len(words) > place + 1:
        must = f"after {words[place]} must stand the end of the line"
        raise _error(number, must, _shown(words, place + 1), _FORMS[words[0].lower()])


def _word(words: Sequence[str], place: int) -> str:
    return words[place] if place < len(words) else ""


def _shown(words: Sequence[str], place: int) -> str:
    return repr(_cut(words[place])) if place < len(words) else "the end of the line"


def _cut(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"


def _error(number: int, must: str, came: str, advice: str) -> AssemblyError:
    return AssemblyError(f"line {number}: {must}, not {came}; {advice}")
