"""2.10: back-propagation through an activation of one's own, such as exp."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "Back-propagation through activations of one's own, such as exp"
QUESTION = """
A network of two inputs, a hidden layer and one output uses exp as its activation. Derive the gradients of all
weights, check them, and do the same for other activations of your own.
"""
NOTICE = """
Only the forward expression is stated; a name and one line make it an operation like the others. For exp the
derivative is the function itself, and the system sees that: its gradient reads the neuron's output y, not its
input, so that no exponential is computed twice.

The value at the origin and the slope there tell how a network starts, as weighted sums begin near 0: with exp
all hidden neurons give about 1 and pass gradients whole; a bell gives 1 too, but passes nothing; sin passes
all.

exp grows without bound, and so do its gradients: a few large sums, and a step throws the weights far away. That
is why it is an exercise and no common activation.
"""

ACTIVATIONS = {
    "exp": "exp(v)",
    "sigmoid": "1 / (1 + exp(-v))",
    "odd sigmoid": "v / sqrt(1 + v * v)",
    "softsign": "v / (1 + abs(v))",
    "bell": "exp(-v * v)",
    "sine": "sin(v)",
    "soft ReLU": "log(1 + exp(v))",
    "swish": "v / (1 + exp(-v))",
}
BATCH, HIDDEN = 6, 3


def _network(activation: str) -> tw.Graph:
    builder = tw.GraphBuilder("own")
    weights = builder.weight("w1", (HIDDEN, 2)), builder.weight("b1", (HIDDEN,))
    hidden = builder.node("v", "linear", builder.input("x", (BATCH, 2)), *weights)
    output = builder.node("y", activation, hidden), builder.weight("w2", (1, HIDDEN)), builder.weight("b2", (1,))
    return builder.graph(builder.node("z", "linear", *output))


def answer() -> dict[str, Any]:
    """For each activation its value and slope at 0, its nest backward, and the distance of all gradients."""
    return {"activations": [_check(name, expression) for name, expression in ACTIVATIONS.items()]}


def _check(name: str, expression: str) -> dict[str, Any]:
    import numpy as np

    own = f"exercise_2_10_{name.replace(' ', '_')}"
    tw.activation(own, expression)
    graph = _network(own)
    generator = np.random.default_rng(1)
    values = {t.name: generator.standard_normal(t.shape).astype(np.float32) for t in graph.sources}
    values["targets"] = generator.standard_normal((BATCH, 1)).astype(np.float32)
    found = tw.check_gradient(graph, values, "mean_squared_error", [*map(str, values.keys() - {"targets"})])
    backward = tw.gradient(graph, "mean_squared_error")
    (nest,) = (nest for node in backward.nodes if node.name == "d:v" for nest in backward.nests(node))
    value, slope = _at_origin(own)
    return {
        "name": name,
        "expression": expression,
        "at_origin": value,
        "slope_at_origin": slope,
        "gradient": str(nest),
        "gradients": {key: one.tolist() for key, (one, _) in sorted(found.items())},
        "values": {key: value.tolist() for key, value in values.items()},
        "largest": max(float(np.abs(one).max()) for one, _ in found.values()),
        "from_differences": max(float(np.abs(one - other).max()) for one, other in found.values()),
    }


def _at_origin(own: str) -> tuple[float, float]:
    import numpy as np

    builder = tw.GraphBuilder("origin")
    graph = builder.graph(builder.node("y", own, builder.input("v", (), "float64")))
    found = tw.execute(tw.gradient(graph, wanted=["v"]), {}, {"v": np.array(0.0)})
    return float(found["y"]), float(found["d:v"])


def text(answer: dict[str, Any]) -> str:
    """A line for each activation, and the gradients' nests."""
    ones = answer["activations"]
    rows = [
        (
            *(one["name"], one["expression"], f"{one['at_origin']:g}", f"{one['slope_at_origin']:g}"),
            *(f"{one['largest']:.3g}", f"{one['from_differences']:.0e}"),
        )
        for one in ones
    ]
    heads = ("activation", "expression", "at 0", "slope at 0", "largest gradient", "from differences")
    width = max(len(one["name"]) for one in ones)
    return "\n\n".join(
        (
            tw.table(heads, rows, left=2),
            "The last two columns are over all weights, biases and inputs of the network, in float64.",
            "How a gradient passes the hidden layer, as derived:",
            "\n".join(f"{one['name']:<{width}}  {one['gradient']}" for one in ones),
        )
    )
