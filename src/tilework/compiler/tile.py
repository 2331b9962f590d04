"""Tiling: how the loops of a group are cut so that its tiles fit on chip and the transfers hide behind the arithmetic.

All of the space (see `tile_space`) is searched for what the objective wants least by estimate. Most of it need not be
estimated: what does not fit; what another tiling beats in its cycles and its cost even if it took no longer than its
arithmetic, its bytes and its loads that nothing hides (`Estimator.least`, which is never above the estimate). So what
is found is the best of the whole space.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from math import prod

import numpy as np
import numpy.typing as npt

from tilework.compiler.buffers import Plan, plan_buffers, whole_words
from tilework.compiler.estimate import Choice, Estimator
from tilework.compiler.group import Group
from tilework.compiler.pieces import is_piece, loop_of
from tilework.compiler.tile_energy import joules
from tilework.compiler.tile_front import OBJECTIVES, Front
from tilework.compiler.tile_space import Space
from tilework.compiler.volume import Numbers, Points, Staging
from tilework.errors import CompileError
from tilework.machine.machine import Machine

DOUBT = 0.02  # by which part estimates may be wrong
CALMER = 3  # how often steps are halved


@dataclass(frozen=True)
class Tiling:
    """How a group is tiled: `order` has the tiled loops, outermost first, `tiles` their tile sizes.

    The first `parallel` of them are parallel, the others reduce, but for a last one of pieces (see `pieces`). `levels`
    and `slots` are those of the plan's buffers: a buffer of level l is filled anew in each iteration of the first l
    loops. `cycles` is an estimate, that of the best of `considered` ones. `dram_bytes` come and go, exactly. The packed
    weight comes from the SRAM in `chunks`, one or one for each tile of the outermost loop; 0 if it comes from DRAM.
    `cost` is what the objective counts beside cycles, bytes or joules; `rivals` might be better than this one, as
    estimates are not exact, and so might the `calm` ones, which take fewer steps.
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
    dram_bytes: float = 0.0
    cost: float = 0.0
    rivals: tuple[Tiling, ...] = field(default=(), repr=False, compare=False)
    calm: tuple[Tiling, ...] = field(default=(), repr=False, compare=False)

    @property
    def choice(self) -> tuple[object, ...]:
        """What the code depends on, beside the group."""
        return self.order, tuple(self.tiles.items()), self.parallel, self.levels, self.slots, self.chunks

    def count(self, group: Group, depth: int) -> int:
        """How many tiles of a loop there are, or pieces of a tile."""
        name = self.order[depth]
        whole = self.tiles[loop_of(name)] if is_piece(name) else group.extents[name]
        return -(-whole // self.tiles[name])

    @property
    def pieces(self) -> bool:
        """Whether the innermost loop is that of pieces."""
        return any(map(is_piece, self.order[-1:]))

    def fills(self, group: Group, index: int) -> int:
        """How often a buffer is filled anew; what the main nest leaves alone, only in the last step of a reduction."""
        late = index in self.plan.late
        depths = range(min(self.levels[index], self.parallel) if late else self.levels[index])
        last = late and self.pieces and self.levels[index] == len(self.order)
        return prod(self.count(group, depth) for depth in (*depths, *[len(self.order) - 1] * last))

    def shares(self, group: Group, index: int) -> int:
        """How many parts of a buffer's slot are handed over by themselves: the pieces of sums that stay in NRAM."""
        return self.count(group, len(self.order) - 1) if self.holds_pieces(index) else 1

    def holds_pieces(self, index: int) -> bool:
        """Whether a buffer is that of the sums and holds all pieces of a tile."""
        return self.pieces and index == self.plan.writes[0] and self.plan.parked is None

    @property
    def points(self) -> Points:
        """The only point that has these sizes."""
        sizes = {n: (self.tiles[loop_of(n)], size) if is_piece(n) else size for n, size in self.tiles.items()}
        return Points.grid({name: (size,) for name, size in sizes.items()})

    @property
    def chosen(self) -> Choice:
        """What the search chose beside the sizes."""
        return Choice(self.plan, self.order, self.parallel, self.levels, self.slots)

    def __str__(self) -> str:
        cuts = " ".join(f"{loop}:{self.tiles[loop]}" for loop in self.order)
        held = " ".join(
            f"{b.name}@{level}x{slots}"
            for b, level, slots in zip(self.plan.buffers, self.levels, self.slots, strict=True)
        )
        return f"tiles {cuts or 'whole'} | buffers {held} | about {self.cycles:.0f} cycles, best of {self.considered}"


def tile(
    group: Group,
    machine: Machine,
    extents: dict[str, int] | None = None,
    staging: Staging | None = None,
    objective: str = "time",
) -> Tiling:
    """The tiling that is best for the objective by estimate; raises CompileError where not even the smallest tile fits.

    `extents` are those of the loops of the group of which this is the first part: the tiling is valid for all parts.
    With `staging` the packed weight comes from the SRAM if that can be, else the time is infinite. None of its rivals
    beats it, or another rival, both in cycles and in cost.
    """
    return _Search(group, machine, extents or group.extents, staging, Front(OBJECTIVES[objective], DOUBT)).best()


class _Search:
    def __init__(
        self, group: Group, machine: Machine, extents: dict[str, int], staging: Staging | None, front: Front
    ) -> None:
        self.group, self.machine, self.staging, self.front = group, machine, staging, front
        plans = [plan_buffers(group, parked) for parked in (False, True)[: 1 + group.contracts]]
        self.spaces = [Space(group, plan, machine, extents, staging is not None) for plan in plans]
        self.found: list[tuple[Choice, Estimator]] = []
        self.considered = 0
        dense = not (staging or group.resident or group.blocks.kept or front.objective.joules)
        self.least_cost = float(group.compulsory_bytes) if dense else 0.0

    def best(self) -> Tiling:
        for space in self.spaces:
            for estimator, choices in self.grids(space):
                for number, (choice, slots) in enumerate(choices):
                    self.search(space, estimator, choice, slots)
                    if number == 0:
                        estimator = estimator.keep(np.flatnonzero(self.worth(estimator)))
        if not self.found and self.staging is None:
            raise CompileError(
                f"{self.group.name} needs, for its smallest tile, a second tile of what it loads, for which "
                f"{self.machine.name} has no room; use a machine {self.machine.name} with more"
            )
        if not self.found:
            return Tiling((), {}, 0, (), (), np.inf, self.considered, self.spaces[0].plan)
        best = self.front.best()
        last = len(self.front.cycles) - 1
        others = dict.fromkeys((0, max(0, best - 1), (best + last) // 2, last))
        rivals = [self.tiling(place) for place in others if place != best]
        found = self.tiling(best)
        return replace(found, rivals=tuple(rivals), calm=self.calm(found))

    def calm(self, found: Tiling) -> tuple[Tiling, ...]:
        """Tilings without pieces that differ in sizes alone and are nearly as good by estimate, with a half, a fourth …
        of the steps that add to a sum: each step then moves as much as the others."""
        if found.pieces:
            return ()
        space = next(each for each in self.spaces if each.plan is found.plan)
        points = Points.grid(space.sizes(found.order))
        estimator = Estimator(self.group, found.plan, self.machine, points, self.staging)
        choice, near = found.chosen, 1 + DOUBT
        some = estimator.take(np.flatnonzero(space.whole(estimator) & self.fitting(estimator, choice)))
        cycles, cost = some.cycles(choice), self.cost(some, choice)
        steps = prod((some.count(name) for name in found.order[found.parallel :]), start=some.zero + 1)
        some = some.take(close := np.flatnonzero((cycles <= near * found.cycles) & (cost <= near * found.cost)))
        cycles, steps = cycles[close], steps[close]
        now = prod(found.count(self.group, depth) for depth in range(found.parallel, len(found.order)))
        calmer = [np.flatnonzero(steps * 2**halves <= now) for halves in range(1, CALMER + 1)]
        best = dict.fromkeys(int(few[np.argmin(cycles[few])]) for few in calmer if len(few))
        return tuple(self.made(choice, some.take(np.array([point]))) for point in best)

    def grids(self, space: Space) -> Iterator[tuple[Estimator, list[tuple[Choice, list[tuple[int, ...]]]]]]:
        """For each set of loops that are cut all combinations of sizes that may fit, and the choices with them."""
        orders = sorted(space.orders(), key=lambda option: sorted(option[0]))
        for _, same in groupby(orders, key=lambda option: sorted(option[0])):
            options = list(same)
            points = Points.grid(space.sizes(options[0][0]))
            estimator = Estimator(self.group, space.plan, self.machine, points, self.staging)
            points = points.take(np.flatnonzero(space.whole(estimator)))
            if not len(points):
                continue
            estimator = Estimator(self.group, space.plan, self.machine, points, self.staging)
            choices = []
            for order, parallel in options:
                for levels in space.levels(order, parallel):
                    slots = space.slots(order, levels)
                    choices.append((Choice(space.plan, order, parallel, levels, slots[0]), slots))
                    self.considered += len(points) * len(slots)
            choices.sort(key=lambda each: -sum(each[0].levels))
            yield estimator.take(np.flatnonzero(self.smallest(estimator))), choices

    def smallest(self, estimator: Estimator) -> npt.NDArray[np.bool_]:
        """Where the smallest tiles of all buffers fit, those of the deepest levels in one slot."""
        cut = frozenset(estimator.points.sizes)
        outputs = cut & self.group.output.loops()
        plan = estimator.plan
        deep = [plan.filled_inside(index) or plan.made_late(index) for index in range(len(plan.buffers))]
        around = [cut if inside else outputs for inside in deep]
        nram, wram = estimator.footprint(around, [1] * len(around))
        fits: npt.NDArray[np.bool_] = nram <= self.machine.nram.capacity_bytes
        fits &= wram <= self.machine.wram.capacity_bytes
        if not fits.any() and not any(map(is_piece, cut)):
            raise CompileError(self.too_small(estimator, around))
        return fits

    def worth(self, estimator: Estimator) -> npt.NDArray[np.bool_]:
        """Where the arithmetic leaves a chance, if no byte moved more than once."""
        return self.front.open(estimator.compute, estimator.zero + self.least_cost)

    def search(self, space: Space, estimator: Estimator, choice: Choice, slots: list[tuple[int, ...]]) -> None:
        """Take in what may be best of all points and slots under a choice of order and levels."""
        rows = self.front.open(estimator.floor(choice), self.cost(estimator, choice))
        for index, level in enumerate(choice.levels):
            if level and index in space.free:
                rows &= estimator.count(choice.order[level - 1]) > 1  # one tile is what the next outer level stands for
        some, columns = estimator.take(np.flatnonzero(rows)), np.array(slots, np.int64).T
        number, point = np.nonzero(self.fitting(some, replace(choice, slots=tuple(columns[:, :, None]))))
        some, choice = some.take(point), replace(choice, slots=tuple(columns[:, number]))
        open_ = np.flatnonzero(self.front.open(some.least(choice), self.cost(some, choice)))
        if len(open_):
            some, choice = some.take(open_), replace(choice, slots=tuple(columns[:, number[open_]]))
            names = np.stack([np.full(len(open_), len(self.found)), np.arange(len(open_))], 1)
            self.found.append((choice, some))
            self.front.add(some.cycles(choice), self.cost(some, choice), names)

    def fitting(self, estimator: Estimator, choice: Choice) -> npt.NDArray[np.bool_]:
        """Of each combination of slots and each point whether the tiles fit."""
        nram, wram = estimator.footprint(choice.arounds, choice.slots)
        fits = (nram <= self.machine.nram.capacity_bytes) & (wram <= self.machine.wram.capacity_bytes)
        return fits & (estimator.chunks(choice) >= 0)

    def cost(self, estimator: Estimator, choice: Choice) -> Numbers:
        return joules(estimator, choice) if self.front.objective.joules else estimator.dram_bytes(choice)

    def tiling(self, place: int) -> Tiling:
        number, point = map(int, self.front.names[place])
        choice, some = self.found[number]
        return self.made(
            replace(choice, slots=tuple(slot[point] for slot in choice.slots)), some.take(np.array([point]))
        )

    def made(self, choice: Choice, some: Estimator) -> Tiling:
        """The tiling of a choice at the only point."""
        tiles = some.points.at(0)
        return Tiling(
            choice.order,
            {loop: tiles[loop][1] if is_piece(loop) else tiles[loop] for loop in choice.order},
            choice.parallel,
            choice.levels,
            tuple(map(int, choice.slots)),
            float(some.cycles(choice)[0]),
            self.considered,
            choice.plan,
            int(some.chunks(choice)[0]),
            float(some.dram_bytes(choice)[0]),
            float(self.cost(some, choice)[0]),
        )

    def too_small(self, estimator: Estimator, around: list[frozenset[str]]) -> str:
        lacks = []
        for name, capacity in (
            ("nram", self.machine.nram.capacity_bytes),
            ("wram", self.machine.wram.capacity_bytes),
        ):
            takes = [
                (int(estimator.box(index, around[index]).min()) * buffer.copies, buffer.name)
                for index, buffer in enumerate(estimator.plan.buffers)
                if buffer.memory == name
            ]
            least = sum(whole_words(size) for size, _ in takes)
            if least > capacity:
                most, largest = max(takes)
                lacks.append(
                    f"{name.upper()} of at least {least} bytes, not {capacity}, which is {least - capacity} short "
                    f"({largest} alone takes {most})"
                )
        return (
            f"{self.group.name} needs, for its smallest tile, {' and '.join(lacks)}; "
            f"use a machine {self.machine.name} with more"
        )
