"""Random changes to a batch of pictures that leave their labels true, drawn from a generator and from nothing else.

Images are float32 [N,C,H,W] in 0..1. Each changes independently of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from math import ceil

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tilework.errors import DataError
from tilework.train.data.dataset import Floats, Labels

Generator = np.random.Generator
Augmentation = Callable[[Floats, Generator], Floats]
Moves = Callable[[tuple[int, ...], Generator], Floats]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
WHOLE = {"pixels", "size"}
REACH = 4  # standard deviations after which a Gaussian is taken to be 0


def augmentation(**steps: float | Iterable[float]) -> Augmentation:
    """The named changes in the order given, e.g. `augmentation(affine=(10, 0.1, 0), elastic=(34, 4), cutout=8)`.

    | step | numbers | what it does |
    |---|---|---|
    | shift | pixels | moves by up to as many whole pixels each way, zeros come in (a random crop after padding) |
    | flip | share | mirrors that share of the images, left for right |
    | affine | degrees, scale, shear | turns by up to ± degrees, scales by 1 ± scale, shears by up to ± shear degrees |
    | elastic | alpha, sigma | moves each pixel by alpha times noise in -1..1 smoothed over sigma pixels |
    | brightness | share | multiplies by 1 ± share |
    | contrast | share | multiplies the distance from the image's mean by 1 ± share |
    | saturation | share | multiplies the distance from each pixel's luma by 1 ± share; RGB |
    | cutout | size | sets a square around a random pixel to 0 (DeVries and Taylor 2017, arXiv:1708.04552) |

    Elastic is that of Simard, Steinkraus and Platt (ICDAR 2003), with 34 and 4 for digits. Where affine and elastic
    follow each other, their moves are added and the image is sampled once: bilinearly, zero outside.
    Raises DataError for a step that doesn't exist or numbers that it can't take.
    """
    changes: list[Augmentation] = []
    for name, numbers in steps.items():
        change = _change(name, tuple(numbers) if isinstance(numbers, Iterable) else (numbers,))
        if isinstance(change, _Warp) and changes and isinstance(last := changes[-1], _Warp):
            changes[-1] = _Warp((*last.moves, *change.moves))
        else:
            changes.append(change)

    def augment(images: Floats, generator: Generator) -> Floats:
        for change in changes:
            images = change(images, generator)
        return images

    return augment


def mixup(images: Floats, labels: Labels, classes: int, alpha: float, generator: Generator) -> tuple[Floats, Floats]:
    """Each image mixed with another of the batch, and the share of each class in it: float32 [N, classes].

    The share of the first is drawn from Beta(alpha, alpha), once a batch (Zhang et al. 2018, arXiv:1710.09412).
    Raises DataError unless alpha is positive.
    """
    if not alpha > 0:
        raise DataError(f"mixup's alpha must be positive, not {alpha}; give 0.2")
    share = np.float32(generator.beta(alpha, alpha))
    other = generator.permutation(len(images))
    shares = np.zeros((len(images), classes), np.float32)
    places = np.arange(len(images))
    shares[places, labels] = share
    shares[places, labels[other]] += 1 - share
    return share * images + (1 - share) * images[other], shares


def _change(name: str, numbers: tuple[float, ...]) -> Augmentation:
    if name not in STEPS:
        raise DataError(f"an augmentation must be one of {', '.join(STEPS)}, not {name!r}; choose one")
    make, ranges = STEPS[name]
    if len(numbers) != len(ranges) or not all(
        low <= number <= high and (title not in WHOLE or number == int(number))
        for number, (title, (low, high)) in zip(numbers, ranges.items(), strict=True)
    ):
        wanted = ", ".join(
            f"{title} ({'a whole number, ' * (title in WHOLE)}{low} to {high})" for title, (low, high) in ranges.items()
        )
        raise DataError(f"the augmentation {name} must have {wanted}, not {', '.join(map(str, numbers))}; change it")
    return make(*numbers)


def _shift(pixels: float) -> Augmentation:
    def shift(images: Floats, generator: Generator) -> Floats:
        most = int(pixels)
        padded = np.pad(images, ((0, 0), (0, 0), (most, most), (most, most)))
        rows, columns = generator.integers(0, 2 * most + 1, (2, len(images)))
        windows = sliding_window_view(padded, images.shape[2:], (2, 3))
        return windows[np.arange(len(images)), :, rows, columns]

    return shift


def _flip(share: float) -> Augmentation:
    def flip(images: Floats, generator: Generator) -> Floats:
        flipped = generator.random(len(images)) < share
        result = images.copy()
        result[flipped] = images[flipped, :, :, ::-1]
        return result

    return flip


def _brightness(share: float) -> Augmentation:
    return lambda images, generator: np.clip(images * _factors(images, share, generator), 0, 1)


def _contrast(share: float) -> Augmentation:
    def contrast(images: Floats, generator: Generator) -> Floats:
        mean: Floats = images.mean((1, 2, 3), keepdims=True)
        return np.clip(mean + (images - mean) * _factors(images, share, generator), 0, 1)

    return contrast


def _saturation(share: float) -> Augmentation:
    def saturation(images: Floats, generator: Generator) -> Floats:
        if images.shape[1] != 3:
            raise DataError(
                f"the augmentation saturation must get images of 3 channels, not {images.shape[1]}; leave it out"
            )
        luma: Floats = np.einsum("nchw,c->nhw", images, LUMA)[:, None]
        return np.clip(luma + (images - luma) * _factors(images, share, generator), 0, 1)

    return saturation


def _factors(images: Floats, share: float, generator: Generator) -> Floats:
    return generator.uniform(1 - share, 1 + share, (len(images), 1, 1, 1)).astype(np.float32)


def _cutout(size: float) -> Augmentation:
    def cutout(images: Floats, generator: Generator) -> Floats:
        side, (count, _, height, width) = int(size), images.shape
        top = generator.integers(0, height, (count, 1)) - side // 2
        left = generator.integers(0, width, (count, 1)) - side // 2
        rows, columns = np.arange(height) - top, np.arange(width) - left
        cut = ((rows >= 0) & (rows < side))[:, :, None] & ((columns >= 0) & (columns < side))[:, None]
        return images * ~cut[:, None]

    return cutout


@dataclass(frozen=True)
class _Warp:
    """Images sampled where the sum of the moves says; a move gives [2,N,H,W], rows and columns in pixels."""

    moves: tuple[Moves, ...]

    def __call__(self, images: Floats, generator: Generator) -> Floats:
        offsets = self.moves[0](images.shape, generator)
        for move in self.moves[1:]:
            offsets += move(images.shape, generator)
        return sample(images, offsets)


def _affine(degrees: float, scale: float, shear: float) -> _Warp:
    def move(shape: tuple[int, ...], generator: Generator) -> Floats:
        count, _, height, width = shape
        turn = np.radians(generator.uniform(-degrees, degrees, count))
        grow = generator.uniform(1 - scale, 1 + scale, count)
        slant = np.tan(np.radians(generator.uniform(-shear, shear, count)))
        # The inverse of the turn times the shear times the scale, as an image is sampled: from where a pixel comes.
        cosine, sine = np.cos(turn) / grow, np.sin(turn) / grow
        matrix = np.array([[cosine - 1, sine], [-sine - slant * cosine, cosine - slant * sine - 1]], np.float32)
        rows = np.arange(height, dtype=np.float32)[:, None] - np.float32((height - 1) / 2)
        columns = np.arange(width, dtype=np.float32) - np.float32((width - 1) / 2)
        return matrix[:, 0, :, None, None] * rows + matrix[:, 1, :, None, None] * columns

    return _Warp((move,))


def _elastic(alpha: float, sigma: float) -> _Warp:
    def move(shape: tuple[int, ...], generator: Generator) -> Floats:
        count, _, height, width = shape
        noise = generator.random((2, count, height, width), np.float32)
        noise -= np.float32(0.5)
        smooth = _gaussian(height, sigma) @ (noise @ _gaussian(width, sigma))
        smooth *= np.float32(2 * alpha)
        return smooth

    return _Warp((move,))


@cache
def _gaussian(length: int, sigma: float) -> Floats:
    """The matrix that smooths a row of that length, zero outside, by a Gaussian that sums to 1."""
    reach = ceil(REACH * sigma)
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    apart = np.subtract.outer(np.arange(length), np.arange(length))
    weights = bell[np.clip(apart, -reach, reach) + reach] / bell.sum()
    return np.where(np.abs(apart) <= reach, weights, 0).astype(np.float32)


def sample(images: Floats, offsets: Floats) -> Floats:
    """Each pixel of [N,C,H,W] taken from its place plus its offset [2,N,H,W] (rows, columns): bilinear, zero outside.

    The offsets are overwritten.
    """
    count, channels, height, width = images.shape
    offsets[0] += np.arange(height, dtype=np.float32)[:, None]
    offsets[1] += np.arange(width, dtype=np.float32)
    rows, columns = (np.clip(place, -1, side, out=place) for place, side in zip(offsets, (height, width), strict=True))
    top, left = np.floor(rows), np.floor(columns)
    down, right = rows - top, columns - left
    pitch, area = width + 3, (height + 3) * (width + 3)  # a border of 1 before and of 2 behind
    flat = np.pad(images, ((0, 0), (0, 0), (1, 2), (1, 2))).ravel()
    first = (top * pitch + left).astype(np.intp)
    first += pitch + 1 + channels * area * np.arange(count)[:, None, None]
    result = np.empty_like(images)
    for channel in range(channels):
        corners = [flat[channel * area + corner :].take(first, mode="clip") for corner in (0, 1, pitch, pitch + 1)]
        above = corners[0] + right * (corners[1] - corners[0])
        below = corners[2] + right * (corners[3] - corners[2])
        result[:, channel] = above + down * (below - above)
    return result


STEPS: dict[str, tuple[Callable[..., Augmentation], dict[str, tuple[float, float]]]] = {
    "shift": (_shift, {"pixels": (0, 64)}),
    "flip": (_flip, {"share": (0, 1)}),
    "affine": (_affine, {"degrees": (0, 180), "scale": (0, 0.9), "shear": (0, 60)}),
    "elastic": (_elastic, {"alpha": (0, 1000), "sigma": (0.5, 64)}),
    "brightness": (_brightness, {"share": (0, 1)}),
    "contrast": (_contrast, {"share": (0, 1)}),
    "saturation": (_saturation, {"share": (0, 1)}),
    "cutout": (_cutout, {"size": (0, 1024)}),
}
