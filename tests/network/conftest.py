"""The definition of a nest, iteration by iteration in plain Python: the second opinion on every value."""

from collections.abc import Callable, Mapping
from itertools import product
from math import erf
from typing import Any

import numpy as np
import pytest

from tilework.network.execute import run_nest
from tilework.network.functions import FUNCTIONS
from tilework.network.nest import Access, Apply, Constant, Expression, Nest
from tilework.network.operations import OPERATIONS, Expansion, expand
from tilework.network.text import parse_nest, print_nest

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
            name = FUNCTIONS[expression.function].numpy
            return float(erf(*arguments) if name == "erf" else getattr(np, name)(*arguments))
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


def random_operands(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    """An array per input; a vector is a batch norm's variance, a bias or the like, so it is positive."""
    generator = np.random.default_rng(len(str(shapes)))
    arrays = [generator.standard_normal(shape).astype(np.float32) for shape in shapes]
    return [abs(array) + np.float32(0.1) if array.ndim == 1 else array for array in arrays]


@pytest.fixture(scope="session")
def operands() -> Callable[..., list[np.ndarray]]:
    return random_operands


def check_nests(expansion: Expansion, placeholders: tuple[str, ...]) -> None:
    """Every nest is text, reads what stands before it, and the temporaries are those that are written."""
    known = set(placeholders)
    for nest in expansion.nests:
        assert parse_nest(print_nest(nest)) == nest
        assert {access.tensor for access in nest.reads} <= known
        known.add(nest.output.tensor)
    assert known - set(placeholders) == ({"o", *dict(expansion.temporaries)} if expansion.nests else set())


def run_operation(name: str, arrays: list[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
    """The value of an operation, run nest by nest."""
    expansion = expand(name, tuple(array.shape for array in arrays), tuple(sorted(attributes.items())))
    placeholders = OPERATIONS[name].placeholders(len(arrays))
    check_nests(expansion, placeholders)
    if expansion.is_alias:
        return arrays[0].reshape(expansion.shape)
    named = dict(zip(placeholders, arrays, strict=True))
    shapes = dict(expansion.temporaries) | {"o": expansion.shape}
    for nest in expansion.nests:
        run_nest(nest, named, shapes)
    return named["o"]


@pytest.fixture(scope="session")
def run() -> Callable[..., np.ndarray]:
    return run_operation
