"""A graph's nests in order: reshapes absorbed or made copies, and copies that need not be made left out."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tilework.compiler.gather import nests_of
from tilework.compiler.orders import in_order
from tilework.compiler.renaming import Statement, without_copies
from tilework.compiler.reshape import absorb, absorbs, copies
from tilework.network.graph import Graph, Tensor
from tilework.network.nest import Nest


@dataclass(frozen=True)
class Statements:
    """A graph's nests in order, every tensor that they touch, and the names of the graph's inputs and outputs."""

    items: tuple[Statement, ...]
    tensors: dict[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def ports(self) -> tuple[str, ...]:
        return (*self.inputs, *self.outputs)


def statements(graph: Graph, across: bool = True) -> Statements:
    """Every nest of the graph, reshapes absorbed into the contractions that read them or made copies.

    `across` nodes copies are left out that can be a view of another tensor, and tensors get the layout that suits all.
    """
    tensors = dict(graph.tensors)
    aliases = {n.name: n.inputs[0] for n in graph.nodes if graph.expansion(n).is_alias}
    wanted = _must_exist(graph, aliases)
    items: list[Statement] = []
    for node in graph.nodes:
        tensors |= {t.name: t for t in graph.temporaries(node)}
        if node.name in wanted:
            nests, between = copies(tensors[node.inputs[0]], tensors[node.name])
            tensors |= {t.name: t for t in between}
            items += [Statement(node, nest) for nest in nests]
        elif node.name not in aliases:
            absorbed = set(node.inputs) & (aliases.keys() - wanted)
            items += [Statement(node, _absorb(nest, absorbed, aliases, tensors)) for nest in nests_of(graph, node)]
    given = Statements(tuple(items), tensors, tuple(t.name for t in graph.inputs), graph.outputs)
    return _rearranged(given) if across else given


def _rearranged(given: Statements) -> Statements:
    left = without_copies(given.items, given.tensors, given.outputs)
    items, tensors = in_order(left, given.tensors, given.ports)
    return replace(given, items=items, tensors=tensors)


def _must_exist(graph: Graph, aliases: dict[str, str]) -> set[str]:
    """Aliases that must be made as tensors: outputs, and those that something reads and cannot absorb.

    A contraction absorbs one alias that it reads once: two reads would have to be split alike.
    """
    wanted = aliases.keys() & set(graph.outputs)
    for node in graph.nodes:
        read = aliases.keys() & set(node.inputs)
        for name in read:
            reads = [(n, a) for n in nests_of(graph, node) for a in n.reads if a.tensor == name]
            shapes = graph.tensors[aliases[name]].shape, graph.tensors[name].shape
            if len(reads) != 1 or len(read) > 1 or not absorbs(*reads[0], *shapes):
                wanted.add(name)
    return wanted


def _absorb(nest: Nest, absorbed: set[str], aliases: dict[str, str], tensors: dict[str, Tensor]) -> Nest:
    for access in nest.reads:
        if access.tensor in absorbed:
            nest = absorb(nest, access, tensors[aliases[access.tensor]], tensors[access.tensor].shape)
    return nest
