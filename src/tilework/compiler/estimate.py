"""The estimated time of a group for many tile sizes at once (NumPy arrays, one element per candidate).

Time is the largest of the units' times, plus what cannot overlap: the first loads, the last store, what waits for the
only slot of a buffer, and loads that control issues late because a queue is full.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.compiler.body import functions
from tilework.compiler.buffers import Buffer, Plan, contraction_operands, unit_of
from tilework.compiler.group import Group
from tilework.isa.instruction import ELEMENT_BYTES
from tilework.machine.machine import Machine
from tilework.network.nest import CONTRACTION, Nest

Numbers = npt.NDArray[np.float64]
Sizes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Moves:
    """Cycles of the load unit, the store unit and the DRAM channel, and those of the first loads and last stores."""

    load: Numbers
    store: Numbers
    channel: Numbers
    first: Numbers
    last: Numbers


@dataclass(frozen=True)
class _Level:
    """How often tiles of a loop level are loaded, the load unit's cycles for buffers of one and of two slots, and how
    many entries of the main unit's queue deal with one tile."""

    visits: Numbers
    single: Numbers
    double: Numbers
    entries: Numbers


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

    def traffic(self, index: int, level: int, padding: bool = False) -> Numbers:
        """Bytes that a buffer moves to or from DRAM in all, or fills its tiles with if `padding` counts too."""
        key = ("filled" if padding else "moved", index, level)
        if key not in self._cache:
            buffer = self.plan.buffers[index]
            loops = buffer.access.loops()
            outside = self.order[:level]
            repeats = prod((self.counts[loop] for loop in outside if loop not in loops), start=1)
            self._cache[key] = ELEMENT_BYTES * self.one * repeats * self._moved(buffer, set(outside), padding)
        return self._cache[key]

    def _moved(self, buffer: Buffer, outside: set[str], padding: bool) -> Any:
        """Elements of all the different tiles together, halos counted in each."""
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
            total = total * (covered if padding else covered - max(0, -low) - max(0, high - size + 1))
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
        for place, nest in enumerate(self.group.nests):
            if nest.kind != CONTRACTION:
                total = total + self._vector_nest(place, nest)
        return total

    def _vector_nest(self, place: int, nest: Nest) -> Any:
        calls = prod((self.counts[n] for n in self.order if n in nest.extents), start=1)
        calls = np.maximum(calls, self.tiles)
        total, unit = 0 * self.one, self.machine.vector
        for number, function in enumerate(names := functions(nest)):
            over_box = nest.update != "=" and number < len(names) - 1
            scratch = self.plan.scratch.get(place, 0)
            work = self.box(scratch, self.parallel) / ELEMENT_BYTES * self.tiles if over_box else nest.iterations
            cycles = unit.cycles.get(function, 1)
            total = total + work / unit.lanes * cycles + calls * (unit.pipeline_cycles + cycles / 2)
        return total

    @cached_property
    def inner(self) -> Numbers:
        """How often the main nest runs on a tile."""
        return self.visits(len(self.order))

    def visits(self, level: int) -> Numbers:
        """How often the code inside the first `level` loops runs."""
        return self.one * prod((self.counts[loop] for loop in self.order[:level]), start=1)

    @cached_property
    def _steps(self) -> list[int]:
        """The instructions of each nest on one tile."""
        return [1 if nest.kind == CONTRACTION else len(functions(nest)) for nest in self.group.nests]

    @cached_property
    def _main(self) -> str:
        return unit_of(self.group.main)

    def cycles(self, levels: tuple[int, ...], slots: tuple[int, ...]) -> Numbers:
        """Estimated cycles of the whole group."""
        moves = self._moves(levels)
        contracts = self._main == "matrix"
        compute, runs = (self.matrix, self.inner) if contracts else (self.vector, self.tiles)
        moved = np.maximum(moves.channel, moves.first + moves.store) - moves.last + compute / runs
        total = np.maximum(self._waiting(compute, levels, slots, moves), moved)
        total = np.maximum(total, self._issued(levels, slots))
        if contracts:
            after = self.vector / self.tiles
            total = np.maximum(total + after, moves.first + compute / self.tiles + self.vector)
        return total + moves.last

    def _moves(self, levels: tuple[int, ...]) -> _Moves:
        load, store, channel, first, last = (0 * self.one for _ in range(5))
        for index, (buffer, level) in enumerate(zip(self.plan.buffers, levels, strict=True)):
            if not (buffer.loaded or buffer.stored):
                continue
            time, visits = self.transfer(index, level), self.visits(level)
            channel = channel + self.traffic(index, level) / self.machine.dram_bytes_per_cycle + 0.5 * visits
            if buffer.loaded:
                load, first = load + time, first + time / visits
            else:
                store, last = store + time, last + time / visits
        return _Moves(load, store, channel, first, last)

    def transfer(self, index: int, level: int) -> Numbers:
        """Cycles for which a buffer's tiles keep the load or the store unit busy."""
        fixed = self.machine.dram.latency_cycles + 0.5
        return self.visits(level) * fixed + self.traffic(index, level, True) / self.machine.dram_bytes_per_cycle

    def _issued(self, levels: tuple[int, ...], slots: tuple[int, ...]) -> Numbers:
        """The instructions that control issues, one a cycle."""
        total = self.inner * self._steps[0] + self.tiles * sum(self._steps[1:]) + 1
        total = total + sum(self.visits(depth) for depth in range(len(self.order)))
        for buffer, level, slot in zip(self.plan.buffers, levels, slots, strict=True):
            if len(buffer.units) > 1:
                each = 2 * len(buffer.units) + buffer.loaded + buffer.stored
                total = total + self.visits(level) * each + 2 * slot
        return total

    def _waiting(self, compute: Numbers, levels: tuple[int, ...], slots: tuple[int, ...], moves: _Moves) -> Numbers:
        """The first loads, the main unit's work, and its waits for tiles that are loaded too late to hide behind it.

        Level by level from the inside: tiles of one slot are loaded while nothing is computed; of two, while the main
        unit does what is `ahead`, the part of its work on a tile that its queue holds when the next load is issued and
        that the stored buffer has room for, since loads come before stores.
        """
        time, ending, deeper = compute + self._held(slots, moves), 0 * self.one, 0 * self.one
        room = next(slot for buffer, slot in zip(self.plan.buffers, slots, strict=True) if buffer.stored)
        for at in self._levels(levels, slots):
            ahead = np.minimum(
                1, np.minimum(self.machine.control.queue_depth / at.entries, room * at.visits / self.tiles)
            )
            alone = at.single + (at.double * np.minimum(1, self.tiles / at.visits) if self._stops else 0)
            late = at.single + at.double - alone
            rest = 1 - 1 / at.visits
            time = np.maximum(time, late * rest + (1 - ahead) * time) + alone * rest
            ending = np.maximum(ending, moves.load + (compute - deeper) / at.visits)
            deeper = deeper + at.single + at.double
        return np.maximum(moves.first + time, ending)

    def _levels(self, levels: tuple[int, ...], slots: tuple[int, ...]) -> Iterator[_Level]:
        entries = self.inner * self._steps[0]
        for level in sorted(set(levels), reverse=True):
            visits, loads = self.visits(level), [0 * self.one, 0 * self.one]
            for index, (buffer, at, slot) in enumerate(zip(self.plan.buffers, levels, slots, strict=True)):
                if at == level and len(buffer.units) > 1:
                    entries = entries + 2 * visits * (self._main in buffer.units)
                    loads[slot - 1] = loads[slot - 1] + (self.transfer(index, level) if buffer.loaded else 0)
            yield _Level(visits, loads[0], loads[1], entries / visits)

    def _held(self, slots: tuple[int, ...], moves: _Moves) -> Numbers:
        """What the main unit waits for because a buffer's only slot is still being worked on or stored."""
        time = self.vector if self._stops and self._main == "matrix" else 0 * self.one
        for buffer, slot in zip(self.plan.buffers, slots, strict=True):
            if slot == 1 and not buffer.loaded and len(buffer.units) > 1:
                time = time + (moves.store if buffer.stored else 0) + (self.vector if "matrix" in buffer.units else 0)
        return time * (1 - 1 / self.tiles)

    @cached_property
    def _stops(self) -> bool:
        """Whether a tile's instructions for the other units overflow their queues, so that control stops issuing."""
        depth = self.machine.control.queue_depth
        handed = sum("vector" in buffer.units and len(buffer.units) > 1 for buffer in self.plan.buffers)
        return depth < 3 or (self._main == "matrix" and sum(self._steps[1:]) + 2 * handed > depth)
