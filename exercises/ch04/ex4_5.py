"""4.5: the order of channels in OpenCV, scikit-image and Pillow."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tilework as tw

TITLE = "One picture read by Pillow, scikit-image and OpenCV"
QUESTION = """
Pillow, scikit-image and OpenCV read the same colour picture. In which order do the axes and the channels stand,
and what does a program see that mistakes one order for another?
"""
NOTICE = """
All three give height x width x channels of bytes. Pillow and scikit-image have red first, OpenCV has blue
first. Nothing in the array says so: it has the same shape and type either way, so no error is raised.

Read in the wrong order a red pixel is blue. A network still answers, only worse, which is why the order is
among the first things to look at when a trained network is less accurate than it should be.

Networks want channels x height x width: `tw.from_pixels(pixels, "BGR")` does both at once and scales to 0..1.
"""

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "orange": (255, 128, 0)}


def answer() -> dict[str, Any]:
    """`libraries`: by name the order, shape, dtype and the pixels as read; null where one isn't installed.

    `alike` says if `tw.from_pixels` makes the same of all; `mistaken` is the first pixel, R, G, B, in a wrong order.
    """
    import numpy as np

    pixels = np.array([list(COLOURS.values())] * 2, np.uint8)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "colours.png"
        import_module("PIL.Image").fromarray(pixels).save(path)
        read = {
            "Pillow": ("RGB", _read("PIL.Image", lambda module: np.asarray(module.open(path)))),
            "scikit-image": ("RGB", _read("skimage.io", lambda module: module.imread(path))),
            "OpenCV": ("BGR", _read("cv2", lambda module: module.imread(str(path)))),
        }
    found = {name: (order, array) for name, (order, array) in read.items() if array is not None}
    images = [tw.from_pixels(array, order) for order, array in found.values()]
    return {
        "colours": {name: list(levels) for name, levels in COLOURS.items()},
        "libraries": {name: _described(*read[name]) if name in found else None for name in read},
        "alike": all(image.tobytes() == images[0].tobytes() for image in images),
        "mistaken": (255 * tw.from_pixels(pixels, "BGR")[:, 0, 0]).tolist(),
    }


def _read(module: str, read: Any) -> Any:
    try:
        return read(import_module(module))
    except ImportError:
        return None


def _described(order: str, array: Any) -> dict[str, Any]:
    return {"order": order, "shape": list(array.shape), "dtype": str(array.dtype), "pixels": array[0].tolist()}


def text(answer: dict[str, Any]) -> str:
    """A line per library, and the mistake."""
    rows = []
    for name, found in answer["libraries"].items():
        cells = [", ".join(map(str, pixel)) for pixel in found["pixels"]] if found else ["-"] * len(COLOURS)
        rows.append((name, found["order"] if found else "not installed", *cells))
    red = ", ".join(f"{level:.0f}" for level in answer["mistaken"])
    return "\n".join(
        [
            tw.table(("read by", "order", *answer["colours"]), rows, left=2),
            "",
            f"brought to R, G, B all are {'the same' if answer['alike'] else 'different'}",
            f"red, taken for B, G, R, becomes {red}: blue",
        ]
    )
