"""5.4: the three ways in which networks for ImageNet want their pixels."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "The preprocessing modes caffe, tf and torch"
QUESTION = """
Trained networks for ImageNet come with one of three preprocessing modes, called "caffe", "tf" and "torch". What
does each make of a pixel, and how far off is a network's input if the wrong one is taken?
"""
NOTICE = """
tf maps 0..255 to -1..1. torch scales to 0..1, subtracts ImageNet's mean of each channel and divides by its
deviation. caffe keeps 0..255, subtracts the mean alone, and has blue first.

caffe's values are some 60 times as large as torch's: a network trained with one saturates, or sees almost
nothing, with the other. tf and torch are apart by about one deviation, in scale and in offset; the shape is the
same, so no error says that the wrong one came.

The mean is in the units of the mode: 103.939, 116.779, 123.68 (blue first) is 0.485, 0.456, 0.406 times 255.
"""

MODES = ("caffe", "tf", "torch")
PIXELS = {"black": (0, 0, 0), "white": (255, 255, 255), "red": (255, 0, 0), "the mean": (124, 116, 104)}


def answer() -> dict[str, Any]:
    """`pixels`: by mode and colour the three values in the mode's order; `spread`: deviation of random pixels.

    `off_by`: by the mode wanted and the one that came the root of the mean squared error, in deviations of the wanted.
    """
    import numpy as np

    colours = np.array(list(PIXELS.values()), np.uint8)[:, None, None]
    images = np.stack([tw.from_pixels(pixel) for pixel in colours])
    noise = np.random.default_rng(0).random((4, 3, 64, 64), np.float32)
    made = {mode: tw.prepared(noise, mode).astype(np.float64) for mode in MODES}
    spread = {mode: float(values.std()) for mode, values in made.items()}
    return {
        "pixels": {
            mode: dict(zip(PIXELS, tw.prepared(images, mode)[:, :, 0, 0].tolist(), strict=True)) for mode in MODES
        },
        "spread": spread,
        "off_by": {
            wanted: {came: float(np.sqrt(np.mean((made[came] - made[wanted]) ** 2)) / spread[wanted]) for came in MODES}
            for wanted in MODES
        },
    }


def text(answer: dict[str, Any]) -> str:
    """A line per mode with its pixels, then how far one is from another."""
    pixels = [
        (mode, *(", ".join(f"{value:.3g}" for value in values) for values in found.values()))
        for mode, found in answer["pixels"].items()
    ]
    off = [(wanted, *(f"{found[mode]:.2f}" for mode in MODES)) for wanted, found in answer["off_by"].items()]
    return "\n".join(
        [
            tw.table(("mode", *PIXELS), pixels),
            "",
            "how far off the input is, on average, in deviations of what is wanted:",
            tw.table(("wanted", *(f"{mode} came" for mode in MODES)), off),
        ]
    )
