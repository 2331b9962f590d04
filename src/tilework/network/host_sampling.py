"""Rules for what picks pixels and boxes by places that depend on values: resizing, grids, regions, suppression.

As in `host_rules`, a rule takes the inputs, its numbers and the shape of the result. Where what is found may be fewer
than the result has rows, the rows that are left over are -1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from itertools import product
from math import ceil, prod
from typing import Any

import numpy as np

from tilework.network.matrices import Array
from tilework.network.operation import Shape

Numbers = Sequence[float]
Rule = Callable[[Sequence[Array], Sequence[Any], Shape], Array]
Taps = list[tuple[Array, Array]]  # places along an axis, with what each weighs

HALF_PIXEL, CORNERS, ASYMMETRIC, HALF_PIXEL_OR_FIRST = range(4)
PREFER_FLOOR, PREFER_CEIL, FLOOR, CEIL = range(4)
LINEAR, NEAREST, CUBIC = range(3)
ZEROS, BORDER, REFLECTION = range(3)
SHARPNESS = -0.75  # of the cubes that torch and ONNX sample grids with


def axis_places(old: int, new: int, where: int) -> Array:
    """Where along an axis each of `new` places lies among `old` ones."""
    if where == CORNERS:
        return np.arange(new) * ((old - 1) / max(1, new - 1))
    if where == HALF_PIXEL_OR_FIRST and new == 1:
        return np.zeros(1)
    offset = 0.0 if where == ASYMMETRIC else 0.5
    return (np.arange(new) + offset) * (old / new) - offset


def _resized(inputs: Sequence[Array], shape: Shape, taps: Callable[[int, int], Taps]) -> Array:
    """The first input resized along one axis after the other by sums of neighbours."""
    found = inputs[0]
    for axis, (old, new) in enumerate(zip(found.shape, shape, strict=True)):
        if old != new:
            across = (-1, *[1] * (found.ndim - 1 - axis))
            terms = (
                np.take(found, np.clip(place, 0, old - 1).astype(np.int64), axis) * weight.reshape(across)
                for place, weight in taps(old, new)
            )
            found = reduce(np.add, terms)
    return found


def linear(inputs: Sequence[Array], numbers: Numbers, shape: Shape) -> Array:
    """Means of the two neighbours along each axis whose size changes; the number says where places lie."""

    def taps(old: int, new: int) -> Taps:
        return _linear(np.clip(axis_places(old, new, int(numbers[0])), 0, old - 1))

    return _resized(inputs, shape, taps)


def cubic(inputs: Sequence[Array], numbers: Numbers, shape: Shape) -> Array:
    """Sums of four neighbours (Keys 1981): where places lie, the sharpness, whether the outside weighs nothing."""
    where, sharpness, exclude = numbers

    def taps(old: int, new: int) -> Taps:
        found = _cubic(axis_places(old, new, int(where)), sharpness)
        if not exclude:
            return found
        kept = [(place, weight * ((place >= 0) & (place < old))) for place, weight in found]
        whole = sum(weight for _, weight in kept)
        return [(place, weight / whole) for place, weight in kept]

    return _resized(inputs, shape, taps)


def pick(inputs: Sequence[Array], numbers: Numbers, shape: Shape) -> Array:
    """The nearest place along each axis whose size changes: where places lie, and how they are rounded."""
    where, rounding = map(int, numbers)

    def taps(old: int, new: int) -> Taps:
        places = axis_places(old, new, where)
        up = {PREFER_FLOOR: places - 0.5, PREFER_CEIL: places + 0.5}.get(rounding, places)
        nearest = np.floor(up) if rounding in (PREFER_CEIL, FLOOR) else np.ceil(up)
        return [(nearest, np.ones(new))]

    return _resized(inputs, shape, taps)


def _linear(places: Array) -> Taps:
    low = np.floor(places)
    return [(low, 1 - (places - low)), (low + 1, places - low)]


def _nearest(places: Array) -> Taps:
    return [(np.rint(places), np.ones_like(places))]


def _cubic(places: Array, a: float = SHARPNESS) -> Taps:
    low = np.floor(places)
    found = []
    for step in range(-1, 3):
        far = np.abs(places - low - step)
        near = ((a + 2) * far - (a + 3)) * far * far + 1
        found.append((low + step, np.where(far <= 1, near, ((a * far - 5 * a) * far + 8 * a) * far - 4 * a)))
    return found


def grid(inputs: Sequence[Array], numbers: Numbers, shape: Shape) -> Array:
    """x [N,C,…] at the places of a grid [N,…,d], from -1 to 1, the last axis first: how they are interpolated, what is
    outside, whether -1 and 1 are the middles of the outermost places (Jaderberg et al. 2015)."""
    how, padding, corners = map(int, numbers)
    x, places = inputs[0], np.flip(inputs[1].astype(np.float64), -1)
    chosen: list[Taps] = []
    for axis, size in enumerate(x.shape[2:]):
        place = (places[..., axis] + 1) / 2 * (size - corners) - (1 - corners) / 2
        inside = place if how == CUBIC else _inside(place, size, padding, corners)
        taps = (_linear, _nearest, _cubic)[how](inside)
        chosen.append([(_inside(tap, size, padding, corners) if how == CUBIC else tap, w) for tap, w in taps])
    return _sampled(x, chosen)


def _inside(places: Array, size: int, padding: int, corners: int) -> Array:
    """Places outside moved to the border, or back from it."""
    if padding == ZEROS:
        return places
    if padding == REFLECTION:
        low, span = (0.0, size - 1.0) if corners else (-0.5, float(size))
        turned = np.abs(places - low) % (2 * span) if span else np.zeros_like(places)
        places = np.minimum(turned, 2 * span - turned) + low
    return np.clip(places, 0, size - 1)


def _sampled(x: Array, chosen: Iterable[Taps], together: np.ufunc = np.add) -> Array:
    """Sums over the taps of each axis of x [N,C,…], where places outside are 0: [N,C,…] of the taps' shape [N,…]."""
    last = np.moveaxis(x, 1, -1)
    terms = []
    for taps in product(*chosen):
        weight: Any = prod(weight for _, weight in taps)
        index = []
        for (place, _), size in zip(taps, x.shape[2:], strict=True):
            weight = weight * ((place >= 0) & (place < size))
            index.append(np.clip(place, 0, size - 1).astype(np.int64))
        batch = np.arange(len(x)).reshape(-1, *[1] * (weight.ndim - 1))
        terms.append(last[(batch, *index)] * weight[..., None])
    found: Array = np.moveaxis(reduce(together, terms), -1, 1)
    return found


