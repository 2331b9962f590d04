"""The estimated time of a group for many tile sizes at once (NumPy arrays, one element per candidate).

Time is the largest of the units' times, plus what cannot overlap: the first loads, the last store, what waits for the
only slot of a buffer, and loads that control issues late because a queue is full.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

import numpy as np

from tilework.compiler.body import functions
from tilework.compiler.buffers import contraction_operands, unit_of
from tilework.compiler.volume import Numbers, Volumes
from tilework.network.nest import CONTRACTION, Nest


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


class Estimator(Volumes):
    """The times of a group under one loop order."""

    @cached_property
    def tiles(self) -> Numbers:
        return self.one * prod((self.counts[loop] for loop in self.order[: self.parallel]), start=1)

    @cached_property
    def matrix(self) -> Numbers:
        """Cycles of the main nest's contractions: of each combination of whole and ragged tiles, times its number."""
        if self.group.main.kind != CONTRACTION:
            return 0 * self.one
        a, b = contraction_operands(self.group)
        summed = [n for n, _ in self.group.main.reduction_loops]
        columns = [n for n, _ in self.group.main.parallel_loops if n in b.loops() and n not in a.loops()]
        rows = [n for n, _ in self.group.main.parallel_loops if n not in columns]
        unit, dtype = self.machine.matrix, self.group.tensors[a.tensor].dtype
        total = 0 * self.one
        sizes = (self._tile_sizes(rows), self._tile_sizes(columns), self._tile_sizes(summed))
        for (i, m), (j, n), (k, s) in product(*sizes):
            total = total + i * j * k * unit.cycles(m, n, s, dtype)
        return total

    def _tile_sizes(self, loops: list[str]) -> list[tuple[Any, Any]]:
        """How many tiles there are of each size, a size being the iterations of some loops together."""
        sizes: list[tuple[Any, Any]] = [(1, prod(self.group.extents[n] for n in loops if n not in self.sizes))]
        for loop in loops:
            if loop in self.sizes:
                size, count = self.sizes[loop], self.counts[loop]
                ragged = self.group.extents[loop] - (count - 1) * size
                sizes = [(t * n, s * m) for t, s in sizes for n, m in ((count - 1, size), (1, ragged))]
        return sizes

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
            size = self.element_bytes(self.plan.buffers[scratch])
            work = self.box(scratch, self.parallel) / size * self.tiles if over_box else nest.iterations
            cycles = unit.cycles.get(function, 1)
            total = total + work / unit.lanes * cycles + calls * (unit.pipeline_cycles + cycles / 2)
        return total

    @cached_property
    def inner(self) -> Numbers:
        """How often the main nest runs on a tile."""
        return self.visits(len(self.order))

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
        pauses = self._pauses(levels, moves.first + compute / runs + moves.last)
        total = np.maximum(self._waiting(compute, levels, slots, moves) + pauses, moved)
        total = np.maximum(total, self._issued(levels, slots))
        if contracts:
            after = self.vector / self.tiles
            total = np.maximum(total + after, moves.first + compute / self.tiles + self.vector)
        return total + moves.last

    def _pauses(self, levels: tuple[int, ...], each: Numbers) -> Numbers:
        """What the chunks of a weight take besides: all units run dry between two, and the first is waited for."""
        chunks = self.chunks(levels)
        first = sum(self._shared(index) for index, buffer in enumerate(self.plan.buffers) if buffer.packed)
        return np.maximum(0, chunks - 1) * each + np.where(chunks > 0, first / np.maximum(1, chunks), 0)

    def _shared(self, index: int) -> float:
        """Cycles of the DRAM channel for a core's share of a weight that the movers load."""
        share = self.staging.share if self.staging else 0
        return self.once(index) * share / self.machine.dram_bytes_per_cycle

    def _moves(self, levels: tuple[int, ...]) -> _Moves:
        load, store, channel, first, last = (0 * self.one for _ in range(5))
        for index, (buffer, level) in enumerate(zip(self.plan.buffers, levels, strict=True)):
            if not (buffer.loaded or buffer.stored):
                continue
            time, visits = self.transfer(index, level), self.visits(level)
            if self.staging and buffer.packed:
                channel = channel + self._shared(index)
            else:
                moved = self.traffic(index, level) * self.bursts(index, level)
                channel = channel + moved / self.machine.dram_bytes_per_cycle + 0.5 * visits
            if buffer.loaded:
                load, first = load + time, first + time / visits
            else:
                store, last = store + time, last + time / visits
        return _Moves(load, store, channel, first, last)

    def transfer(self, index: int, level: int) -> Numbers:
        """Cycles for which a buffer's tiles keep the load or the store unit busy."""
        latency, width = self.machine.dram.latency_cycles, self.machine.dram_bytes_per_cycle / self.bursts(index, level)
        if self.staging and self.machine.sram and self.plan.buffers[index].packed:
            latency = self.machine.sram.latency_cycles
            width = self.machine.sram.bandwidth_bytes_per_second / self.machine.clock_hz
        cycles: Numbers = self.visits(level) * (latency + 0.5) + self.traffic(index, level, True) / width
        return cycles

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
