"""One line of assembly to one instruction; the grammar is the one that `assembly` prints."""

from __future__ import annotations

import re
from difflib import get_close_matches
from math import isinf
from typing import Any

from tilework.errors import AssemblyError
from tilework.isa.instruction import (
    DTYPES,
    MAX_LOOPS,
    MAX_REGISTERS,
    MEMORIES,
    QUEUES,
    SCOPES,
    Descriptor,
    Immediate,
    Instruction,
    Operand,
)
from tilework.isa.program import ROLES, Stream
from tilework.isa.table import OPCODES, Opcode

_TOKEN = re.compile(
    r"\s*(?:(?P<comment>;.*|\#(?:\s.*)?$|(?<!.)\#.*)"
    r"|(?P<constant>\#[+-]?(?:inf|(?:\d{1,400}(?:\.\d{0,400})?|\.\d{1,400})(?:[eE][+-]?\d{1,4})?)(?![\w.]))"
    r"|(?P<number>0[xX][0-9a-fA-F]{1,32}\b|\d{1,32}\b)"
    r"|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<mark>\+=|[-+*=,.:<>{}()])"
    r"|(?P<other>\#\S*|\S))",
    re.ASCII,
)
_WHOLE = re.compile(r"\#[+-]?\d{1,10}", re.ASCII)
_COUNTERS = tuple(f"i{n}" for n in range(MAX_LOOPS))
_REGISTERS = tuple(f"r{n}" for n in range(MAX_REGISTERS))
_REGISTER = f"a register, {_REGISTERS[0]} to {_REGISTERS[-1]}"
_END = "the end of the line"
_SECTION = "write it as in: .core 0 2 or .mover 0"


