"""How each network of the zoo is built; `zoo.NETWORKS` is the table of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from tilework.errors import NetworkError
from tilework.network.graph import Graph, GraphBuilder
from tilework.network.operations import Shape


def _conv(
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


def _linear(g: GraphBuilder, name: str, x: str, features: tuple[int, int]) -> str:
    weight = g.weight(f"{name}.weight", features[::-1])
    return g.node(name, "linear", x, weight, g.weight(f"{name}.bias", features[1:]))


def _batch_norm(g: GraphBuilder, name: str, x: str, channels: int) -> str:
    trained = [g.weight(f"{name}.{key}", (channels,)) for key in ("weight", "bias")]
    running = [g.weight(f"{name}.{key}", (channels,), trainable=False) for key in ("running_mean", "running_var")]
    return g.node(name, "batch_norm", x, *trained, *running)


def _max_pool(g: GraphBuilder, name: str, x: str, kernel: int, stride: int, padding: int = 0) -> str:
    extra: dict[str, Any] = {"padding": (padding, padding)} if padding else {}
    return g.node(name, "max_pool2d", x, kernel=(kernel, kernel), stride=(stride, stride), **extra)


def _probabilities(g: GraphBuilder, logits: str) -> Graph:
    return g.graph(g.node("softmax", "softmax", logits))


def mlp(name: str, shape: Shape, sizes: Sequence[int] = (784, 300, 100, 10)) -> Graph:
    """Fully connected layers fc1, fc2, … of the given widths, ReLU between them."""
    if len(sizes) < 2:
        raise NetworkError(f"the sizes of an mlp must be at least two, its inputs and its outputs, not {list(sizes)}")
    g = GraphBuilder(name)
    value = g.input("x", shape)
    for i, features in enumerate(pairwise(sizes), 1):
        value = _linear(g, f"fc{i}", value, features)
        if i < len(sizes) - 1:
            value = g.node(f"relu{i}", "relu", value)
    return _probabilities(g, value)


def lenet5(name: str, shape: Shape) -> Graph:
    """LeCun et al. 1998 with ReLU, maximum pooling and fully connected layers throughout; images [N,1,28,28]."""
    g = GraphBuilder(name)
    value = g.input("image", shape)
    for i, channels, padding in ((1, (1, 6), 2), (2, (6, 16), 0)):
        value = _conv(g, f"conv{i}", value, channels, 5, padding=padding)
        value = _max_pool(g, f"pool{i}", g.node(f"relu{i}", "relu", value), 2, 2)
    value = _linear(g, "fc1", g.node("flatten", "flatten", value), (400, 120))
    value = _linear(g, "fc2", g.node("relu3", "relu", value), (120, 84))
    return _probabilities(g, _linear(g, "fc3", g.node("relu4", "relu", value), (84, 10)))


def alexnet(name: str, shape: Shape) -> Graph:
    """Krizhevsky et al. 2012; images [N,3,227,227]. The towers, which meet in conv3, are 2 groups elsewhere."""
    g = GraphBuilder(name)
    value = _conv(g, "conv1", g.input("image", shape), (3, 96), 11, stride=4)
    value = _max_pool(g, "pool1", _normalised(g, "1", value), 3, 2)
    value = _conv(g, "conv2", value, (96, 256), 5, padding=2, groups=2)
    value = _max_pool(g, "pool2", _normalised(g, "2", value), 3, 2)
    for i, channels, groups in ((3, (256, 384), 1), (4, (384, 384), 2), (5, (384, 256), 2)):
        value = _conv(g, f"conv{i}", value, channels, 3, padding=1, groups=groups)
        value = g.node(f"relu{i}", "relu", value)
    value = g.node("flatten", "flatten", _max_pool(g, "pool5", value, 3, 2))
    for i, features in ((6, (9216, 4096)), (7, (4096, 4096))):
        value = g.node(f"relu{i}", "relu", _linear(g, f"fc{i}", value, features))
        value = g.node(f"drop{i}", "dropout", value)
    return _probabilities(g, _linear(g, "fc8", value, (4096, 1000)))


def _normalised(g: GraphBuilder, layer: str, x: str) -> str:
    # The paper's alpha, 1e-4, multiplies the plain sum of 5 squares; ours is divided by the window's size.
    rectified = g.node(f"relu{layer}", "relu", x)
    return g.node(f"norm{layer}", "local_response_norm", rectified, size=5, alpha=5e-4, beta=0.75, k=2.0)


def alexnet_torchvision(name: str, shape: Shape) -> Graph:
    """torchvision's alexnet, after Krizhevsky 2014; images [N,3,224,224]."""
    g = GraphBuilder(name)
    value = g.input("image", shape)
    layers = (  # index in `features`, channels, kernel, stride, padding, whether pooling follows
        (0, (3, 64), 11, 4, 2, True),
        (3, (64, 192), 5, 1, 2, True),
        (6, (192, 384), 3, 1, 1, False),
        (8, (384, 256), 3, 1, 1, False),
        (10, (256, 256), 3, 1, 1, True),
    )
    for i, channels, kernel, stride, padding, pooled in layers:
        value = _conv(g, f"features.{i}", value, channels, kernel, stride, padding)
        value = g.node(f"features.{i + 1}", "relu", value)
        if pooled:
            value = _max_pool(g, f"features.{i + 2}", value, 3, 2)
    value = g.node("avgpool", "adaptive_avg_pool2d", value, output=(6, 6))
    value = g.node("flatten", "flatten", value)
    for i, features in ((1, (9216, 4096)), (4, (4096, 4096))):
        value = g.node(f"classifier.{i - 1}", "dropout", value)
        value = g.node(f"classifier.{i + 1}", "relu", _linear(g, f"classifier.{i}", value, features))
    return _probabilities(g, _linear(g, "classifier.6", value, (4096, 1000)))


