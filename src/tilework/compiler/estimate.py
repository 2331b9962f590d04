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

from tilework.compiler.arithmetic import Arithmetic
from tilework.compiler.buffers import Plan
from tilework.compiler.pieces import is_piece
from tilework.compiler.volume import Numbers

SLOTS = 2
PARKED = 8  # instructions that bring a piece of parked sums, hand it on and take it back


@dataclass(frozen=True)
class Choice:
    """A loop order, of which the first `parallel` are parallel, with the levels and the slots of a plan's buffers.

    A buffer of level l is filled anew in each iteration of the first l loops; one that the main nest does not touch,
    and pieces of parked sums, for good only in the last iterations of those that reduce. Slots are numbers or arrays.
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
            frozenset(self.order[:level]) - (reducing if self.plan.made_late(index) else set())
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


class Estimator(Arithmetic):
    """The times of a group."""

    def floor(self, choice: Choice) -> Numbers:
        """Cycles that `cycles` is never below, whatever the slots: of the arithmetic or of the DRAM channel."""
        return np.maximum(np.maximum(self.compute, self.parking), self._channel(choice))

    def least(self, choice: Choice) -> Numbers:
        """The same with loads into a buffer's only slot, during which nothing is computed."""
        alone = self.zero
        for index, buffer in enumerate(self.plan.buffers):
            if buffer.loaded and choice.levels[index]:
                rest = self.transfer(index, choice) * (1 - 1 / self.counts(choice.around(index)))
                alone = alone + rest * (choice.slots[index] == 1)
        return np.maximum(np.maximum(self.compute + alone, self.parking), self._channel(choice))

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

    @property
    def parked_bytes(self) -> Numbers:
        """Bytes of sums that come to NRAM from where they are parked, and as many go back: each in every step of the
        reduction but one."""
        return self.known(Estimator._parked_bytes)

    def _parked_bytes(self) -> Any:
        if self.plan.parked is None:
            return 0
        sums = prod(extent for _, extent in self.group.main.parallel_loops)
        size = self.element_bytes(self.plan.buffers[self.plan.parked])
        return (self.inner / self.tiles - 1) * sums * size

    @property
    def parking(self) -> Numbers:
        """Cycles for which the load unit brings parked sums and takes them back."""
        width = self.machine.transfer_bytes_per_cycle or self.machine.dram_bytes_per_cycle
        return 2 * self.parked_bytes / width

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
        return total + (0 if self.plan.parked is None else PARKED * (self.inner - self.tiles))

    def _waiting(self, compute: Numbers, choice: Choice, moves: _Moves) -> Numbers:
        """The first loads, the main unit's work, and its waits for tiles that are loaded too late to hide behind it.

        Level by level from the inside: tiles of one slot are loaded while nothing is computed; of two, while the main
        unit does what is `ahead`, the part of its work on a tile that its queue holds when the next load is issued and
        that the stored buffer has room for, since loads come before stores; and no more than two tiles of the loads
        inside, which the load unit has to get rid of first.
        """
        if self.plan.parked is not None:
            return moves.first + self._held(choice, moves) + self._parked(choice, moves)
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

    def _parked(self, choice: Choice, moves: _Moves) -> Numbers:
        """The main unit's work where sums are parked, piece by piece: in the time of one the load unit brings the next
        and its operand, and takes back the one before. What a step of the reduction loads besides has the time of two,
        or, with one slot, comes while nothing is computed. In the last, perhaps shorter step a piece is stored before
        its slot is free.
        """
        names, steps = frozenset(self.points.sizes), self.inner / self.tiles
        part = self.group.extents[choice.order[-2]] / self.size(choice.order[-2]) - steps + 1
        each, late, alone, step = (self.zero for _ in range(4))
        for index, buffer in enumerate(self.plan.buffers):
            if buffer.loaded:
                around = choice.around(index)
                time = self.transfer(index, choice) / self.counts(around)
                each, late = each + time * (around == names), late + time * (around == self.outputs)
                if around == names - {choice.order[-1]}:
                    alone, step = alone + time * (choice.slots[index] == 1), step + time * (choice.slots[index] > 1)
        each, own = (time / (steps - 1 + part) for time in (each * steps, self.compute / self.tiles))
        way, out = self.parking / (self.inner - self.tiles) / 2, moves.store / self.tiles
        middle, after = np.maximum(own, each + 2 * way), part * each + late + np.maximum(way, out)
        after = np.maximum(after, (way + part * own + self.vector / self.tiles + out) / 2)
        ending = np.maximum(part * own, after)
        pieces = np.maximum(own, each + way) + (steps - 2) * middle + ending
        waits = (steps - 1) * np.maximum(0, step - 2 * (middle - each - 2 * way))
        waits = waits + np.maximum(0, step - 2 * (ending - part * each - late - way))
        waits = waits + steps * (alone + each + 2 * way) * (alone > 0)
        result: Numbers = self.tiles * (pieces + waits / self.count(choice.order[-1]))
        return result

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
