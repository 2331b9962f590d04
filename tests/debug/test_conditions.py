"""The language of conditions: what it computes, against Python's own arithmetic, and what it refuses."""

from __future__ import annotations

import ast
import operator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.debug.conditions import Condition
from tilework.errors import DebugError


class Fixed:
    """What a condition sees: numbers that tell where they come from."""

    def cycle(self) -> float:
        return 1000

    def pc(self) -> float:
        return 7

    def register(self, number: int) -> float:
        return 10 + number

    def counter(self, depth: int) -> float:
        return 100 + depth

    def token(self, number: int) -> float:
        return 2 * number

    def queue(self, unit: str) -> float:
        return len(unit)

    def element(self, memory: str, dtype: str, address: int) -> float:
        return address + {"float32": 0.5, "int8": 0}[dtype] + (1e6 if memory == "dram" else 0)


LOOK = Fixed()

numbers = st.one_of(st.integers(0, 9).map(str), st.sampled_from(["0x1F", "2.5", "1e3", ".5"]))
terms = st.recursive(
    numbers,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(" ".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"-({text})"),
    ),
    max_leaves=8,
)
comparisons = st.tuples(terms, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), terms).map(" ".join)
logic = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join),
        inner.map(lambda text: f"not ({text})"),
        inner.map(lambda text: f"({text})"),
    ),
    max_leaves=6,
)

OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def python_says(node: ast.expr) -> float:
    """The value that Python's own grammar gives the text."""
    if isinstance(node, ast.Constant):
        return node.value  # type: ignore[return-value]
    if isinstance(node, ast.BinOp):
        return OPERATORS[type(node.op)](python_says(node.left), python_says(node.right))
    if isinstance(node, ast.Compare):
        return OPERATORS[type(node.ops[0])](python_says(node.left), python_says(node.comparators[0]))
    if isinstance(node, ast.BoolOp):
        both = all if isinstance(node.op, ast.And) else any
        return both([python_says(value) for value in node.values])
    assert isinstance(node, ast.UnaryOp)
    return not python_says(node.operand) if isinstance(node.op, ast.Not) else -python_says(node.operand)


@settings(max_examples=100, deadline=None)
@given(text=logic)
def test_it_means_what_it_means_in_python(text: str) -> None:
    assert Condition(text).holds(LOOK) == bool(python_says(ast.parse(text, mode="eval").body))


@settings(max_examples=80, deadline=None)
@given(text=st.text(alphabet="r3=<>!+-*/%()[]. nramtokequ0x19andot", max_size=30) | st.text(max_size=10))
def test_any_text_is_a_condition_or_one_sentence(text: str) -> None:
    with suppress(DebugError):  # any other error fails the test
        Condition(text).holds(LOOK)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("cycle", 1000),
        ("pc", 7),
        ("r31 + i5", 41 + 105),
        ("token[3 + 1]", 8),
        ("queue[matrix]", 6),
        ("nram[0x40]", 64.5),
        ("nram.int8[64]", 64),
        ("dram[r0]", 1e6 + 10.5),
        ("7 % 4", 3),
        ("2 - 3 - 4", -5),
        ("- - 2 * 3", 6),
        ("1 + 2 < 4", True),
        ("not 1 == 2 and 3 == 3", True),
        ("1 or 1 / 0 == 0 and 0", True),
    ],
)
def test_what_it_names(text: str, value: float) -> None:
    assert Condition(text).value(LOOK) == value


def test_a_division_by_zero_holds_in_no_comparison() -> None:
    assert not Condition("1 / 0 == 1 / 0 or 1 % 0 >= 0").holds(LOOK)


def test_only_what_names_the_cycle_may_change_in_any() -> None:
    assert Condition("r1 == 2 or cycle > 5").by_cycle
    assert not Condition("r1 == 2").by_cycle


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("r3 = 4", "end here or go on with an operator, not '='; write it as in: r3 == 4 and cycle > 100"),
        ("", "have a number or a name here, not its end; write it as in: r3 == 4 and cycle > 100"),
        ("(1", "have ')' here, not its end; write it as in: r3 == 4 and cycle > 100"),
        ("1 < 2 < 3", "end here or go on with an operator, not '<'; write it as in: r3 == 4 and cycle > 100"),
        ("__import__", "have a number or a name here, not '_'; write it as in: r3 == 4 and cycle > 100"),
        (
            "r32",
            "name only cycle, pc, r0 to r31, i0 to i5, token[…], queue[…] and nram[…], wram[…], sram[…], dram[…], "
            "not 'r32'; correct the name",
        ),
        (
            "queue[x]",
            "name a unit here, load, store, matrix, vector, cast, not 'x'; write it as in: r3 == 4 and cycle > 100",
        ),
        ("token[256]", "name a token below 256, not 256; correct it"),
        ("nram[0.5]", "have a whole number that is not negative as an address, not 0.5; correct it"),
        ("nram[1 / 0]", "have a whole number that is not negative as an address, not nan; correct it"),
        ("(" * 60, "be nested at most 50 deep, not deeper; make it simpler"),
        ("1 + " * 300, "have at most 1000 characters, not 1200; make it shorter"),
        (f"0x{'f' * 900} / 2", "compute with numbers that a double holds, not larger ones; make them smaller"),
    ],
)
def test_what_it_refuses(text: str, sentence: str) -> None:
    with pytest.raises(DebugError) as error:
        Condition(text).holds(LOOK)
    assert str(error.value) == f"a condition must {sentence}"