class LineParser:
    """Reads one line; every error is an AssemblyError: the line's number, what must stand where, what does, advice."""

    def __init__(self, line: str, number: int) -> None:
        self.number = number
        self._opcode: Opcode | None = None
        self._section = False
        found = [(str(m.lastgroup), m[str(m.lastgroup)]) for m in _TOKEN.finditer(line.strip())]
        self._tokens = [token for token in found if token[0] != "comment"]
        self._next = 0

    @property
    def blank(self) -> bool:
        """Whether the line is empty or a comment."""
        return not self._tokens

    def section(self) -> Stream | None:
        """The stream, still empty, that the line begins; None if it is no such line."""
        if not self._at("."):
            return None
        self._next += 1
        self._section = True
        role = self._word(f"'{ROLES[0]}' or '{ROLES[1]}'", ROLES)
        cluster = self._number("a cluster's number")
        index = self._number("a core's number") if role == "core" else 0
        self._finish()
        return Stream((), role, cluster, index)

    def label(self) -> str | None:
        """The label that stands alone on the line; None if it is no such line."""
        if self._tokens[1:2] != [("mark", ":")] or self._tokens[0][0] != "word":
            return None
        self._next = 2
        self._finish()
        return self._tokens[0][1]

    def instruction(self) -> tuple[Instruction, str]:
        """The line's instruction, and the label that it goes to, if it is a jump, else ""."""
        kind, mnemonic = self._peek()
        self._opcode = OPCODES.get(mnemonic)
        if kind != "word" or self._opcode is None:
            raise self._error(f"a mnemonic, one of {', '.join(OPCODES)}")
        self._next += 1
        fields: dict[str, Any] = {}
        for name in self._opcode.fields:
            for field, value in self._field(name, self._opcode).items():
                fields[field] = fields[field] + value if field == "registers" and field in fields else value
        self._finish()
        label = fields.pop("target", "")
        return Instruction(self._opcode.mnemonic, **fields), label

    def _field(self, name: str, opcode: Opcode) -> dict[str, Any]:
        """What stands for a field of the instruction's form, or nothing if it is a mark."""
        if name in ("count", "token"):
            return {name: self._number(f"a {name}")}
        if name == "unit":
            return {name: self._word(f"a queue, one of {', '.join(QUEUES)}", QUEUES)}
        if name == "scope":
            return {name: self._word(f"a scope, one of {', '.join(SCOPES)}", SCOPES)}
        if name == "target":
            return {name: self._label()}
        if name == "register":
            return {"registers": (self._register(),)}
        if name == "scalars":
            return self._scalars(opcode.sources)
        if name == "element":
            return {"descriptor": Descriptor((1,), self._operand(element=True))}
        if name == "nest":
            return self._nest(opcode)
        if name != "accumulate":
            self._mark(name)
        return {}

    def _nest(self, opcode: Opcode) -> dict[str, Any]:
        extents = self._list("<", ">", "an extent", signed=False)
        destination = self._operand()
        accumulate = self._mark("=", "+=") == "+="
        sources = [self._source()]
        for _ in range(opcode.sources - 1):
            self._mark("*" if opcode.form == "contract" else ",")
            sources.append(self._source())
        return {"descriptor": Descriptor(extents, destination, tuple(sources)), "accumulate": accumulate}

    def _scalars(self, sources: int) -> dict[str, Any]:
        registers = []
        for _ in range(sources - 1):
            registers.append(self._register())
            self._mark(",")
        kind, text = self._peek()
        if kind != "constant":
            return {"registers": (*registers, self._register(" or a constant such as #5"))}
        if not _WHOLE.fullmatch(text):
            raise self._error("a whole constant such as #5")
        self._next += 1
        return {"registers": tuple(registers), "constant": int(text[1:])}

    def _register(self, alternative: str = "") -> int:
        return int(self._word(f"{_REGISTER}{alternative}", _REGISTERS)[1:])

    def _label(self) -> str:
        kind, text = self._peek()
        if kind != "word":
            raise self._error("a label")
        self._next += 1
        return text

    def _finish(self) -> None:
        if self._next < len(self._tokens):
            raise self._error(_END)

    def _source(self) -> Operand | Immediate:
        kind, text = self._peek()
        if kind != "constant":
            return self._operand(" or a constant such as #0")
        value = float(text[1:])
        if isinf(value) and "inf" not in text:
            raise AssemblyError(f"line {self.number}: a constant must be below 1.8e308, not {_cut(text)}; write #inf")
        self._next += 1
        return Immediate(value)

    def _operand(self, alternative: str = "", element: bool = False) -> Operand:
        memory = self._word(f"an operand in {', '.join(MEMORIES)}{alternative}", MEMORIES)
        dtype = "float32"
        if self._at("."):
            self._next += 1
            dtype = self._word(f"a dtype, one of {', '.join(DTYPES)}", tuple(DTYPES))
        kept = 0
        if self._at(":"):
            self._next += 1
            kept = self._number("the number that a block keeps")
            if not kept:
                raise AssemblyError(f"line {self.number}: a block must keep 1 to 16 elements, not 0; leave out ':0'")
        base, register = self._number("a base address"), None
        if self._at("+") and self._ahead("word"):
            self._next += 1
            register = self._register()
        if self._at("+") and self._ahead("mark", "("):
            self._next += 2
            phase, steps = self._offset()
            self._mark(")")
            self._word("'mod'", ("mod",))
            wrap = self._number("a wrap")
        else:
            phase, steps, wrap = 0, self._steps({}), 0
            if self._peek() == ("word", "mod"):
                advice = "write base+(step*i0) mod wrap"
                raise AssemblyError(
                    f"line {self.number}: 'mod' must follow an offset in brackets, not a step; {advice}"
                )
        strides = (0,) if element else self._list("{", "}", "a stride")
        return Operand(memory, base, strides, steps, phase, wrap, dtype, register, kept)

    def _offset(self) -> tuple[int, tuple[int, ...]]:
        """What stands in brackets: a phase, steps, or both."""
        number = self._signed("a phase or a step")
        if not self._at("*"):
            return number, self._steps({})
        return 0, self._steps({self._loop(): number})

    def _steps(self, found: dict[int, int]) -> tuple[int, ...]:
        while self._at("+") or self._at("-"):
            step = self._signed("a step")
            loop = self._loop()
            if loop in found:
                raise AssemblyError(f"line {self.number}: an address must have one step for i{loop}, not two; add them")
            found[loop] = step
        return tuple(found.get(loop, 0) for loop in range(max(found, default=-1) + 1))

    def _loop(self) -> int:
        self._mark("*")
        return int(self._word(f"a loop counter, i0 to i{MAX_LOOPS - 1}", _COUNTERS)[1:])

    def _list(self, opening: str, closing: str, what: str, signed: bool = True) -> tuple[int, ...]:
        self._mark(opening)
        read = self._signed if signed else self._number
        numbers = [read(what)]
        while self._mark(",", closing) == ",":
            numbers.append(read(what))
        return tuple(numbers)

    def _signed(self, what: str) -> int:
        sign = 1
        if self._at("+") or self._at("-"):
            sign = -1 if self._at("-") else 1
            self._next += 1
        return sign * self._number(what)

    def _number(self, what: str) -> int:
        kind, text = self._peek()
        if kind != "number":
            raise self._error(what)
        self._next += 1
        return int(text, 16 if text[:2] in ("0x", "0X") else 10)

    def _word(self, what: str, known: tuple[str, ...]) -> str:
        kind, text = self._peek()
        if kind != "word" or text not in known:
            raise self._error(what)
        self._next += 1
        return text

    def _mark(self, *marks: str) -> str:
        text = self._peek()[1]
        if text not in marks:
            raise self._error(" or ".join(f"'{mark}'" for mark in marks))
        self._next += 1
        return text

    def _at(self, mark: str) -> bool:
        return self._peek() == ("mark", mark)

    def _ahead(self, kind: str, text: str = "") -> bool:
        """Whether the token after the next is of this kind, and this text if one is given."""
        return any(
            token[0] == kind and text in ("", token[1]) for token in self._tokens[self._next + 1 : self._next + 2]
        )

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._next] if self._next < len(self._tokens) else ("end", "")

    def _error(self, must: str) -> AssemblyError:
        kind, text = self._peek()
        came = _END if kind == "end" else _cut(text)
        place = f"after '{self._tokens[self._next - 1][1]}' must stand" if self._next else "a line must begin with"
        return AssemblyError(f"line {self.number}: {place} {must}, not {came}; {self._advice()}")

    def _advice(self) -> str:
        if self._opcode is not None:
            return f"write {'it as in' if self._opcode.fields else ''}: {self._opcode.example}".replace(" :", ":")
        if self._section:
            return _SECTION
        near = get_close_matches(self._peek()[1], OPCODES, 1)
        return f"did you mean '{near[0]}'?" if near else "correct it or begin the line with ;"


def _cut(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
