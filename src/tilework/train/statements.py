"""A graph as a list of statements over named tensors: what an engine binds, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from tilework.network.cover import region, region_size, union_size
from tilework.network.execute import comes_with_weights
from tilework.network.graph import Graph, Node, Tensor
from tilework.network.halves import HALVES
from tilework.network.nest import COPY, Access, Affine, Nest
from tilework.network.operations import Shape
from tilework.network.views import distinct


@dataclass(frozen=True)
class Statement:
    """One nest of a node; or, without a nest, a node that is an alias or the host's."""

    node: Node
    out: str
    reads: tuple[str, ...]
    nest: Nest | None = None
    is_alias: bool = False


@dataclass(frozen=True)
class Statements:
    """The statements on which a graph's outputs depend, and every tensor, those inside nodes too.

    A tensor inside a node of float16 or bfloat16 is float32. `writers` has each tensor's statements.
    """

    graph: Graph
    items: tuple[Statement, ...]
    tensors: Mapping[str, Tensor]

    @cached_property
    def writers(self) -> Mapping[str, Sequence[Statement]]:
        found: dict[str, list[Statement]] = {}
        for item in self.items:
            found.setdefault(item.out, []).append(item)
        return found

    @cached_property
    def fixed(self) -> frozenset[str]:
        """The tensors that neither inputs nor weights decide."""
        varying = {tensor.name for tensor in self.graph.sources}
        for item in self.items:
            if comes_with_weights(item.node) or not varying.isdisjoint(item.reads):
                varying.add(item.out)
        return frozenset(self.writers.keys() - varying)

    def starts_empty(self, name: str) -> bool:
        """Whether a tensor must hold the identity before its statements, as they leave places out or add to them."""
        nests = [item.nest for item in self.writers[name] if item.nest]
        if not nests:
            return False
        shape, assigned = self.tensors[name].shape, all(nest.update == "=" for nest in nests)
        if not all(_has_region(nest) for nest in nests) or not (
            assigned or distinct(nests[0].output, nests[0].parallel_loops)
        ):
            return True
        regions = [region(nest.output, nest.extents, shape) for nest in nests]
        return union_size(regions if assigned else regions[:1], shape) < region_size(None, shape)

    def is_view(self, item: Statement) -> bool:
        """Whether a nest's output is nothing but places of another tensor, which need not be copied."""
        nest, tensor = item.nest, self.tensors[item.out]
        if nest is None or nest.kind != COPY or not isinstance(nest.body, Access) or len(self.writers[item.out]) > 1:
            return False
        source = self.tensors[nest.body.tensor]
        inside = all(i.within(nest.extents, size) for i, size in zip(nest.body.index, source.shape, strict=True))
        return inside and source.dtype == tensor.dtype and is_whole(nest, tensor.shape)


def statements(graph: Graph) -> Statements:
    """The statements of a graph."""
    tensors, items = dict(graph.tensors), list[Statement]()
    for node in graph.nodes:
        for tensor in graph.temporaries(node):
            wide = "float32" if tensor.dtype in HALVES else tensor.dtype
            tensors[tensor.name] = Tensor(tensor.name, tensor.shape, wide)
        items += _statements_of(graph, node)
    return Statements(graph, tuple(_needed(items, graph.outputs)), tensors)


def _statements_of(graph: Graph, node: Node) -> Iterator[Statement]:
    nests = graph.nests(node)
    if not nests:
        yield Statement(node, node.name, node.inputs, is_alias=graph.expansion(node).is_alias)
    for nest in nests:
        yield Statement(node, nest.output.tensor, tuple(dict.fromkeys(a.tensor for a in nest.reads)), nest)


def _needed(items: Sequence[Statement], outputs: Iterable[str]) -> list[Statement]:
    wanted, kept = set(outputs), list[Statement]()
    for item in reversed(items):
        if item.out in wanted:
            kept.append(item)
            wanted.update(item.reads)
    return kept[::-1]


def is_whole(nest: Nest, shape: Shape) -> bool:
    """Whether a nest writes each place of a tensor of this shape once, a loop running along each axis."""
    loops = tuple(nest.extents)
    plain = tuple(Affine(((name, 1),)) for name in loops)
    return nest.output.index == plain and tuple(nest.extents.values()) == shape


def _has_region(nest: Nest) -> bool:
    """Whether no loop stands in two axes of the output."""
    names = [name for index in nest.output.index for name, _ in index.terms]
    return len(names) == len(set(names))
