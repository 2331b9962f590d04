"""The layers that networks of the zoo are made of: a node with its weights, named as torch names them."""

from __future__ import annotations

from typing import Any

from tilework.network.graph import Graph, GraphBuilder


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
