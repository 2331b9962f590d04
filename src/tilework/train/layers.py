"""Networks that a recipe states by sizes: fully connected layers, and stages of convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tilework.network.graph import Graph, GraphBuilder
from tilework.network.operations import Shape

ENDS = {"cross_entropy": "softmax", "binary_cross_entropy": "sigmoid"}  # loss: the operation that its gradient takes in


def connected(sizes: Sequence[int], activation: str = "relu", dropout: float = 0.0, loss: str = "") -> Graph:
    """Layers fc1, fc2, … of the given widths, inputs first, with an activation and dropout behind each hidden one.

    The output is softmax, sigmoid or the last layer itself, as the loss wants it; the input is x, [1, sizes[0]].
    """
    g = GraphBuilder("mlp")
    x = g.input("x", (1, sizes[0]))
    for i, (taken, given) in enumerate(pairwise(sizes), 1):
        x = g.node(f"fc{i}", "linear", x, g.weight(f"fc{i}.weight", (given, taken)), g.weight(f"fc{i}.bias", (given,)))
        if i < len(sizes) - 1:
            x = g.node(f"{activation}{i}", activation, x)
            x = g.node(f"drop{i}", "dropout", x, p=dropout) if dropout else x
    return _ended(g, x, loss)


def convolutional(
    shape: Shape, stages: Sequence[int], classes: int, activation: str = "relu", dropout: float = 0.0, loss: str = ""
) -> Graph:
    """For pictures of `shape` [C,H,W]: stages of two 3x3 convolutions, each with batch normalisation and an activation.

    Maximum pooling halves the picture between stages; the mean over what is left goes through dropout to one layer.
    """
    g = GraphBuilder("convolutional")
    x, channels = g.input("image", (1, *shape)), shape[0]
    for i, width in enumerate(stages, 1):
        for name in (f"stage{i}.0", f"stage{i}.1"):
            x = _convolution(g, name, x, (channels, width), activation)
            channels = width
        if i < len(stages):
            x = g.node(f"pool{i}", "max_pool2d", x, kernel=(2, 2), stride=(2, 2))
    x = g.node("flatten", "flatten", g.node("mean", "adaptive_avg_pool2d", x, output=(1, 1)))
    x = g.node("drop", "dropout", x, p=dropout) if dropout else x
    x = g.node("fc", "linear", x, g.weight("fc.weight", (classes, channels)), g.weight("fc.bias", (classes,)))
    return _ended(g, x, loss)


def _convolution(g: GraphBuilder, name: str, x: str, channels: tuple[int, int], activation: str) -> str:
    taken, given = channels
    x = g.node(f"{name}.conv", "conv2d", x, g.weight(f"{name}.conv.weight", (given, taken, 3, 3)), padding=(1, 1))
    trained = (g.weight(f"{name}.norm.{key}", (given,)) for key in ("weight", "bias"))
    running = (g.weight(f"{name}.norm.{key}", (given,), trainable=False) for key in ("running_mean", "running_var"))
    return g.node(f"{name}.{activation}", activation, g.node(f"{name}.norm", "batch_norm", x, *trained, *running))


def _ended(g: GraphBuilder, x: str, loss: str) -> Graph:
    return g.graph(g.node(ENDS[loss], ENDS[loss], x) if loss in ENDS else x)
