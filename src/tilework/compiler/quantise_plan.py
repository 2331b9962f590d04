"""Which tensors are int8, and what number stands for what value.

What a product reads is int8, and so is what goes through DRAM. Three kinds of tensors are float32: the network's inputs
and outputs; what stays on chip, between a product and the elementwise nests behind it; and what is compared with its
own statistics, as by softmax and normalisations, where the error of eight bits would be that of the whole result.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from tilework.compiler.fuse import covers
from tilework.compiler.quantise_body import absorbs
from tilework.compiler.renaming import Statement
from tilework.compiler.statement import Statements
from tilework.network.nest import REDUCTION, Access, Nest

LARGEST = 127  # -128 stands for nothing, so that a value and its negative are equally exact


@dataclass(frozen=True)
class Kept:
    """How a tensor is kept: each number of this dtype stands for itself times the scale."""

    dtype: str
    scale: float = 1.0


FLOAT = Kept("float32")


def scale_of(largest: float) -> float:
    """The scale at which the largest absolute value is 127; 1 for a tensor of zeros."""
    return largest / LARGEST or 1.0


def plan(given: Statements, largest: Mapping[str, float], across: bool) -> dict[str, Kept]:
    """How every tensor but the weights is kept; `largest` has their largest absolute values.

    Unless nests are fused `across` nodes, what is between two nodes goes through DRAM.
    """
    return _Planner(given, largest, across).kept


class _Planner:
    def __init__(self, given: Statements, largest: Mapping[str, float], across: bool) -> None:
        self.given, self.largest, self.across = given, largest, across
        self.readers: dict[str, list[tuple[Statement, Access]]] = defaultdict(list)
        self.writers: dict[str, list[int]] = defaultdict(list)
        for place, statement in enumerate(given.items):
            self.writers[statement.nest.output.tensor].append(place)
            for access in statement.nest.reads:
                self.readers[access.tensor].append((statement, access))
        self.kept: dict[str, Kept] = dict.fromkeys(given.ports, FLOAT)
        for name in self.writers:
            self.kept.setdefault(name, self.first(name))
        for name in reversed(self.writers):
            if self.kept[name].dtype == "float32" and self.stays(name) and self.nests(name)[0].kind != REDUCTION:
                self.kept[name] = self.followed(name)

    def nests(self, name: str) -> list[Nest]:
        return [self.given.items[place].nest for place in self.writers[name]]

    def first(self, name: str) -> Kept:
        """What a tensor is kept as, were it not for the scales of tensors that are made from it."""
        pads = [abs(access.pad) for _, access in self.readers[name] if access.pad and isfinite(access.pad)]
        most = max(self.largest[name], *pads, 0.0)
        same = self.moved(name)
        if same is not None and most <= LARGEST * same.scale:
            return same
        if self.is_temporary(name) or self.stays(name) or self.compared(name) or not isfinite(most):
            return natural(self.nests(name)[0], self.kept)
        return Kept("int8", scale_of(most))

    def is_temporary(self, name: str) -> bool:
        """Whether a tensor is one inside a node."""
        return any(name.startswith(f"{self.given.items[place].node.name}:") for place in self.writers[name])

    def moved(self, name: str) -> Kept | None:
        """As what an int8 tensor is kept whose numbers are all some of another one's."""
        sources = set()
        for nest in self.nests(name):
            if not isinstance(nest.body, Access) or nest.update == "+=":
                return None
            sources.add(self.kept.get(nest.body.tensor, FLOAT))
        return sources.pop() if len(sources) == 1 and FLOAT.dtype not in {s.dtype for s in sources} else None

    def stays(self, name: str) -> bool:
        """Whether a tensor is on chip only: one elementwise nest reads it, place by place, and joins its group."""
        if name in self.given.ports or len(self.readers[name]) != 1 or len(self.writers[name]) != 1:
            return False
        reader, access = self.readers[name][0]
        (place,) = self.writers[name]
        if not self.across and reader.node is not self.given.items[place].node:
            return False
        made = [self.writers[a.tensor][-1] for a in reader.nest.reads if a.tensor in self.writers]
        return max(made) == place and covers(reader.nest, access, self.given.tensors[name].shape)

    def compared(self, name: str) -> bool:
        """Whether a node that makes something of a tensor then reads both."""
        nests: dict[str, list[Nest]] = defaultdict(list)
        for statement, _ in self.readers[name]:
            nests[statement.node.name].append(statement.nest)
        return any(self.meets(name, own) for own in nests.values() if len(own) > 1)

    def meets(self, name: str, nests: list[Nest]) -> bool:
        own = {nest.output.tensor for nest in nests}
        others = {a.tensor for nest in nests for a in nest.reads if a.tensor in self.writers} - {name}
        return any(self.comes_from(other, own) for other in others)

    def comes_from(self, name: str, own: set[str]) -> bool:
        """Whether a tensor is one of these or, within their node, made from one."""
        if name in own:
            return True
        node = self.given.items[self.writers[name][0]].node
        made = [a.tensor for nest in self.nests(name) for a in nest.reads if a.tensor in self.writers]
        inside = [source for source in made if self.given.items[self.writers[source][0]].node is node]
        return any(self.comes_from(source, own) for source in inside)

    def followed(self, name: str) -> Kept:
        """In float32, but in the unit of what is made from it, if that saves a multiplication."""
        reader, access = self.readers[name][0]
        unit = self.kept[reader.nest.output.tensor].scale
        return Kept("float32", unit if absorbs(reader.nest.body, lambda a: a == access or self.has_unit(a)) else 1.0)

    def has_unit(self, access: Access) -> bool:
        return access.tensor not in self.kept or self.kept[access.tensor].scale != 1.0


def natural(nest: Nest, kept: Mapping[str, Kept]) -> Kept:
    """What a nest makes of its operands as they are, in float32: a sum or a maximum keeps their scale."""
    if nest.update != "=" and isinstance(nest.body, Access):
        return Kept("float32", kept.get(nest.body.tensor, FLOAT).scale)
    return FLOAT
