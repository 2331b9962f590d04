"""Copies that need not be made: what is another tensor, or a part of one, under an affine map is used right there.

A slice, a transpose or a reshape reads its source instead; a part of a concatenation is written where it belongs. The
map is that of the copy's own nest, so nothing here knows one operation from another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod

from tilework.network.graph import Node, Tensor
from tilework.network.nest import CONTRACTION, COPY, Access, Affine, Nest, map_accesses


@dataclass(frozen=True)
class Statement:
    """A nest with the node that it belongs to."""

    node: Node
    nest: Nest


@dataclass(frozen=True)
class _View:
    """A tensor as seen in another: the `index` there of its element at axis0, axis1, …"""

    tensor: Tensor
    host: Tensor
    index: tuple[Affine, ...]

    def access(self, old: Access, extents: dict[str, int]) -> Access | None:
        """An access to the host instead of the tensor; None where it would read something else than a pad value."""
        for axis, index in enumerate(old.index):
            if not (index.within(extents, self.tensor.shape[axis]) or self._same_border(axis)):
                return None
        values = {f"axis{axis}": index for axis, index in enumerate(old.index)}
        return Access(self.host.name, tuple(index.substitute(values) for index in self.index), old.pad)

    def _same_border(self, axis: int) -> bool:
        """Whether an index leaves the tensor along an axis where it leaves the host."""
        alone = Affine(((f"axis{axis}", 1),))
        return alone in self.index and self.host.shape[self.index.index(alone)] == self.tensor.shape[axis]


def without_copies(
    statements: Sequence[Statement], tensors: dict[str, Tensor], kept: Iterable[str]
) -> tuple[Statement, ...]:
    """The statements without those copies that can be a view; the `kept` tensors are made as they are."""
    return _Renaming(statements, tensors, set(kept)).run()


class _Renaming:
    def __init__(self, statements: Sequence[Statement], tensors: dict[str, Tensor], kept: set[str]) -> None:
        self.statements: list[Statement | None] = list(statements)
        self.tensors = tensors
        self.users: defaultdict[str, set[int]] = defaultdict(set)
        self.writers: defaultdict[str, int] = defaultdict(int)
        for place, statement in enumerate(statements):
            self.writers[statement.nest.output.tensor] += 1
            for name in _touched(statement.nest):
                self.users[name].add(place)
        made = {s.nest.output.tensor for s in statements}
        self.kept = kept | (tensors.keys() - made)

    def run(self) -> tuple[Statement, ...]:
        for place, statement in enumerate(self.statements):
            if statement and statement.nest.kind == COPY and isinstance(statement.nest.body, Access):
                self.try_copy(place, statement.nest.output, statement.nest.body)
        return tuple(statement for statement in self.statements if statement)

    def try_copy(self, place: int, target: Access, source: Access) -> None:
        to, of = self.tensors[target.tensor], self.tensors[source.tensor]
        statement = self.statements[place]
        assert statement is not None
        extents = statement.nest.extents
        if to.dtype != of.dtype or of.is_weight or source.tensor == target.tensor or not _inside(source, of, extents):
            return
        if to.name not in self.kept and self.writers[to.name] == 1:
            view = _view(to, target, of, source, extents)
            if view and self.rename(place, view):
                return
        if of.name not in self.kept:
            view = _view(of, source, to, target, extents)
            if view:
                self.rename(place, view)

    def rename(self, place: int, view: _View) -> bool:
        """Have everyone but the copy use the view's host, if all can."""
        changed = {}
        for user in self.users[view.tensor.name] - {place}:
            statement = self.statements[user]
            if statement:
                nest = _through(statement.nest, view)
                if nest is None:
                    return False
                changed[user] = replace(statement, nest=nest)
        for user, statement in changed.items():
            self.statements[user] = statement
        self.users[view.host.name] |= changed.keys()
        self.writers[view.host.name] += self.writers[view.tensor.name] - 1
        self.statements[place] = None
        return True


def _touched(nest: Nest) -> set[str]:
    return {nest.output.tensor, *(access.tensor for access in nest.reads)}


def _through(nest: Nest, view: _View) -> Nest | None:
    """The nest with the view's host in its tensor's place."""
    change = {a: view.access(a, nest.extents) for a in (nest.output, *nest.reads) if a.tensor == view.tensor.name}
    found = {old: new for old, new in change.items() if new is not None}
    if len(found) < len(change) or any(_gaps(new, nest) > _gaps(old, nest) for old, new in found.items()):
        return None
    output = found.get(nest.output, nest.output)
    seen = Nest(nest.loops, output, nest.update, map_accesses(nest.body, found))
    return seen if nest.kind != CONTRACTION or _multiplies(seen) else None


def _gaps(access: Access, nest: Nest) -> int:
    """Along how many axes several loops leave places out: a tile would hold what others still have to write."""
    spans = ((axis, axis.bounds(nest.extents)) for axis in access.index if len(axis.terms) > 1)
    return sum(high - low + 1 > prod(nest.extents[name] for name, _ in axis.terms) for axis, (low, high) in spans)


def _multiplies(nest: Nest) -> bool:
    """Whether a nest is a contraction of which each loop moves two operands, as the matrix unit wants it."""
    accesses = (nest.output, *nest.reads)
    moved = (sum(name in access.loops() for access in accesses) for name, extent in nest.loops if extent > 1)
    return nest.kind == CONTRACTION and all(number > 1 for number in moved)


def _view(tensor: Tensor, own: Access, host: Tensor, there: Access, extents: dict[str, int]) -> _View | None:
    """The tensor as a view of the host, if a copy goes through it place by place; extents of 1 need no loop."""
    values: dict[str, Affine] = {}
    for axis, (index, size) in enumerate(zip(own.index, tensor.shape, strict=True)):
        if not index.terms and index.offset == 0 and size == 1:
            continue
        loop = index.terms[0][0] if index.terms else ""
        if index != Affine(((loop, 1),)) or extents[loop] != size or loop in values:
            return None
        values[loop] = Affine(((f"axis{axis}", 1),))
    if there.loops() - values.keys():
        return None
    return _View(tensor, host, tuple(index.substitute(values) for index in there.index))


def _inside(access: Access, tensor: Tensor, extents: dict[str, int]) -> bool:
    return all(index.within(extents, size) for index, size in zip(access.index, tensor.shape, strict=True))
