"""A network with its costs as other tools show it: TensorBoard's graph and scalars, and notes for an ONNX file."""

from __future__ import annotations

from tilework.cost.count import Count, count
from tilework.cost.record import Row
from tilework.network.graph import Graph
from tilework.tensorboard import Box, first_event, graph_event, scalars_event

COSTS = ("parameters", "macs", "multiplications", "additions", "neurons", "parameter_bytes", "activation_bytes")


def costs(row: Row) -> dict[str, int]:
    """The numbers of a row that aren't 0, those of other operations by kind."""
    found = {name: getattr(row, name) for name in COSTS} | dict(row.other_operations)
    return {name: number for name, number in found.items() if number}


def boxes(graph: Graph, counted: Count | None = None) -> list[Box]:
    """The inputs and the nodes, each node with its costs; weights stand in their node's."""
    rows = {row.name: row for row in (counted or count(graph)).rows}
    inputs = [Box(tensor.name, "input", (), tensor.shape) for tensor in graph.inputs]
    nodes = [
        Box(node.name, node.label, node.inputs, graph.tensors[node.name].shape, costs(rows[node.name]))
        for node in graph.nodes
    ]
    return [*inputs, *nodes]


def events(graph: Graph, counted: Count) -> list[bytes]:
    """TensorBoard's events: the graph, and each cost as a curve over the layers."""
    found = boxes(graph, counted)
    nodes = found[len(graph.inputs) :]
    curves = [
        scalars_event(step, {f"cost/{name}": n for name, n in box.costs.items()}) for step, box in enumerate(nodes)
    ]
    return [first_event(), graph_event(found), *curves]


def notes(graph: Graph, counted: Count) -> dict[str, dict[str, str]]:
    """Costs as text by a node's name; those of the whole network by the name ''."""
    rows = {row.name: {f"tilework.{key}": str(n) for key, n in costs(row).items()} for row in counted.rows}
    whole = {name: getattr(counted.total, name) for name in COSTS} | dict(counted.total.other_operations)
    return rows | {"": {f"tilework.{key}": str(n) for key, n in whole.items()}}
