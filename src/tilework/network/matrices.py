"""How a contraction of strided views becomes matrix products for BLAS.

An operand whose strides do not form a matrix (the overlapping windows of a convolution) is gathered into one first, in
pieces that stay in the cache. How, is planned once per set of strides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise, product
from math import prod
from threading import local
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.network.halves import is_half

Array = npt.NDArray[Any]
Call = Callable[[], Any]
Strides = tuple[int, ...]
Dtypes = tuple["np.dtype[Any]", "np.dtype[Any]", "np.dtype[Any]"]

GATHER_LIMIT = 1 << 16  # elements of one gathered operand: 256 KB of float32, well inside a core's second-level cache
SCRATCH_LIMIT = 1 << 20  # elements of an array that is kept from call to call
FEWEST_ROWS = 256  # of a piece of a gathered operand; below it a matrix product loses more than the cache gives
PLACES_LIMIT = 128  # a reduction over at most so many places may go place by place


class Room:
    """Arrays for what lies between calls, one per use and dtype, used again by later calls."""

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.kept: dict[tuple[str, np.dtype[Any]], Array] = {}

    def array(self, use: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """An array whose values are lost when another one for the same use is filled."""
        size = prod(shape)
        if self.limit is not None and size > self.limit:
            return np.empty(shape, dtype)
        flat = self.kept.get((use, dtype))
        if flat is None or flat.size < size:
            flat = self.kept[use, dtype] = np.empty(size, dtype)
        return flat[:size].reshape(shape)

    def constant(self, value: float, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """An array of one number, which nobody may change."""
        array = self.array(f"constant {value}", shape, dtype)
        array.fill(value)
        return array

    @staticmethod
    def of_thread() -> Room:
        """That of calls which run at once: fresh arrays would cost more in page faults than in filling."""
        return _of_thread.room


class _OfThread(local):
    def __init__(self) -> None:
        self.room = Room(SCRATCH_LIMIT)


_of_thread = _OfThread()


@dataclass(frozen=True, slots=True)
class Layout:
    """How a view becomes a stack of matrices: the axes it keeps, their new order, and what they merge to.

    Where `gathered`, the elements are copied in that order; where `transposed`, the order gives the transpose.
    """

    index: tuple[Any, ...]
    order: tuple[int, ...]
    shape: tuple[int, ...]
    gathered: bool
    transposed: bool

    def select(self, array: Array) -> Array:
        """The view, still with all its axes."""
        selected: Array = array[self.index]
        return selected.transpose(self.order)

    def merge(self, array: Array) -> Array:
        """The stack of matrices in the view's own memory."""
        return self.select(array).reshape(self.shape)

    def matrix(self, array: Array, dtype: np.dtype[Any], use: str, room: Room) -> tuple[list[Call], Array]:
        """The stack of matrices in memory that BLAS takes, and the call that fills it."""
        if not self.gathered:
            return [], self.merge(array)
        view = self.select(array)
        gathered = room.array(use, view.shape, dtype)
        stack = gathered.reshape(self.shape)
        filled: Call = partial(np.copyto, gathered, view, casting="unsafe")
        return [filled], stack.swapaxes(-1, -2) if self.transposed else stack


@dataclass(frozen=True, slots=True)
class Plan:
    """How a contraction runs: in pieces along an axis, or place by place, or else as left @ right.

    `swapped` exchanges a and b first; `direct`: the product may be written straight to the output; `turned`: its
    transpose is quicker to make. `step` 0: no pieces; along a summed axis each piece adds to those before it.
    `by_place`: the axes in the order for a sum of elementwise products over `places`, empty where there is none.
    """

    left: Layout
    right: Layout
    target: Layout
    dtype: np.dtype[Any]
    swapped: bool
    direct: bool
    turned: bool
    by_place: tuple[int, ...]
    places: tuple[int, ...]
    axis: int
    step: int

    def multiply(self, a: Array, b: Array, out: Array | None, room: Room) -> tuple[list[Call], Array]:
        """The calls that multiply, and where the product then is: in `out` if that is given."""
        before, left = self.left.matrix(a, self.dtype, "left", room)
        more, right = self.right.matrix(b, self.dtype, "right", room)
        if out is None:
            *batch, rows, columns = *left.shape[:-1], right.shape[-1]
            if self.turned:
                out = room.array("product", (*batch, columns, rows), self.dtype).swapaxes(-1, -2)
            else:
                out = room.array("product", (*batch, rows, columns), self.dtype)
        return [*before, *more, partial(np.matmul, left, right, out=out)], out

    def multiply_by_place(self, a: Array, b: Array, room: Room) -> tuple[list[Call], Array]:
        """The calls that add up elementwise products, and where the sum then is."""
        a, b = a.transpose(self.by_place), b.transpose(self.by_place)
        places = product(*map(range, self.places))
        shape = a.shape[len(self.places) :]
        total, values = (room.array(use, shape, self.dtype) for use in ("product", "term"))
        first = next(places)
        calls: list[Call] = [partial(np.multiply, a[first], b[first], out=total, dtype=self.dtype, casting="unsafe")]
        for place in places:
            calls.append(partial(np.multiply, a[place], b[place], out=values, dtype=self.dtype, casting="unsafe"))
            calls.append(partial(np.add, total, values, out=total))
        return calls, total