def region_samples(inputs: Sequence[Array], numbers: Numbers, shape: Shape) -> Array:
    """Pixels [K,C,h,down,w,across] of x [N,C,H,W], so many of each part of each box [K,5], whose first number is that
    of its image: the scale, and whether boxes are moved by half a pixel (He et al. 2017)."""
    x, boxes = inputs[0], inputs[1]
    rows, channels, *parts = shape
    found = np.empty((rows, channels, *parts))
    for row, (image, *box) in enumerate(boxes.astype(np.float64)):
        found[row] = _box_samples(x[int(image)], box, numbers, parts)
    return found


def regions(inputs: Sequence[Array], numbers: Numbers, shape: Shape) -> Array:
    """Means of samples of each part of each box, from x, boxes [K,4] and their images [K]: whether the largest instead,
    how many samples there are along an axis, 0 for as many as a part has pixels, the scale, whether boxes are moved.

    The largest is that of all neighbours times their weights, as ONNX Runtime has it.
    """
    largest, samples, scale, aligned = numbers
    x, boxes, images = inputs
    height, width = shape[2:]
    found = np.empty(shape)
    for row, (box, image) in enumerate(zip(boxes.astype(np.float64), images.astype(np.int64), strict=True)):
        sizes = (_side(box[1], box[3], scale, aligned)[1], _side(box[0], box[2], scale, aligned)[1])
        down, across = (int(samples) or max(1, ceil(size / n)) for size, n in zip(sizes, (height, width), strict=True))
        together = np.maximum if largest else np.add
        pixels = _box_samples(x[image], box, (scale, aligned), (height, down, width, across), together)
        found[row] = pixels.max((2, 4)) if largest else pixels.mean((2, 4))
    return found


