"""One line of assembly to one instruction; the grammar is the one that `assembly` prints."""

from __future__ import annotations

import re
from difflib import get_close_matches
from math import isinf

from tilework.errors import AssemblyError
from tilework.isa.instruction import MAX_LOOPS, MEMORIES, QUEUES, Descriptor, Immediate, Instruction, Operand
from tilework.isa.table import OPCODES, Opcode
from tilework.isa.validate import allowed_places

_TOKEN = re.compile(
    r"\s*(?:(?P<comment>;.*|\#(?:\s.*)?$|(?<!.)\#.*)"
    r"|(?P<constant>\#[+-]?(?:inf|(?:\d{1,400}(?:\.\d{0,400})?|\.\d{1,400})(?:[eE][+-]?\d{1,4})?)(?![\w.]))"
    r"|(?P<number>0[xX][0-9a-fA-F]{1,32}\b|\d{1,32}\b)"
    r"|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<mark>\+=|[-+*=,<>{}()])"
    r"|(?P<other>\#\S*|\S))",
    re.ASCII,
)
_COUNTERS = tuple(f"i{n}" for n in range(MAX_LOOPS))
_END = "the end of the line"
_ADVICE = {
    "none": "write: {0}",
    "count": "write it as in: {0} 14",
    "token": "write it as in: {0} load 3",
    "fill": "write it as in: {0} <32> nram 0x0 {{4}} = #0",
    "contract": "write it as in: {0} <8, 16> nram 0x0 {{4, 0}} += nram 0x20 {{64, 4}} * wram 0x0 {{0, 4}}",
    "reduce": "write it as in: {0} <8, 16> nram 0x0 {{4, 0}} = nram 0x80 {{64, 4}}",
    "load": "write it as in: {0} <8, 16> nram 0x0 {{64, 4}} = dram 0x100+512*i0 {{64, 4}}",
    "store": "write it as in: {0} <8, 16> dram 0x100+512*i0 {{64, 4}} = nram 0x0 {{64, 4}}",
    "vector 1": "write it as in: {0} <32> nram 0x0 {{4}} = nram 0x80 {{4}}",
    "vector 2": "write it as in: {0} <32> nram 0x0 {{4}} = nram 0x80 {{4}}, #1",
}


class LineParser:
    """Reads one line; every error is an AssemblyError: the line's number, what must stand where, what does, advice."""

    def __init__(self, line: str, number: int) -> None:
        self._line = number
        self._opcode: Opcode | None = None
        found = [(str(m.lastgroup), m[str(m.lastgroup)]) for m in _TOKEN.finditer(line.strip())]
        self._tokens = [token for token in found if token[0] != "comment"]
        self._next = 0

    def instruction(self) -> Instruction | None:
        """The line's instruction, None if it is blank or a comment."""
        if not self._tokens:
            return None
        kind, mnemonic = self._peek()
        self._opcode = OPCODES.get(mnemonic)
        if kind != "word" or self._opcode is None:
            raise self._error(f"a mnemonic, one of {', '.join(OPCODES)}")
        self._next += 1
        instruction = self._fields(self._opcode)
        if self._next < len(self._tokens):
            raise self._error(_END)
        return instruction

    def _fields(self, opcode: Opcode) -> Instruction:
        if opcode.form == "count":
            return Instruction(opcode.mnemonic, count=self._number("a count"))
        if opcode.form == "token":
            return Instruction(
                opcode.mnemonic,
                unit=self._word(f"a queue, one of {', '.join(QUEUES)}", QUEUES),
                token=self._number("a token"),
            )
        if not opcode.has_descriptor:
            return Instruction(opcode.mnemonic)
        extents = self._list("<", ">", "an extent", signed=False)
        destination = self._operand()
        accumulate = self._mark("=", "+=") == "+="
        sources = [self._source()]
        for _ in allowed_places(opcode)[2:]:
            self._mark("*" if opcode.form == "contract" else ",")
            sources.append(self._source())
        return Instruction(opcode.mnemonic, Descriptor(extents, destination, tuple(sources)), accumulate)

    def _source(self) -> Operand | Immediate:
        kind, text = self._peek()
        if kind != "constant":
            return self._operand(" or a constant such as #0")
        value = float(text[1:])
        if isinf(value) and "inf" not in text:
            raise AssemblyError(f"line {self._line}: a constant must be below 1.8e308, not {_cut(text)}; write #inf")
        self._next += 1
        return Immediate(value)

    def _operand(self, alternative: str = "") -> Operand:
        memory = self._word(f"an operand in {', '.join(MEMORIES)}{alternative}", MEMORIES)
        base = self._number("a base address")
        if self._at("+") and self._tokens[self._next + 1 : self._next + 2] == [("mark", "(")]:
            self._next += 2
            phase, steps = self._offset()
            self._mark(")")
            self._word("'mod'", ("mod",))
            wrap = self._number("a wrap")
        else:
            phase, steps, wrap = 0, self._steps({}), 0
            if self._peek() == ("word", "mod"):
                advice = "write base+(step*i0) mod wrap"
                raise AssemblyError(f"line {self._line}: 'mod' must follow an offset in brackets, not a step; {advice}")
        return Operand(memory, base, self._list("{", "}", "a stride"), steps, phase, wrap)

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
                raise AssemblyError(f"line {self._line}: an address must have one step for i{loop}, not two; add them")
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

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._next] if self._next < len(self._tokens) else ("end", "")

    def _error(self, must: str) -> AssemblyError:
        kind, text = self._peek()
        came = _END if kind == "end" else _cut(text)
        place = f"after '{self._tokens[self._next - 1][1]}' must stand" if self._next else "a line must begin with"
        return AssemblyError(f"line {self._line}: {place} {must}, not {came}; {self._advice()}")

    def _advice(self) -> str:
        if self._opcode is None:
            near = get_close_matches(self._peek()[1], OPCODES, 1)
            return f"did you mean '{near[0]}'?" if near else "correct it or begin the line with ;"
        key = self._opcode.form
        if key == "move":
            key = self._opcode.unit
        elif key == "vector":
            key = f"vector {len(allowed_places(self._opcode)) - 1}"
        return _ADVICE[key].format(self._opcode.mnemonic)


def _cut(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
