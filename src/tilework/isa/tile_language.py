"""The tile language: programs of moves, computations, loops and syncs that say how long work takes, not what it gives.

    move dram wram 128KB        # what from where to where; KB = 1024 bytes
    loop 16
      move dram nram 64KB
      sync
      compute fp32 2097152      # multiply-accumulates
      sync
      move nram dram 32KB
    endloop

A program for several processors has sections, one for `cores`, for `core 2` or `core 1.2` (of cluster 1), for `mover`:

    mover                       # of each cluster
      move dram sram 64KB
      sync
      cast sram wram 64KB       # to all cores of the cluster
      barrier
    cores                       # of all clusters
      barrier
      compute fp32 2097152

Words may be in capitals. A comment begins with `#`, `;` or `//`. The manual is docs/tile-language.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from math import prod

from tilework.errors import AssemblyError

MEMORIES = ("dram", "sram", "nram", "wram")
_NEAR, _FAR = ("nram", "wram"), ("dram", "sram")
PLACES = {  # from where to where a processor moves
    "core": tuple((a, b) for far in _FAR for near in _NEAR for a, b in ((far, near), (near, far))),
    "mover": (("dram", "sram"), ("sram", "dram")),
}
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
_CORE = re.compile(r"(?:(\d{1,9})\.)?(\d{1,9})", re.ASCII)
_FORMS = {
    "move": "write it as in: move dram nram 1KB",
    "cast": "write it as in: cast sram nram 1KB",
    "compute": "write it as in: compute fp32 256",
    "loop": "write it as in: loop 16",
    **dict.fromkeys(("endloop", "sync", "barrier", "cores"), "write it alone"),
    "core": "write it as in: core 2, or: core 1.2 for that of cluster 1",
    "mover": "write it alone, or as in: mover 1",
}
_HEADINGS = ("cores", "core", "mover")


@dataclass(frozen=True, slots=True)
class Move:
    """`size` bytes from one memory to another, as PLACES has them."""

    source: str
    destination: str
    size: int
    line: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"move {self.source} {self.destination} {_print_size(self.size)}"


@dataclass(frozen=True, slots=True)
class Cast:
    """`size` bytes from a cluster's sram into the nram or wram of all its cores at the same time."""

    destination: str
    size: int
    line: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"cast sram {self.destination} {_print_size(self.size)}"


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
class Barrier:
    """What follows begins when all before it has finished and all of the cluster stand at a barrier."""

    line: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return "barrier"


@dataclass(frozen=True, slots=True)
class Loop:
    """The body, `count` times."""

    count: int
    body: tuple[Statement, ...]
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Section:
    """What a processor does: the core `index` of `cluster` or its mover; None stands for each."""

    role: str
    cluster: int | None
    index: int | None
    body: tuple[Statement, ...] = ()
    line: int = field(default=0, compare=False)

    def __str__(self) -> str:
        if self.role == "mover":
            return "mover" if self.cluster is None else f"mover {self.cluster}"
        if self.cluster is None:
            return "cores"
        return f"core {self.cluster}.{self.index}" if self.cluster else f"core {self.index}"


Step = Move | Cast | Compute | Sync | Barrier
Statement = Step | Loop
ALONE = Section("core", 0, 0)  # who does what stands before the first section line


def print_tiles(program: Sequence[Section]) -> str:
    """Text that `parse_tiles` reads back to equal sections."""
    if [replace(section, body=()) for section in program] == [ALONE]:
        lines = _lines(program[0].body)
    else:
        lines = [line for part in program for line in (str(part), *(f"  {line}" for line in _lines(part.body)))]
    return "".join(f"{line}\n" for line in lines)


def parse_tiles(text: str) -> tuple[Section, ...]:
    """The sections of a text; one that has no section line is that of core 0.

    Raises AssemblyError, one sentence that begins with the line's number.
    """
    sections: list[Section] = []
    section, blocks = ALONE, list[list[Statement]]([[]])
    loops: list[Loop] = []
    for number, line in enumerate(text.split("\n"), 1):
        words = _COMMENT.split(line, maxsplit=1)[0].split()
        if not words:
            continue
        mnemonic = words[0].lower()
        if mnemonic in _HEADINGS:
            sections += _closed(section, blocks[0], loops)
            section, blocks = _heading(mnemonic, words, number), [[]]
        elif mnemonic == "loop":
            loops.append(_loop(words, number, loops))
            blocks.append([])
        elif mnemonic == "endloop":
            _nothing_after(words, 0, number)
            loop = _opened(loops, blocks[-1], number)
            blocks[-2:] = [[*blocks[-2], Loop(loop.count, tuple(blocks[-1]), loop.line)]]
        else:
            blocks[-1].append(_step(mnemonic, words, number, section.role))
    sections += _closed(section, blocks[0], loops)
    if not sections:
        raise _error(1, "a program must hold an instruction", "nothing", _FORMS["move"])
    return tuple(sections)