def vgg(name: str, shape: Shape, convolutions: Sequence[int]) -> Graph:
    """Simonyan and Zisserman 2015: `convolutions` 3x3 layers in each of the five stages; images [N,3,224,224]."""
    g = GraphBuilder(name)
    value = g.input("image", shape)
    channels, index = 3, 0
    for width, count in zip((64, 128, 256, 512, 512), convolutions, strict=True):
        for _ in range(count):
            value = _conv(g, f"features.{index}", value, (channels, width), 3, padding=1)
            value = g.node(f"features.{index + 1}", "relu", value)
            channels, index = width, index + 2
        value = _max_pool(g, f"features.{index}", value, 2, 2)
        index += 1
    value = g.node("avgpool", "adaptive_avg_pool2d", value, output=(7, 7))
    value = g.node("flatten", "flatten", value)
    for i, features in ((0, (25088, 4096)), (3, (4096, 4096))):
        value = g.node(f"classifier.{i + 1}", "relu", _linear(g, f"classifier.{i}", value, features))
        value = g.node(f"classifier.{i + 2}", "dropout", value)
    return _probabilities(g, _linear(g, "classifier.6", value, (4096, 1000)))


def resnet(
    name: str, shape: Shape, blocks: Sequence[int], bottleneck: bool = True, stride_in_1x1: bool = False
) -> Graph:
    """He et al. 2016; images [N,3,224,224]. The stride of a bottleneck is in its 3x3 (v1.5) or its first 1x1 (v1)."""
    g = GraphBuilder(name)
    value = _conv(g, "conv1", g.input("image", shape), (3, 64), 7, stride=2, padding=3, bias=False)
    value = g.node("relu", "relu", _batch_norm(g, "bn1", value, 64))
    value = _max_pool(g, "maxpool", value, 3, 2, 1)
    channels = 64
    for stage, count in enumerate(blocks):
        width = 64 << stage
        for i in range(count):
            stride = 2 if stage and not i else 1
            layers = _bottleneck(width, stride, stride_in_1x1) if bottleneck else _basic(width, stride)
            value = _residual(g, f"layer{stage + 1}.{i}", value, channels, layers)
            channels = layers[-1][0]
    value = g.node("avgpool", "adaptive_avg_pool2d", value, output=(1, 1))
    value = g.node("flatten", "flatten", value)
    return _probabilities(g, _linear(g, "fc", value, (channels, 1000)))


_Layers = tuple[tuple[int, int, int], ...]  # of a block: filters, kernel, stride


def _basic(width: int, stride: int) -> _Layers:
    return (width, 3, stride), (width, 3, 1)


def _bottleneck(width: int, stride: int, stride_in_1x1: bool) -> _Layers:
    first, second = (stride, 1) if stride_in_1x1 else (1, stride)
    return (width, 1, first), (width, 3, second), (4 * width, 1, 1)


def _residual(g: GraphBuilder, place: str, x: str, channels: int, layers: _Layers) -> str:
    """A residual block; its shortcut is a 1x1 convolution where the shape changes, else the identity."""
    value, before, total_stride = x, channels, 1
    for i, (filters, kernel, stride) in enumerate(layers):
        if i:
            value = g.node(f"{place}.relu{i - 1 or ''}", "relu", value)
        value = _conv(g, f"{place}.conv{i + 1}", value, (before, filters), kernel, stride, kernel // 2, bias=False)
        value = _batch_norm(g, f"{place}.bn{i + 1}", value, filters)
        before, total_stride = filters, total_stride * stride
    shortcut = x
    if total_stride > 1 or channels != before:
        shortcut = _conv(g, f"{place}.downsample.0", x, (channels, before), 1, total_stride, bias=False)
        shortcut = _batch_norm(g, f"{place}.downsample.1", shortcut, before)
    total = g.node(f"{place}.add", "add", value, shortcut)
    return g.node(f"{place}.relu{len(layers) - 1}", "relu", total)
