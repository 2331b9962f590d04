"""The bytes that a group keeps on chip and moves, for many tile sizes at once (NumPy arrays, one element each)."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.compiler.axes import axis_order
from tilework.compiler.buffers import Buffer, Plan
from tilework.compiler.group import Group
from tilework.isa.instruction import DTYPES
from tilework.machine.machine import Machine

Numbers = npt.NDArray[np.float64]
Sizes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Staging:
    """Weights on their way through the SRAM: `half_bytes` hold those in use, and as many those that come next.

    `share` is what a core has to bear of the movers' loads: the clusters over the cores.
    """

    half_bytes: int
    share: float


class Volumes:
    """Footprints and traffic of a group under one loop order.

    `sizes[d]` are the candidate tiles of loop `order[d]`, which are combined as arrays broadcast.
    """

    def __init__(
        self,
        group: Group,
        plan: Plan,
        machine: Machine,
        order: tuple[str, ...],
        parallel: int,
        sizes: list[Sizes],
        staging: Staging | None = None,
    ) -> None:
        self.group, self.plan, self.machine, self.staging = group, plan, machine, staging
        self.order, self.parallel = order, parallel
        self.sizes = dict(zip(order, sizes, strict=True))
        self.counts = {loop: -(-group.extents[loop] // size) for loop, size in self.sizes.items()}
        self.one = np.ones(np.broadcast_shapes(*(size.shape for size in sizes)) or (1,))
        self._cache: dict[tuple[str, int, int], Numbers] = {}

    def chunks(self, levels: tuple[int, ...]) -> Numbers:
        """In how many chunks the packed weight comes through the SRAM: 0 if it does not, -1 where that can't be.

        One for each tile of the outermost loop, if the weight has that loop, else all at once.
        """
        index = next((i for i, buffer in enumerate(self.plan.buffers) if buffer.packed), None)
        if self.staging is None or index is None:
            return 0 * self.one
        number: Any = 1
        largest: Any = self.once(index)
        if levels[index] and self.order[0] in self.plan.buffers[index].access.loops():
            number = self.counts[self.order[0]]
            largest = largest * self.sizes[self.order[0]] / self.group.extents[self.order[0]]
        return np.where(largest <= self.staging.half_bytes, number, -1) * self.one

    def once(self, index: int) -> int:
        """Bytes of a packed weight."""
        buffer = self.plan.buffers[index]
        return self.element_bytes(buffer) * prod(self.group.extents[loop] for loop in buffer.access.loops())

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
            self._cache[key] = self.element_bytes(buffer) * self.one * self._elements(buffer, self._ranges(level))
        return self._cache[key]

    def element_bytes(self, buffer: Buffer) -> int:
        return DTYPES[self.group.tensors[buffer.access.tensor].dtype]

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
            moved = self._moved(buffer, set(outside), padding)
            self._cache[key] = self.element_bytes(buffer) * self.one * repeats * moved
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

    def bursts(self, index: int, level: int) -> Any:
        """What the DRAM moves for each byte of a buffer's tiles, as it moves whole bursts of each run of bytes."""
        burst, key = self.machine.dram.burst_bytes, ("bursts", index, level)
        if burst == 1:
            return 1
        if key not in self._cache:
            run = self._run(self.plan.buffers[index], level)
            self._cache[key] = np.ceil(run / burst) * burst / run
        return self._cache[key]

    def _run(self, buffer: Buffer, level: int) -> Numbers:
        """Bytes of a tile that lie in a row in DRAM: along the last axis, and further along those that it covers."""
        ranges, size = self._ranges(level), self.element_bytes(buffer)
        if buffer.packed:
            tile: Numbers = size * self.one * self._elements(buffer, ranges)
            return tile
        run, whole = size * self.one, True
        shape = self.group.tensors[buffer.access.tensor].shape
        for axis in reversed(axis_order(len(shape))):
            index = buffer.access.index[axis]
            covered = np.minimum(shape[axis], 1 + sum(abs(c) * (ranges[n] - 1) for n, c in index.terms))
            run = np.where(whole, run * covered, run)
            whole = whole & (covered == shape[axis])
        return run

    def visits(self, level: int) -> Numbers:
        """How often the code inside the first `level` loops runs."""
        key = ("visits", 0, level)
        if key not in self._cache:
            self._cache[key] = self.one * prod((self.counts[loop] for loop in self.order[:level]), start=1)
        return self._cache[key]
