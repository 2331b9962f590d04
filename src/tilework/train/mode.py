"""A graph as it is while it learns: dropout drops, and batch normalisation uses the batch's own mean and variance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod

from tilework.network.graph import INPUT, Graph, Node, Tensor
from tilework.network.operation import loops_over

MASK, MEAN, VARIANCE = "mask:", "mean:", "variance:"


@dataclass(frozen=True)
class TrainingMode:
    """`graph` with further inputs, the masks of dropout, and what must be done around each step.

    `masks` has the share that each mask drops, by its name; `statistics`, by the name of each running mean and
    variance, the tensor of the batch that it follows and what that is multiplied by.
    """

    graph: Graph
    masks: Mapping[str, float]
    statistics: Mapping[str, tuple[str, float]]


def training_mode(graph: Graph) -> TrainingMode:
    """Dropout as a product with a mask, and batch normalisation with nodes that make the batch's mean and variance.

    The variance is that of the batch, divided by the number of places (Ioffe and Szegedy 2015, algorithm 1); the
    running one follows it as an estimate without bias (algorithm 2).
    """
    nodes: list[Node] = []
    masks: dict[str, float] = {}
    statistics: dict[str, tuple[str, float]] = {}
    sources = list(graph.sources)
    for node in graph.nodes:
        if node.operation == "dropout":
            shape = graph.tensors[node.name].shape
            sources.append(Tensor(MASK + node.name, shape, graph.tensors[node.name].dtype, INPUT))
            masks[MASK + node.name] = dict(node.attributes).get("p", 0.5)
            nodes.append(Node(node.name, "mul", (node.inputs[0], MASK + node.name), (), node.module))
        elif node.operation == "batch_norm":
            nodes += _normalised(graph, node)
            places = graph.tensors[node.name].elements // graph.tensors[node.name].shape[1]
            unbiased = places / max(1, places - 1)
            statistics |= {
                node.inputs[3]: (MEAN + node.name, 1.0),
                node.inputs[4]: (VARIANCE + node.name, unbiased),
            }
        else:
            nodes.append(node)
    used = {name for node in nodes for name in node.inputs} | set(graph.outputs)
    kept = [tensor for tensor in sources if tensor.name in used or tensor.role == INPUT]
    return TrainingMode(graph.replace(kept, nodes, graph.outputs), masks, statistics)


def _normalised(graph: Graph, node: Node) -> Iterable[Node]:
    x, scale, shift = node.inputs[:3]
    shape = graph.tensors[x].shape
    axes = (0, *range(2, len(shape)))
    loops, index = loops_over(shape)
    away = f"(x0[{index}] - x1[b])"
    body = f"{loops}: o[b] += {away} * {away} * {1 / prod(shape[axis] for axis in axes)!r}"
    mean, variance = MEAN + node.name, VARIANCE + node.name
    means = (("axes", axes), ("mean", True), ("what", "mean"))
    yield Node(mean, "reduce", (x,), means, node.module)
    squares = (("body", body), ("shape", (shape[1],)), ("what", "variance"))
    yield Node(variance, "nests", (x, mean), squares, node.module)
    yield Node(node.name, "batch_norm", (x, scale, shift, mean, variance), node.attributes, node.module)
