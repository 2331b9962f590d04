"""Gradients and training steps as graphs: forward, loss, backward and update are nodes like any others.

So they are counted, executed, compiled and simulated as inference is. Batch normalisation uses the mean and the
variance that it is given and dropout drops nothing, as at inference, because that is what their nodes state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from typing import Any

from tilework.errors import NetworkError
from tilework.network.gradient import gradient_plan
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
    if loss not in LOSSES:
        raise NetworkError(f"the loss must be one of {', '.join(LOSSES)}, not {loss!r}")
    whole = _with_loss(graph, loss, axis)
    found, both = _both_passes(whole, None)
    if not found:
        raise NetworkError(f"network {graph.name} must have a parameter that its output depends on to be trained")
    updates = {arrived: _update(name, arrived, rate) for name, arrived in found.items()}
    nodes: list[Node] = []
    for node in both:
        nodes += [node, updates[node.name]] if node.name in updates else [node]
    return graph.replace(whole.sources, nodes, (LOSS, *(node.name for node in updates.values())))


def gradient(
    graph: Graph, loss: str | None = None, wanted: Iterable[str] | None = None, axis: int | None = None
) -> Graph:
    """The gradient of a loss with respect to the sources `wanted` (None: the trainable parameters it depends on).

    The loss is one of `training_step`, such as "cross_entropy" of the output, or a value of the graph
    by its name (None: the only output); of a value with several elements it is their sum. The outputs are the loss and
    `d:w`, of w's shape and dtype, for each such source w; the inputs and weights are those that the loss depends on,
    and `targets` where a loss of that table compares with them. Raises NetworkError for a loss or axis that isn't one,
    a name that is no source of real numbers or that the loss doesn't depend on, and what `training_step` can't do.
    """
    compares = loss in LOSSES and loss not in graph.tensors
    whole = _up_to(_with_loss(graph, str(loss), axis) if compares else _of_value(graph, loss, axis))
    names = None if wanted is None else tuple(wanted)
    found, nodes = _both_passes(whole, names)
    if missing := [name for name in names or () if name not in found]:
        raise NetworkError(f"the loss must depend on {missing[0]} to have a gradient with respect to it")
    if not found:
        raise NetworkError(
            f"the loss must depend on a parameter of {graph.name} to have a gradient; say what is wanted"
        )
    read = {name for node in nodes for name in node.inputs}
    return graph.replace((t for t in whole.sources if t.name in read), nodes, (*whole.outputs, *found.values()))


def _both_passes(whole: Graph, wanted: Iterable[str] | None) -> tuple[Mapping[str, str], list[Node]]:
    """The gradients' names by that of their source, and the nodes that make the only output and them."""
    plan = gradient_plan(whole, wanted)
    output = whole.tensors[whole.outputs[0]]
    shape = (("shape", output.shape),) if output.shape else ()
    one = Node(gradient_of(output.name), "pointwise", (), (("body", "1"), *shape, ("what", "one")), LOSS, output.dtype)
    return gradients(plan), [*forward_nodes(plan), one, *gradient_nodes(plan)]


def _of_value(graph: Graph, value: str | None, axis: int | None) -> Graph:
    """The graph with a value of its own as its only output."""
    if axis is not None:
        raise NetworkError("the axis is that of a cross-entropy's classes; a value of the graph has none, leave it out")
    if value is None and len(graph.outputs) != 1:
        raise NetworkError(f"network {graph.name} must have one output, not {len(graph.outputs)}; name the loss")
    name = graph.outputs[0] if value is None else value
    made = {node.name for node in graph.nodes}
    if name not in made or graph.tensors[name].dtype not in FLOATING_BYTES:
        values = f"a value of real numbers that {graph.name} makes"
        raise NetworkError(f"the loss must be one of {', '.join(LOSSES)} or {values}, not {name!r}")
    return graph.replace(graph.sources, graph.nodes, (name,))


def _up_to(graph: Graph) -> Graph:
    """The graph without the nodes that its outputs don't depend on."""
    needed, nodes = {*graph.outputs}, list[Node]()
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed.update(node.inputs)
            nodes.append(node)
    return graph.replace(graph.sources, reversed(nodes), graph.outputs)


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
    """max(x, 0) - x t + log(1 + exp(-|x|)) of the logits x, which overflows nowhere.

    -|x| is min(-x, x), which passes its gradient to x where x is 0: max passes none there.
    """
    _no_axis(axis, "a binary cross-entropy")
    last = {node.name: node for node in graph.nodes}.get(output.name)
    sigmoid = last is not None and last.operation == "sigmoid"
    logits = last.inputs[0] if last and sigmoid else output.name
    unused = sigmoid and not any(output.name in node.inputs for node in graph.nodes)
    body = f"(max(x0, 0) - x0 * x1 + log(1 + exp(min(0 - x0, x0)))) * {1 / output.elements!r}"
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