@lru_cache(maxsize=4096)
def plan_contraction(shape: tuple[int, ...], strides: tuple[Strides, Strides, Strides], dtypes: Dtypes) -> Plan:
    """The plan for views of this shape, with the strides and the dtypes of out, a and b."""
    batch, rows, columns, summed = _ordered_roles(shape, strides)
    m, n, r = (prod(shape[i] for i in axes) for axes in (rows, columns, summed))
    swapped = _prefers_swap(shape, strides, rows, columns, summed)
    if swapped:
        rows, columns, m, n = columns, rows, n, m
        strides, dtypes = (strides[0], strides[2], strides[1]), (dtypes[0], dtypes[2], dtypes[1])
    dtype = _working_dtype(dtypes[1], dtypes[2], r)
    left = _layout(shape, strides[1], dtypes[1], dtype, (batch, rows, summed))
    right = _layout(shape, strides[2], dtypes[2], dtype, (batch, summed, columns))
    target = _layout(shape, strides[0], dtypes[0], dtype, (batch, rows, columns), may_turn=False)
    by_place: tuple[int, ...] = ()
    if batch and min(m, n) == 1 and r <= PLACES_LIMIT and _innermost(shape, strides[1 if m >= n else 2]) in batch:
        by_place = (*summed, *batch, *rows, *columns, *(i for i, extent in enumerate(shape) if extent == 1))
    axis, step = (0, 0) if by_place else _split(shape, batch, (rows, columns), summed, (left, right))
    direct = not (target.gathered or by_place or _innermost(shape, strides[0]) in rows)
    places = tuple(shape[i] for i in summed)
    turned = m < n and all(  # of two matrices along the summed axis BLAS makes best what lies along its shorter side
        _runs_along(layout, shape, own, (*batch, *side, *summed), summed)
        for layout, own, side in ((left, strides[1], rows), (right, strides[2], columns))
    )
    return Plan(left, right, target, dtype, swapped, direct, turned, by_place, places, axis, step)


def _runs_along(
    layout: Layout, shape: Sequence[int], strides: Strides, axes: Sequence[int], summed: Sequence[int]
) -> bool:
    """Whether a matrix of these axes lies in memory along the summed ones."""
    if layout.gathered:
        return bool(axes) and sorted(axes)[layout.order[-1]] in summed
    return _innermost(shape, strides) in summed


def _ordered_roles(
    shape: Sequence[int], strides: Sequence[Strides]
) -> tuple[list[int], list[int], list[int], list[int]]:
    """The roles, the outermost axis first: each follows the larger of its operands, and the smaller may be copied."""
    batch, rows, columns, summed = _roles(shape, strides)
    m, n, r = (prod(shape[i] for i in axes) for axes in (rows, columns, summed))
    rows = _outermost_first(rows, strides[1 if r >= n else 0])
    columns = _outermost_first(columns, strides[2 if r >= m else 0])
    summed = _outermost_first(summed, strides[1 if m >= n else 2])
    return _outermost_first(batch, strides[0]), rows, columns, summed


def _roles(shape: Sequence[int], strides: Sequence[Strides]) -> tuple[list[int], list[int], list[int], list[int]]:
    """Axes that are batch, rows, columns and summed; one in fewer than two operands is repeated where it lacks."""
    batch: list[int] = []
    rows: list[int] = []
    columns: list[int] = []
    summed: list[int] = []
    for axis, extent in enumerate(shape):
        in_out, in_a, in_b = (s[axis] != 0 for s in strides)
        if extent > 1:
            (summed if not in_out else rows if not in_b else columns if not in_a else batch).append(axis)
    return batch, rows, columns, summed


def _outermost_first(axes: Sequence[int], strides: Strides) -> list[int]:
    return sorted(axes, key=lambda axis: -abs(strides[axis]))


