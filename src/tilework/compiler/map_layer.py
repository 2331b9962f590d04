"""A layer of a network by its name: the group of nests that the compiler makes of it."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches

from tilework.compiler.fuse import fuse
from tilework.compiler.group import Group
from tilework.compiler.host import cut
from tilework.compiler.simplify import simplify
from tilework.errors import CompileError
from tilework.network.graph import Graph
from tilework.network.nest import CONTRACTION, COPY, ELEMENTWISE
from tilework.network.weights import Weights


def layer_group(graph: Graph, weights: Weights, name: str) -> Group:
    """The group that computes a node, as the compiler simplifies and fuses; of several the one with a contraction.

    A node that has become part of the next one, as a convolution does of its normalisation, is found there. Raises
    CompileError, which names the nearest names, if there is no such node, and if the node computes nothing by itself.
    """
    readers = {node.name: [other.name for other in graph.nodes if node.name in other.inputs] for node in graph.nodes}
    if name not in readers:
        near = get_close_matches(name, readers, 3, 0.4) or list(readers)[:3]
        raise CompileError(f"the layer must be a node of {graph.name}, not {name!r}; the nearest are {', '.join(near)}")
    segments = (segment for segment in cut(simplify(graph, weights).graph) if not segment.on_host)
    groups = [group for segment in segments for group in fuse(segment.graph)]
    node = name
    while True:
        found = [group for group in groups if node in group.nodes]
        if found:
            return _pointwise(next((group for group in found if group.main.kind == CONTRACTION), found[0]), node)
        if len(readers[node]) != 1:
            raise CompileError(f"{name} must be computed by the processor to be mapped, and is not; name another layer")
        node = readers[node][0]


def _pointwise(group: Group, node: str) -> Group:
    """The group without what isn't pointwise after its contraction, and all that follows: the node isn't among that."""
    outputs = {name for name, extent in group.main.parallel_loops if extent > 1}
    count = 1
    for nest in group.nests[1:]:
        if nest.kind not in (ELEMENTWISE, COPY) or {name for name, extent in nest.loops if extent > 1} != outputs:
            break
        count += 1
    nests = group.nests[:count]
    made = {nest.output.tensor.partition(":")[0] for nest in nests}
    if node not in made:
        raise CompileError(f"{node} must be a sum of products, or pointwise work after one, to be mapped; name another")
    nodes = tuple(name for name in group.nodes if name in made)
    return replace(group, nodes=nodes, operation="+".join(group.operation.split("+")[: len(nodes)]), nests=nests)
