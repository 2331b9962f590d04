"""Divisions by what stays the same along some of a nest's loops, as a softmax's by the sum of its row.

Its inverse is computed once for all of them, and they multiply: the vector unit does that in a fraction of the time.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from tilework.compiler.renaming import Statement
from tilework.compiler.statement import Statements
from tilework.network.graph import Tensor
from tilework.network.nest import ELEMENTWISE, Access, Affine, Apply, Constant, Nest, accesses

FEWEST = 8  # divisions by the same number that are worth a nest


def with_inverses(given: Statements) -> Statements:
    """The statements with each such division as two: an inverse, and a product with it.

    Only divisors that the same node makes count, so that all of it still shares a tile.
    """
    tensors, items = dict(given.tensors), list[Statement]()
    made = {statement.nest.output.tensor: statement.node for statement in given.items}
    for statement in given.items:
        found = _split(statement.nest)
        ours = found and all(made.get(a.tensor) is statement.node for a in accesses(found[0].body))
        for nest in found if found and ours else (statement.nest,):
            items.append(replace(statement, nest=nest))
        if found and ours:
            inverse = found[0]
            dtype = tensors[statement.nest.output.tensor].dtype
            shape = tuple(extent for _, extent in inverse.loops)
            tensors[inverse.output.tensor] = Tensor(inverse.output.tensor, shape, dtype)
    return replace(given, items=tuple(items), tensors=tensors)


def _split(nest: Nest) -> tuple[Nest, Nest] | None:
    """The nest of the inverses and that of the products; None where a nest isn't such a division."""
    body = nest.body
    if nest.kind != ELEMENTWISE or not isinstance(body, Apply) or body.function != "div":
        return None
    dividend, divisor = body.arguments
    inside = {name for access in accesses(divisor) for name in access.loops()}
    loops = tuple(loop for loop in nest.loops if loop[0] in inside)
    if not loops or isinstance(dividend, Constant) or prod(e for n, e in nest.loops if n not in inside) < FEWEST:
        return None
    inverse = Access(f"{nest.output.tensor}:inverse", tuple(Affine(((name, 1),)) for name, _ in loops))
    once = Nest(loops, inverse, "=", Apply("div", (Constant(1.0), divisor)))
    return once, replace(nest, body=Apply("mul", (dividend, inverse)))
