"""A network divided among devices that work on each of its layers together: which tensors are split, on which axis,
and what the devices must tell one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tilework.cost.division import FREE, FREE_WEIGHT, SPLIT, WHOLE, Division, State, divide
from tilework.network.graph import FLOATING_BYTES, Graph, Node, Tensor

ALL_REDUCE, ALL_GATHER = "all-reduce", "all-gather"


@dataclass(frozen=True)
class Exchange:
    """What the devices tell one another of a tensor: its elements in full, and which tensor says their dtype."""

    kind: str
    tensor: str
    elements: int


@dataclass(frozen=True)
class Sharding:
    """A graph on `ways` devices. `axes` are those on which tensors are split, by name; the others are whole everywhere.

    `exchanges` are those of each node in the forward pass, by name; `returns` those of gradients in the backward pass,
    by the node whose gradient they complete. `whole` are the nodes that multiply by a weight, or
    look something up in one, and yet run in full on each device.
    """

    ways: int
    divisions: Mapping[str, Division]
    axes: Mapping[str, int]
    exchanges: Mapping[str, tuple[Exchange, ...]]
    returns: Mapping[str, tuple[Exchange, ...]]
    whole: tuple[str, ...]

    def share(self, tensor: Tensor) -> float:
        """The part of a tensor that a device holds."""
        return 1 / self.ways if tensor.name in self.axes else 1.0


def shard(graph: Graph, ways: int) -> Sharding:
    """The graph divided among `ways` devices: each node as its nests allow, in the order in which they run."""
    axes: dict[str, int] = {}
    placed: set[str] = set()
    divisions: dict[str, Division] = {}
    exchanges: dict[str, tuple[Exchange, ...]] = {}
    for node in graph.nodes:
        shapes = tuple(graph.tensors[name].shape for name in node.inputs)
        states = tuple(_state(graph.tensors[name], axes, placed) for name in node.inputs)
        found = divide(node.operation, shapes, node.attributes, states, ways)
        _place(node, found, graph, axes, placed)
        divisions[node.name] = found
        if told := _told(node, found, graph):
            exchanges[node.name] = told
    return Sharding(ways, divisions, axes, exchanges, _returns(graph, divisions), tuple(_whole(graph, divisions)))


def _state(tensor: Tensor, axes: Mapping[str, int], placed: set[str]) -> State:
    if tensor.name in axes:
        return State(SPLIT, axes[tensor.name])
    if tensor.name in placed or tensor.role == "value":
        return State(WHOLE)
    if tensor.is_weight:
        return State(FREE_WEIGHT)
    return State(FREE if tensor.dtype in FLOATING_BYTES else WHOLE)


def _place(node: Node, found: Division, graph: Graph, axes: dict[str, int], placed: set[str]) -> None:
    for place in found.gathered:
        axes.pop(node.inputs[place], None)  # from here on it is whole
    for name, axis in zip(node.inputs, found.axes, strict=True):
        tensor = graph.tensors[name]
        if tensor.role != "value" and name not in placed and tensor.dtype in FLOATING_BYTES:
            placed.add(name)
            if axis is not None:
                axes[name] = axis
    if found.axis is not None:
        axes[node.name] = found.axis


def _told(node: Node, found: Division, graph: Graph) -> tuple[Exchange, ...]:
    gathered = (graph.tensors[node.inputs[place]] for place in found.gathered)
    return (
        *(Exchange(ALL_GATHER, tensor.name, tensor.elements) for tensor in gathered),
        *(Exchange(ALL_REDUCE, node.name, elements) for elements in found.reduced),
    )


def _whole(graph: Graph, divisions: Mapping[str, Division]) -> Iterator[str]:
    for node in graph.nodes:
        found = divisions[node.name]
        works = found.macs or graph.expansion(node).on_host
        if works and not found.loops and graph.weights_of(node):
            yield node.name


def _returns(graph: Graph, divisions: Mapping[str, Division]) -> dict[str, tuple[Exchange, ...]]:
    """All-reduces of gradients that split nodes make parts of, once for each tensor, at the first node that reads it:
    in the backward pass that is the last."""
    returns: dict[str, tuple[Exchange, ...]] = {}
    seen: set[str] = set()
    for node in graph.nodes:
        for place in divisions[node.name].partial:
            tensor = graph.tensors[node.inputs[place]]
            if tensor.name not in seen and tensor.dtype in FLOATING_BYTES:
                seen.add(tensor.name)
                exchange = Exchange(ALL_REDUCE, tensor.name, tensor.elements)
                returns[node.name] = (*returns.get(node.name, ()), exchange)
    return returns
