"""Activations by name: a function of one number, stated as an expression, from which everything else is derived.

A node of a registered activation is a `pointwise` node that carries the expression, so a graph says itself what it
computes: its text, its programs and other processes need no registration.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from tilework.errors import NetworkError
from tilework.network.attributes import check_attributes
from tilework.network.nest import Access, accesses, map_accesses
from tilework.network.operations import OPERATIONS
from tilework.network.text import parse_expression, print_expression

_FREE_NAME = re.compile(r"\b[A-Za-z_]\w*\b(?!\s*\()")


@dataclass(frozen=True)
class Activation:
    """An expression of one variable and of parameters, which have default values."""

    name: str
    expression: str
    variable: str
    parameters: Mapping[str, float]

    def attributes(self, given: tuple[tuple[str, Any], ...], inputs: int) -> tuple[tuple[str, Any], ...]:
        """The attributes of the `pointwise` node for some parameters, the others as registered.

        Raises NetworkError for another number of inputs than one, and for parameters that it doesn't have.
        """
        if inputs != 1:
            raise NetworkError(f"{self.name} takes one input, not {inputs} of them")
        check_attributes(self.name, self.parameters, given)
        return ("body", self.body({**self.parameters, **dict(given)})), ("what", self.name)

    def body(self, values: Mapping[str, float]) -> str:
        """The expression over x0, its parameters replaced by numbers."""
        body = parse_expression(self.expression, self.variable, values)
        return print_expression(map_accesses(body, {access: Access("x0", ()) for access in accesses(body)}))


ACTIVATIONS: dict[str, Activation] = {}


def activation(name: str, expression: str, **parameters: float) -> None:
    """Register an activation for every graph built from now on, by its expression alone.

        tw.activation("softsign", "x / (1 + abs(x))")
        tw.activation("elu", "select(less(0, x), x, alpha * (exp(x) - 1))", alpha=1.0)
        builder.node("act", "elu", "conv", alpha=0.5)

    The expression is in the notation of nests: + - * /, the scalar functions of `network.functions`, numbers, one
    variable under any name, and `parameters`, each with its default. The same may be registered again. Raises
    NetworkError for a name that is no identifier or is taken, and for an expression that isn't one of one variable.
    """
    made = Activation(name, expression, _variable(name, expression, parameters), _numbers(name, parameters))
    if not name.isidentifier() or not name.isascii():
        raise NetworkError(f"an activation's name must be a plain identifier, not {name!r}")
    if name in OPERATIONS or ACTIVATIONS.get(name, made) != made:
        raise NetworkError(f"an activation must have a name of its own, and {name} is taken; choose another one")
    made.body(made.parameters)
    ACTIVATIONS[name] = made


def _variable(name: str, expression: str, parameters: Mapping[str, float]) -> str:
    free = dict.fromkeys(found for found in _FREE_NAME.findall(expression) if found != "inf")
    if unused := [one for one in parameters if one not in free]:
        raise NetworkError(f"parameter {unused[0]} of {name} must stand in its expression {expression!r}")
    variables = [one for one in free if one not in parameters]
    if len(variables) != 1:
        came = " and ".join(variables) or "none"
        raise NetworkError(f"the expression of {name} must have one variable, not {came}: {expression!r}")
    return str(variables[0])


def _numbers(name: str, parameters: Mapping[str, float]) -> dict[str, float]:
    for key, value in parameters.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise NetworkError(f"parameter {key} of {name} must be a number, not {value!r}")
    return {key: float(value) for key, value in parameters.items()}
