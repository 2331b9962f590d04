"""The plans that are considered for a product, those first whose time is estimated to be least."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilework.compiler.map_plan import Layout, Plan
from tilework.compiler.map_problem import SUM_BYTES, Figures, Problem
from tilework.compiler.map_side import Portion, Side, divided

Array = NDArray[Any]

_BEST = 40  # of each way to keep operands that are looked at further
TOLERANCE = 0.0005  # of the bound: by no more may a program be slower than another if it is shorter
_DEPTHS = (1, 2, 4, 8, 16, 32)  # summed places in a slice, where slices overlap
_BUFFERS = 2  # one that is computed on, one that is loaded or stored


@dataclass(frozen=True)
class Space:
    """How many plans there are, and the best by their estimates, of those that fit."""

    considered: int
    plans: list[Plan]


def space(problem: Problem, figures: Figures, *, serial: bool, limit: int) -> Space:
    """The `limit` best plans; for `serial` programs those with the least transfers, then the fewest steps."""
    found: list[tuple[float, float, int, Plan]] = []
    considered = 0
    for split in _splits(problem, figures):
        keeps = ("no", "core", "sram") if figures.shares and split != "groups" else ("no", "core")
        for own_outer, keep_own, keep_shared in product((True, False), (False, True), keeps):
            for slices in _slices(problem.summed, serial):
                kind = Plan(split, own_outer, keep_own, keep_shared, 1, 1, slices)
                grid = _Grid(problem, figures, kind, serial)
                considered += int(grid.allowed.sum())
                found += [(*key, len(found) + n, plan) for n, (key, plan) in enumerate(grid.best())]
    fitting = (plan for *_, plan in sorted(found, key=lambda row: row[:3]) if _fits(problem, figures, plan, serial))
    return Space(considered, [plan for plan, _ in zip(fitting, range(limit), strict=False)])


def _splits(problem: Problem, figures: Figures) -> list[str]:
    """What cores can divide."""
    if figures.cores == 1:
        return ["rows"]
    sides = zip(("rows", "columns"), problem.sides, strict=True)
    dealt = ["groups"] if figures.lots == 1 < problem.groups and problem.groups % figures.cores == 0 else []
    return [name for name, side in sides if divided(side, figures.cores)] + dealt


def _fits(problem: Problem, figures: Figures, plan: Plan, serial: bool) -> bool:
    return Layout(problem, figures, plan, serial=serial).fits()


def _slices(summed: int, serial: bool) -> list[int]:
    """Into how many slices the summed places are cut: serially no more than needed, else at least two."""
    if serial:
        return sorted({-(-summed // (1 << power)) for power in range(summed.bit_length() + 1)})
    return sorted({max(2, -(-summed // depth)) for depth in _DEPTHS})


class _Grid:
    """All numbers of parts, of one way to keep operands, with their estimates as arrays [own parts, shared parts]."""

    def __init__(self, problem: Problem, figures: Figures, kind: Plan, serial: bool) -> None:
        self.problem, self.figures, self.kind = problem, figures, kind
        layout = self.layout = Layout(problem, figures, kind, serial=serial)
        self.own_bytes, self.shared_bytes = float(layout.own_bytes), float(layout.shared_bytes)
        self.depth = layout.slices[0][1]
        own, shared = layout.own_side, layout.shared_side
        self.a, self.b = own.numbers[:, None].astype(float), shared.numbers[None, :].astype(float)
        self.own = _Measures(*_measures(own)[:, :, None])
        self.shared = _Measures(*_measures(shared)[:, None, :])
        self.left = layout.left_side.part(1, 0).held
        self.outputs = own.size * layout.width * shared.size + layout.left_outputs(shared.size) / layout.dealers
        self.buffers = 1 if serial else _BUFFERS
        self.allowed = self._room() & self._sensible(own.overlaps, shared.overlaps)
        self.key = self._serial() if serial else self._time_and_rest()

    def _sensible(self, own_overlaps: bool, shared_overlaps: bool) -> Array:
        """Where no equal plan is simpler: what is used once need not be kept, and of one part there is one order.

        But parts that overlap are kept for the sake of those after them.
        """
        kind, alone = self.kind, (self.a == 1) | (self.b == 1)
        once = (self.b == 1) & (kind.keep_own and not (own_overlaps and kind.own_outer))
        once_shared = (self.a == 1) & (kind.keep_shared != "no" and not (shared_overlaps and not kind.own_outer))
        turned = shared_overlaps and kind.keep_shared != "no"
        return np.asarray(~once & ~once_shared & ~(alone & (not kind.own_outer) & (not turned)))

    def best(self) -> Iterator[tuple[tuple[float, float], Plan]]:
        """The best by their estimates, each with that."""
        first, second = (np.broadcast_to(part, self.allowed.shape)[self.allowed] for part in self.key)
        a, b = (np.broadcast_to(part, self.allowed.shape)[self.allowed] for part in (self.a, self.b))
        kind = self.kind
        for i in np.lexsort((second, first))[:_BEST]:
            plan = Plan(kind.split, kind.own_outer, kind.keep_own, kind.keep_shared, int(a[i]), int(b[i]), kind.slices)
            yield (float(first[i]), float(second[i])), plan

    def _room(self) -> Array:
        """Where the buffers fit, but for what the last tile needs more."""
        summed, kind, figures, problem = self.problem.summed, self.kind, self.figures, self.problem
        passing = self.buffers if self.layout.whole else min(summed, self.buffers * self.depth)
        inner = self.own.held if kind.own_outer else self.own.fresh
        places = summed if kind.keep_own else passing
        own_there = ((inner if kind.keep_own else self.own.held) + self.left) * (places * self.own_bytes)
        kept = (self.shared.fresh if kind.own_outer else self.shared.held) * (summed * self.shared_bytes)
        shared = kept if kind.keep_shared == "core" else self.shared.held * (passing * self.shared_bytes)
        tiles = self.a * self.b * self.layout.rounds
        each = SUM_BYTES * np.minimum(self.buffers, tiles) + problem.added_bytes
        sums = self.own.lines * self.shared.lines * self.layout.width * each + self.layout.fixed
        nram, wram = (shared, own_there) if kind.split == "columns" else (own_there, shared)
        sram = kept if kind.keep_shared == "sram" else np.zeros(1)
        return np.asarray((nram + sums <= figures.nram) & (wram <= figures.wram) & (sram <= figures.sram))

    def _loads(self) -> tuple[Array, Array]:
        """Ticks of the channel for a tile's own and for its shared operand."""
        figures, summed, kind = self.figures, self.problem.summed, self.kind
        shared = figures.mover * figures.clusters if self.layout.shares else figures.channel * figures.cores
        elements = self.own.fresh if kind.keep_own else self.own.all
        own = (elements * figures.cores * figures.channel + self.left * shared) / self.a * summed * self.own_bytes
        across = self.shared.fresh if kind.keep_shared != "no" else self.shared.all
        return own, across / self.b * summed * self.shared_bytes * shared

    def _casts(self) -> Array:
        ticks = self.figures.cast if self.layout.shares else 0
        elements = self.shared.fresh if self.kind.keep_shared == "core" else self.shared.all
        return np.asarray(elements / self.b * (self.problem.summed * self.shared_bytes * ticks))

    def _computation(self) -> Array:
        problem, figures = self.problem, self.figures
        macs = self.outputs / self.a / self.b * problem.summed * float(problem.work)
        return np.asarray(macs * figures.mac)

    def _time_and_rest(self) -> tuple[Array, Array]:
        """The time, rounded so that little differences don't count; then the transfers, what makes a program long."""
        time, bound = self._time(), float(self.figures.bound(self.problem))
        own, across = self.layout.own_side.size, self.layout.shared_side.size
        uneven = (own % self.a > 0, across % self.b > 0, own * across % (self.a * self.b) > 0)
        length = np.asarray((self.a > 1) + 1.0 * (self.b > 1) + sum(uneven))
        return np.ceil((time / bound - 1) / TOLERANCE), np.round(10 * self._moved() / bound) + length / 10

    def _moved(self) -> Array:
        """Ticks of the channel for all loads."""
        own, shared = self._loads()
        tiles, kind = self.a * self.b, self.kind
        owns = own * (self.a if kind.keep_own else tiles)
        return np.asarray(owns + shared * (self.b if kind.keep_shared != "no" else tiles))

    def _time(self) -> Array:
        """First loads, then each tile the longer of its transfers and its computation, with even parts."""
        own, shared = self._loads()
        each = self.outputs / self.a / self.b * self.figures.cores * self.figures.channel
        store, add = each * self.problem.output_bytes, each * self.problem.added_bytes
        tiles, keep_own, keep_shared = self.a * self.b, self.kind.keep_own, self.kind.keep_shared != "no"
        brings_own, brings_shared = (self.a if keep_own else tiles), (self.b if keep_shared else tiles)
        both = np.minimum(brings_own, brings_shared) if keep_own != keep_shared else 1 if keep_own else tiles
        computation = np.maximum(self._computation(), self._casts() if self.kind.keep_shared != "core" else 0)
        neither = tiles - brings_own - brings_shared + both
        time = sum(
            count * np.maximum(computation, load + store + add)
            for count, load in (
                (both, own + shared),
                (brings_own - both, own),
                (brings_shared - both, shared),
                (neither, 0 * own),
            )
        )
        last = own * (not keep_own) + shared * (not keep_shared)
        time = time * self.layout.rounds
        time = time + np.maximum(computation, own + shared) - np.maximum(computation, own + shared + store)
        more = np.maximum(computation, last + 2 * store) - np.maximum(computation, last + store)
        leads = (own + shared * (2 if self.layout.shares else 1)) * self.depth / self.problem.summed
        return np.asarray(leads + time + np.where(tiles * self.layout.rounds > 1, more, 0))

    def _serial(self) -> tuple[Array, Array]:
        """The time of loads and casts, and the number of steps, as if more of them where tiles are uneven."""
        tiles = self.a * self.b
        casts = self._casts() * (self.b if self.kind.keep_shared == "core" else tiles) * self.layout.rounds
        uneven = (self.layout.own_side.size % self.a > 0) | (self.layout.shared_side.size % self.b > 0)
        return self._moved() + casts, tiles * self.kind.slices * (1 + uneven / 2)


class _Measures(NamedTuple):
    """`Portion.measures` of all numbers of parts."""

    lines: Array
    held: Array
    all: Array
    fresh: Array


@lru_cache(maxsize=64)
def _measured(side: Side, frames: int, lines: int, starts: tuple[int, ...]) -> Array:
    portion = Portion(side, frames, lines, starts)
    return np.array([portion.measures(int(parts)) for parts in portion.numbers], float).T


def _measures(portion: Portion) -> Array:
    """What each number of parts gives; the same for all plans."""
    return _measured(portion.side, portion.frames, portion.lines, tuple(portion.starts))
