"""Values of what runs on the host, for the kinds of work whose meaning a graph states whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tilework.errors import NetworkError
from tilework.network.graph import Node, Tensor
from tilework.network.host_rules import RULES
from tilework.network.matrices import Array

Value = Callable[[Node, Sequence[Array], Tensor], Array]


def host_value(node: Node, inputs: Sequence[Array], result: Tensor) -> Array:
    """The value of a node that has one, of the result's dtype. Raises NetworkError for indices of no place."""
    if how := _how(node):
        name, *numbers = how.split()
        try:
            with np.errstate(all="ignore"):
                found = RULES[name](inputs, list(map(_number, numbers)), result.shape)
        except (IndexError, ValueError) as error:
            raise NetworkError(f"what {node.name} takes must fit together, which it does not: {error}") from None
        return found.astype(result.dtype, copy=False)
    return VALUES[node.label](node, inputs, result).astype(result.dtype, copy=False)


def has_value(node: Node) -> bool:
    """Whether a rule says what a node of the host computes."""
    return node.operation == "host" and (node.label in VALUES or _how(node).partition(" ")[0] in RULES)


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _how(node: Node) -> str:
    return str(dict(node.attributes).get("how", ""))


def _embedding(node: Node, inputs: Sequence[Array], result: Tensor) -> Array:
    """Rows of the table, by number."""
    ids, table = inputs
    if ids.min() < 0 or ids.max() >= len(table):
        raise NetworkError(
            f"what {node.name} looks up must lie in 0..{len(table) - 1}, not in {ids.min()}..{ids.max()}"
        )
    rows: Array = table[ids]
    return rows


def _sequence(node: Node, inputs: Sequence[Array], result: Tensor) -> Array:
    """The arithmetic sequence that the attribute `sequence` states: its first number and its step."""
    first, step = dict(node.attributes)["sequence"]
    numbers: Array = first + step * np.arange(result.elements)
    return numbers


VALUES: dict[str, Value] = {"embedding": _embedding, "constant": _sequence}
