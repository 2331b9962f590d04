"""Bodies under other units: their value is that of the body times a number, with no more operations than need be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.compiler.quantise_body import in_units, scaled
from tilework.network.nest import Access, Apply, Constant, Expression, applications
from tilework.network.text import parse_nest

UNITS = {"x": 0.5, "y": 3.0, "w": 1.0}
VALUES = {"x": 7.0, "y": -4.0, "w": 2.0}  # as they are kept
MEANING = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": lambda a, b: a / b,
    "max": max, "min": min, "abs": abs, "select": lambda c, a, b: a if c else b, "less": lambda a, b: float(a < b),
}  # fmt: skip


def value(expression: Expression, of: dict[str, float]) -> float:
    if isinstance(expression, Constant):
        return expression.value
    if isinstance(expression, Access):
        return of[expression.tensor]
    assert isinstance(expression, Apply)
    return float(MEANING[expression.function](*(value(argument, of) for argument in expression.arguments)))


def body(text: str) -> Expression:
    for name in "xyw":
        text = text.replace(name, f"{name}[a]").replace(f"ma{name}[a]", f"ma{name}")
    return parse_nest(f"a<2: o[a] = {text}").body


def rescaled(text: str, factor: float) -> tuple[Expression, dict[str, float]]:
    """The body on x and y as they are kept, times the factor, and the values of what it reads."""
    of = dict(VALUES)

    def reweighed(access: Access, by: float) -> Access:
        of[f"w*{by}"] = of["w"] * by
        return Access(f"w*{by}", access.index, access.pad)

    inside = in_units(body(text), UNITS.__getitem__)
    return scaled(inside, factor, lambda access: access.tensor == "w", reweighed), of


BODIES = (
    "x", "x + w", "max(x, 0)", "min(max(x, 0), 6)", "x + y", "x * y", "x * w", "x / w", "w / x", "x / 4",
    "abs(x)", "select(less(x, y), x, w)", "x * 2 + w", "max(x * x, w)", "1 / (1 + x)", "x - y * w",
)  # fmt: skip


@pytest.mark.parametrize("text", BODIES)
@given(factor=st.floats(0.01, 100))
def test_the_value_is_that_of_the_body_times_the_factor(text: str, factor: float) -> None:
    found, of = rescaled(text, factor)
    real = {name: VALUES[name] * UNITS[name] for name in VALUES}
    assert value(found, of) == pytest.approx(value(body(text), real) * factor, rel=1e-9)


@pytest.mark.parametrize(
    ("text", "factor", "operations"),
    [
        ("x", 2.0, []),  # x is kept in halves: it is its own double
        ("x + w", 2.0, ["add"]),
        ("max(x, 0)", 2.0, ["max"]),
        ("max(x, 0)", 1.0, ["max", "mul"]),
        ("min(max(x, 0), 6)", 2.0, ["min", "max"]),
        ("x + y", 2.0, ["add", "mul"]),
        ("x * y", 1.0, ["mul", "mul", "mul"]),
        ("x * 2 * w", 1.0, ["mul"]),
        ("x * 2 * y", 1.0, ["mul", "mul"]),
    ],
)
def test_factors_go_into_what_is_there(text: str, factor: float, operations: list[str]) -> None:
    assert sorted(applications(rescaled(text, factor)[0])) == sorted(operations)


def test_a_pad_value_is_in_the_unit_too() -> None:
    inside = in_units(parse_nest("a<2: o[a] = x[a-1 | 3]").body, {"x": 0.5}.__getitem__)
    assert str(parse_nest("a<2: o[a] = x[a-1 | 6] * 0.5").body) == str(inside)
