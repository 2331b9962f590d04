"""Conditions such as `r3 == 4 and nram[0x40] > 1.5`: a small language, read here and computed from what it names.

or, and, not        == != < <= > >=        + - * / %        ( )
numbers             12, 0x40, 1.5e-3
cycle, pc           the debugger's time; the number of the instruction at which control stands
r0 … r31            registers;   i0 … i5  counters of the open loops (0 where none is open)
token[3]            a token;   queue[load]  how many instructions wait in a unit's queue
nram[0x40]          the float32 at an address of nram, wram, sram or dram;   nram.int8[0x40]  of another dtype
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from typing import Protocol

from tilework.errors import DebugError
from tilework.isa.instruction import DTYPES, MAX_LOOPS, MAX_REGISTERS, MAX_TOKENS, MEMORIES, QUEUES

Number = float
Term = Callable[["Look"], Number]

_TOKEN = re.compile(
    r"\s*(?:(?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|(?P<name>[A-Za-z]\w*(?:\.\w+)?)"
    r"|(?P<mark>==|!=|<=|>=|[-+*/%()<>\[\]])|(?P<other>\S))"
)
_COMPARE: dict[str, Callable[[Number, Number], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_MAX_LENGTH, _MAX_DEPTH = 1000, 50
NAMES = "cycle, pc, r0 to r31, i0 to i5, token[…], queue[…] and nram[…], wram[…], sram[…], dram[…]"


class Look(Protocol):
    """What a condition may look at, at the debugger's time."""

    def cycle(self) -> Number: ...
    def pc(self) -> Number: ...
    def register(self, number: int) -> Number: ...
    def counter(self, depth: int) -> Number: ...
    def token(self, number: int) -> Number: ...
    def queue(self, unit: str) -> Number: ...
    def element(self, memory: str, dtype: str, address: int) -> Number: ...


