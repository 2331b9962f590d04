"""4.9: what shape VGG19's data has after each of its pooling layers."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "The shapes of VGG19 after each pooling layer"
QUESTION = """
VGG19 gets one picture of 224 x 224 pixels and 3 channels. What are height, width and channels after each of
its pooling layers?
"""
NOTICE = """
Every pooling halves height and width; the convolutions between them change only the channels, because a 3 x 3
window with one row of padding on each side keeps the size.

While the image shrinks by 4, the channels grow by 2, up to 512: each stage holds half the values of the one
before, and the last, where the channels stay, a quarter.

After the second pooling there are 128 channels of 56 x 56; answers that say otherwise have lost a factor of
two.

The 7 x 7 x 512 = 25,088 values at the end are what the first fully connected layer reads, and why it alone
holds 102,764,544 parameters. (torchvision's average pooling to 7 x 7 behind them changes nothing at this
size.)
"""


def answer() -> dict[str, Any]:
    """`input` and, for each pooling layer, its `name` and the shape [channels, height, width] of its output."""
    graph = tw.load("vgg19")
    pools = [row for row in tw.count(graph).rows if row.operation == "max_pool2d"]
    return {
        "input": list(graph.inputs[0].shape[1:]),
        "pools": [{"name": row.name, "shape": list((row.output_shape or ())[1:])} for row in pools],
    }


def text(answer: dict[str, Any]) -> str:
    """A line for the input and one per pooling layer."""
    steps = [("input", answer["input"]), *((f"pooling {i}", p["shape"]) for i, p in enumerate(answer["pools"], 1))]
    rows = [(name, f"{h} x {w}", f"{c}", f"{c * h * w:,}") for name, (c, h, w) in steps]
    return tw.table(("after", "height x width", "channels", "values"), rows)
