"""The derivative of a nest's scalar body, as another body: reverse mode over the closed list of functions.

A rule says what a function passes on to its arguments of the gradient that arrives at its value. Where a function is
not differentiable one side's derivative is taken: max(x, 0) has 0 at 0, as in torch; between two equal operands of
max and min the second passes everything, the bounds of a clip nothing; abs has 0 at 0.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from math import pi, sqrt

from tilework.network.functions import FUNCTIONS
from tilework.network.nest import Access, Apply, Constant, Expression, accesses

Arguments = tuple[Expression, ...]
Rule = Callable[[Arguments, Expression, Expression], Arguments]  # (arguments, value, arriving) -> passed on to each

ZERO, ONE, TWO = Constant(0.0), Constant(1.0), Constant(2.0)


def derivative(expression: Expression, access: Access) -> Expression:
    """The derivative of an expression with respect to one access, simplified; equal accesses are one variable."""
    return adjoints(expression, {access.tensor}, ONE).get(access, ZERO)


def adjoints(
    expression: Expression, tensors: Collection[str], arriving: Expression, value: Access | None = None
) -> Mapping[Access, Expression]:
    """What each access to the tensors gets of the gradient that arrives at an expression; those that get 0 are absent.

    `value` is an access that holds the expression's value, where there is one: max(x, 0) then needs no x.
    """
    found: dict[Access, Expression] = {}

    def walk(node: Expression, arriving: Expression, value: Access | None) -> None:
        if isinstance(node, Access) and node.tensor in tensors:
            found[node] = plus(found.get(node, ZERO), arriving)
        if not isinstance(node, Apply) or not any(a.tensor in tensors for a in accesses(node)):
            return
        inside = value if node.function in CHOICES else None
        for argument, passed in zip(*_step(node, arriving, value or node), strict=True):
            if passed != ZERO:
                walk(argument, passed, inside)

    walk(expression, arriving, value)
    return {access: _signed(total) for access, total in found.items() if total != ZERO}


def _step(node: Apply, arriving: Expression, value: Expression) -> tuple[Arguments, Arguments]:
    """The expressions that a function passes a gradient on to, and what each gets."""
    exponent = _exponent(node)
    if exponent is not None:  # v = 1 / (1 + exp(e)) has dv/de = -v (1 - v): no second exponential, no overflow
        return (exponent,), (negative(times(arriving, times(value, minus(ONE, value)))),)
    return node.arguments, RULES[node.function](node.arguments, value, arriving)


def _exponent(node: Apply) -> Expression | None:
    """e where the node is 1 / (1 + exp(e)), the logistic function."""
    below = node.arguments[-1]
    if node.function != "div" or node.arguments[0] != ONE or not isinstance(below, Apply):
        return None
    if below.function != "add" or ONE not in below.arguments:
        return None
    other = below.arguments[below.arguments[0] == ONE]
    return other.arguments[0] if isinstance(other, Apply) and other.function == "exp" else None


def _coefficient(expression: Expression) -> tuple[float, Expression]:
    """The expression as a constant and what it multiplies."""
    if isinstance(expression, Constant):
        return expression.value, ONE
    if isinstance(expression, Apply) and expression.function == "mul" and isinstance(expression.arguments[0], Constant):
        return expression.arguments[0].value, expression.arguments[1]
    return 1.0, expression


def _scaled(coefficient: float, rest: Expression) -> Expression:
    if coefficient == 0 or rest == ONE:
        return Constant(coefficient)
    return rest if coefficient == 1 else Apply("mul", (Constant(coefficient), rest))


def times(a: Expression, b: Expression) -> Expression:
    """a * b with constants gathered in front, none of them 1."""
    if ZERO in (a, b):
        return ZERO
    (m, left), (n, right) = _coefficient(a), _coefficient(b)
    both = right if left == ONE else left if right == ONE else Apply("mul", (left, right))
    return _scaled(m * n, both)


def over(a: Expression, b: Expression) -> Expression:
    """a / b, likewise."""
    (m, left), (n, right) = _coefficient(a), _coefficient(b)
    if ZERO in (a, b):
        return Apply("div", (a, b)) if b == ZERO else ZERO
    if left == right:
        return Constant(m / n)
    if left == ONE:
        return Apply("div", (Constant(m / n), right))
    return _scaled(m / n, left if right == ONE else Apply("div", (left, right)))


def plus(a: Expression, b: Expression) -> Expression:
    """a + b without adding 0; what has a negative coefficient is subtracted."""
    if ZERO in (a, b):
        return b if a == ZERO else a
    (m, left), (n, right) = _coefficient(a), _coefficient(b)
    if left == right:
        return _scaled(m + n, left)
    if n < 0:
        return Apply("sub", (a, _scaled(-n, right)))
    return Apply("sub", (b, _scaled(-m, left))) if m < 0 else Apply("add", (a, b))


def negative(a: Expression) -> Expression:
    return times(Constant(-1.0), a)


def minus(a: Expression, b: Expression) -> Expression:
    return plus(a, negative(b))


def chosen(condition: Expression, a: Expression, b: Expression) -> Expression:
    """a where the condition holds, else b."""
    return a if a == b else Apply("select", (condition, a, b))


def _power(base: Expression, exponent: Expression) -> Expression:
    if exponent in (ZERO, ONE):
        return base if exponent == ONE else ONE
    return Apply("pow", (base, exponent))


def _signed(expression: Expression) -> Expression:
    """-1 * e written as 0 - e."""
    if not isinstance(expression, Apply):
        return expression
    arguments = tuple(map(_signed, expression.arguments))
    if expression.function == "mul" and arguments[0] == Constant(-1.0):
        return Apply("sub", (ZERO, arguments[1]))
    return Apply(expression.function, arguments)


def _extreme(largest: bool) -> Rule:
    """max or min. Of an operand and the result that stands for the other one, only the result need be kept."""

    def beyond(a: Expression, b: Expression) -> Expression:
        return Apply("less", (b, a) if largest else (a, b))

    def rule(arguments: Arguments, value: Expression, arriving: Expression) -> Arguments:
        first, second = arguments
        held = value if isinstance(value, Access) else None
        if isinstance(first, Constant):
            wins = beyond(held or second, first)
            return chosen(wins, ZERO, arriving), chosen(wins, arriving, ZERO)
        wins = beyond(held or first, second)
        return chosen(wins, arriving, ZERO), chosen(wins, ZERO, arriving)

    return rule


def _absolute(arguments: Arguments, value: Expression, arriving: Expression) -> Arguments:
    below = chosen(Apply("less", (arguments[0], ZERO)), negative(arriving), ZERO)
    return (chosen(Apply("less", (ZERO, arguments[0])), arriving, below),)


def _pow(arguments: Arguments, value: Expression, arriving: Expression) -> Arguments:
    base, exponent = arguments
    to_base = times(arriving, times(exponent, _power(base, minus(exponent, ONE))))
    return to_base, times(arriving, times(value, Apply("log", (base,))))


def _flat(arguments: Arguments, value: Expression, arriving: Expression) -> Arguments:
    return (ZERO,) * len(arguments)


def _erf(arguments: Arguments, value: Expression, arriving: Expression) -> Arguments:
    bell = Apply("exp", (_signed(negative(times(arguments[0], arguments[0]))),))
    return (times(arriving, times(Constant(2 / sqrt(pi)), bell)),)


CHOICES = ("max", "min", "select")  # their value is that of the argument which the gradient goes to

RULES: dict[str, Rule] = {
    "add": lambda a, v, d: (d, d),
    "sub": lambda a, v, d: (d, negative(d)),
    "mul": lambda a, v, d: (times(d, a[1]), times(d, a[0])) if a[0] != a[1] else (times(times(TWO, d), a[0]), ZERO),
    "div": lambda a, v, d: (over(d, a[1]), negative(over(times(d, v), a[1]))),
    "max": _extreme(largest=True),
    "min": _extreme(largest=False),
    "pow": _pow,
    "exp": lambda a, v, d: (times(d, v),),
    "log": lambda a, v, d: (over(d, a[0]),),
    "sqrt": lambda a, v, d: (over(times(Constant(0.5), d), v),),
    "tanh": lambda a, v, d: (times(d, minus(ONE, times(v, v))),),
    "erf": _erf,
    "sin": lambda a, v, d: (times(d, Apply("cos", a)),),
    "cos": lambda a, v, d: (negative(times(d, Apply("sin", a))),),
    "abs": _absolute,
    "select": lambda a, v, d: (ZERO, chosen(a[0], d, ZERO), chosen(a[0], ZERO, d)),
    **{name: _flat for name in FUNCTIONS if name in ("floor", "round", "less", "equal", "and", "or", "not")},
}
