"""Nests as text: `n<1 k<64 c<3: o[n,k] += x[n,c] * w[k,c]`, printed and parsed.

A name that is no loop is a size, looked up in the sizes that the caller gives, so that the same notation
states an operation once for all shapes: `o[n,K*g+k,p] += x[n,C*g+c,S*p+r-P | 0] * w[K*g+k,c,r]`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import NoReturn

from tilework.errors import NetworkError
from tilework.network.functions import FUNCTIONS, INFIX
from tilework.network.nest import Access, Affine, Apply, Constant, Expression, Nest

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"
    r"|(?P<update>max=|min=|\+=|=)"
    r"|(?P<name>[A-Za-z_]\w*(?:[.:]\w+)*|\"(?:[^\"\\]|\\.)*\")"
    r"|(?P<mark>[-+*/()\[\],:<|]))"
)
_PLAIN = re.compile(r"[A-Za-z_]\w*(?:[.:]\w+)*\Z", re.ASCII)
_RESERVED = FUNCTIONS.keys() | {"inf"}


def print_name(name: str) -> str:
    """A tensor's name as the text writes it: quoted unless it is a plain dotted identifier."""
    return name if _PLAIN.match(name) and name not in _RESERVED else json.dumps(name)


def read_name(text: str) -> str:
    """The name that `print_name` wrote so; raises NetworkError for a quoted one with a bad escape."""
    try:
        return str(json.loads(text)) if text.startswith('"') else text
    except ValueError:
        raise NetworkError(f"a quoted name must be a JSON string, not {text}") from None


def print_nest(nest: Nest) -> str:
    """One line that `parse_nest` reads back to an equal nest."""
    loops = " ".join(f"{name}<{extent}" for name, extent in nest.loops)
    head = f"{loops}: " if loops else ": "
    return f"{head}{_print_access(nest.output)} {nest.update} {_print(nest.body, 0)}"


def print_expression(body: Expression) -> str:
    """A body as `parse_expression` reads it: tensors without axes by their name alone."""
    return _print(body, 0).replace("[]", "")


def _print_number(value: float) -> str:
    if value in (float("inf"), float("-inf")):
        return "inf" if value > 0 else "-inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _print_affine(index: Affine) -> str:
    text = ""
    for name, c in index.terms:
        text += ("-" if c < 0 else "+" if text else "") + (f"{abs(c)}*" if abs(c) != 1 else "") + name
    if index.offset or not text:
        text += f"{index.offset:+d}" if text else str(index.offset)
    return text


def _print_access(access: Access) -> str:
    pad = "" if access.pad is None else f" | {_print_number(access.pad)}"
    return f"{print_name(access.tensor)}[{','.join(map(_print_affine, access.index))}{pad}]"


def _print(expression: Expression, outer: int) -> str:
    if isinstance(expression, Constant):
        text = _print_number(expression.value)
        return f"({text})" if text.startswith("-") and outer else text
    if isinstance(expression, Access):
        return _print_access(expression)
    function = FUNCTIONS[expression.function]
    if function.infix is None:
        return f"{function.name}({', '.join(_print(a, 0) for a in expression.arguments)})"
    left, right = expression.arguments
    level = function.precedence
    text = f"{_print(left, level)} {function.infix} {_print(right, level + 1)}"
    return f"({text})" if level < outer else text


def parse_nest(text: str, sizes: Mapping[str, float] | None = None) -> Nest:
    """The nest that a line states; raises NetworkError that names the place where the line stops making sense."""
    return _Parser(text, sizes or {}).nest()


def parse_expression(text: str, scalar: str, sizes: Mapping[str, float] | None = None) -> Expression:
    """A body in which the name `scalar` is read without an index; raises NetworkError as `parse_nest` does."""
    return _Parser(text, sizes or {}, scalar).expression()


