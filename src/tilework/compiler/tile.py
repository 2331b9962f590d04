"""Tiling: how the loops of a group are cut so that its tiles fit on chip and the transfers hide behind the arithmetic.

The space: sizes per loop (not only divisors), weight-outer or pixel-outer loop order with the reduction innermost, the
loop level at which each operand of the main nest is loaded, one or two slots per buffer. All of it is enumerated, with
NumPy over the sizes, and the least estimated time wins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product

import numpy as np
import numpy.typing as npt

from tilework.compiler.buffers import Plan, contraction_operands, plan_buffers
from tilework.compiler.estimate import Estimator
from tilework.compiler.group import Group
from tilework.compiler.volume import Staging
from tilework.errors import CompileError
from tilework.machine.machine import Machine
from tilework.network.nest import CONTRACTION, Access

Sizes = npt.NDArray[np.int64]

CANDIDATES_PER_LOOP = 9
MAX_TILED_LOOPS = 6


@dataclass(frozen=True)
class Tiling:
    """How a group is tiled: `order` has the tiled loops, outermost first, `tiles` their tile sizes.

    The first `parallel` of them are parallel, one more may reduce. `levels` and `slots` are those of the plan's
    buffers: a buffer of level l is filled anew in each iteration of the first l loops. `cycles` is an estimate, the
    least of `considered` ones. The packed weight comes from the SRAM in `chunks`, one or one for each tile of the
    outermost loop; 0 if it comes from DRAM.
    """

    order: tuple[str, ...]
    tiles: dict[str, int]
    parallel: int
    levels: tuple[int, ...]
    slots: tuple[int, ...]
    cycles: float
    considered: int
    plan: Plan = field(repr=False)
    chunks: int = 0

    @property
    def choice(self) -> tuple[object, ...]:
        """What the code depends on, beside the group."""
        return self.order, tuple(self.tiles.items()), self.parallel, self.levels, self.slots, self.chunks

    def count(self, group: Group, depth: int) -> int:
        loop = self.order[depth]
        return -(-group.extents[loop] // self.tiles[loop])

    def __str__(self) -> str:
        cuts = " ".join(f"{loop}:{self.tiles[loop]}" for loop in self.order)
        held = " ".join(
            f"{b.name}@{level}x{slots}"
            for b, level, slots in zip(self.plan.buffers, self.levels, self.slots, strict=True)
        )
        return f"tiles {cuts or 'whole'} | buffers {held} | about {self.cycles:.0f} cycles, best of {self.considered}"


@dataclass(frozen=True)
class _Choice:
    """A loop order with the levels and slots of the buffers; the tile sizes are still arrays."""

    order: tuple[str, ...]
    parallel: int
    levels: tuple[int, ...]
    slots: tuple[int, ...]


def tile(
    group: Group, machine: Machine, extents: dict[str, int] | None = None, staging: Staging | None = None
) -> Tiling:
    """The tiling of least estimated time; raises CompileError where not even the smallest tile fits.

    `extents` are those of the loops of the group of which this is the first part: the tiling is valid for all parts.
    With `staging` the packed weight comes from the SRAM if that can be, else the time is infinite.
    """
    return _Search(group, machine, extents or group.extents, staging).best()


class _Search:
    def __init__(self, group: Group, machine: Machine, extents: dict[str, int], staging: Staging | None) -> None:
        self.group, self.machine, self.extents, self.staging = group, machine, extents, staging
        self.plan = plan_buffers(group)
        self.smallest = {"nram": 1 << 62, "wram": 1 << 62}
        self.considered = 0

    def best(self) -> Tiling:
        found: Tiling | None = None
        for order, parallel in self.orders():
            sizes = self.grid(order)
            estimator = Estimator(self.group, self.plan, self.machine, order, parallel, sizes, self.staging)
            for choice in self.choices(order, parallel):
                found = self.better(found, choice, sizes, estimator)
        if found is None:
            raise CompileError(self.too_small())
        return replace(found, considered=self.considered)

    def better(self, found: Tiling | None, choice: _Choice, sizes: list[Sizes], estimator: Estimator) -> Tiling | None:
        nram, wram = estimator.footprint(choice.levels, choice.slots)
        fits = (nram <= self.machine.nram.capacity_bytes) & (wram <= self.machine.wram.capacity_bytes)
        self.considered += fits.size
        if not fits.any():
            self.smallest["nram"] = min(self.smallest["nram"], int(nram.min()))
            self.smallest["wram"] = min(self.smallest["wram"], int(wram.min()))
            return found
        chunks = estimator.chunks(choice.levels)
        cycles = np.where(fits & (chunks >= 0), estimator.cycles(choice.levels, choice.slots), np.inf)
        place = int(cycles.argmin())
        least = float(cycles.flat[place])
        if found is not None and found.cycles <= least:
            return found
        tiles = {
            loop: int(np.broadcast_to(size, cycles.shape).flat[place])
            for loop, size in zip(choice.order, sizes, strict=True)
        }
        number = int(chunks.flat[place])
        return Tiling(choice.order, tiles, choice.parallel, choice.levels, choice.slots, least, 0, self.plan, number)

    def too_small(self) -> str:
        lacks = [
            f"{name.upper()} of at least {self.smallest[name]} bytes, not {capacity}"
            for name, capacity in (
                ("nram", self.machine.nram.capacity_bytes),
                ("wram", self.machine.wram.capacity_bytes),
            )
            if self.smallest[name] > capacity
        ]
        wants = " and ".join(lacks) or "more on-chip memory"
        return f"{self.group.name} needs, for its smallest tile, {wants}; use a machine {self.machine.name} with more"

    @cached_property
    def reduction(self) -> str | None:
        """The reduction loop that may be cut: the longest one that shares no padded axis with another loop."""
        main = self.group.main
        if main.update == "=" or self.plan.scratch.get(0) is not None:
            return None
        tied = {
            name
            for access in main.reads
            for place, axis in enumerate(access.index)
            if access.pad is not None and len(axis.terms) > 1 and not self.inside(access, place)
            for name, _ in axis.terms
        }
        free = [(extent, name) for name, extent in main.reduction_loops if name not in tied and extent > 1]
        return max(free)[1] if free else None

    def inside(self, access: Access, axis: int) -> bool:
        """Whether an access never leaves its tensor along an axis, in no part of the group."""
        low, high = access.index[axis].bounds(self.extents)
        return low >= 0 and high < self.group.tensors[access.tensor].shape[axis]

    @cached_property
    def parallel(self) -> list[str]:
        loops = [name for axis in self.group.output.index for name, _ in axis.terms]
        return [name for name, extent in self.group.loops if name in loops and extent > 1]

    def orders(self) -> Iterator[tuple[tuple[str, ...], int]]:
        """Loop orders: for a contraction, the weight's loops outside or inside those of the other operand."""
        options = [self.parallel]
        if self.group.main.kind == CONTRACTION:
            inputs, weight = (a.loops() for a in contraction_operands(self.group))
            shared = [n for n in self.parallel if n in inputs and n in weight]
            columns = [n for n in self.parallel if n in weight and n not in inputs]
            rows = [n for n in self.parallel if n not in weight]
            options = [shared + columns + rows, shared + rows + columns]
        last = [self.reduction] if self.reduction else []
        seen = {tuple(option[: MAX_TILED_LOOPS - 1]) for option in options}
        for option in sorted(seen):
            yield (*option, *last), len(option)

    def grid(self, order: tuple[str, ...]) -> list[Sizes]:
        """Every combination of candidate sizes: an array per loop, along an axis of its own."""
        lists = [np.array(self.candidates(loop), np.int64) for loop in order]
        return list(np.meshgrid(*lists, indexing="ij", sparse=True))

    def candidates(self, loop: str) -> list[int]:
        extent = self.group.extents[loop]
        unit = self.unit(loop)
        sizes = {-(-extent // parts) for parts in range(1, extent + 1)}
        if extent > unit:
            parts = {unit >> halvings for halvings in range(1, unit.bit_length())} if self.staging else {1}
            sizes = {min(extent, -(-size // unit) * unit) for size in sizes} | parts
        ordered = sorted(sizes)
        if len(ordered) <= CANDIDATES_PER_LOOP:
            return ordered
        picks = np.geomspace(1, extent, CANDIDATES_PER_LOOP)
        return sorted({min(ordered, key=lambda size: abs(size - pick)) for pick in picks} | {extent})

    def unit(self, loop: str) -> int:
        """The number of iterations of a loop that the matrix unit does side by side."""
        if self.group.main.kind != CONTRACTION:
            return 1
        rows, columns, summed = self.machine.matrix.sides
        if loop == self.reduction:
            return summed
        return rows if loop in contraction_operands(self.group)[0].loops() else columns

    def choices(self, order: tuple[str, ...], parallel: int) -> Iterator[_Choice]:
        default = [self.deepest(order, parallel, index) for index in range(len(self.plan.buffers))]
        main = [index for (nest, _), index in self.plan.reads.items() if nest == 0 and self.plan.buffers[index].loaded]
        free = [] if self.plan.scratch.get(0) is not None else main
        options = [sorted({0, 1, parallel, default[i]} & set(range(default[i] + 1))) for i in free]
        seen = set()
        for levels in product(*options):
            chosen = list(default)
            for index, level in zip(free, levels, strict=True):
                chosen[index] = level
            for loaded, made in ((2, 2), (2, 1), (1, 2), (1, 1)):
                slots = self.slots(chosen, loaded, made)
                if (tuple(chosen), slots) not in seen:
                    seen.add((tuple(chosen), slots))
                    yield _Choice(order, parallel, tuple(chosen), slots)

    def slots(self, levels: list[int], loaded: int, made: int) -> tuple[int, ...]:
        result = []
        for buffer, level in zip(self.plan.buffers, levels, strict=True):
            alone = level == 0 or len(buffer.units) == 1
            result.append(1 if alone else loaded if buffer.loaded else made)
        return tuple(result)

    def deepest(self, order: tuple[str, ...], parallel: int, index: int) -> int:
        """The innermost level at which a buffer's tile still changes; what the group makes is made once a tile."""
        buffer = self.plan.buffers[index]
        if not buffer.loaded:
            return parallel
        loops = buffer.access.loops()
        depths = [depth + 1 for depth, loop in enumerate(order) if loop in loops]
        return max(depths, default=0)