class Condition:
    """A condition that has been read; `by_cycle` says that it names the cycle and so may change in any.

    Raises DebugError, one sentence, for text that is none.
    """

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        self.by_cycle = False
        self._depth = 0
        if len(text) > _MAX_LENGTH:
            raise _error(f"have at most {_MAX_LENGTH} characters", str(len(text)), "make it shorter")
        self._tokens: Iterator[re.Match[str]] = iter(list(_TOKEN.finditer(self.text)))
        self._next: re.Match[str] | None = next(self._tokens, None)
        self._term = self._or()
        if self._next is not None:
            raise self._unexpected("end here or go on with an operator")

    def holds(self, look: Look) -> bool:
        """Whether it holds now. Raises DebugError for what isn't there: an address outside of its memory."""
        return bool(self.value(look))

    def value(self, look: Look) -> Number:
        """The number that it gives, for a term that is no comparison."""
        try:
            return self._term(look)
        except OverflowError:
            raise _error("compute with numbers that a double holds", "larger ones", "make them smaller") from None

    def _word(self) -> str:
        return self._next[0].strip() if self._next else ""

    def _take(self) -> str:
        word, self._next = self._word(), next(self._tokens, None)
        return word

    def _expect(self, mark: str) -> None:
        if self._word() != mark:
            raise self._unexpected(f"have {mark!r} here")
        self._take()

    def _unexpected(self, must: str) -> DebugError:
        return _error(must, f"{self._word()!r}" if self._next else "its end", "write it as in: r3 == 4 and cycle > 100")

    def _or(self) -> Term:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _error(f"be nested at most {_MAX_DEPTH} deep", "deeper", "make it simpler")
        left = self._and()
        while self._word() == "or":
            self._take()
            left = _either(left, self._and())
        self._depth -= 1
        return left

    def _and(self) -> Term:
        left = self._not()
        while self._word() == "and":
            self._take()
            left = _both(left, self._not())
        return left

    def _not(self) -> Term:
        negations = 0
        while self._word() == "not":
            self._take()
            negations += 1
        term = self._comparison()
        for _ in range(negations):
            term = _negation(term)
        return term

    def _comparison(self) -> Term:
        left = self._sum()
        if self._word() in _COMPARE:
            left = _binary(_COMPARE[self._take()], left, self._sum())
        return left

    def _sum(self) -> Term:
        left = self._product()
        while self._word() in ("+", "-"):
            function = operator.add if self._take() == "+" else operator.sub
            left = _binary(function, left, self._product())
        return left

    def _product(self) -> Term:
        left = self._sign()
        while self._word() in ("*", "/", "%"):
            function = {"*": operator.mul, "/": _divided, "%": _modulo}[self._take()]
            left = _binary(function, left, self._sign())
        return left

    def _sign(self) -> Term:
        negative = False
        while self._word() == "-":
            self._take()
            negative = not negative
        term = self._atom()
        return _binary(operator.sub, lambda look: 0, term) if negative else term

    def _atom(self) -> Term:
        if self._word() == "(":
            self._take()
            term = self._or()
            self._expect(")")
            return term
        if self._next and self._next["number"]:
            word = self._take()
            value: Number = int(word, 16) if word[:2] in ("0x", "0X") else int(word) if word.isdigit() else float(word)
            return lambda look: value
        if self._next and self._next["name"]:
            return self._named(self._take())
        raise self._unexpected("have a number or a name here")

    def _named(self, name: str) -> Term:
        if name in ("cycle", "pc"):
            self.by_cycle |= name == "cycle"
            return lambda look: getattr(look, name)()
        if (number := _numbered(name, "r", MAX_REGISTERS)) is not None:
            return lambda look: look.register(number)
        if (depth := _numbered(name, "i", MAX_LOOPS)) is not None:
            return lambda look: look.counter(depth)
        memory, _, dtype = name.partition(".")
        if name not in ("token", "queue") and (memory not in MEMORIES or (dtype or "float32") not in DTYPES):
            raise _error(f"name only {NAMES}", repr(name), "correct the name")
        self._expect("[")
        if name == "queue":
            term = self._queue()
        else:
            index = self._sum()
            term = _token(index) if name == "token" else _element(memory, dtype or "float32", index)
        self._expect("]")
        return term

    def _queue(self) -> Term:
        unit = self._word()
        if unit not in QUEUES:
            raise self._unexpected(f"name a unit here, {', '.join(QUEUES)}")
        self._take()
        return lambda look: look.queue(unit)


def _numbered(name: str, letter: str, below: int) -> int | None:
    digits = name[1:]
    ours = name[0] == letter and digits.isascii() and digits.isdigit() and len(digits) <= 2 and int(digits) < below
    return int(digits) if ours else None


def _error(must: str, came: str, advice: str) -> DebugError:
    return DebugError(f"a condition must {must}, not {came}; {advice}")


def _binary(function: Callable[[Number, Number], Number], left: Term, right: Term) -> Term:
    return lambda look: function(left(look), right(look))


def _either(left: Term, right: Term) -> Term:
    return lambda look: bool(left(look)) or bool(right(look))


def _both(left: Term, right: Term) -> Term:
    return lambda look: bool(left(look)) and bool(right(look))


def _negation(term: Term) -> Term:
    return lambda look: not term(look)


def _divided(a: Number, b: Number) -> Number:
    return a / b if b else float("nan")


def _modulo(a: Number, b: Number) -> Number:
    return a % b if b else float("nan")


def _whole(value: Number, what: str) -> int:
    if value != value or abs(value) == float("inf") or value != int(value) or value < 0:
        raise _error(f"have a whole number that is not negative as {what}", f"{value:g}", "correct it")
    return int(value)


def _token(index: Term) -> Term:
    def token(look: Look) -> Number:
        number = _whole(index(look), "the number of a token")
        if number >= MAX_TOKENS:
            raise _error(f"name a token below {MAX_TOKENS}", str(number), "correct it")
        return look.token(number)

    return token


def _element(memory: str, dtype: str, index: Term) -> Term:
    return lambda look: look.element(memory, dtype, _whole(index(look), "an address"))
