"""A training step as a graph: forward, loss, backward and update are nodes like any others.

So it is counted, executed, compiled and simulated as inference is. Batch normalisation uses the mean and the variance
that it is given and dropout drops nothing, as at inference, because that is what their nodes state.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

from tilework.errors import NetworkError
from tilework.network.gradient import gradient
from tilework.network.gradient_graph import forward_nodes, gradient_nodes, gradients
from tilework.network.gradient_nests import gradient_of
from tilework.network.graph import FLOATING_BYTES, INPUT, Graph, Node, Tensor
from tilework.network.operations import OPERATIONS

LOSS, TARGETS, UPDATED = "loss", "targets", "new:"


def training_step(graph: Graph, loss: str = "cross_entropy", rate: float = 0.01, axis: int | None = None) -> Graph:
    """A step of gradient descent, w - rate * dloss/dw, for every parameter w that the loss depends on.

    Its inputs are the network's and `targets`, of the shape and dtype of the network's only output; its weights are the
    network's; its outputs are `loss`, a scalar, and `new:w` for each such parameter. What is frozen or a buffer stays.
    "cross_entropy" is the mean over all rows along `axis` of -sum(targets * log(softmax(output))). A softmax that makes
    the output is taken as that of the loss and gives the axis; else it is the last of at most two, and with more it
    must be given. "binary_cross_entropy" is the mean over all elements of -t log(p) - (1 - t) log(1 - p), where p is
    the sigmoid of the output; a sigmoid that makes the output is taken as this one. "mean_squared_error" is the mean
    over all elements. Raises NetworkError for another loss or axis, a rate that is no positive number, a network with
    several outputs or without a parameter that its output depends on, and work of the host before which there is a
    parameter, but for an embedding.
    """
    if not (isfinite(rate) and rate > 0):
        raise NetworkError(f"the learning rate must be a positive number, not {rate}")
    whole = loss_gradient(graph, loss, axis)
    arrived = {gradient_of(t.name): t.name for t in graph.sources if gradient_of(t.name) in whole.outputs}
    updates = {node.name: _update(arrived[node.name], node.name, rate) for node in whole.nodes if node.name in arrived}
    nodes = [own for node in whole.nodes for own in (node, updates.get(node.name)) if own is not None]
    return graph.replace(whole.sources, nodes, (LOSS, *(node.name for node in updates.values())))


def loss_gradient(graph: Graph, loss: str = "cross_entropy", axis: int | None = None) -> Graph:
    """The loss and its gradient `d:w` with respect to each parameter w that it depends on, as the graph's outputs.

    Inputs, losses, axis and errors are those of `training_step`.
    """
    if loss not in LOSSES:
        raise NetworkError(f"the loss must be one of {', '.join(LOSSES)}, not {loss!r}")
    whole = _with_loss(graph, loss, axis)
    plan = gradient(whole)
    found = gradients(plan)
    if not found:
        raise NetworkError(f"network {graph.name} must have a parameter that its output depends on to be trained")
    seed = Node(gradient_of(LOSS), "pointwise", (), (("body", "1"), ("what", "one")), LOSS, whole.tensors[LOSS].dtype)
    nodes = (*forward_nodes(plan), seed, *gradient_nodes(plan))
    return graph.replace(whole.sources, nodes, (LOSS, *found.values()))


def _update(name: str, gradient: str, rate: float) -> Node:
    attributes = (("body", f"x0 - {float(rate)!r} * x1"), ("what", "update"))
    return Node(UPDATED + name, "pointwise", (name, gradient), attributes, name.rpartition(".")[0])


def _with_loss(graph: Graph, loss: str, axis: int | None) -> Graph:
    """The graph with a loss as its output."""
    if len(graph.outputs) != 1:
        raise NetworkError(f"network {graph.name} must have one output to be trained, not {len(graph.outputs)}")
    output = graph.tensors[graph.outputs[0]]
    if output.dtype not in FLOATING_BYTES:
        raise NetworkError(f"output {output.name} must hold real numbers to be trained, not {output.dtype}")
    nodes = LOSSES[loss](graph, output, axis)
    sources = (*graph.sources, Tensor(TARGETS, output.shape, output.dtype, INPUT))
    return graph.replace(sources, (*nodes, _node(LOSS, "reduce", nodes[-1].name, what="loss")), (LOSS,))


def _cross_entropy(graph: Graph, output: Tensor, axis: int | None) -> tuple[Node, ...]:
    """The graph's nodes and those of the loss, whose last makes the terms that it is the sum of."""
    last = {node.name: node for node in graph.nodes}.get(output.name)
    nodes, logits = graph.nodes, output.name
    if last is not None and last.operation == "softmax":
        own = dict(last.attributes).get("axis", OPERATIONS["softmax"].attributes["axis"]) % len(output.shape)
        if axis is not None and axis % len(output.shape) != own:
            raise NetworkError(f"the axis must be that of the softmax {last.name}, {own}, not {axis}; leave it out")
        axis, logits = own, last.inputs[0]
        if not any(last.name in node.inputs for node in nodes):
            nodes = tuple(node for node in nodes if node is not last)
    axis = _axis(output, axis)
    scale = -output.shape[axis] / output.elements
    logarithm = _node(f"{LOSS}.log", "log_softmax", logits, axis=axis)
    terms = _node(
        f"{LOSS}.terms", "pointwise", TARGETS, logarithm.name, body=f"x0 * x1 * {scale!r}", what=CROSS_ENTROPY
    )
    return (*nodes, logarithm, terms)


