"""The layout of tensors of four axes, by the order in which a nest names their axes.

In memory they lie channels last (`axes.axis_order`), since images are read through windows and summed over channels.
Where the second axis is no channel but counts independent products (the heads of an attention, also where several share
an operand), that would put neighbours far apart. Such tensors get their axes renamed, so that they lie in memory in the
order in which the network names them; nothing after this knows of it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TypeVar

from tilework.compiler.axes import axis_order
from tilework.compiler.renaming import Statement
from tilework.network.graph import Tensor
from tilework.network.nest import CONTRACTION, Access, Nest, map_accesses

T = TypeVar("T")
RANK = 4


def in_order(
    statements: Sequence[Statement], tensors: dict[str, Tensor], kept: Collection[str]
) -> tuple[tuple[Statement, ...], dict[str, Tensor]]:
    """The statements and tensors with the axes renamed of those that are not to lie channels last; the `kept` ones,
    whose shapes others know, and weights stay as they are."""
    nests = [statement.nest for statement in statements]
    free = {name for name, t in tensors.items() if len(t.shape) == RANK and not t.is_weight and name not in kept} & {
        access.tensor for nest in nests for access in _touched(nest)
    }
    turned = _follow(nests, free, _by_products(nests, free, {name for name, t in tensors.items() if t.is_weight}))
    if not turned:
        return tuple(statements), tensors
    changed = {name: replace(tensors[name], shape=_turn(tensors[name].shape)) for name in turned}
    return tuple(replace(s, nest=_turned(s.nest, turned)) for s in statements), tensors | changed


def _by_products(nests: Sequence[Nest], free: set[str], weights: Collection[str]) -> dict[str, bool]:
    """For each tensor that a contraction or a window names, whether its second axis counts independent products in any
    of them; read through windows it is a channel all the same."""
    apart: dict[str, bool] = {}
    windows = set()
    for nest in nests:
        shared = set.intersection(*(access.loops() for access in _touched(nest)))
        for access in _touched(nest):
            if any(len(axis.terms) > 1 for axis in access.index[2:]):
                windows.add(access.tensor)
            if nest.kind == CONTRACTION:
                apart[access.tensor] = apart.get(access.tensor, False) or _counts(access, nest, shared, weights)
    return {name: apart.get(name, False) and name not in windows for name in free & (apart.keys() | windows)}


def _counts(access: Access, nest: Nest, shared: set[str], weights: Collection[str]) -> bool:
    """Whether the second axis of an access counts independent products, or groups of rows that share an operand, which
    the result then has as its second axis too."""
    if len(access.index) != RANK:
        return False
    loops = {name for name, _ in access.index[1].terms}
    alike = len(nest.output.index) == RANK and access.index[1] == nest.output.index[1]
    grouped = alike and not any(read.tensor in weights for read in nest.reads)
    return bool(loops) and (loops <= shared or (grouped and bool(loops & shared)))


def _follow(nests: Sequence[Nest], free: Collection[str], votes: dict[str, bool]) -> set[str]:
    """Tensors that no contraction names lie as those do with which they are worked on."""
    for nest in (*nests, *reversed(nests)):
        names = [access.tensor for access in _touched(nest) if access.tensor in free]
        known = [votes[name] for name in names if name in votes]
        if known:
            votes |= {name: all(known) for name in names if name not in votes}
    return {name for name, apart in votes.items() if apart}


def _touched(nest: Nest) -> tuple[Access, ...]:
    return (nest.output, *nest.reads)


def _turn(axes: tuple[T, ...]) -> tuple[T, ...]:
    """Axes so that the order in memory is that in which they were."""
    order = axis_order(RANK)
    return tuple(axes[order.index(axis)] for axis in range(RANK))


def _turned(nest: Nest, turned: Collection[str]) -> Nest:
    change = {a: replace(a, index=_turn(a.index)) for a in _touched(nest) if a.tensor in turned}
    return Nest(nest.loops, change.get(nest.output, nest.output), nest.update, map_accesses(nest.body, change))
