"""Blocks of nests that go over the same rows, and over each several times: a softmax, a normalisation.

A row is reduced to a number with which all of it is worked on again. One tile has whole rows, so that what lies between
the nests of a block stays on chip.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from tilework.compiler.renaming import Statement
from tilework.network.nest import CONTRACTION, REDUCTION, Access, Affine, Nest

LONGEST = 12  # statements of a block


@dataclass
class Block:
    """Statements by their places, and their nests over the block's common loops."""

    places: list[int] = field(default_factory=list)
    nests: list[Nest] = field(default_factory=list)
    loops: dict[str, int] = field(default_factory=dict)

    def add(self, place: int, nest: Nest) -> bool:
        """Take a nest in, if what it reads of the block it reads where that was written."""
        names = self._names(nest)
        if names is None:
            return False
        values = {old: Affine(((new, 1),)) for old, new in names.items()}
        self.loops |= {names[old]: extent for old, extent in nest.loops}
        self.nests.append(nest.substitute(values, tuple((names[old], extent) for old, extent in nest.loops)))
        self.places.append(place)
        return True

    def _names(self, nest: Nest) -> dict[str, str] | None:
        """For each loop of a nest the one of the block that it is; None where the nest can't be in step with it."""
        names: dict[str, str] = {}
        made = {own.output.tensor: own.output for own in self.nests}
        for access in nest.reads:
            if access.tensor in made and not self._match(access, nest.extents, made[access.tensor], names):
                return None
        for old, extent in nest.loops:
            if old not in names:
                names[old] = self._free(old, extent, set(names.values()))
        return names

    def _match(self, access: Access, extents: dict[str, int], written: Access, names: dict[str, str]) -> bool:
        """Note which loops of an access are which of the one by which the tensor was written."""
        for read, made in zip(access.index, written.index, strict=True):
            if read.bounds(extents) == made.bounds(self.loops) == (0, 0):
                continue
            if len(read.terms) != 1 or len(made.terms) != 1 or read.offset or made.offset:
                return False
            (old, step), (new, stride) = read.terms[0], made.terms[0]
            if step != 1 or stride != 1 or extents[old] != self.loops[new] or names.setdefault(old, new) != new:
                return False
        return len(set(names.values())) == len(names)

    def _free(self, name: str, extent: int, taken: set[str]) -> str:
        """A loop of the block that is as long and not taken, the one of this name if it is such, else a new one."""
        same = [own for own, size in self.loops.items() if size == extent and own not in taken]
        if name in same or not same:
            while name in self.loops and name not in same:
                name += "_"
            return name
        return same[-1]


def find_blocks(statements: Sequence[Statement], kept: Collection[str], across: bool) -> list[Block]:
    """The longest blocks, each of which begins with a reduction and keeps to itself what it makes, but the result.

    The tensors in `kept` are results. Unless `across`, a block is of one node's statements.
    """
    readers = Counter(access.tensor for statement in statements for access in statement.nest.reads)
    users: dict[str, list[int]] = {}
    for place, statement in enumerate(statements):
        for access in statement.nest.reads:
            users.setdefault(access.tensor, []).append(place)
    blocks: list[Block] = []
    taken: set[int] = set()
    for place, statement in enumerate(statements):
        if place not in taken and statement.nest.kind == REDUCTION:
            block = _grow(statements, place, readers, users, kept, across, taken)
            if block:
                blocks.append(block)
                taken |= set(block.places)
    return blocks


def _grow(
    statements: Sequence[Statement],
    start: int,
    readers: Counter[str],
    users: dict[str, list[int]],
    kept: Collection[str],
    across: bool,
    taken: Collection[int],
) -> Block | None:
    """The longest closed block from a statement on, without those that another block has taken, if it has more than
    that and something is broadcast in it."""
    block, closed = Block(), 0
    block.add(start, statements[start].nest)
    waiting = set(users.get(statements[start].nest.output.tensor, ()))
    while waiting and len(block.places) < LONGEST:
        place = min(waiting)
        statement = statements[place]
        foreign = not across and statement.node is not statements[start].node
        if foreign or place in taken or statement.nest.kind == CONTRACTION or not block.add(place, statement.nest):
            break
        waiting = (waiting | set(users.get(statement.nest.output.tensor, ()))) - {place}
        if _closed(block, readers, kept):
            closed = len(block.places)
    if closed < len(block.places):
        places, block = block.places[:closed], Block()
        for place in places:
            block.add(place, statements[place].nest)
    return block if _broadcasts(block) else None


def _closed(block: Block, readers: Counter[str], kept: Collection[str]) -> bool:
    """Whether what all nests but the last make is read in the block alone."""
    inside = Counter(access.tensor for nest in block.nests for access in nest.reads)
    return all(
        nest.output.tensor not in kept and inside[nest.output.tensor] == readers[nest.output.tensor]
        for nest in block.nests[:-1]
    )


def _broadcasts(block: Block) -> bool:
    """Whether the result has a loop that something before it lacks: rows are gone through again."""
    return bool(block.nests) and any(block.nests[-1].output.loops() - nest.output.loops() for nest in block.nests)