def _innermost(shape: Sequence[int], strides: Strides) -> int:
    return min((i for i in range(len(shape)) if shape[i] > 1 and strides[i]), key=lambda i: abs(strides[i]), default=-1)


def _prefers_swap(
    shape: Sequence[int], strides: Sequence[Strides], rows: list[int], columns: list[int], summed: list[int]
) -> bool:
    """Whether b transposed @ a transposed is better: where `out` runs along the rows, or where a few rows meet a
    large b that is stored by columns, which BLAS would repack for nothing."""
    m, n, r = (prod(shape[i] for i in axes) for axes in (rows, columns, summed))
    if _innermost(shape, strides[2]) in summed and min(m, r) > 1 and 2 * m <= n and r >= 64:
        return True
    if _innermost(shape, strides[1]) in summed and min(n, r) > 1 and 2 * n <= m and r >= 64:
        return False
    return _innermost(shape, strides[0]) in rows


def _working_dtype(a: np.dtype[Any], b: np.dtype[Any], summed: int) -> np.dtype[Any]:
    """float32 or float64, so that BLAS can work; integers must come out exact."""
    common = np.result_type(a, b)
    exact = common == np.int8 and summed <= 1024  # 2**14 per product, 2**24 in a float32
    return np.dtype(np.float32 if exact or common == np.float32 or is_half(common) else np.float64)


def _layout(
    shape: Sequence[int],
    strides: Strides,
    stored: np.dtype[Any],
    working: np.dtype[Any],
    groups: tuple[Sequence[int], Sequence[int], Sequence[int]],
    may_turn: bool = True,
) -> Layout:
    batch, first, second = groups
    item = stored.itemsize
    m, n = prod(shape[i] for i in first), prod(shape[i] for i in second)
    down, along = _merged(shape, strides, first, item), _merged(shape, strides, second, item)
    gathered = stored != working or not (_is_matrix(m, n, down, along, item) or _is_matrix(n, m, along, down, item))
    straight, turned = [*first, *second], [*second, *first]
    better = _run(shape, strides, turned, item) > _run(shape, strides, straight, item)
    transposed = gathered and may_turn and better
    axes = [*batch, *(turned if transposed else straight)]
    kept = tuple(sorted(axes))
    index = (*(slice(None) if axis in axes else 0 for axis in range(len(shape))), ...)
    merged = (*(shape[i] for i in batch), *((n, m) if transposed else (m, n)))
    return Layout(index, tuple(kept.index(axis) for axis in axes), merged, gathered, transposed)


def _merged(shape: Sequence[int], strides: Strides, axes: Sequence[int], item: int) -> int | None:
    """The stride of several axes as one; None where they do not lie evenly."""
    for outer, inner in pairwise(axes):
        if strides[outer] != strides[inner] * shape[inner]:
            return None
    return strides[axes[-1]] if axes else item


def _is_matrix(m: int, n: int, down: int | None, along: int | None, item: int) -> bool:
    """Whether BLAS takes m rows `down` apart of n elements `along` apart: no gaps in a row, no overlap of rows."""
    return along == item and down is not None and (m == 1 or down >= n * item)


def _run(shape: Sequence[int], strides: Strides, axes: Sequence[int], item: int) -> float:
    """How well a copy in this order runs: the length of its innermost stretch, over the step between elements."""
    length, step = 1, item
    for place, axis in enumerate(reversed(axes)):
        if place and strides[axis] != step * length:
            break
        step = step if place else strides[axis]
        length *= shape[axis]
    return length * item / max(abs(step), item)


def _split(
    shape: Sequence[int],
    batch: Sequence[int],
    sides: tuple[Sequence[int], Sequence[int]],
    summed: Sequence[int],
    layouts: tuple[Layout, Layout],
) -> tuple[int, int]:
    """The axis and the step by which to cut a contraction whose gathered operand is too large; step 0: none."""
    for side, layout in zip(sides, layouts, strict=True):
        elements = prod(layout.shape)
        if not layout.gathered or elements <= GATHER_LIMIT:
            continue
        if axes := [*batch, *side]:
            extent = shape[axes[0]]
            fewest = 1 if batch else -(-FEWEST_ROWS * extent // prod(shape[i] for i in side))
            step = max(fewest, -(-extent // -(-elements // GATHER_LIMIT)))
            if step < extent:
                return axes[0], step
        places = prod(shape[i] for axes in (batch, *sides) for i in axes)
        if summed and 8 * places <= GATHER_LIMIT and shape[summed[0]] > 1:
            return summed[0], -(-shape[summed[0]] // -(-elements // GATHER_LIMIT))
    return 0, 0
