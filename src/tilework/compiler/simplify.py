"""Rewrites of the graph that change no result: what inference does not need goes, constants are folded.

Each pass is a function of a graph and its weights; weights stay lazy, a folded one is computed when it is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.compiler.change import Change, change
from tilework.compiler.host import evaluate, part
from tilework.network.graph import BUFFER, PARAMETER, Graph, Node, Tensor
from tilework.network.nest import Access
from tilework.network.weights import Weights

Array = npt.NDArray[Any]

CONVOLUTIONS = ("conv1d", "conv2d", "conv3d")


@dataclass(frozen=True)
class Simplified:
    """A graph, its weights, and what was done to it."""

    graph: Graph
    weights: Weights
    changes: tuple[Change, ...] = ()

    @property
    def log(self) -> tuple[str, ...]:
        """A line for each change."""
        return tuple(map(str, self.changes))


def simplify(graph: Graph, weights: Weights) -> Simplified:
    """All passes in order."""
    state = Simplified(graph, weights)
    for a_pass in (drop_unused, fold_constants, drop_identities, merge_equal, fold_batch_norm, drop_unused):
        state = a_pass(state)
    return state


def fold_constants(state: Simplified) -> Simplified:
    """What only weights and constants decide is a weight, whose value is computed when it is read.

    Outputs stay nodes, and so do random numbers.
    """
    graph, old = state.graph, state.weights
    constant = {t.name for t in graph.weights}
    folded = []
    for node in graph.nodes:
        if constant.issuperset(node.inputs) and node.name not in graph.outputs and node.label != "random":
            constant.add(node.name)
            folded.append(node)
    if not folded:
        return state
    names = {node.name for node in folded}
    kept = [node for node in graph.nodes if node.name not in names]
    read = {name: None for node in kept for name in node.inputs if name in names}
    new = [replace(graph.tensors[name], role=BUFFER) for name in read]
    makers = {name: partial(_computed, graph, old, folded, name) for name in read}
    weights = Weights({**old.makers, **makers}, old.origin)
    changes = (*state.changes, *_constants(graph, folded, read))
    return Simplified(graph.replace((*graph.sources, *new), kept, graph.outputs), weights, changes)


def _constants(graph: Graph, folded: list[Node], read: Iterable[str]) -> Iterator[Change]:
    """A change for each constant that is read, with those of the nodes behind it that no earlier one has."""
    left = list(folded)
    for name in read:
        gone = _behind(left, name)
        left = [node for node in left if node not in gone]
        yield change(graph, "folded", name, ": nothing but weights and constants decides it", gone)


def _behind(nodes: list[Node], name: str) -> list[Node]:
    """The nodes that a value needs."""
    needed, kept = {name}, []
    for node in reversed(nodes):
        if node.name in needed:
            kept.append(node)
            needed.update(node.inputs)
    return kept[::-1]


def _computed(graph: Graph, weights: Weights, nodes: list[Node], name: str) -> Array:
    return evaluate(part(graph, _behind(nodes, name), (name,)), weights, {})[name]


def readers(graph: Graph) -> Counter[str]:
    """How often each tensor is read, an output of the graph counting as a read."""
    return Counter([name for node in graph.nodes for name in node.inputs] + list(graph.outputs))


def drop_identities(state: Simplified) -> Simplified:
    """What is its input again, as dropout at inference or a cast to its own dtype is, goes: its readers read that."""
    graph = state.graph
    source: dict[str, str] = {}
    nodes, changes = [], list(state.changes)
    for node in graph.nodes:
        node = replace(node, inputs=tuple(source.get(n, n) for n in node.inputs))
        if node.name not in graph.outputs and _is_identity(graph, node):
            source[node.name] = node.inputs[0]
            why = f": {node.label} does nothing at inference"
            changes.append(change(graph, "dropped", node.name, why, [node]))
        else:
            nodes.append(node)
    return replace(state, graph=graph.replace(graph.sources, nodes, graph.outputs), changes=tuple(changes))


def _is_identity(graph: Graph, node: Node) -> bool:
    """Whether a node's value is its only input."""
    if len(node.inputs) != 1:
        return False
    value, source = graph.tensors[node.name], graph.tensors[node.inputs[0]]
    if (value.shape, value.dtype) != (source.shape, source.dtype):
        return False
    expansion = graph.expansion(node)
    nest = expansion.nests[0] if len(expansion.nests) == 1 else None
    copies = nest is not None and isinstance(nest.body, Access) and nest.body.index == nest.output.index
    return expansion.is_alias or (copies and nest is not None and nest.update == "=")


