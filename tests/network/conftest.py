"""The definition of a nest, iteration by iteration in plain Python: the second opinion on every value."""

from collections.abc import Callable, Mapping
from itertools import product

import numpy as np
import pytest

from tilework.network.functions import FUNCTIONS
from tilework.network.nest import Access, Apply, Constant, Expression, Nest

START = {"=": 0.0, "+=": 0.0, "max=": float("-inf"), "min=": float("inf")}
COMBINE = {"=": lambda old, new: new, "+=": lambda old, new: old + new, "max=": max, "min=": min}


def place(access: Access, point: Mapping[str, int], shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The index that an access has in one iteration, None outside the tensor."""
    index = tuple(axis.at(point) for axis in access.index)
    return index if all(0 <= i < size for i, size in zip(index, shape, strict=True)) else None


def scalar(expression: Expression, arrays: Mapping[str, np.ndarray], point: Mapping[str, int]) -> float:
    if isinstance(expression, Constant):
        return expression.value
    if isinstance(expression, Apply):
        arguments = [np.float64(scalar(a, arrays, point)) for a in expression.arguments]
        with np.errstate(all="ignore"):
            return float(getattr(np, FUNCTIONS[expression.function].numpy)(*arguments))
    index = place(expression, point, arrays[expression.tensor].shape)
    if index is not None:
        return float(arrays[expression.tensor][index])
    assert expression.pad is not None, "a read outside needs a pad value"
    return expression.pad


def interpret_nest(nest: Nest, arrays: dict[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]) -> np.ndarray:
    """What `run_nest` must give, in float64."""
    name = nest.output.tensor
    if name not in arrays:
        arrays[name] = np.full(shapes[name], START[nest.update])
    out = arrays[name]
    for values in product(*(range(extent) for _, extent in nest.loops)):
        point = dict(zip(nest.extents, values, strict=True))
        index = place(nest.output, point, out.shape)
        if index is not None:
            out[index] = COMBINE[nest.update](out[index], scalar(nest.body, arrays, point))
    return out


@pytest.fixture(scope="session")
def interpret() -> Callable[..., np.ndarray]:
    return interpret_nest
