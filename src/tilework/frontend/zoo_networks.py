"""How the networks of the zoo that take images are built, but for vit_b_16; `zoo.NETWORKS` is the table of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tilework.errors import NetworkError
from tilework.frontend.zoo_layers import batch_norm, conv, linear, max_pool, probabilities
from tilework.network.graph import Graph, GraphBuilder
from tilework.network.operations import Shape


def mlp(name: str, shape: Shape, sizes: Sequence[int] = (784, 300, 100, 10)) -> Graph:
    """Fully connected layers fc1, fc2, … of the given widths, ReLU between them."""
    if len(sizes) < 2:
        raise NetworkError(f"the sizes of an mlp must be at least two, its inputs and its outputs, not {list(sizes)}")
    g = GraphBuilder(name)
    value = g.input("x", shape)
    for i, features in enumerate(pairwise(sizes), 1):
        value = linear(g, f"fc{i}", value, features)
        if i < len(sizes) - 1:
            value = g.node(f"relu{i}", "relu", value)
    return probabilities(g, value)


def lenet5(name: str, shape: Shape) -> Graph:
    """LeCun et al. 1998 with ReLU, maximum pooling and fully connected layers throughout; images [N,1,28,28]."""
    g = GraphBuilder(name)
    value = g.input("image", shape)
    for i, channels, padding in ((1, (1, 6), 2), (2, (6, 16), 0)):
        value = conv(g, f"conv{i}", value, channels, 5, padding=padding)
        value = max_pool(g, f"pool{i}", g.node(f"relu{i}", "relu", value), 2, 2)
    value = linear(g, "fc1", g.node("flatten", "flatten", value), (400, 120))
    value = linear(g, "fc2", g.node("relu3", "relu", value), (120, 84))
    return probabilities(g, linear(g, "fc3", g.node("relu4", "relu", value), (84, 10)))


def alexnet(name: str, shape: Shape) -> Graph:
    """Krizhevsky et al. 2012; images [N,3,227,227]. The towers, which meet in conv3, are 2 groups elsewhere."""
    g = GraphBuilder(name)
    value = conv(g, "conv1", g.input("image", shape), (3, 96), 11, stride=4)
    value = max_pool(g, "pool1", _normalised(g, "1", value), 3, 2)
    value = conv(g, "conv2", value, (96, 256), 5, padding=2, groups=2)
    value = max_pool(g, "pool2", _normalised(g, "2", value), 3, 2)
    for i, channels, groups in ((3, (256, 384), 1), (4, (384, 384), 2), (5, (384, 256), 2)):
        value = conv(g, f"conv{i}", value, channels, 3, padding=1, groups=groups)
        value = g.node(f"relu{i}", "relu", value)
    value = g.node("flatten", "flatten", max_pool(g, "pool5", value, 3, 2))
    for i, features in ((6, (9216, 4096)), (7, (4096, 4096))):
        value = g.node(f"relu{i}", "relu", linear(g, f"fc{i}", value, features))
        value = g.node(f"drop{i}", "dropout", value)
    return probabilities(g, linear(g, "fc8", value, (4096, 1000)))


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
        value = conv(g, f"features.{i}", value, channels, kernel, stride, padding)
        value = g.node(f"features.{i + 1}", "relu", value)
        if pooled:
            value = max_pool(g, f"features.{i + 2}", value, 3, 2)
    value = g.node("avgpool", "adaptive_avg_pool2d", value, output=(6, 6))
    value = g.node("flatten", "flatten", value)
    for i, features in ((1, (9216, 4096)), (4, (4096, 4096))):
        value = g.node(f"classifier.{i - 1}", "dropout", value)
        value = g.node(f"classifier.{i + 1}", "relu", linear(g, f"classifier.{i}", value, features))
    return probabilities(g, linear(g, "classifier.6", value, (4096, 1000)))


def vgg(name: str, shape: Shape, convolutions: Sequence[int]) -> Graph:
    """Simonyan and Zisserman 2015: `convolutions` 3x3 layers in each of the five stages; images [N,3,224,224]."""
    g = GraphBuilder(name)
    value = g.input("image", shape)
    channels, index = 3, 0
    for width, count in zip((64, 128, 256, 512, 512), convolutions, strict=True):
        for _ in range(count):
            value = conv(g, f"features.{index}", value, (channels, width), 3, padding=1)
            value = g.node(f"features.{index + 1}", "relu", value)
            channels, index = width, index + 2
        value = max_pool(g, f"features.{index}", value, 2, 2)
        index += 1
    value = g.node("avgpool", "adaptive_avg_pool2d", value, output=(7, 7))
    value = g.node("flatten", "flatten", value)
    for i, features in ((0, (25088, 4096)), (3, (4096, 4096))):
        value = g.node(f"classifier.{i + 1}", "relu", linear(g, f"classifier.{i}", value, features))
        value = g.node(f"classifier.{i + 2}", "dropout", value)
    return probabilities(g, linear(g, "classifier.6", value, (4096, 1000)))


def resnet(
    name: str, shape: Shape, blocks: Sequence[int], bottleneck: bool = True, stride_in_1x1: bool = False
) -> Graph:
    """He et al. 2016; images [N,3,224,224]. The stride of a bottleneck is in its 3x3 (v1.5) or its first 1x1 (v1)."""
    g = GraphBuilder(name)
    value = conv(g, "conv1", g.input("image", shape), (3, 64), 7, stride=2, padding=3, bias=False)
    value = g.node("relu", "relu", batch_norm(g, "bn1", value, 64))
    value = max_pool(g, "maxpool", value, 3, 2, 1)
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
    return probabilities(g, linear(g, "fc", value, (channels, 1000)))


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
        value = conv(g, f"{place}.conv{i + 1}", value, (before, filters), kernel, stride, kernel // 2, bias=False)
        value = batch_norm(g, f"{place}.bn{i + 1}", value, filters)
        before, total_stride = filters, total_stride * stride
    shortcut = x
    if total_stride > 1 or channels != before:
        shortcut = conv(g, f"{place}.downsample.0", x, (channels, before), 1, total_stride, bias=False)
        shortcut = batch_norm(g, f"{place}.downsample.1", shortcut, before)
    total = g.node(f"{place}.add", "add", value, shortcut)
    return g.node(f"{place}.relu{len(layers) - 1}", "relu", total)


def mobilenet_v2(name: str, shape: Shape) -> Graph:
    """Sandler et al. 2018; images [N,3,224,224]."""
    g = GraphBuilder(name)
    value = _normalised_conv(g, "features.0", g.input("image", shape), (3, 32), 3, stride=2)
    channels, place = 32, 1
    for expansion, filters, count, stride in _INVERTED:
        for i in range(count):
            value = _inverted(g, f"features.{place}", value, (channels, filters), expansion, 1 if i else stride)
            channels, place = filters, place + 1
    value = _normalised_conv(g, f"features.{place}", value, (channels, 1280), 1)
    value = g.node("avgpool", "adaptive_avg_pool2d", value, output=(1, 1))
    value = g.node("classifier.0", "dropout", g.node("flatten", "flatten", value), p=0.2)
    return probabilities(g, linear(g, "classifier.1", value, (1280, 1000)))


# Table 2 of the paper: expansion, filters, number of blocks, stride of the first
_INVERTED = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def _normalised_conv(
    g: GraphBuilder, place: str, x: str, channels: tuple[int, int], kernel: int, stride: int = 1, groups: int = 1
) -> str:
    """A convolution, its batch normalisation and ReLU6."""
    value = conv(g, f"{place}.0", x, channels, kernel, stride, kernel // 2, groups, bias=False)
    return g.node(f"{place}.2", "clip", batch_norm(g, f"{place}.1", value, channels[1]))


def _inverted(g: GraphBuilder, place: str, x: str, channels: tuple[int, int], expansion: int, stride: int) -> str:
    """An inverted residual block: wider, a depthwise 3x3, narrower without a ReLU; added to x where shapes agree."""
    wide, value, i = channels[0] * expansion, x, 0
    if expansion > 1:
        value, i = _normalised_conv(g, f"{place}.conv.0", value, (channels[0], wide), 1), 1
    value = _normalised_conv(g, f"{place}.conv.{i}", value, (wide, wide), 3, stride, groups=wide)
    value = conv(g, f"{place}.conv.{i + 1}", value, (wide, channels[1]), 1, bias=False)
    value = batch_norm(g, f"{place}.conv.{i + 2}", value, channels[1])
    return g.node(f"{place}.add", "add", x, value) if stride == 1 and channels[0] == channels[1] else value


def unet(name: str, shape: Shape, width: int = 64, levels: int = 4, classes: int = 2) -> Graph:
    """Ronneberger et al. 2015, padded so that the output is as large as the image [N,3,H,W]; `levels` times a half.

    The first level has `width` channels, each further one twice as many. The output holds a logit of each class for
    each pixel.
    """
    g = GraphBuilder(name)
    value = _twice(g, "first", g.input("image", shape), (3, width))
    widths, left = [width << level for level in range(levels + 1)], []
    for i, pair in enumerate(pairwise(widths)):
        left.append(value)
        value = _twice(g, f"down.{i}", max_pool(g, f"pool.{i}", value, 2, 2), pair)
    for i, (narrow, wide) in enumerate(reversed(list(pairwise(widths)))):
        weights = [g.weight(f"up.{i}.weight", (wide, narrow, 2, 2)), g.weight(f"up.{i}.bias", (narrow,))]
        value = g.node(f"up.{i}", "conv_transpose2d", value, *weights, stride=(2, 2))
        value = g.node(f"join.{i}.concat", "concat", left.pop(), value, axis=1)
        value = _twice(g, f"join.{i}", value, (2 * narrow, narrow))
    return g.graph(conv(g, "last", value, (width, classes), 1))


def _twice(g: GraphBuilder, place: str, x: str, channels: tuple[int, int]) -> str:
    """Two 3x3 convolutions, each with a batch normalisation and a ReLU."""
    for i, inputs in ((0, channels[0]), (3, channels[1])):
        x = conv(g, f"{place}.{i}", x, (inputs, channels[1]), 3, padding=1, bias=False)
        x = g.node(f"{place}.{i + 2}", "relu", batch_norm(g, f"{place}.{i + 1}", x, channels[1]))
    return x