def _axis(output: Tensor, axis: int | None) -> int:
    rank = len(output.shape)
    if axis is None and rank > 2:
        raise NetworkError(
            f"the axis of the classes must be given for output {output.name} of shape {list(output.shape)}; give axis=1"
            f" or another"
        )
    if not -rank <= (axis or 0) < rank:
        raise NetworkError(f"the axis of the classes must be one of output {output.name}'s {rank}, not {axis or 0}")
    return rank - 1 if axis is None else axis % rank


def _mean_squared_error(graph: Graph, output: Tensor, axis: int | None) -> tuple[Node, ...]:
    _no_axis(axis, "a mean squared error")
    away = _node(f"{LOSS}.difference", "sub", output.name, TARGETS)
    body = f"x0 * x0 * {1 / output.elements!r}"
    return (*graph.nodes, away, _node(f"{LOSS}.terms", "pointwise", away.name, body=body, what=MEAN_SQUARED_ERROR))


def _binary_cross_entropy(graph: Graph, output: Tensor, axis: int | None) -> tuple[Node, ...]:
    """max(x, 0) - x t + log(1 + exp(-|x|)) of the logits x, which overflows nowhere."""
    _no_axis(axis, "a binary cross-entropy")
    last = {node.name: node for node in graph.nodes}.get(output.name)
    sigmoid = last is not None and last.operation == "sigmoid"
    logits = last.inputs[0] if last and sigmoid else output.name
    unused = sigmoid and not any(output.name in node.inputs for node in graph.nodes)
    body = f"(max(x0, 0) - x0 * x1 + log(1 + exp(0 - abs(x0)))) * {1 / output.elements!r}"
    terms = _node(f"{LOSS}.terms", "pointwise", logits, TARGETS, body=body, what=BINARY_CROSS_ENTROPY)
    return (*(node for node in graph.nodes if not (unused and node is last)), terms)


def _no_axis(axis: int | None, what: str) -> None:
    if axis is not None:
        raise NetworkError(f"the axis is that of a cross-entropy's classes; {what} has none, leave it out")


CROSS_ENTROPY, MEAN_SQUARED_ERROR = "cross_entropy", "mean_squared_error"
BINARY_CROSS_ENTROPY = "binary_cross_entropy"
LOSSES: dict[str, Callable[[Graph, Tensor, int | None], tuple[Node, ...]]] = {
    CROSS_ENTROPY: _cross_entropy,
    BINARY_CROSS_ENTROPY: _binary_cross_entropy,
    MEAN_SQUARED_ERROR: _mean_squared_error,
}


def _node(name: str, operation: str, *inputs: str, **attributes: Any) -> Node:
    return Node(name, operation, inputs, tuple(sorted(attributes.items())), LOSS)
