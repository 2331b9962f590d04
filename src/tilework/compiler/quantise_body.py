"""Bodies under other units: an expression's value times a number, with as few operations as the expression allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import isclose

from tilework.network.nest import Access, Apply, Constant, Expression

TOGETHER = ("add", "sub", "max", "min")  # a positive factor of all arguments is one of the value

Absorbing = Callable[[Access], bool]
Reweigh = Callable[[Access, float], Access]


def product(expression: Expression, factor: float) -> Expression:
    """The expression times a number, as one multiplication or none more."""
    if isinstance(expression, Apply) and expression.function == "mul":
        left, right = expression.arguments
        for constant, other in ((left, right), (right, left)):
            if isinstance(constant, Constant):
                return product(other, constant.value * factor)
    return expression if isclose(factor, 1.0, rel_tol=1e-12) else Apply("mul", (expression, Constant(factor)))


def in_units(expression: Expression, unit: Callable[[str], float]) -> Expression:
    """The expression of tensors whose numbers stand for themselves times `unit` of their name."""
    if isinstance(expression, Access):
        scale = unit(expression.tensor)
        pad = None if expression.pad is None else expression.pad / scale
        return product(replace(expression, pad=pad), scale)
    if isinstance(expression, Apply):
        within = Apply(expression.function, tuple(in_units(argument, unit) for argument in expression.arguments))
        return product(within, 1.0)
    return expression


def absorbs(expression: Expression, leaf: Absorbing) -> bool:
    """Whether a positive factor can go into an expression without another operation; `leaf` tells it of accesses."""
    if isinstance(expression, Constant):
        return True
    if isinstance(expression, Access):
        return leaf(expression)
    function, arguments = expression.function, expression.arguments
    if function in TOGETHER:
        return all(absorbs(argument, leaf) for argument in arguments)
    if function == "mul":
        return any(absorbs(argument, leaf) for argument in arguments)
    if function == "div":
        return absorbs(arguments[0], leaf) or isinstance(arguments[1], Constant)
    if function == "select":
        return all(absorbs(argument, leaf) for argument in arguments[1:])
    return function == "abs" and absorbs(arguments[0], leaf)


def scaled(expression: Expression, factor: float, leaf: Absorbing, reweigh: Reweigh) -> Expression:
    """The expression times a positive number; `reweigh` gives an access of which `leaf` holds under that factor."""
    if isinstance(expression, Constant):
        return Constant(expression.value * factor)
    if isclose(factor, 1.0, rel_tol=1e-12):
        return expression
    if not absorbs(expression, leaf):
        return product(expression, factor)
    if isinstance(expression, Access):
        return reweigh(expression, factor)
    return _inside(expression, factor, leaf, reweigh)


def _inside(expression: Apply, factor: float, leaf: Absorbing, reweigh: Reweigh) -> Expression:
    function, arguments = expression.function, list(expression.arguments)
    if function == "div" and not absorbs(arguments[0], leaf) and isinstance(arguments[1], Constant):
        return product(arguments[0], factor / arguments[1].value)
    places = {"div": (0,), "select": (1, 2)}.get(function, range(len(arguments)))
    if function == "mul":
        places = (next(place for place, argument in enumerate(arguments) if absorbs(argument, leaf)),)
    for place in places:
        arguments[place] = scaled(arguments[place], factor, leaf, reweigh)
    ones = [a for a in arguments if isinstance(a, Constant) and isclose(a.value, 1.0, rel_tol=1e-12)]
    if function == "mul" and ones:
        arguments.remove(ones[0])
        return arguments[0]
    return Apply(function, tuple(arguments))
