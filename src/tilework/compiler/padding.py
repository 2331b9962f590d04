"""Sums over more places than fit on chip: padding that is read becomes padding that is stored.

A sum can be cut between tiles, but not along a loop that shares a padded axis with another one. The gradient of a
convolution's weights, `d:w[k,c,r,s] += d:o[n,k,p,q] * x[n,c,p+r-1,q+s-1 | 0]`, so needs whole planes of d:o and of x.
Where these are too large, x is copied with the padding around it, and the sum reads the copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import prod

from tilework.compiler.group import Box
from tilework.machine.machine import Machine
from tilework.network.graph import DTYPE_BYTES, Graph, Node
from tilework.network.nest import CONTRACTION, Access, Affine, Nest, map_accesses
from tilework.network.parts import nest_node

SHARE = 4  # a fourth of the scratchpad for what one sum reads of an operand: there are two, in two slots each


def padded(graph: Graph, machine: Machine) -> Graph:
    """The graph with a padded copy for each sum that is too large for the machine's scratchpad."""
    nodes = [part for node in graph.nodes for part in _node(graph, node, machine.nram.capacity_bytes // SHARE)]
    return graph if len(nodes) == len(graph.nodes) else graph.replace(graph.sources, nodes, graph.outputs)


def _node(graph: Graph, node: Node, room: int) -> Iterator[Node]:
    nests = graph.nests(node)
    reads = [read for nest in nests for read in nest.reads if _is_large(graph, nest, read, room)]
    if len(nests) != 1 or not reads:
        yield node
        return
    (nest,), read = nests, reads[0]
    box = _box(read, nest.extents)
    shape = tuple(high - low + 1 for low, high in box)
    copy = replace(graph.tensors[read.tensor], name=f"{node.name}:padded", shape=shape, role="value")
    tensors = {**graph.tensors, copy.name: copy}
    yield nest_node(copy, [_copy(read, box, copy.name)], tensors, "pad", node.module)
    inner = Access(
        copy.name, tuple(Affine(axis.terms, axis.offset - low) for axis, (low, _) in zip(read.index, box, strict=True))
    )
    summed = replace(nest, body=map_accesses(nest.body, {read: inner}))
    yield nest_node(replace(tensors[node.name], role="value"), [summed], tensors, node.label, node.module)


def _copy(read: Access, box: Box, name: str) -> Nest:
    loops = tuple((f"i{axis}", high - low + 1) for axis, (low, high) in enumerate(box))
    to = tuple(Affine(((loop, 1),)) for loop, _ in loops)
    source = tuple(Affine(((loop, 1),), low) for (loop, _), (low, _) in zip(loops, box, strict=True))
    return Nest(loops, Access(name, to), "=", Access(read.tensor, source, read.pad))


def _is_large(graph: Graph, nest: Nest, read: Access, room: int) -> bool:
    """Whether the padding of a read keeps a contraction from being cut into sums that fit."""
    if nest.kind != CONTRACTION or read.pad is None:
        return False
    tied = _tied(nest, read, graph.tensors[read.tensor].shape)
    summed = tied & {name for name, _ in nest.reduction_loops}
    sizes = {name: extent if name in summed else 1 for name, extent in nest.loops}
    elements = max(prod(high - low + 1 for low, high in _box(access, sizes)) for access in nest.reads)
    return summed < tied and elements * DTYPE_BYTES[graph.tensors[read.tensor].dtype] > room


def _tied(nest: Nest, read: Access, shape: tuple[int, ...]) -> set[str]:
    """The loops that share with another an axis along which a read leaves its tensor."""
    axes = zip(read.index, _box(read, nest.extents), shape, strict=True)
    outside = [index for index, (low, high), size in axes if low < 0 or high >= size]
    return {name for index in outside if len(index.terms) > 1 for name, _ in index.terms}


def _box(access: Access, extents: Mapping[str, int]) -> Box:
    return [axis.bounds(extents) for axis in access.index]
