"""The zoo: well-known networks by name, as graphs without weights.

Tensors are named as in torchvision's state dicts, so that those load as they are. Neither NumPy nor PyTorch is
imported here: counting a network needs no more than this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tilework.errors import NetworkError
from tilework.frontend.zoo_cambricon import (
    boltzmann,
    framewise_lstm,
    hopfield,
    rbm,
    rnn,
    sigmoid_layers,
    som,
)
from tilework.frontend.zoo_networks import (
    alexnet,
    alexnet_torchvision,
    lenet5,
    mlp,
    mobilenet_v2,
    resnet,
    unet,
    vgg,
)
from tilework.frontend.zoo_sequences import encoder, gpt2, lstm, vit
from tilework.network.graph import Graph
from tilework.network.operations import Shape

IMAGENET: Shape = (3, 224, 224)
MLP_SIZES = (784, 300, 100, 10)
AUTOENCODER = (320, 200, 100, 50, 10)


@dataclass(frozen=True)
class ZooEntry:
    """A network of the zoo; `input_shape` is without the batch, `options` are the build function's, with defaults."""

    name: str
    build: Callable[..., Graph]
    input_shape: Shape
    description: str
    source: str
    options: Mapping[str, Any] = field(default_factory=dict)


def _vgg(layers: int, convolutions: tuple[int, ...]) -> ZooEntry:
    return ZooEntry(
        f"vgg{layers}",
        partial(vgg, convolutions=convolutions),
        IMAGENET,
        f"{layers} weighted layers of 3x3 convolutions, without batch normalisation (torchvision's vgg{layers})",
        "Simonyan and Zisserman, Very Deep Convolutional Networks, ICLR 2015, table 1",
    )


def _resnet(layers: int, blocks: tuple[int, ...], bottleneck: bool) -> ZooEntry:
    kind = "bottleneck" if bottleneck else "basic"
    return ZooEntry(
        f"resnet{layers}",
        partial(resnet, blocks=blocks, bottleneck=bottleneck),
        IMAGENET,
        f"{layers} weighted layers in {kind} residual blocks, stride in the 3x3 (v1.5, torchvision's resnet{layers})",
        "He et al., Deep Residual Learning for Image Recognition, CVPR 2016, table 1",
        {"stride_in_1x1": False},
    )


def _resnet_v1(layers: int, blocks: tuple[int, ...]) -> ZooEntry:
    return ZooEntry(
        f"resnet{layers}_v1",
        partial(resnet, blocks=blocks, bottleneck=True, stride_in_1x1=True),
        IMAGENET,
        f"{layers} weighted layers in bottleneck residual blocks, stride in the first 1x1 as in the paper (v1)",
        "He et al., Deep Residual Learning for Image Recognition, CVPR 2016, table 1",
    )


def _cambricon(name: str, build: Callable[..., Graph], shape: Shape, description: str, **options: Any) -> ZooEntry:
    source = "Liu et al., Cambricon: An Instruction Set Architecture for Neural Networks, ISCA 2016, table III"
    return ZooEntry(name, build, shape, description, source, options)


def _table(entries: Iterable[ZooEntry]) -> dict[str, ZooEntry]:
    return {entry.name: entry for entry in entries}


