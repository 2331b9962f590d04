"""In which order the axes of an engine's tensors lie in memory."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from tilework.network import views
from tilework.network.bind import factors
from tilework.network.matrices import Array, plan_contraction
from tilework.network.nest import Affine, Nest
from tilework.network.operations import Shape
from tilework.train.statements import Statement, Statements

FEWEST = 8  # of a batch that lies innermost: shorter stretches cost more than matrices that lie better save


def batch_last(given: Statements) -> frozenset[str]:
    """The tensors whose first axis, the batch, lies innermost; none where matrix products would need more copies.

    A convolution's windows then are long stretches of memory, its result lies as the product gives it, and BLAS, which
    is slowest for a row-major matrix times the transpose of another, is never asked for that.
    """
    inputs = given.graph.inputs
    size = inputs[0].shape[0] if inputs and inputs[0].shape else 0
    if size < FEWEST:
        return frozenset()
    batched = {tensor.name for tensor in inputs if tensor.shape[:1] == (size,)}
    flat = {
        name for name in batched if len(given.tensors[name].shape) < 3
    }  # so that inputs of rows are copied as they are
    for item in given.items:
        if any(name in batched and _keeps_batch(given, item, name) for name in item.reads):
            batched.add(item.out)
    found = frozenset(batched - flat)
    return found if _copied(given, found) <= _copied(given, frozenset()) else frozenset()


def _keeps_batch(given: Statements, item: Statement, name: str) -> bool:
    """Whether the first axis of a tensor that a statement reads is that of the one it makes."""
    nest = item.nest
    if nest is None:
        return given.tensors[name].shape[:1] == given.tensors[item.out].shape[:1]
    first = nest.output.index[:1]
    return _is_loop(first) and any(a.tensor == name and a.index[:1] == first for a in nest.reads)


def _is_loop(index: tuple[Affine, ...]) -> bool:
    return bool(index) and len(index[0].terms) == 1 and index[0].terms[0][1] == 1 and index[0].offset == 0


def _copied(given: Statements, last: frozenset[str]) -> int:
    """How many elements matrix products gather."""
    arrays = {name: laid_out(np.empty(0, t.dtype), t.shape, name in last) for name, t in given.tensors.items()}
    return sum(_gathered(item.nest, arrays) for item in given.items if item.nest and factors(item.nest))


def _gathered(nest: Nest, arrays: Mapping[str, Array]) -> int:
    three = (nest.output, *factors(nest))
    dtypes: Any = tuple(arrays[access.tensor].dtype for access in three)
    strides: Any = tuple(views.loop_strides(arrays[access.tensor], access, nest.loops) for access in three)
    plan = plan_contraction(tuple(extent for _, extent in nest.loops), strides, dtypes)
    return sum(prod(layout.shape) for layout in (plan.left, plan.right) if layout.gathered)


def laid_out(flat: Array, shape: Shape, last: bool) -> Array:
    """An array of this shape at the start of a flat one, its first axis innermost if `last`."""
    axes = list(range(len(shape)))
    return views.laid_out(flat, shape, axes[1:] + axes[:1] if last else axes)