def merge_equal(state: Simplified) -> Simplified:
    """Of nodes with one operation, the same inputs and attributes only the first stays.

    Outputs stay too, and random numbers and what nobody has stated, of which two need not be alike.
    """
    graph = state.graph
    source: dict[str, str] = {}
    first: dict[tuple[object, ...], str] = {}
    nodes, changes = [], list(state.changes)
    for node in graph.nodes:
        node = replace(node, inputs=tuple(source.get(n, n) for n in node.inputs))
        key = (node.operation, node.inputs, node.attributes, node.dtype)
        free = node.name not in graph.outputs and node.label != "random" and node.operation != "unknown"
        if free and key in first:
            source[node.name] = first[key]
            changes.append(change(graph, "merged", node.name, f" into {first[key]}, which is equal to it", [node]))
        else:
            nodes.append(node)
            first.setdefault(key, node.name)
    return replace(state, graph=graph.replace(graph.sources, nodes, graph.outputs), changes=tuple(changes))


def fold_batch_norm(state: Simplified) -> Simplified:
    """A batch normalisation that alone reads a convolution or linear layer becomes part of its weights and bias."""
    reads = readers(state.graph)
    producer = {node.name: node for node in state.graph.nodes}
    folds = {}
    for norm in state.graph.nodes:
        if norm.operation == "batch_norm" and (inner := producer.get(norm.inputs[0])):
            constant = all(state.graph.tensors[n].is_weight for n in (*norm.inputs[1:], *inner.inputs[1:]))
            rows = inner.operation == "linear" and len(state.graph.tensors[inner.name].shape) == 2
            if (rows or inner.operation in CONVOLUTIONS) and reads[inner.name] == 1 and constant:
                folds[norm.name] = inner
    for name, inner in folds.items():
        state = _fold(state, producer[name], inner)
    return state


def _fold(state: Simplified, norm: Node, inner: Node) -> Simplified:
    graph, old = state.graph, state.weights
    weight, bias = f"{inner.name}.weight:folded", f"{inner.name}.bias:folded"
    epsilon = dict(norm.attributes).get("epsilon", 1e-5)
    _, gamma, beta, mean, variance = norm.inputs

    @np.errstate(all="ignore")
    def scale() -> Array:
        return np.asarray(old[gamma] / np.sqrt(old[variance] + np.float32(epsilon)))

    @np.errstate(all="ignore")
    def folded_weight() -> Array:
        values = old[inner.inputs[1]]
        return np.asarray(values * scale().reshape(-1, *[1] * (values.ndim - 1)))

    @np.errstate(all="ignore")
    def folded_bias() -> Array:
        before = old[inner.inputs[2]] if len(inner.inputs) > 2 else np.float32(0)
        return np.asarray((before - old[mean]) * scale() + old[beta])

    channels = graph.tensors[inner.name].shape[1]
    new = (
        Tensor(weight, graph.tensors[inner.inputs[1]].shape, role=PARAMETER),
        Tensor(bias, (channels,), role=PARAMETER),
    )
    merged = Node(norm.name, inner.operation, (inner.inputs[0], weight, bias), inner.attributes, inner.module)
    nodes = [merged if node is norm else node for node in graph.nodes if node.name != inner.name]
    makers = {**old.makers, weight: folded_weight, bias: folded_bias}
    why = f" into the weights of {inner.name}"
    changes = (*state.changes, change(graph, "folded", norm.name, why, [norm]))
    folded = graph.replace((*graph.sources, *new), nodes, graph.outputs)
    return Simplified(folded, Weights(makers, old.origin), changes)


def drop_unused(state: Simplified) -> Simplified:
    """Nodes whose values nobody reads go, and then weights that no node reads."""
    graph = state.graph
    live, kept, changes = set(graph.outputs), [], list(state.changes)
    for node in reversed(graph.nodes):
        if node.name in live:
            live.update(node.inputs)
            kept.append(node)
        else:
            changes.append(change(graph, "dropped", node.name, ": nothing reads it", [node]))
    sources = [t for t in graph.sources if t.name in live or not t.is_weight]
    return replace(state, graph=graph.replace(sources, reversed(kept), graph.outputs), changes=tuple(changes))