def _side(low: float, high: float, scale: float, aligned: float) -> tuple[float, float]:
    """Where a box begins along an axis and how long it is; one that isn't aligned is at least a pixel."""
    first = low * scale - 0.5 * aligned
    size = high * scale - 0.5 * aligned - first
    return first, size if aligned else max(size, 1.0)


def _box_samples(
    image: Array, box: Sequence[float], numbers: Numbers, parts: Sequence[int], together: np.ufunc = np.add
) -> Array:
    """Pixels [C,h,down,w,across] of an image [C,H,W] in a box x1, y1, x2, y2."""
    height, down, width, across = parts
    chosen = []
    for ends, count, samples, size in (
        ((box[1], box[3]), height, down, image.shape[1]),
        ((box[0], box[2]), width, across, image.shape[2]),
    ):
        first, length = _side(*ends, *numbers)
        places = first + (np.arange(count * samples) + 0.5) * (length / (count * samples))
        within = (places >= -1) & (places <= size)
        chosen.append([(np.minimum(p, size - 1), w * within) for p, w in _linear(np.clip(places, 0, size - 1))])
    grids = [
        [(tap[0].reshape(shape), tap[1].reshape(shape)) for tap in taps]
        for taps, shape in zip(chosen, ((1, -1, 1), (1, 1, -1)), strict=True)
    ]
    found: Array = _sampled(image[None], grids, together)[0].reshape(-1, height, down, width, across)
    return found


def places_of(inputs: Sequence[Array], numbers: Numbers, shape: Shape) -> Array:
    """Where elements aren't 0: a column for each, or, if the number is 1, a row."""
    found = np.argwhere(inputs[0]) if inputs[0].ndim else np.zeros((int(inputs[0] != 0), 1), np.int64)
    rows = _filled(found, shape if numbers[0] else shape[::-1])
    return rows if numbers[0] else rows.T


def _filled(found: Array, shape: Shape) -> Array:
    whole = np.full(shape, -1, np.int64)
    whole[: len(found)] = found
    return whole


def suppressed(inputs: Sequence[Array], numbers: Numbers, shape: Shape) -> Array:
    """Of boxes [K,4] with scores [K] those that none with a higher score overlaps by more than the number, a share of
    both together; by score."""
    boxes, scores = inputs
    return _filled(_kept(boxes, scores, len(scores), numbers[0]), shape)


def suppressed_by_class(inputs: Sequence[Array], numbers: Numbers, shape: Shape) -> Array:
    """The same of boxes [N,K,4] with scores [N,C,K] for each image and class, as rows of these and the box: whether
    boxes are a middle and sizes, how many there are at most, the share, and the score that all must be above."""
    centred, most, share, least = numbers
    found: list[tuple[int, int, int]] = []
    for image, (boxes, scores) in enumerate(zip(inputs[0].astype(np.float64), inputs[1], strict=True)):
        corners = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1)
        for kind, score in enumerate(scores):
            high = np.flatnonzero(score > least)
            kept = _kept((corners if centred else boxes)[high], score[high], int(most), share)
            found += [(image, kind, box) for box in high[kept]]
    return _filled(np.array(found, np.int64).reshape(-1, 3), shape)


def _kept(boxes: Array, scores: Array, most: int, share: float) -> Array:
    low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
    areas = (high - low).prod(1)
    waiting, found = np.argsort(-scores, kind="stable"), list[int]()
    while len(waiting) and len(found) < most:
        first, waiting = waiting[0], waiting[1:]
        found.append(first)
        sides = np.minimum(high[first], high[waiting]) - np.maximum(low[first], low[waiting])
        common = np.maximum(sides, 0).prod(1)
        waiting = waiting[common <= share * (areas[first] + areas[waiting] - common)]
    return np.array(found, np.int64)


SAMPLING: dict[str, Rule] = {
    "linear": linear,
    "cubic": cubic,
    "pick": pick,
    "grid": grid,
    "regions": regions,
    "region_samples": region_samples,
    "nonzero": places_of,
    "nms": suppressed,
    "nms_by_class": suppressed_by_class,
}
