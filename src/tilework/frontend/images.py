"""Rows of handwritten digits in a picture, as the inputs of a network that was trained with MNIST."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tilework.errors import ImageError
from tilework.pixels import load_rgb

if TYPE_CHECKING:
    import os

    import numpy as np
    import numpy.typing as npt

    Path = str | os.PathLike[str]
    Gray = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]
    Floats = npt.NDArray[np.float32]

MOST_PIXELS_SEARCHED = 2**21
MOST_DIGITS = 10_000
LEAST_CONTRAST = 24
SPECK_SHARE = 0.02
ROW_GAP_SHARE = 0.1
CELL, BOX = 28, 20


def digits(path: Path) -> Floats:
    """The handwritten digits of a picture, row by row and left to right: float32 [N,1,28,28] in 0..1, white on black.

    The digits must stand apart on an evenly lit background, dark on light or light on dark. Each becomes what MNIST
    holds: within 20x20, centred by its centre of mass. A picture 28 high and N*28 wide is cut into N cells as it is.
    Raises ImageError like `load_rgb`, and if the picture is blank or shows more than MOST_DIGITS.
    """
    image = load_rgb(path).convert("L")
    import numpy as np

    if image.height == CELL and image.width % CELL == 0:
        strip, _ = _light_on_dark(path, np.asarray(image))
        return strip.reshape(CELL, 1, -1, CELL).transpose(2, 1, 0, 3).astype(np.float32, "C") / np.float32(255)
    image = image.reduce(math.ceil(math.sqrt(image.width * image.height / MOST_PIXELS_SEARCHED)))
    gray, ink = _light_on_dark(path, np.asarray(image))
    boxes = _boxes(digit_ink := _without_specks(ink))
    if len(boxes) > MOST_DIGITS:
        raise ImageError(f"{path} must show at most {MOST_DIGITS} digits, not {len(boxes)} marks; crop or clean it")
    clean = _clean(gray, digit_ink, float(np.median(gray[~ink])))
    return np.stack([_normalised(clean[box])[None] for box in boxes])


def _light_on_dark(path: Path, gray: Gray) -> tuple[Gray, Mask]:
    """The picture with light ink on a dark background, and where the ink is."""
    import numpy as np

    threshold, contrast = _otsu(gray)
    if contrast < LEAST_CONTRAST:
        raise ImageError(f"{path} must show a digit at least, but is blank; write darker or give another file")
    if np.median(np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])) > threshold:
        return 255 - gray, gray <= threshold
    return gray, gray > threshold


def _otsu(gray: Gray) -> tuple[int, float]:
    """The highest level of the dark class, and by how much the means of the two classes differ."""
    import numpy as np

    counts = np.bincount(gray.ravel(), minlength=256).astype(np.float64)
    dark = np.cumsum(counts)
    light = gray.size - dark
    sums = np.cumsum(counts * np.arange(256))
    apart = (sums[-1] - sums) / np.maximum(light, 1) - sums / np.maximum(dark, 1)
    threshold = int(np.argmax(dark * light * apart**2))
    return threshold, float(apart[threshold]) if dark[threshold] and light[threshold] else 0.0


def _without_specks(ink: Mask) -> Mask:
    """The ink without the connected marks that are tiny beside the largest one."""
    import numpy as np

    labels = _component_labels(ink)
    areas = np.bincount(labels)
    kept = ink.copy()
    kept[ink] = areas[labels] >= SPECK_SHARE * areas.max()
    return kept


def _component_labels(ink: Mask) -> npt.NDArray[np.intp]:
    """For each ink pixel, in row-major order, the number of the first pixel that it is 8-connected to."""
    import numpy as np

    padded = np.pad(ink, 1).ravel()
    places = np.flatnonzero(padded)
    width = ink.shape[1] + 2
    neighbours = places + np.array([[1], [width - 1], [width], [width + 1]])
    joined = padded[neighbours]
    first, second = joined.nonzero()[1], np.searchsorted(places, neighbours[joined])
    labels = np.arange(len(places))
    while np.any(labels[first] != labels[second]):
        a, b = labels[first], labels[second]
        np.minimum.at(labels, np.maximum(a, b), np.minimum(a, b))
        while np.any(labels[labels] != labels):
            labels = labels[labels]
    return labels


def _boxes(ink: Mask) -> list[tuple[slice, slice]]:
    """The rectangle of each digit: blank rows part the lines, blank columns the digits of a line."""
    boxes = []
    for line in _runs(ink, 1, ROW_GAP_SHARE):
        for columns in _runs(ink[line], 0):
            rows = _runs(ink[line, columns], 1)
            boxes.append((slice(line.start + rows[0].start, line.start + rows[-1].stop), columns))
    return boxes


def _runs(ink: Mask, axis: int, gap_share: float = 0.0) -> list[slice]:
    """The runs that hold ink somewhere along the axis; two whose gap is small beside the longer of them are one."""
    import numpy as np

    inked = np.pad(np.any(ink, axis=axis), 1).astype(np.int8)
    runs: list[slice] = []
    for start, stop in np.flatnonzero(np.diff(inked)).reshape(-1, 2).tolist():
        if runs and start - runs[-1].stop < gap_share * max(stop - start, runs[-1].stop - runs[-1].start):
            runs[-1] = slice(runs[-1].start, stop)
        else:
            runs.append(slice(start, stop))
    return runs


def _clean(gray: Gray, ink: Mask, background: float) -> Floats:
    """Background 0 and full ink 1; a margin of one pixel keeps the strokes' soft edges."""
    import numpy as np
    from PIL import Image, ImageFilter

    near = np.asarray(Image.fromarray(ink.astype(np.uint8)).filter(ImageFilter.MaxFilter(3)))
    full = np.percentile(gray[ink], 90)
    return (near * np.clip((gray - background) / (full - background), 0, 1)).astype(np.float32)


def _normalised(digit: Floats) -> Floats:
    """A 28x28 cell with the digit as MNIST has it: within 20x20, its centre of mass at the cell's centre."""
    import numpy as np
    from PIL import Image

    scale = BOX / max(digit.shape)
    height, width = (max(1, round(side * scale)) for side in digit.shape)
    small = np.asarray(Image.fromarray(digit).resize((width, height), Image.Resampling.BILINEAR))
    small = small / small.max()
    y, x = np.indices(small.shape)
    top = round(np.clip(CELL / 2 - np.average(y, weights=small), 0, CELL - height))
    left = round(np.clip(CELL / 2 - np.average(x, weights=small), 0, CELL - width))
    cell = np.zeros((CELL, CELL), np.float32)
    cell[top : top + height, left : left + width] = small
    return cell
