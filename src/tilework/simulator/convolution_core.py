"""A layer on NVDLA's convolution core, as NVDLA's own performance sheet counts it.

The sheet is perf/NVDLA_OpenSource_Performance.xlsx of the repository nvdla/hw; what follows are its columns for a
network without a second memory (X, Z, AA, AO and AQ of the page AlexNet), per image.
"""

from __future__ import annotations

from fractions import Fraction

from tilework.machine.matrix import ConvolutionCore
from tilework.network.topology import LayerShape

WINOGRAD = Fraction(9, 4)  # how many times fewer multiplications F(2x2, 3x3) needs
WINOGRAD_WEIGHTS = Fraction(16, 9)  # and how many times more numbers its transformed weights are


def core_cycles(layer: LayerShape, core: ConvolutionCore, rate: int) -> Fraction:
    """Cycles in which the multipliers work; `rate` products each per cycle.

    The stride is folded into the channels: a filter of R by S places becomes one of R/sy by S/sx places.
    """
    products = Fraction(layer.kernel[0] * layer.kernel[1], layer.strides[0] * layer.strides[1])
    products *= _channels(layer, core) * layer.fitting[0] * layer.fitting[1]
    products *= Fraction(core.whole(layer.filters * layer.batch), layer.batch)
    return products / (core.macs * rate) / (WINOGRAD if _winograd(layer, core) else 1)


def core_words(layer: LayerShape, core: ConvolutionCore) -> Fraction:
    """Words from and to DRAM: image and weights in whole atoms of folded channels, and the output in whole atoms."""
    channels, (height, width) = _channels(layer, core), layer.strides
    image = channels * _ceil(layer.image[0], height) * _ceil(layer.image[1], width)
    places = _ceil(layer.kernel[0], height) * _ceil(layer.kernel[1], width)
    weights = Fraction(channels * places * layer.filters, layer.batch)
    stored: int = layer.stored[0] * layer.stored[1] * core.whole(layer.filters)
    return image + weights * (WINOGRAD_WEIGHTS if _winograd(layer, core) else 1) + stored


def _channels(layer: LayerShape, core: ConvolutionCore) -> int:
    return int(core.whole(layer.channels * layer.strides[0] * layer.strides[1]))


def _winograd(layer: LayerShape, core: ConvolutionCore) -> bool:
    return core.winograd and layer.kernel == (3, 3) and layer.strides == (1, 1)


def _ceil(number: int, divisor: int) -> int:
    return -(-number // divisor)
