"""A layer of a network as a product that can be mapped: a contraction nest with the pointwise work after it.

The loops of the result that only the first operand has are rows, those that only the second one has are columns, those
of both count groups. Of the loops that are summed, those are sliced that take new elements of both operands; the
others, such as a window's, belong to every slice. All follows from the nest's access maps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property, reduce
from math import prod

import numpy as np
from numpy.typing import NDArray

from tilework.compiler.buffers import contraction_operands
from tilework.compiler.group import Group
from tilework.compiler.map_problem import Layer, Problem
from tilework.compiler.map_side import Side
from tilework.errors import CompileError
from tilework.network.graph import DTYPE_BYTES
from tilework.network.nest import CONTRACTION, Access, Affine
from tilework.network.views import distinct

Loops = tuple[tuple[str, int], ...]
_STRIPS = (2, 4, 8, 16)  # into which lines are cut


def layer_problems(group: Group, dtype: str) -> tuple[Problem, ...]:
    """Views of a contraction, with what follows it point by point: the plain one, and those with shorter lines.

    Raises CompileError for a group that begins with no contraction, or whose outputs get several sums each.
    """
    main = group.main
    if main.kind != CONTRACTION:
        raise CompileError(
            f"{group.name} must be a sum of products to be mapped, not {group.operation}; name another layer"
        )
    if not distinct(main.output, main.parallel_loops):
        raise CompileError(f"{group.name} must make each output in one sum to be mapped; name another layer")
    view = _View(group)
    return tuple(view.problem(dtype, strips) for strips in view.strips)


class _View:
    """The loops of a group's contraction by what they are, each with more than one iteration."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.operands = contraction_operands(group)
        first, second = (access.loops() for access in self.operands)
        loops = tuple(loop for loop in group.main.parallel_loops if loop[1] > 1)
        self.summed = tuple(loop for loop in group.main.reduction_loops if loop[1] > 1)
        self.rows = tuple(loop for loop in loops if loop[0] not in second)
        self.columns = tuple(loop for loop in loops if loop[0] in second - first)
        self.groups = tuple(loop for loop in loops if loop[0] in first & second)
        together: set[str] = set()
        for access in self.operands:
            for axis in access.index:
                there = [loop for loop in (*self.rows, *self.columns, *self.summed) if loop[0] in _names(axis)]
                alike = set(there) <= set(self.summed) and distinct(Access(access.tensor, (axis,)), there)
                together |= {name for name, _ in there if len(there) > 1 and not alike}
        self.inside = tuple(loop for loop in self.summed if loop[0] not in (first & second) - together)

    @cached_property
    def strips(self) -> list[int]:
        """Into how many strips lines can be cut: 1, and those that divide the first loop along a line."""
        along = self._lines(0).along
        return [1, *(strips for strips in _STRIPS if along and along[0][1] % strips == 0 and along[0][1] > strips)]

    def problem(self, dtype: str, strips: int) -> Problem:
        """With lines cut into so many strips."""
        inputs, weights = self._lines(0).side(strips), self._lines(1).side(1)
        depth = _size(self.inside)
        layer = Layer(inputs, weights, _size(self.groups), depth, *self._reads(), self._touched())
        return Problem(inputs.size, _size(self.summed) // depth, weights.size, dtype, layer=layer)

    def _lines(self, place: int) -> _Lines:
        access, loops = self.operands[place], (self.rows, self.columns)[place]
        return _Lines(access, self.group.tensors[access.tensor].shape, loops, self.inside)

    def _reads(self) -> tuple[int, int]:
        """What pointwise work reads: numbers that don't go with rows, and how many for each output."""
        rows = {name for name, _ in self.rows}
        reads = {access.tensor: access for place, access in self.group.external_reads if place}
        fixed = [name for name, access in reads.items() if not access.loops() & rows]
        return sum(map(self._elements, fixed)), len(reads) - len(fixed)

    def _touched(self) -> tuple[int, int, int, int]:
        names = dict.fromkeys(access.tensor for access in self.operands)
        others = {access.tensor for _, access in self.group.external_reads} - names.keys()
        first, second = [*map(self._elements, names), 0][:2]  # both may be one tensor
        return first, second, sum(map(self._elements, others)), self._elements(self.group.output.tensor)

    def _elements(self, tensor: str) -> int:
        return self.group.touched_bytes[tensor] // DTYPE_BYTES[self.group.tensors[tensor].dtype]


class _Lines:
    """How an operand's own loops, rows or columns, become lines.

    Where they meet loops `inside` a slice on an axis, or leave the tensor, those of the first such axis count lines,
    those of the other such axes lie `along` a line, and the rest counts frames. If there is no such axis, each of their
    places is a line.
    """

    def __init__(self, access: Access, shape: tuple[int, ...], loops: Loops, inside: Loops) -> None:
        self.access, self.shape, self.loops, self.inside = access, shape, loops, inside
        own = {name for name, _ in loops}
        met = [own & _names(axis) if self._overlaps(axis, size) else set() for axis, size in self._axes()]
        self.window = next((place for place, names in enumerate(met) if names), None)
        on_line = met[self.window] if self.window is not None else own
        self.line = tuple(loop for loop in loops if loop[0] in on_line)
        self.along = tuple(loop for loop in loops if loop[0] in set().union(*met) - on_line)

    def _axes(self) -> Iterator[tuple[Affine, int]]:
        return zip(self.access.index, self.shape, strict=True)

    def _overlaps(self, axis: Affine, size: int) -> bool:
        low, high = axis.bounds(dict.fromkeys(_names(axis), 1) | dict((*self.loops, *self.inside)))
        return bool(_names(axis) & {name for name, _ in self.inside}) or low < 0 or high >= size

    def side(self, strips: int) -> Side:
        """The lines, with those along them in so many strips, and the elements that they need."""
        each = 1
        for place, (axis, size) in enumerate(self._axes()):
            if place != self.window:
                each *= self._taken(axis, size, strips)
        if self.window is None:
            return Side(_size(self.loops), each=each)
        low, high = self._windows(self.access.index[self.window], self.shape[self.window])
        frames = _size(self.loops) // (_size(self.line) * _size(self.along))
        return Side(len(low), frames * strips, _size(self.along) // strips, each, low, high)

    def _taken(self, axis: Affine, size: int, strips: int) -> int:
        """The places on an axis that a line takes, or that of its strips which takes most."""
        loops = [loop for loop in (*self.along, *self.inside) if loop[0] in _names(axis)]
        if not loops:
            return 1
        if not self.along or self.along[0] not in loops:
            return len(_inside(_values(axis, loops), size))
        (name, extent), others = self.along[0], [loop for loop in loops if loop != self.along[0]]
        values, step = _values(axis, [(name, extent // strips), *others]), extent // strips * axis.coefficient(name)
        return max(len(_inside(values + strip * step, size)) for strip in range(strips))

    def _windows(self, axis: Affine, size: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of each line the first place that it needs and the end, among the places that any line needs."""
        lines = np.sort(_values(axis, self.line)) - axis.offset
        window = _values(axis, self.inside)
        there = _inside((lines[:, None] + window).ravel(), size)
        low = np.searchsorted(there, lines + window.min(), "left")
        high = np.searchsorted(there, lines + window.max(), "right")
        return tuple(map(int, low)), tuple(map(int, high))


def _values(axis: Affine, loops: Iterable[tuple[str, int]]) -> NDArray[np.int64]:
    """What an index is for all places of some loops, the others at 0."""
    steps = (np.arange(extent) * axis.coefficient(name) for name, extent in loops if axis.coefficient(name))
    start = np.array([axis.offset], np.int64)
    return reduce(lambda found, step: np.add.outer(found, step).ravel(), steps, start)


def _inside(values: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    return np.unique(values[(values >= 0) & (values < size)])


def _size(loops: Loops) -> int:
    return prod(extent for _, extent in loops)


def _names(axis: Affine) -> set[str]:
    return {name for name, _ in axis.terms}
