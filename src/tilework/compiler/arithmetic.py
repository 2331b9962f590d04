"""The cycles of a group's arithmetic for many tile sizes at once, and how often its code runs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from tilework.compiler.body import functions
from tilework.compiler.buffers import contraction_operands, unit_of
from tilework.compiler.pieces import loop_of
from tilework.compiler.volume import Numbers, Volumes
from tilework.network.nest import Nest


class Arithmetic(Volumes):
    """The times of a group's matrix and vector instructions."""

    @cached_property
    def outputs(self) -> frozenset[str]:
        """The tiled loops that are parallel: the others reduce."""
        loops = self.group.output.loops()
        return frozenset(name for name in self.points.sizes if loop_of(name) in loops)

    def around_temporaries(self, place: int) -> frozenset[str]:
        """The tiled loops around the temporaries of a nest's body: the main nest makes its own in all of them."""
        return self.outputs if place else frozenset(self.points.sizes)

    @property
    def tiles(self) -> Numbers:
        """How many tiles, or pieces of them, there are of the result."""
        return self.counts(self.outputs)

    @property
    def inner(self) -> Numbers:
        """How often the main nest runs on a tile."""
        return self.counts(frozenset(self.points.sizes))

    @property
    def matrix(self) -> Numbers:
        """Cycles of the main nest's contractions: of each combination of whole and ragged tiles, times its number."""
        return self.known(Arithmetic._matrix)

    def _matrix(self) -> Any:
        if not self.group.contracts:
            return 0
        unit, dtype = self.machine.matrix, self.group.tensors[contraction_operands(self.group)[0].tensor].dtype
        total = np.zeros(len(self.points))
        for number, rows, columns, summed in self.products():
            there = np.flatnonzero(number)
            m, n, k = (size[there] if np.ndim(size) else size for size in (rows, columns, summed))
            total[there] += number[there] * unit.cycles(m, n, self.group.blocks.products(k), dtype)
        return total

    def products(self) -> Iterator[tuple[Any, Any, Any, Any]]:
        """The sizes of the main nest's matrix products on a tile, rows, columns and sums, after how many have them."""
        a, b = contraction_operands(self.group)
        names = [n for n, _ in self.group.main.parallel_loops]
        columns = [n for n in names if n in b.loops() and n not in a.loops()]
        roles = [n for n in names if n not in columns], columns, [n for n, _ in self.group.main.reduction_loops]
        cut = frozenset(self.points.sizes)
        for (i, m), (j, n), (k, s) in product(*(list(self.shapes(loops, cut)) for loops in roles)):
            yield self.zero + i * j * k, m, n, s

    @property
    def vector(self) -> Numbers:
        """Cycles of all vector instructions."""
        return self.known(Arithmetic._vector)

    def _vector(self) -> Any:
        nests = list(enumerate(self.group.nests))[self.group.contracts :]
        return sum((self._vector_nest(*each) for each in nests), start=self.zero)

    def _vector_nest(self, place: int, nest: Nest) -> Any:
        calls = np.maximum(self.counts(frozenset(self.points.sizes).intersection(nest.extents)), self.tiles)
        around = self.around_temporaries(place)
        total, unit = self.zero, self.machine.vector
        for number, function in enumerate(names := functions(nest)):
            over_box = nest.update != "=" and number < len(names) - 1
            scratch = self.plan.scratch.get(place, 0)
            size = self.element_bytes(self.plan.buffers[scratch])
            work = self.box(scratch, around) / size * self.counts(around) if over_box else nest.iterations
            cycles = unit.cycles.get(function, 1)
            total = total + work / unit.lanes * cycles + calls * (unit.pipeline_cycles + cycles / 2)
        return total

    @cached_property
    def _steps(self) -> list[int]:
        """The instructions of each nest on one tile."""
        return [len(functions(nest)) for nest in self.group.nests]

    @cached_property
    def _main(self) -> str:
        return unit_of(self.group, 0)

    @property
    def compute(self) -> Numbers:
        """Cycles of the main nest's unit."""
        return self.matrix if self._main == "matrix" else self.vector
