"""Which nests the processor runs: those that write each place once, whose indices grow, whose bodies it has."""

from __future__ import annotations

from tilework.compiler.gather import nests_of, writes_once
from tilework.isa.table import VECTOR_OF
from tilework.network.graph import Graph, Node
from tilework.network.nest import CONTRACTION, Access, Nest, applications


def why_not(graph: Graph, node: Node) -> str | None:
    """Why the processor doesn't run a node's nests; None if it does."""
    nests = nests_of(graph, node)
    for nest in nests:
        if any(_runs_backwards(access) for access in (nest.output, *nest.reads) if not _is_packed(graph, nest, access)):
            return "runs backwards through a tensor"
        if nest.kind == CONTRACTION:
            continue
        missing = [name for name in applications(nest.body) if name not in (*VECTOR_OF, "div", "select")]
        if missing:
            return f"applies {missing[0]}, for which there is no instruction"
        if nest.update != "=" and len(set(nest.reads)) > 1:
            return "reduces what it makes of several tensors"
    for tensor in (graph.tensors[node.name], *graph.temporaries(node)):
        own = [nest for nest in nests if nest.output.tensor == tensor.name]
        if own and not writes_once(own, tensor):
            return "writes a place of its value more than once, or not at all"
    return None


def _runs_backwards(access: Access) -> bool:
    return any(c < 0 for axis in access.index for _, c in axis.terms)


def _is_packed(graph: Graph, nest: Nest, access: Access) -> bool:
    """Whether it reads the weight of a contraction, which is laid out in the order in which it is read."""
    weights = [a for a in nest.reads if a.tensor in graph.tensors and graph.tensors[a.tensor].is_weight]
    return nest.kind == CONTRACTION and weights == [access] and access.pad is None
