"""A topology: a network as a list of the sizes of its convolutions and matrix products, and nothing between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LayerShape:
    """One layer; sizes are pairs of height and width. A product of M by K and K by N has M rows of K channels.

    Without `padding` the output has SCALE-Sim's size, which counts a last window that reaches over the image's edge;
    with it, be it 0, only windows that fit. `batch` images share each weight that is read, and `pool` is the size and
    the stride of a pooling through which the output goes before it is stored.
    """

    name: str
    image: tuple[int, int]
    kernel: tuple[int, int]
    channels: int
    filters: int
    strides: tuple[int, int] = (1, 1)
    padding: int | None = None
    batch: int = 1
    pool: tuple[int, int] | None = None

    @property
    def output(self) -> tuple[int, int]:
        """Places of the kernel."""
        if self.padding is not None:
            return self.fitting
        return _each(lambda size, kernel, stride: 1 + _ceil(size - kernel, stride), self)

    @property
    def fitting(self) -> tuple[int, int]:
        """Places of the kernel on the padded image alone."""
        around = 2 * (self.padding or 0)
        return _each(lambda size, kernel, stride: 1 + (size + around - kernel) // stride, self)

    @property
    def stored(self) -> tuple[int, int]:
        """The output's size after the pooling, if there is one."""
        if self.pool is None:
            return self.output
        size, stride = self.pool
        height, width = self.output
        return 1 + _ceil(height - size, stride), 1 + _ceil(width - size, stride)

    @property
    def rows(self) -> int:
        """Rows of the matrix product that the layer is, for one image."""
        return self.output[0] * self.output[1]

    @property
    def summed(self) -> int:
        """Products in each sum."""
        return self.kernel[0] * self.kernel[1] * self.channels

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image."""
        return self.rows * self.filters * self.summed


def _each(size: Callable[[int, int, int], int], layer: LayerShape) -> tuple[int, int]:
    height, width = map(size, layer.image, layer.kernel, layer.strides)
    return height, width


def _ceil(number: int, divisor: int) -> int:
    return -(-number // divisor)
