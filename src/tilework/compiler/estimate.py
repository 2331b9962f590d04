"""The estimated time of a group for many tile sizes at once (NumPy arrays, one element per candidate).

Time is the largest of the units' times, plus what a single-slot buffer keeps from overlapping, plus filling and
draining the pipeline once.
"""

from __future__ import annotations

from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.compiler.body import functions
from tilework.compiler.buffers import ELEMENT_BYTES, Buffer, Plan, contraction_operands
from tilework.compiler.group import Group
from tilework.machine.machine import Machine
from tilework.network.nest import CONTRACTION, Nest

Numbers = npt.NDArray[np.float64]
Sizes = npt.NDArray[np.int64]


class Estimator:
    """Footprints and times of a group under one loop order; `sizes[d]` are the candidate tiles of loop `order[d]`."""

    def __init__(
        self, group: Group, plan: Plan, machine: Machine, order: tuple[str, ...], parallel: int, sizes: list[Sizes]
    ) -> None:
        self.group, self.plan, self.machine = group, plan, machine
        self.order, self.parallel = order, parallel
        self.sizes = dict(zip(order, sizes, strict=True))
        self.counts = {loop: -(-group.extents[loop] // size) for loop, size in self.sizes.items()}
        self.one = np.ones(sizes[0].shape if sizes else (1,))
        self._cache: dict[tuple[str, int, int], Numbers] = {}

    def footprint(self, levels: tuple[int, ...], slots: tuple[int, ...]) -> tuple[Numbers, Numbers]:
        """Bytes of NRAM and of WRAM that the buffers take."""
        total = {"nram": 0 * self.one, "wram": 0 * self.one}
        for index, buffer in enumerate(self.plan.buffers):
            total[buffer.memory] = total[buffer.memory] + self.box(index, levels[index]) * slots[index] * buffer.copies
        return total["nram"], total["wram"]

    def box(self, index: int, level: int) -> Numbers:
        """Bytes of one tile of a buffer."""
        key = ("box", index, level)
        if key not in self._cache:
            buffer = self.plan.buffers[index]
            self._cache[key] = ELEMENT_BYTES * self.one * self._elements(buffer, self._ranges(level))
        return self._cache[key]

    def _ranges(self, level: int) -> dict[str, Any]:
        inside = {loop: self.sizes[loop] for loop in self.order[:level]}
        return self.group.extents | inside

    def _elements(self, buffer: Buffer, ranges: dict[str, Any]) -> Any:
        if buffer.packed:
            return prod((ranges[loop] for loop in buffer.access.loops()), start=1)
        return prod(1 + sum(abs(c) * (ranges[n] - 1) for n, c in axis.terms) for axis in buffer.access.index)

    def traffic(self, index: int, level: int) -> Numbers:
        """Bytes that a buffer moves to or from DRAM in all."""
        key = ("traffic", index, level)
        if key not in self._cache:
            buffer = self.plan.buffers[index]
            loops = buffer.access.loops()
            outside = self.order[:level]
            repeats = prod((self.counts[loop] for loop in outside if loop not in loops), start=1)
            self._cache[key] = ELEMENT_BYTES * self.one * repeats * self._moved(buffer, set(outside))
        return self._cache[key]

    def _moved(self, buffer: Buffer, outside: set[str]) -> Any:
        """Elements of all the different tiles together, halos counted in each, what lies in the padding not."""
        if buffer.packed:
            return prod(self.group.extents[loop] for loop in buffer.access.loops())
        shape = self.group.tensors[buffer.access.tensor].shape
        total: Any = 1
        for axis, size in zip(buffer.access.index, shape, strict=True):
            tiles = prod((self.counts[n] for n, _ in axis.terms if n in outside), start=1)
            covered: Any = tiles
            for name, c in axis.terms:
                share = tiles // self.counts[name] if name in outside else tiles
                missing = self.counts[name] if name in outside else 1
                covered = covered + abs(c) * (self.group.extents[name] - missing) * share
            low, high = axis.bounds(self.group.extents)
            total = total * (covered - max(0, -low) - max(0, high - size + 1))
        return total

    @cached_property
    def tiles(self) -> Numbers:
        return self.one * prod((self.counts[loop] for loop in self.order[: self.parallel]), start=1)

    @cached_property
    def matrix(self) -> Numbers:
        """Cycles of the main nest's contractions."""
        if self.group.main.kind != CONTRACTION:
            return 0 * self.one
        inputs, weight = (a.loops() for a in contraction_operands(self.group))
        columns = [n for n, _ in self.group.main.parallel_loops if n in weight and n not in inputs]
        summed = [n for n, _ in self.group.main.reduction_loops]
        rows = prod(e for n, e in self.group.main.loops if n not in columns and n not in summed)
        unit = self.machine.matrix
        steps = self._groups(columns, unit.neurons) * self._groups(summed, unit.synapses) * rows
        calls = prod(self.counts.values(), start=1)
        cycles: Numbers = self.one * (steps + calls * unit.pipeline_cycles)
        return cycles

    def _groups(self, loops: list[str], width: int) -> Any:
        """The sum over all tiles of ceil(iterations of `loops` / width)."""
        whole = prod(self.group.extents[n] for n in loops if n not in self.sizes)
        cut = [n for n in loops if n in self.sizes]
        if len(cut) == 1:
            size, count, extent = self.sizes[cut[0]], self.counts[cut[0]], self.group.extents[cut[0]]
            last = extent - (count - 1) * size
            return (count - 1) * -(-size * whole // width) + -(-last * whole // width)
        together: Any = prod((self.sizes[n] for n in cut), start=whole)
        return prod((self.counts[n] for n in cut), start=1) * -(-together // width)

    @cached_property
    def vector(self) -> Numbers:
        """Cycles of all vector instructions."""
        total = 0 * self.one
        for nest in self.group.nests:
            if nest.kind != CONTRACTION:
                total = total + self._vector_nest(nest)
        return total

    def _vector_nest(self, nest: Nest) -> Any:
        calls = prod((self.counts[n] for n in self.order if n in nest.extents), start=1)
        calls = np.maximum(calls, self.tiles)
        unit = self.machine.vector
        cycles = sum(unit.cycles.get(f, 1) for f in functions(nest))
        return nest.iterations / unit.lanes * cycles + calls * len(functions(nest)) * (
            unit.pipeline_cycles + cycles / 2
        )

    @cached_property
    def instructions(self) -> Numbers:
        inner = prod(self.counts.values(), start=1)
        return 6.0 * inner + self.tiles * (4.0 + 3.0 * len(self.group.nests))

    def cycles(self, levels: tuple[int, ...], slots: tuple[int, ...]) -> Numbers:
        """Estimated cycles of the whole group."""
        width = self.machine.dram_bytes_per_cycle
        moved, exposed, first, last = 0 * self.one, 0 * self.one, 0 * self.one, 0 * self.one
        for index, (buffer, level, slot) in enumerate(zip(self.plan.buffers, levels, slots, strict=True)):
            if not (buffer.loaded or buffer.stored):
                continue
            time = self.traffic(index, level) / width
            moved = moved + time
            loads = prod((self.counts[loop] for loop in self.order[:level]), start=1)
            first = first + (time / loads if buffer.loaded else 0)
            last = last + (time / self.tiles if buffer.stored else 0)
            if slot == 1 and level > 0:
                exposed = exposed + time * (1 - 1 / loads)
        drain = self.vector / self.tiles if self.group.main.kind == CONTRACTION else 0
        made = [s for b, s in zip(self.plan.buffers, slots, strict=True) if not b.loaded and len(b.units) > 1]
        if min(made, default=2) == 1 and self.group.main.kind == CONTRACTION:
            exposed = exposed + self.vector * (1 - 1 / self.tiles)
        busiest = np.maximum(self.matrix + exposed, np.maximum(moved, self.vector + exposed * (self.matrix == 0)))
        total: Numbers = np.maximum(busiest, self.instructions) + first + last + drain + 0.5 * self.instructions
        return total