class _Parser:
    def __init__(self, text: str, sizes: Mapping[str, float], scalar: str | None = None) -> None:
        self.text, self.sizes, self.place = text, sizes, 0
        self.scalar, self.what = scalar, "expression" if scalar else "nest"
        self.loops: dict[str, int] = {}
        self.kind, self.value = "", ""
        self.advance()

    def advance(self) -> str:
        taken = self.value
        match = _TOKEN.match(self.text, self.place)
        if match:
            self.place = match.end()
            self.kind, self.value = match.lastgroup or "", match.group(match.lastgroup or 0)
        elif self.text[self.place :].strip():
            raise NetworkError(f"no {self.what} can contain {self.text[self.place :].strip()[0]!r}: {self.text!r}")
        else:
            self.kind, self.value = "end", ""
        return taken

    def fail(self, wanted: str) -> NoReturn:
        came = repr(self.value) if self.value else "the end of the line"
        raise NetworkError(f"expected {wanted}, not {came}, in the {self.what} {self.text!r}")

    def take(self, value: str) -> None:
        if self.value != value:
            self.fail(repr(value))
        self.advance()

    def accept(self, *values: str) -> str | None:
        return self.advance() if self.value in values and self.kind != "end" else None

    def nest(self) -> Nest:
        while self.kind == "name":
            name = self.advance()
            self.take("<")
            if name in self.loops:
                raise NetworkError(f"loop {name} is declared twice in the nest {self.text!r}")
            self.loops[name] = self.integer()
        self.take(":")
        output = self.access(self.name())
        if self.kind != "update":
            self.fail("=, +=, max= or min=")
        update = self.advance()
        return Nest(tuple(self.loops.items()), output, update, self.expression())

    def expression(self) -> Expression:
        body = self.sum()
        if self.kind != "end":
            self.fail("the end of the line")
        return body

    def name(self) -> str:
        if self.kind != "name":
            self.fail("a name")
        return read_name(self.advance())

    def size(self, name: str) -> float:
        if name not in self.sizes:
            raise NetworkError(f"{name} is neither a loop nor a size in the nest {self.text!r}")
        return self.sizes[name]

    def integer(self) -> int:
        if self.kind == "number" and self.value.isdigit():
            return int(self.advance())
        if self.kind == "name" and isinstance(value := self.size(self.value), int):
            self.advance()
            return value
        self.fail("an integer or a size")

    def access(self, tensor: str) -> Access:
        self.take("[")
        index: list[Affine] = []
        while self.value not in ("]", "|"):
            index.append(self.affine())
            if not self.accept(","):
                break
        pad = self.signed_number() if self.accept("|") else None
        self.take("]")
        return Access(tensor, tuple(index), pad)

    def affine(self) -> Affine:
        terms: dict[str, int] = {}
        offset, sign = 0, -1 if self.accept("-") else 1
        while True:
            coefficient, loop = self.term()
            if loop is None:
                offset += sign * coefficient
            else:
                terms[loop] = terms.get(loop, 0) + sign * coefficient
            mark = self.accept("+", "-")
            if mark is None:
                return Affine(tuple((n, c) for n, c in terms.items() if c), offset)
            sign = -1 if mark == "-" else 1

    def term(self) -> tuple[int, str | None]:
        coefficient, loop = 1, None
        while True:
            if self.kind == "name" and self.value in self.loops:
                if loop is not None:
                    self.fail("an affine index")
                loop = self.advance()
            else:
                coefficient *= self.integer()
            if not self.accept("*"):
                return coefficient, loop

    def signed_number(self) -> float:
        sign = -1.0 if self.accept("-") else 1.0
        if self.accept("inf"):
            return sign * float("inf")
        if self.kind == "number":
            return sign * float(self.advance())
        if self.kind == "name":
            return sign * self.size(self.advance())
        self.fail("a number")

    def sum(self) -> Expression:
        left = self.product()
        while mark := self.accept("+", "-"):
            left = Apply(INFIX[mark].name, (left, self.product()))
        return left

    def product(self) -> Expression:
        left = self.factor()
        while mark := self.accept("*", "/"):
            left = Apply(INFIX[mark].name, (left, self.factor()))
        return left

    def factor(self) -> Expression:
        if self.kind == "number" or self.value == "inf":
            return Constant(self.signed_number())
        if self.accept("-"):
            inner = self.factor()
            return Constant(-inner.value) if isinstance(inner, Constant) else Apply("sub", (Constant(0.0), inner))
        if self.accept("("):
            inner = self.sum()
            self.take(")")
            return inner
        quoted = self.value.startswith('"')
        name = self.name()
        if self.value == "(" and not quoted:
            return self.call(name)
        if name == self.scalar:
            return Access(name, ())
        return self.access(name) if self.value == "[" else Constant(float(self.size(name)))

    def call(self, function: str) -> Expression:
        self.take("(")
        arguments = [self.sum()]
        while self.accept(","):
            arguments.append(self.sum())
        self.take(")")
        return Apply(function, tuple(arguments))
