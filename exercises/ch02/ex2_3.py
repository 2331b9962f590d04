"""2.3: how back-propagation finds the gradients of a neuron, and how weights are updated."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import tilework as tw

TITLE = "Back-propagation: a neuron's gradient, and the update of its weights"
QUESTION = """
How does back-propagation compute the gradient of a neuron, and how are the weights updated?
"""
NOTICE = """
The gradient that arrives at a neuron's output is multiplied by the slope of its activation, which gives the
gradient of its weighted sum. From that come three things: the gradient of each of its weights is this number
times the weight's input, that of the bias is the number itself, and each neuron before it gets the number times
the weight between them, added up over all neurons that it feeds.

So each layer takes two matrix products backward for one forward, with the same loops and indices, the tensors
in other roles. The first layer takes one, since nobody asks for the gradient of the data.

A weight is then changed against its gradient, by the learning rate times it. For a small rate the loss falls by
about the rate times the squared length of the gradient, which the last line compares with what it did.
"""

BATCH, SIZES, RATE = 5, (3, 4, 2), 0.01


def _network() -> tw.Graph:
    builder = tw.GraphBuilder("neurons")
    value = builder.input("x", (BATCH, SIZES[0]))
    for place, (inputs, outputs) in enumerate(pairwise(SIZES), 1):
        weights = builder.weight(f"w{place}", (outputs, inputs)), builder.weight(f"b{place}", (outputs,))
        value = builder.node(f"y{place}", "sigmoid", builder.node(f"v{place}", "linear", value, *weights))
    return builder.graph(value)


def answer() -> dict[str, Any]:
    """The nests backward, each gradient beside central differences, and a step of gradient descent."""
    import numpy as np

    graph = _network()
    generator = np.random.default_rng(0)
    values = {t.name: generator.standard_normal(t.shape).astype(np.float32) for t in graph.sources}
    values["targets"] = generator.random((BATCH, SIZES[-1]), np.float32)
    backward = tw.gradient(graph, "mean_squared_error")
    found = tw.check_gradient(graph, values, "mean_squared_error")
    given = {name: values[name] for name in ("x", "targets")}
    before = tw.execute(backward, values, given)["loss"]
    step = tw.execute(tw.training_step(graph, "mean_squared_error", RATE), values, given)
    moved = values | {name: step[f"new:{name}"] for name in found}
    after = tw.execute(backward, moved, given)["loss"]
    layers = [t.name for t in graph.weights] + [node.name for node in graph.nodes]
    return {
        "values": {name: array.tolist() for name, array in values.items()},
        "nests": {
            name: [str(nest) for nest in backward.nests(node)]
            for node in backward.nodes
            if (name := node.name.removeprefix("d:")) != node.name and name in layers
        },
        "gradients": {
            name: {
                "shape": list(slope.shape),
                "largest": float(np.abs(slope).max()),
                "from_differences": float(np.abs(slope - differences).max()),
                "values": slope.tolist(),
            }
            for name, (slope, differences) in found.items()
        },
        "updated": {name: step[f"new:{name}"].tolist() for name in found},
        "rate": RATE,
        "loss_before": float(before),
        "loss_after": float(after),
        "expected_fall": RATE * sum(float((slope**2).sum()) for slope, _ in found.values()),
    }


def text(answer: dict[str, Any]) -> str:
    """The nests in the order in which they run, the gradients, the step."""
    width = max(map(len, answer["nests"]))
    nests = [f"{name:<{width}}  {nest}" for name, nests in answer["nests"].items() for nest in nests]
    rows = [
        (name, " x ".join(map(str, one["shape"])), f"{one['largest']:.4f}", f"{one['from_differences']:.0e}")
        for name, one in answer["gradients"].items()
    ]
    fall = answer["loss_before"] - answer["loss_after"]
    return "\n\n".join(
        (
            "The gradient of each tensor, from the output back (v is a layer's weighted sum, y = sigmoid(v)):",
            "\n".join(nests),
            tw.table(("gradient of", "shape", "largest", "from central differences"), rows, left=1),
            f"A step of w - {answer['rate']} dw takes the loss from {answer['loss_before']:.6f} to "
            f"{answer['loss_after']:.6f}: {fall:.2e} less, where the gradient says {answer['expected_fall']:.2e}.",
        )
    )
