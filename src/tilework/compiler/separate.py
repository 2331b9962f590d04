"""Nests that the processor doesn't run as they are, as two: one makes the terms, the other puts them together.

The processor's reductions read one tensor, so what a body makes of several is a tensor of its own first. So it is where
a nest, as the gradient of a pooling, adds into overlapping places or leaves some out: along the loops that reach around
a place the terms then lie backwards, so that `gather` reads them forwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

from tilework.compiler.gather import writes_once
from tilework.compiler.runnable import why_not
from tilework.network.graph import FLOATING_BYTES, Graph, Node, Tensor
from tilework.network.nest import CONTRACTION, Access, Affine, Nest, map_accesses
from tilework.network.parts import apart, nest_node

MOST_AXES = 8  # of a tensor


def separated(graph: Graph) -> Graph:
    """The graph with those nodes taken apart that the processor runs only then."""
    refused = [node for node in graph.nodes if _computes(graph, node) and why_not(graph, node)]
    parts = {node.name: tuple(_separate(graph, node)) for node in refused}
    trial = _replaced(graph, parts)
    runs = {name: made for name, made in parts.items() if not any(why_not(trial, part) for part in made)}
    return _replaced(graph, runs)


def _computes(graph: Graph, node: Node) -> bool:
    return not graph.expansion(node).on_host and graph.tensors[node.name].dtype in FLOATING_BYTES


def _replaced(graph: Graph, parts: Mapping[str, Sequence[Node]]) -> Graph:
    nodes = [part for node in graph.nodes for part in parts.get(node.name, (node,))]
    return graph.replace(graph.sources, nodes, graph.outputs) if parts else graph


def _separate(graph: Graph, node: Node) -> Iterator[Node]:
    """The node's parts, those whose nest doesn't run as two: its terms, and what puts them together."""
    tensors = graph.tensors | {tensor.name: tensor for tensor in graph.temporaries(node)}
    for part in apart(graph, node):
        tensor = tensors[part.name]
        first, *others = (nest for nest in graph.nests(node) if nest.output.tensor == tensor.name)
        if others or _runs(first, tensor) or len(first.loops) > MOST_AXES:
            yield part
            continue
        around = () if writes_once([first], tensor) else _around(first)
        first = _without_single(first, around)
        if not isinstance(first.body, Access):
            terms = replace(tensor, name=f"{tensor.name}:terms", shape=tuple(extent for _, extent in first.loops))
            tensors[terms.name] = terms
            made, first = _in_two(first, terms, around)
            yield nest_node(terms, made, tensors, node.label, node.module)
        adds = first.update == "=" and not writes_once([first], tensor)
        whole = replace(first, update="+=") if adds else first  # to 0, where nothing else is written
        yield nest_node(tensor, [whole], tensors, node.label, node.module)


def _runs(nest: Nest, tensor: Tensor) -> bool:
    """Whether the processor computes a nest that makes a tensor alone, or `gather` helps."""
    one = nest.update == "=" or len(set(nest.reads)) < 2
    return nest.kind == CONTRACTION or (one and writes_once([nest], tensor))


def _around(nest: Nest) -> tuple[str, ...]:
    """The loops that reach around a place of the output: along an axis all but the first."""
    return tuple(name for axis in nest.output.index for name, _ in axis.terms[1:])


def _without_single(nest: Nest, around: Sequence[str]) -> Nest:
    """Without the loops around a place that run once."""
    single = {name for name in around if nest.extents[name] == 1}
    return nest.substitute(dict.fromkeys(single, Affine()), tuple(loop for loop in nest.loops if loop[0] not in single))


def _in_two(nest: Nest, terms: Tensor, reaching: Sequence[str]) -> tuple[tuple[Nest, ...], Nest]:
    """The nests that make the terms, an axis for each loop, and the one that puts them together.

    Indices must grow, so there is a nest of terms for each iteration of the loops along which they lie backwards, those
    that reach around a place.
    """
    around = {name: nest.extents[name] for name in reaching if name in nest.extents}
    whole = {name: Affine(((name, 1),)) for name, _ in nest.loops}
    kept = tuple(loop for loop in nest.loops if loop[0] not in around)
    made = []
    for point in product(*map(range, around.values())):
        at = {name: Affine((), place) for name, place in zip(around, point, strict=True)}
        back = {name: Affine((), around[name] - 1 - index.offset) for name, index in at.items()}
        body = map_accesses(nest.body, {access: access.substitute(at) for access in nest.reads})
        made.append(Nest(kept, Access(terms.name, tuple((whole | back).values())), "=", body))
    turned = {name: Affine(((name, -1),), extent - 1) for name, extent in around.items()}
    read = Access(terms.name, tuple(whole.values()))
    return tuple(made), Nest(nest.loops, nest.output.substitute(turned), nest.update, read)