NETWORKS: dict[str, ZooEntry] = _table(
    (
        ZooEntry(
            "mlp",
            mlp,
            MLP_SIZES[:1],
            "fully connected layers with ReLU between them; the option sizes gives their widths",
            "LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998, section III.C",
            {"sizes": MLP_SIZES},
        ),
        ZooEntry(
            "lenet5",
            lenet5,
            (1, 28, 28),
            "LeNet-5 for MNIST digits, with ReLU and maximum pooling",
            "LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998, section II.B",
        ),
        ZooEntry(
            "alexnet",
            alexnet,
            (3, 227, 227),
            "AlexNet as published: two towers (2 groups) and local response normalisation",
            "Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks, NIPS 2012, section 3",
        ),
        ZooEntry(
            "alexnet_torchvision",
            alexnet_torchvision,
            IMAGENET,
            "AlexNet in one tower, without normalisation (torchvision's alexnet)",
            "Krizhevsky, One weird trick for parallelizing convolutional neural networks, arXiv:1404.5997",
        ),
        _vgg(11, (1, 1, 2, 2, 2)),
        _vgg(13, (2, 2, 2, 2, 2)),
        _vgg(16, (2, 2, 3, 3, 3)),
        _vgg(19, (2, 2, 4, 4, 4)),
        _resnet(18, (2, 2, 2, 2), bottleneck=False),
        _resnet(34, (3, 4, 6, 3), bottleneck=False),
        _resnet(50, (3, 4, 6, 3), bottleneck=True),
        _resnet(101, (3, 4, 23, 3), bottleneck=True),
        _resnet(152, (3, 8, 36, 3), bottleneck=True),
        _resnet_v1(50, (3, 4, 6, 3)),
        _resnet_v1(101, (3, 4, 23, 3)),
        _resnet_v1(152, (3, 8, 36, 3)),
        ZooEntry(
            "mobilenet_v2",
            mobilenet_v2,
            IMAGENET,
            "inverted residual blocks of depthwise 3x3 convolutions (torchvision's mobilenet_v2)",
            "Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018, table 2",
        ),
        ZooEntry(
            "unet",
            unet,
            (3, 128, 128),
            "U-Net with padding and batch normalisation, so that each pixel of the image gets its classes' logits",
            "Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation, 2015, figure 1",
            {"width": 64, "levels": 4, "classes": 2},
        ),
        ZooEntry(
            "vit_b_16",
            vit,
            IMAGENET,
            "vision transformer of 12 layers over patches of 16x16 pixels (torchvision's vit_b_16)",
            "Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021, table 1",
        ),
        ZooEntry(
            "encoder",
            encoder,
            (128, 512),
            "one layer of a transformer's encoder (torch.nn.TransformerEncoderLayer), 128 positions of 512 features",
            "Vaswani et al., Attention Is All You Need, NIPS 2017, section 3",
            {"heads": 8, "feedforward": 2048},
        ),
        ZooEntry(
            "lstm",
            lstm,
            (32, 128),
            "one layer of LSTM over 32 steps of 128 features (torch.nn.LSTM), and a classifier of its last output",
            "Hochreiter and Schmidhuber, Long Short-Term Memory, Neural Computation 1997; with a forget gate",
            {"hidden": 256, "classes": 10},
        ),
        ZooEntry(
            "gpt2",
            gpt2,
            (128,),
            "decoder of 12 layers, 128 tokens at once (transformers' gpt2); inputs are int64",
            "Radford et al., Language Models are Unsupervised Multitask Learners, 2019, table 2",
            {"layers": 12},
        ),
        _cambricon(
            "cambricon_mlp",
            partial(sigmoid_layers, sizes=(64, 150, 150, 14)),
            (64,),
            "fully connected layers of 150, 150 and 14 neurons, each with a sigmoid",
        ),
        _cambricon(
            "cambricon_rnn", rnn, (10, 26), "recurrent layer of 93 neurons, one of 61 classes in each of 10 frames"
        ),
        _cambricon(
            "cambricon_lstm", framewise_lstm, (10, 26), "LSTM of 93 cells, one of 61 classes in each of 10 frames"
        ),
        _cambricon(
            "autoencoder", partial(sigmoid_layers, sizes=AUTOENCODER), AUTOENCODER[:1], "layers trained as autoencoders"
        ),
        _cambricon(
            "sparse_autoencoder",
            partial(sigmoid_layers, sizes=AUTOENCODER),
            AUTOENCODER[:1],
            "the same; what makes it sparse is a term of its loss in training",
        ),
        _cambricon("boltzmann", boltzmann, (500,), "a step of a Boltzmann machine with 500 hidden units", hidden=500),
        _cambricon("rbm", rbm, (500,), "a Gibbs step of a restricted Boltzmann machine", hidden=500),
        _cambricon("som", som, (64,), "self-organising map: which of its neurons is nearest", neurons=36),
        _cambricon("hopfield", hopfield, (100,), "Hopfield network: its state after some steps", steps=10),
    )
)


def network(name: str, batch: int = 1, input_shape: Shape | None = None, **options: Any) -> Graph:
    """A network of the zoo for inputs [batch, *input_shape] (default: the entry's own shape), float32 but for gpt2's.

    Classifiers have one output, `softmax`, with the probabilities of the classes, float32 [batch, classes]. Options are
    those of the entry, such as `sizes` of mlp and `stride_in_1x1` of the ResNets.
    Raises NetworkError for an unknown name or option, and for a shape that does not fit the network.
    """
    entry = NETWORKS.get(name)
    if entry is None:
        raise NetworkError(f"the network must be one of {', '.join(NETWORKS)}, not {name!r}{_closest(name)}")
    if unknown := options.keys() - entry.options.keys():
        raise NetworkError(f"{name} has no option {min(unknown)!r}; it has {', '.join(entry.options) or 'none'}")
    if input_shape is None:
        input_shape = tuple(options["sizes"][:1]) if "sizes" in options else entry.input_shape
    if len(input_shape) != len(entry.input_shape):
        own = list(entry.input_shape)
        raise NetworkError(
            f"the input of {name} must have {len(own)} sizes besides the batch, as {own}, not {list(input_shape)}"
        )
    return entry.build(name, (batch, *input_shape), **options)


def _closest(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name.lower(), NETWORKS)
    return f"; did you mean {', '.join(close)}?" if close else ""