def _heading(mnemonic: str, words: Sequence[str], number: int) -> Section:
    if mnemonic == "cores" or (mnemonic == "mover" and len(words) == 1):
        _nothing_after(words, 0, number)
        return Section("mover" if mnemonic == "mover" else "core", None, None, line=number)
    match = _CORE.fullmatch(_word(words, 1))
    if match is None or (mnemonic == "mover" and match[1]):
        must = f"after {words[0]} must stand the number of {'a core' if mnemonic == 'core' else 'a cluster'}"
        raise _error(number, must, _shown(words, 1), _FORMS[mnemonic])
    _nothing_after(words, 1, number)
    if mnemonic == "mover":
        return Section("mover", int(match[2]), None, line=number)
    return Section("core", int(match[1] or 0), int(match[2]), line=number)


def _closed(section: Section, body: Sequence[Statement], loops: Sequence[Loop]) -> list[Section]:
    """The section with its body; none if it is the one that no line begins, and nothing stands there."""
    if loops:
        must = "a loop must have its endloop in its section"
        raise _error(loops[-1].line, must, "none before the section's end", "write endloop")
    if not body and section is not ALONE:
        raise _error(section.line, "a section must hold an instruction", "nothing", "remove it or write its lines")
    return [replace(section, body=tuple(body))] if body else []


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


def _step(mnemonic: str, words: Sequence[str], number: int, role: str) -> Step:
    if mnemonic == "move":
        return _move(words, number, role)
    if mnemonic in ("sync", "barrier"):
        _nothing_after(words, 0, number)
        return Sync(number) if mnemonic == "sync" else Barrier(number)
    if mnemonic not in ("cast", "compute"):
        near = get_close_matches(mnemonic, _FORMS, 1)
        advice = f"did you mean {near[0]}?" if near else "correct it or begin the line with #"
        raise _error(number, f"a line must begin with one of {', '.join(_FORMS)}", _shown(words, 0), advice)
    if role != ("mover" if mnemonic == "cast" else "core"):
        wanted, came = ("mover", "a core") if mnemonic == "cast" else ("core", "a mover")
        raise _error(number, f"{mnemonic} must be for a {wanted}", f"for {came}", f"write it in a {wanted}'s section")
    return _cast(words, number) if mnemonic == "cast" else _compute(words, number)


def _compute(words: Sequence[str], number: int) -> Compute:
    dtype = DTYPES.get(_word(words, 1).lower())
    if dtype is None:
        must = f"after compute must stand a type, one of {', '.join(DTYPES)}"
        raise _error(number, must, _shown(words, 1), _FORMS["compute"])
    return Compute(dtype, _count(words, 2, number, "a number of multiply-accumulates"), number)


def _move(words: Sequence[str], number: int, role: str) -> Move:
    source = _memory(words, 1, number, "the memory to move from", MEMORIES)
    destination = _memory(words, 2, number, "the memory to move to", MEMORIES)
    if (source, destination) not in PLACES[role]:
        sides = "dram or sram and nram or wram" if role == "core" else "dram and sram"
        advice = "move by way of one" if role == "core" else "let a core do it, or cast"
        raise _error(number, f"a {role} must move between {sides}", f"from {source} to {destination}", advice)
    return Move(source, destination, _size(words, number), number)


def _cast(words: Sequence[str], number: int) -> Cast:
    _memory(words, 1, number, "the memory to cast from", ("sram",))
    return Cast(_memory(words, 2, number, "the cores' memory", _NEAR), _size(words, number), number)


def _memory(words: Sequence[str], place: int, number: int, what: str, those: Sequence[str]) -> str:
    name = _word(words, place).lower()
    if name not in those:
        must = f"after {words[place - 1]} must stand {what}, {'one of ' if len(those) > 1 else ''}{', '.join(those)}"
        raise _error(number, must, _shown(words, place), _FORMS[words[0].lower()])
    return name


def _size(words: Sequence[str], number: int) -> int:
    must = "a size in bytes above 0 such as 4, 1KB or 2MB (KB = 1024 bytes)"
    match = _SIZE.fullmatch(" ".join(words[3:]))
    if match is None or match[2].lower() not in _UNITS:
        came = repr(_cut(" ".join(words[3:]))) if words[3:] else _shown(words, 3)
        raise _error(number, f"after {words[2]} must stand {must}", came, _FORMS[words[0].lower()])
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
