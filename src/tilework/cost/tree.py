"""The tree of modules that tables and pictures show: sums for the modules, siblings that are alike as one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tilework.cost.record import INTEGERS, MODULE, Row, total

if TYPE_CHECKING:
    from tilework.cost.count import Count

DEEPEST = 64  # levels; a path with more keeps what is left of it as one name
NUMBERED = re.compile(r"(.*?)(\d{1,9})", re.ASCII | re.DOTALL)


@dataclass(frozen=True)
class Branch:
    """A row, or a module with its branches below it and a row that sums them.

    `times` numbered siblings in succession that are alike stand here as one, from `label` to `last`; then `row` and
    the branches below are those of the first of them. `kind` is the same number for branches that are alike.
    """

    label: str
    row: Row
    children: tuple[Branch, ...] = ()
    times: int = 1
    last: str = ""
    kind: int = 0

    @property
    def size(self) -> int:
        """The number of branches, this one among them."""
        return 1 + sum(child.size for child in self.children)

    def walk(self, above: int = 1) -> Iterator[tuple[Branch, int]]:
        """This branch and all below it in order, each with how many of it there are in the network."""
        yield self, above * self.times
        for child in self.children:
            yield from child.walk(above * self.times)


def tree(count: Count, fold: bool = True) -> Branch:
    """The network as a branch, a module where its first row stood; `fold` lets alike siblings stand as one.

    Siblings are alike where all that a row holds is the same but the numbers at the end of the siblings' own names
    follow each other: layers.0, layers.1, …. They are folded where that saves two lines at least.
    """
    rows = [(_path(row), row) for row in count.rows]
    return _module(count.network, "", rows, 0, {}, fold)


def flat(count: Count) -> Branch:
    """The network and its rows under their full names, without modules."""
    children = tuple(Branch(row.name, row) for row in count.rows)
    return Branch(count.network, _sum(count.network, count.rows), children)


def _path(row: Row) -> tuple[str, ...]:
    path = row.path
    return path if len(path) <= DEEPEST else (*path[: DEEPEST - 1], ".".join(path[DEEPEST - 1 :]))


def _sum(name: str, rows: Sequence[Row], module: str = "") -> Row:
    shape = rows[-1].output_shape if rows else None
    layers = sum(row.layers for row in rows)
    numbers = total(rows).numbers()
    return Row(name=name, operation=MODULE, module=module, output_shape=shape, layers=layers, **numbers)


Placed = tuple[tuple[str, ...], Row]


def _module(label: str, path: str, rows: Sequence[Placed], level: int, kinds: dict[object, int], fold: bool) -> Branch:
    """The branch of the rows below the module at `path`; `kinds` numbers what has been seen so far."""
    items: dict[tuple[bool, str], list[Placed]] = {}
    for names, row in rows:
        leaf = len(names) == level + 1
        items.setdefault((leaf, row.name if leaf else names[level]), []).append((names, row))
    children = []
    for (leaf, name), placed in items.items():
        if leaf:
            children += [_leaf(names[level], row, kinds) for names, row in placed]
        else:
            below = f"{path}.{name}" if path else name
            children.append(_module(name, below, placed, level + 1, kinds, fold))
    row = _sum(path or label, [child.row for child in children], path.rpartition(".")[0])
    kind = kinds.setdefault(tuple((child.label, child.kind) for child in children), len(kinds))
    return Branch(label, row, tuple(_folded(children) if fold else children), kind=kind)


def _leaf(label: str, row: Row, kinds: dict[object, int]) -> Branch:
    numbers = tuple(getattr(row, name) for name in INTEGERS)
    other = tuple(row.other_operations.items())
    alike = (row.operation, row.layers, row.input_shapes, row.output_shape, numbers, other)
    return Branch(label, row, kind=kinds.setdefault(alike, len(kinds)))


def _folded(siblings: Sequence[Branch]) -> Iterator[Branch]:
    start = 0
    for end in range(1, len(siblings) + 1):
        if end < len(siblings) and _follows(siblings[end - 1], siblings[end]):
            continue
        run = siblings[start:end]
        start = end
        if (len(run) - 1) * run[0].size >= 2:
            yield replace(run[0], times=len(run), last=run[-1].label)
        else:
            yield from run


def _follows(one: Branch, other: Branch) -> bool:
    a, b = NUMBERED.fullmatch(one.label), NUMBERED.fullmatch(other.label)
    if one.kind != other.kind or a is None or b is None:
        return False
    return a[1] == b[1] and int(a[2]) + 1 == int(b[2])
