"""Derivatives of bodies: against central differences, and as text where their form matters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.network.derivative import RULES, adjoints, derivative
from tilework.network.functions import FUNCTIONS
from tilework.network.nest import Access, Apply, Constant, Expression, accesses
from tilework.network.scalars import apply
from tilework.network.text import parse_nest, print_nest

X, Y, OUT = Access("x", ()), Access("y", ()), Access("o", ())
POINTS = {"x": 0.7, "y": 1.3}
FLAT = {"floor", "round", "less", "equal", "and", "or", "not"}


def body(text: str) -> Expression:
    return parse_nest(f": o[] = {text}").body


def text(expression: Expression) -> str:
    nest = parse_nest(": o[] = x[]")
    return print_nest(type(nest)((), nest.output, "=", expression)).removeprefix(": o[] = ").replace("[]", "")


def value(expression: Expression, at: dict[str, float]) -> float:
    if isinstance(expression, Constant):
        return expression.value
    if isinstance(expression, Access):
        return at[expression.tensor]
    arguments = [np.asarray(value(argument, at)) for argument in expression.arguments]
    with np.errstate(all="ignore"):
        return float(apply(expression.function, arguments))


def difference(expression: Expression, at: dict[str, float], tensor: str, step: float = 1e-6) -> float:
    up, down = (value(expression, at | {tensor: at[tensor] + move}) for move in (step, -step))
    return (up - down) / (2 * step)


def test_every_function_has_a_rule() -> None:
    assert RULES.keys() == FUNCTIONS.keys()


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("point", [{"x": 0.7, "y": 1.3}, {"x": 2.4, "y": 0.3}])
def test_each_rule_is_the_slope(name: str, point: dict[str, float]) -> None:
    known = FUNCTIONS[name]
    arguments = (X, Y, Apply("mul", (X, X)))[: known.arity]
    expression = Apply(name, arguments)
    for access in {X, Y} & set(accesses(expression)):
        slope = difference(expression, point, access.tensor)
        assert value(derivative(expression, access), point) == pytest.approx(slope, rel=1e-6, abs=1e-8)
        assert name not in FLAT or derivative(expression, access) == Constant(0.0)


SMOOTH = ("add", "sub", "mul", "div", "max", "min", "exp", "log", "sqrt", "tanh", "erf", "sin", "cos", "abs", "select")
leaves = st.sampled_from([X, Y]) | st.sampled_from([-1.0, 0.0, 1.0, 0.5, 2.0, 6.0]).map(Constant)


def applied(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    def build(name: str, arguments: tuple[Expression, ...]) -> Expression:
        if name == "select":
            arguments = (Apply("less", arguments[:2]), *arguments[1:])
        if name in ("log", "sqrt"):  # of something positive
            arguments = (Apply("add", (Apply("mul", (arguments[0], arguments[0])), Constant(0.5))),)
        return Apply(name, arguments[: FUNCTIONS[name].arity])

    return st.builds(build, st.sampled_from(SMOOTH), st.tuples(inner, inner, inner))


@given(st.recursive(leaves, applied, max_leaves=8))
def test_any_body_has_the_slope_of_its_values(expression: Expression) -> None:
    for access in (X, Y):
        fine, coarse = (difference(expression, POINTS, access.tensor, step) for step in (1e-6, 3e-6))
        if not np.isfinite(fine) or abs(fine) > 1e3 or abs(fine - coarse) > 1e-4:
            continue  # a kink, a pole or too steep for differences
        assert value(derivative(expression, access), POINTS) == pytest.approx(fine, rel=1e-4, abs=1e-4)


@given(st.recursive(leaves, applied, max_leaves=8))
def test_nothing_is_multiplied_by_1_or_0_nor_0_added(expression: Expression) -> None:
    def check(node: Expression, given: frozenset[Expression]) -> None:
        if isinstance(node, Apply) and node not in given:
            if node.function == "mul":
                assert not {Constant(0.0), Constant(1.0)} & set(node.arguments)
            if node.function in ("add", "sub"):
                assert Constant(0.0) not in node.arguments[node.function == "sub" :]
            for argument in node.arguments:
                check(argument, given)

    def parts(node: Expression) -> set[Expression]:
        below = node.arguments if isinstance(node, Apply) else ()
        return {node}.union(*(parts(argument) for argument in below))

    check(derivative(expression, X), frozenset(parts(expression)))


@pytest.mark.parametrize(
    ("of", "is_"),
    [
        ("x[] + y[]", "1"),
        ("y[] - x[]", "-1"),
        ("y[] * x[] * 3", "3 * y"),
        ("x[] * x[]", "2 * x"),
        ("pow(x[], 2)", "2 * x"),
        ("pow(x[], 1)", "1"),
        ("pow(x[], 0.5)", "0.5 * pow(x, -0.5)"),
        ("x[] / 4", "0.25"),
        ("1 / x[]", "0 - 1 / x / x"),
        ("x[] - x[]", "0"),
        ("floor(x[]) + round(x[])", "0"),
        ("max(x[], 0)", "select(less(0, x), 1, 0)"),
        ("cos(x[])", "0 - sin(x)"),
        ("1 / (1 + exp(0 - x[]))", "1 / (1 + exp(0 - x)) * (1 - 1 / (1 + exp(0 - x)))"),
        ("x[] + 0.5 * x[] + y[]", "1.5"),
    ],
)
def test_derivatives_are_simple(of: str, is_: str) -> None:
    assert text(derivative(body(of), X)) == is_


@pytest.mark.parametrize(
    ("of", "is_"),
    [
        ("exp(x[])", "y * o"),
        ("tanh(x[])", "y * (1 - o * o)"),
        ("sqrt(x[])", "0.5 * (y / o)"),
        ("1 / (1 + exp(0 - x[]))", "y * (o * (1 - o))"),
        ("max(x[], 0)", "select(less(0, o), y, 0)"),
        ("max(0, x[])", "select(less(0, o), y, 0)"),
        ("min(max(x[], 0), 6)", "select(less(0, o), select(less(o, 6), y, 0), 0)"),
    ],
)
def test_the_output_stands_in_for_the_input(of: str, is_: str) -> None:
    (found,) = adjoints(body(of), {"x"}, Y, OUT).values()
    assert text(found) == is_


def test_equal_operands_of_a_maximum_pass_what_arrives_once() -> None:
    larger = Apply("max", (X, Y))
    passed = adjoints(larger, {"x", "y"}, Constant(1.0))
    for point in ({"x": 1.0, "y": 1.0}, {"x": 1.0, "y": 2.0}, {"x": 2.0, "y": 1.0}):
        assert sum(value(one, point) for one in passed.values()) == 1


def test_the_logistic_function_stays_finite_where_its_exponential_does_not() -> None:
    slope = derivative(body("1 / (1 + exp(0 - x[]))"), X)
    assert value(slope, {"x": -800.0}) == value(slope, {"x": 800.0}) == 0
