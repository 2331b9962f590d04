"""What a node of the host computes where its attribute `how` says so: a rule's name and its numbers, as in "take 1".

A rule's function takes the inputs, the numbers and the shape of the result. Axes are counted from the front.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from tilework.network.host_sampling import SAMPLING, Rule
from tilework.network.matrices import Array
from tilework.network.operations import Shape

UPDATES = (None, np.add, np.multiply, np.maximum, np.minimum)


def _take(inputs: Sequence[Array], numbers: Sequence[int], shape: Shape) -> Array:
    """Along an axis, the places that the second input names."""
    found: Array = np.take(inputs[0], inputs[1].astype(np.int64), numbers[0])
    return found


def _index(inputs: Sequence[Array], numbers: Sequence[int], shape: Shape) -> Array:
    """The places that the other inputs name together, one along each axis whose number is 1."""
    given = iter(inputs[1:])
    found: Array = inputs[0][tuple(next(given).astype(np.int64) if known else slice(None) for known in numbers)]
    return found


def _take_along(inputs: Sequence[Array], numbers: Sequence[int], shape: Shape) -> Array:
    """For each place of the second input, the element of its place with this index along an axis instead."""
    return inputs[0][_along(inputs[1], numbers[0])]


def _along(index: Array, axis: int) -> tuple[Array, ...]:
    grid: Sequence[Array] = np.indices(index.shape, sparse=True)
    return tuple(index.astype(np.int64) if a == axis else place for a, place in enumerate(grid))


def _take_nd(inputs: Sequence[Array], numbers: Sequence[int], shape: Shape) -> Array:
    """What the rows of the second input name, the first so many axes being a batch."""
    batch, index = numbers[0], inputs[1].astype(np.int64)
    places = [grid.reshape(grid.shape[:batch] + (1,) * (index.ndim - 1 - batch)) for grid in _batch(index, batch)]
    found: Array = inputs[0][(*places, *np.moveaxis(index, -1, 0))]
    return found


def _batch(index: Array, batch: int) -> Sequence[Array]:
    return list(np.indices(index.shape[:batch])) if batch else []


def _put_along(inputs: Sequence[Array], numbers: Sequence[int], shape: Shape) -> Array:
    """The first input with the third put where the second says along an axis; how is the second number, of UPDATES."""
    return _put(inputs, _along(inputs[1], numbers[0]), numbers[1])


def _put_nd(inputs: Sequence[Array], numbers: Sequence[int], shape: Shape) -> Array:
    """The first input with the third put at the places that the rows of the second name."""
    return _put(inputs, tuple(np.moveaxis(inputs[1].astype(np.int64), -1, 0)), numbers[0])


def _put(inputs: Sequence[Array], places: Any, update: int) -> Array:
    found, function = inputs[0].copy(), UPDATES[update]
    if function is None:
        found[places] = inputs[2]
    else:
        function.at(found, places, inputs[2])
    return found


def _sort(inputs: Sequence[Array], numbers: Sequence[int], shape: Shape) -> Array:
    """In order along an axis, equal ones as they were: axis, whether from the largest, how many, whether the places."""
    axis, descending, count, places = numbers
    (x,) = inputs[:1]
    if descending:  # equal ones keep their order if both the axis and what is found are turned round
        found = x.shape[axis] - 1 - np.flip(np.argsort(np.flip(x, axis), axis, kind="stable"), axis)
    else:
        found = np.argsort(x, axis, kind="stable")
    found = np.take(found, range(count), axis)
    return found if places else np.take_along_axis(x, found, axis)


def _arg(inputs: Sequence[Array], numbers: Sequence[int], shape: Shape) -> Array:
    """The place along an axis of the largest, or the smallest; the first of equal ones, or the last."""
    axis, largest, last = numbers
    find = np.argmax if largest else np.argmin
    if last:
        return np.asarray(inputs[0].shape[axis] - 1 - find(np.flip(inputs[0], axis), axis)).reshape(shape)
    return np.asarray(find(inputs[0], axis)).reshape(shape)


def _hardmax(inputs: Sequence[Array], numbers: Sequence[int], shape: Shape) -> Array:
    """1 at the first of the largest along an axis, else 0."""
    (axis,) = numbers
    places = np.expand_dims(inputs[0].argmax(axis), axis)
    found = np.zeros_like(inputs[0])
    np.put_along_axis(found, places, 1, axis)
    return found


def _running(function: np.ufunc) -> Rule:
    """Along an axis, each element with all before it; without itself; from the end."""

    def rule(inputs: Sequence[Array], numbers: Sequence[int], shape: Shape) -> Array:
        axis, exclusive, reverse = numbers
        x = np.flip(inputs[0], axis) if reverse else inputs[0]
        if exclusive:
            x = np.roll(x, 1, axis)
            x[(slice(None),) * axis + (0,)] = function.identity
        found: Array = function.accumulate(x, axis)
        return np.flip(found, axis) if reverse else found

    return rule


def _product(inputs: Sequence[Array], numbers: Sequence[int], shape: Shape) -> Array:
    """The product along some axes, or all."""
    return np.asarray(inputs[0].prod(tuple(numbers) or None)).reshape(shape)


def _each(function: Callable[..., Any]) -> Rule:
    return lambda inputs, numbers, shape: np.asarray(function(*inputs))


def _nearest(inputs: Sequence[Array], numbers: Sequence[int], shape: Shape) -> Array:
    """Along each axis the place at or before where each lies; halves of pixels are counted if the number is 1."""
    found = inputs[0]
    for axis, (old, new) in enumerate(zip(found.shape, shape, strict=True)):
        places = ((np.arange(new) + 0.5 * numbers[0]) * old) // new
        found = np.take(found, places.astype(np.int64), axis)
    return found


def _diagonal(inputs: Sequence[Array], numbers: Sequence[int], shape: Shape) -> Array:
    return np.asarray(np.diagonal(inputs[0])[: prod(shape)])


RULES: dict[str, Rule] = {
    "take": _take,
    "index": _index,
    "take_along": _take_along,
    "take_nd": _take_nd,
    "put_along": _put_along,
    "put_nd": _put_nd,
    "sort": _sort,
    "arg": _arg,
    "hardmax": _hardmax,
    "cumsum": _running(np.add),
    "cumprod": _running(np.multiply),
    "product": _product,
    "arcsin": _each(np.arcsin),
    "arccos": _each(np.arccos),
    "arctan": _each(np.arctan),
    "arctan2": _each(np.arctan2),
    "bit_and": _each(np.bitwise_and),
    "bit_or": _each(np.bitwise_or),
    "bit_xor": _each(np.bitwise_xor),
    "bit_not": _each(np.bitwise_not),
    "shift_left": _each(np.left_shift),
    "shift_right": _each(np.right_shift),
    "nearest": _nearest,
    "diagonal": _diagonal,
    **SAMPLING,
}
