"""The layers that networks of the zoo are made of: a node with its weights, named as torch names them."""

from __future__ import annotations

from typing import Any

from tilework.network.graph import Graph, GraphBuilder
from tilework.network.operations import Shape


def conv(
    g: GraphBuilder,
    name: str,
    x: str,
    channels: tuple[int, int],
    kernel: int,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
    bias: bool = True,
) -> str:
    """A square convolution from channels[0] to channels[1]; attributes at their defaults are left out."""
    given: dict[str, Any] = {"stride": (stride, stride), "padding": (padding, padding), "groups": groups}
    usual = {"stride": (1, 1), "padding": (0, 0), "groups": 1}
    weights = [g.weight(f"{name}.weight", (channels[1], channels[0] // groups, kernel, kernel))]
    if bias:
        weights.append(g.weight(f"{name}.bias", channels[1:]))
    return g.node(name, "conv2d", x, *weights, **{k: v for k, v in given.items() if v != usual[k]})


def linear(g: GraphBuilder, name: str, x: str, features: tuple[int, int]) -> str:
    """A linear layer with a bias, from features[0] to features[1]."""
    weight = g.weight(f"{name}.weight", features[::-1])
    return g.node(name, "linear", x, weight, g.weight(f"{name}.bias", features[1:]))


def batch_norm(g: GraphBuilder, name: str, x: str, channels: int) -> str:
    """Batch normalisation with the mean and the variance that training left."""
    trained = [g.weight(f"{name}.{key}", (channels,)) for key in ("weight", "bias")]
    running = [g.weight(f"{name}.{key}", (channels,), trainable=False) for key in ("running_mean", "running_var")]
    return g.node(name, "batch_norm", x, *trained, *running)


def layer_norm(g: GraphBuilder, name: str, x: str, features: int, **attributes: Any) -> str:
    """Normalisation over the last axis."""
    weights = [g.weight(f"{name}.{key}", (features,)) for key in ("weight", "bias")]
    return g.node(name, "layer_norm", x, *weights, **attributes)


def max_pool(g: GraphBuilder, name: str, x: str, kernel: int, stride: int, padding: int = 0) -> str:
    """The maximum over square windows."""
    extra: dict[str, Any] = {"padding": (padding, padding)} if padding else {}
    return g.node(name, "max_pool2d", x, kernel=(kernel, kernel), stride=(stride, stride), **extra)


def probabilities(g: GraphBuilder, logits: str) -> Graph:
    """The graph, with the softmax of these as its output."""
    return g.graph(g.node("softmax", "softmax", logits))


def lstm_states(g: GraphBuilder, x: str, shape: Shape, hidden: int) -> list[str]:
    """What one layer of torch.nn.LSTM gives after each step of x [N,steps,features], from zero states."""
    batch, steps, features = shape
    own, recurrent = (
        g.weight(f"rnn.weight_{k}_l0", (4 * hidden, size)) for k, size in (("ih", features), ("hh", hidden))
    )
    own_bias, recurrent_bias = (g.weight(f"rnn.bias_{k}_l0", (4 * hidden,)) for k in ("ih", "hh"))
    inputs = g.node("rnn.inputs", "linear", x, own, own_bias)
    h = c = g.node("rnn.zeros", "pointwise", what="zeros", body="0", shape=(batch, hidden))
    states = []
    for i in range(steps):
        place = f"rnn.{i}"
        step = g.node(f"{place}.step", "slice", inputs, axis=1, start=i, size=1)
        step = g.node(f"{place}.x", "reshape", step, shape=(batch, 4 * hidden))
        gates = g.node(f"{place}.gates", "add", step, g.node(f"{place}.h", "linear", h, recurrent, recurrent_bias))
        h, c = _cell(g, place, gates, c, hidden)
        states.append(h)
    return states


def _cell(g: GraphBuilder, place: str, gates: str, c: str, hidden: int) -> tuple[str, str]:
    """The next output and state of a cell, from its four gates [N,4*hidden] in torch's order."""
    values = []
    for k, (part, function) in enumerate((("i", "sigmoid"), ("f", "sigmoid"), ("g", "tanh"), ("o", "sigmoid"))):
        cut = g.node(f"{place}.{part}_cut", "slice", gates, axis=1, start=k * hidden, size=hidden)
        values.append(g.node(f"{place}.{part}", function, cut))
    i, f, new, o = values
    c = g.node(f"{place}.c", "pointwise", f, c, i, new, what="cell", body="x0 * x1 + x2 * x3")
    return g.node(f"{place}.out", "mul", o, g.node(f"{place}.tanh", "tanh", c)), c
