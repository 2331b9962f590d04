"""2.2: the trainable parameters of a small multilayer perceptron."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "Trainable parameters of a multilayer perceptron 33-512-10"
QUESTION = """
A multilayer perceptron takes 33 values, has one hidden layer of 512 neurons and gives 10 values. How many
numbers does training have to find, weights and biases?
"""
NOTICE = """
A layer from C to K neurons holds a matrix of K x C weights and one bias for each of its K neurons, so
(C + 1) K numbers: 34 * 512 + 513 * 10.

The biases are few, and often forgotten: without them the sum is 22,016.

The input layer has 33 values and no parameters; nor has the activation function.
"""

NETWORK = """
graph perceptron
input x float32[1,33]
parameter hidden.weight float32[512,33]
parameter hidden.bias float32[512]
parameter output.weight float32[10,512]
parameter output.bias float32[10]
hidden = linear(x, hidden.weight, hidden.bias)
relu = relu(hidden)
output = linear(relu, output.weight, output.bias)
output output
"""


def answer() -> dict[str, Any]:
    """Weights, biases and their sum, by layer and in total; `parameters` is what `tw.count` says."""
    graph = tw.parse_graph(NETWORK)
    layers = [layer for node in graph.nodes if (layer := _layer(graph, node.name, node.inputs))]
    return {
        "layers": layers,
        "weights": sum(layer["weights"] for layer in layers),
        "biases": sum(layer["biases"] for layer in layers),
        "parameters": tw.count(graph).total.trainable_parameters,
    }


def _layer(graph: tw.Graph, name: str, inputs: tuple[str, ...]) -> dict[str, Any] | None:
    sizes = {n.rpartition(".")[2]: graph.tensors[n].elements for n in inputs if graph.tensors[n].is_weight}
    if not sizes:
        return None
    return {"name": name, "weights": sizes["weight"], "biases": sizes["bias"], "parameters": sum(sizes.values())}


def text(answer: dict[str, Any]) -> str:
    """A line per layer and the total."""
    rows = [*answer["layers"], {"name": "total", **answer}]
    cells = [(row["name"], *(f"{row[key]:,}" for key in ("weights", "biases", "parameters"))) for row in rows]
    return tw.table(("layer", "weights", "biases", "parameters"), cells)
