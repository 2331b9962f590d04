"""Torch modules to count: tilework count py:examples.networks:unet --input 1,3,128,128"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


def twice(channels: int, filters: int) -> nn.Sequential:
    """Two convolutions, each with a normalisation and a ReLU."""
    layers: list[nn.Module] = []
    for inputs in (channels, filters):
        layers += [nn.Conv2d(inputs, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Ronneberger et al. 2015 with padding: each level down halves the picture, each level up joins what it left."""

    def __init__(self, channels: int = 3, classes: int = 2, width: int = 16, levels: int = 3) -> None:
        super().__init__()
        widths = [width << level for level in range(levels + 1)]
        pairs = list(pairwise(widths))
        self.first = twice(channels, width)
        self.down = nn.ModuleList(twice(a, b) for a, b in pairs)
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in reversed(pairs))
        self.join = nn.ModuleList(twice(2 * a, a) for a, _ in reversed(pairs))
        self.last = nn.Conv2d(width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        left = []
        for down in self.down:
            left.append(x)
            x = down(nn.functional.max_pool2d(x, 2))
        for up, join in zip(self.up, self.join, strict=True):
            x = join(torch.cat([left.pop(), up(x)], dim=1))
        logits: Tensor = self.last(x)
        return logits


def unet() -> UNet:
    """A small U-Net."""
    return UNet()


def encoder() -> nn.TransformerEncoder:
    """Six encoder layers of the first transformer (Vaswani et al. 2017)."""
    layer = nn.TransformerEncoderLayer(512, 8, 2048, batch_first=True)
    return nn.TransformerEncoder(layer, 6, enable_nested_tensor=False)
