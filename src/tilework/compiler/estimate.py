"""The estimated time of a group for many tile sizes at once (NumPy arrays, one element per candidate).

Time is the largest of the units' times, plus what cannot overlap: the first loads, the last store, what waits for the
only slot of a buffer, and loads that control issues late because a queue is full.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from tilework.compiler.body import functions
from tilework.compiler.buffers import Plan, contraction_operands, unit_of
from tilework.compiler.pieces import is_piece, loop_of
from tilework.compiler.volume import Numbers, Volumes
from tilework.network.nest import Nest

SLOTS = 2


@dataclass(frozen=True)
class Choice:
    """A loop order, of which the first `parallel` are parallel, with the levels and the slots of a plan's buffers.

    A buffer of level l is filled anew in each iteration of the first l loops; one that the main nest does not touch,
    only in the last iterations of those that reduce. Slots are numbers or arrays of them.
    """

    plan: Plan
    order: tuple[str, ...]
    parallel: int
    levels: tuple[int, ...]
    slots: tuple[Any, ...]

    @property
    def pieces(self) -> str | None:
        """The name of the loop of pieces, if there is one."""
        return next(filter(is_piece, self.order[-1:]), None)

    @cached_property
    def arounds(self) -> tuple[frozenset[str], ...]:
        """For each buffer the loops in which it is filled."""
        reducing = {name for name in self.order[self.parallel :] if not is_piece(name)}
        return tuple(
            frozenset(self.order[:level]) - (reducing if index in self.plan.late else set())
            for index, level in enumerate(self.levels)
        )

    def around(self, index: int) -> frozenset[str]:
        """The loops around the transfers of a buffer: of a result those of its pieces, where it is made in pieces."""
        if self.pieces and index == self.plan.writes[0]:
            return self.arounds[index] | {self.pieces}
        return self.arounds[index]


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
    """The times of a group."""

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
        return self.known(Estimator._matrix)

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
        return self.known(Estimator._vector)

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

    def floor(self, choice: Choice) -> Numbers:
        """Cycles that `cycles` is never below, whatever the slots: of the arithmetic or of the DRAM channel."""
        return np.maximum(self.compute, self._channel(choice))

    def least(self, choice: Choice) -> Numbers:
        """The same with loads into a buffer's only slot, during which nothing is computed."""
        alone = self.zero
        for index, buffer in enumerate(self.plan.buffers):
            if buffer.loaded and choice.levels[index]:
                rest = self.transfer(index, choice) * (1 - 1 / self.counts(choice.around(index)))
                alone = alone + rest * (choice.slots[index] == 1)
        return np.maximum(self.compute + alone, self._channel(choice))

    def _channel(self, choice: Choice) -> Numbers:
        """Cycles that the DRAM channel is taken for."""
        return self.known(Estimator._channel_cycles, self._transfers(choice))

    def _channel_cycles(self, arounds: tuple[frozenset[str], ...]) -> Any:
        transfers = self.zero
        for index, (buffer, around) in enumerate(zip(self.plan.buffers, arounds, strict=True)):
            if (buffer.loaded or buffer.stored) and not self._from_sram(index):
                transfers = transfers + self.counts(around)
        return self.known(Estimator._dram_bytes, arounds) / self.machine.dram_bytes_per_cycle + 0.5 * transfers

    def cycles(self, choice: Choice) -> Numbers:
        """Estimated cycles of the whole group."""
        moves = self._moves(choice)
        contracts, compute = self._main == "matrix", self.compute
        runs = self.inner if contracts else self.tiles
        moved = np.maximum(moves.channel, moves.first + moves.store) - moves.last + compute / runs
        pauses = self._pauses(choice, moves.first + compute / runs + moves.last)
        total = np.maximum(self._waiting(compute, choice, moves) + pauses, moved)
        total = np.maximum(total, self._issued(choice))
        if contracts:
            after = self.vector / self.tiles
            total = np.maximum(total + after, moves.first + compute / self.tiles + self.vector)
        return total + moves.last

    def dram_bytes(self, choice: Choice) -> Numbers:
        """Bytes to and from DRAM, exactly; of a weight through the SRAM what the core has to bear."""
        return self.known(Estimator._dram_bytes, self._transfers(choice))

    def _transfers(self, choice: Choice) -> tuple[frozenset[str], ...]:
        """The loops around each buffer's transfers."""
        return tuple(map(choice.around, range(len(self.plan.buffers))))

    def _dram_bytes(self, arounds: tuple[frozenset[str], ...]) -> Any:
        total = self.zero
        for index, (buffer, around) in enumerate(zip(self.plan.buffers, arounds, strict=True)):
            if self.staging and buffer.packed:
                total = total + self.once(index) * self.staging.share
            elif (buffer.loaded or buffer.stored) and not self.resident(index):
                total = total + self.moved(index, around)
        return total

    def _from_sram(self, index: int) -> bool:
        """Whether a buffer's tiles come from or go to the SRAM."""
        return self.resident(index) or bool(self.staging and self.plan.buffers[index].packed)

    def chunks(self, choice: Choice) -> Numbers:
        """In how many chunks the packed weight comes through the SRAM: 0 if it does not, -1 where that can't be.

        One for each tile of the outermost loop, if the weight has that loop, else all at once.
        """
        index = next((i for i, buffer in enumerate(self.plan.buffers) if buffer.packed), None)
        if self.staging is None or index is None:
            return self.zero
        number, largest = self.zero + 1, self.zero + self.once(index)
        if choice.levels[index] and (outer := choice.order[0]) in self.plan.buffers[index].access.loops():
            number = self.count(outer)
            largest = largest * self.size(outer) / self.group.extents[outer]
        return np.where(largest <= self.staging.slot_bytes, number, -1)

    def _pauses(self, choice: Choice, each: Numbers) -> Numbers:
        """What the chunks of a weight take besides: all units run dry between two, and the first is waited for, or,
        with one slot, all of them are."""
        chunks = self.chunks(choice)
        loads = sum(self._shared(index) for index, buffer in enumerate(self.plan.buffers) if buffer.packed)
        awaited = 1 if self.staging and self.staging.slots == 1 else 1 / np.maximum(1, chunks)
        return np.maximum(0, chunks - 1) * each + np.where(chunks > 0, loads * awaited, 0)

    def _shared(self, index: int) -> float:
        """Cycles of the DRAM channel for a core's share of a weight that the movers load."""
        share = self.staging.share if self.staging else 0
        return self.once(index) * share / self.machine.dram_bytes_per_cycle

    def _moves(self, choice: Choice) -> _Moves:
        load, store, first, last = (self.zero for _ in range(4))
        for index, buffer in enumerate(self.plan.buffers):
            if buffer.loaded or buffer.stored:
                time = self.transfer(index, choice)
                each = time / self.counts(choice.around(index))
                if buffer.loaded:
                    load, first = load + time, first + each
                else:
                    store, last = store + time, last + each
        return _Moves(load, store, self._channel(choice), first, last)

    def transfer(self, index: int, choice: Choice) -> Numbers:
        """Cycles for which a buffer's tiles keep the load or the store unit busy."""
        return self.known(Estimator._transfer, index, choice.around(index))

    def _transfer(self, index: int, around: frozenset[str]) -> Any:
        machine, visits = self.machine, self.counts(around)
        latency, loads = machine.dram.latency_cycles, self.moved(index, around) / machine.dram_bytes_per_cycle
        if machine.sram and self._from_sram(index):
            latency, width = machine.sram.latency_cycles, machine.sram.bandwidth_bytes_per_second / machine.clock_hz
            loads = self.inside(index, around) / width
        filled: Any = 0
        if not self.plan.buffers[index].packed:
            filled = self.covered(index, around) - self.inside(index, around)
        fill_width = machine.transfer_bytes_per_cycle or machine.dram_bytes_per_cycle
        return visits * (latency + 0.5) + loads + filled / fill_width

    def _issued(self, choice: Choice) -> Numbers:
        """The instructions that control issues, one a cycle."""
        total = self.inner * self._steps[0] + self.tiles * sum(self._steps[1:]) + 1
        for depth in range(len(choice.order)):
            total = total + self.counts(frozenset(choice.order[:depth]))
        for index, buffer in enumerate(self.plan.buffers):
            if len(buffer.units) > 1:
                each = 2 * len(buffer.units) + buffer.loaded + buffer.stored
                total = total + self.counts(choice.around(index)) * each + 2 * choice.slots[index]
        return total

    def _waiting(self, compute: Numbers, choice: Choice, moves: _Moves) -> Numbers:
        """The first loads, the main unit's work, and its waits for tiles that are loaded too late to hide behind it.

        Level by level from the inside: tiles of one slot are loaded while nothing is computed; of two, while the main
        unit does what is `ahead`, the part of its work on a tile that its queue holds when the next load is issued and
        that the stored buffer has room for, since loads come before stores; and no more than two tiles of the loads
        inside, which the load unit has to get rid of first.
        """
        time, ending, deeper, inner = compute + self._held(choice, moves), self.zero, self.zero, self.zero
        room = next(slot for buffer, slot in zip(self.plan.buffers, choice.slots, strict=True) if buffer.stored)
        room = room * (self.count(choice.pieces) if choice.pieces else 1)
        for at in self._levels(choice):
            ahead = np.minimum(
                1, np.minimum(self.machine.control.queue_depth / at.entries, room * at.visits / self.tiles)
            )
            ahead = np.minimum(ahead, SLOTS * at.visits / np.maximum(at.visits, inner))
            inner = np.maximum(inner, at.visits * (at.single + at.double > 0))
            alone = at.single + (at.double * np.minimum(1, self.tiles / at.visits) if self._stops else 0)
            late = at.single + at.double - alone
            rest = 1 - 1 / at.visits
            time = np.maximum(time, late * rest + (1 - ahead) * time) + alone * rest
            ending = np.maximum(ending, moves.load + (compute - deeper) / at.visits)
            deeper = deeper + at.single + at.double
        return np.maximum(moves.first + time, ending)

    def _levels(self, choice: Choice) -> Iterator[_Level]:
        entries = self.inner * self._steps[0]
        arounds = self._transfers(choice)
        for around in sorted(set(arounds), key=len, reverse=True):
            visits, single, double = self.counts(around), self.zero, self.zero
            for index, buffer in enumerate(self.plan.buffers):
                if arounds[index] == around and len(buffer.units) > 1:
                    entries = entries + 2 * visits * (self._main in buffer.units)
                    if buffer.loaded:
                        alone, time = choice.slots[index] == 1, self.transfer(index, choice)
                        single, double = single + time * alone, double + time * (1 - alone)
            yield _Level(visits, single, double, entries / visits)

    def _held(self, choice: Choice, moves: _Moves) -> Numbers:
        """What the main unit waits for because a buffer's only slot is still being worked on or stored."""
        time = self.vector if self._stops and self._main == "matrix" else self.zero
        for buffer, slot in zip(self.plan.buffers, choice.slots, strict=True):
            if not buffer.loaded and len(buffer.units) > 1 and not (choice.pieces and "matrix" in buffer.units):
                each = (moves.store if buffer.stored else 0) + (self.vector if "matrix" in buffer.units else 0)
                time = time + each * (slot == 1)
        return time * (1 - 1 / self.tiles)

    @cached_property
    def _stops(self) -> bool:
        """Whether a tile's instructions for the other units overflow their queues, so that control stops issuing."""
        depth = self.machine.control.queue_depth
        handed = sum("vector" in buffer.units and len(buffer.units) > 1 for buffer in self.plan.buffers)
        return depth < 3 or (self._main == "matrix" and sum(self._steps[1:]) + 2 * handed > depth)
