"""The plans that are considered for a product, those first whose time is estimated to be least."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilework.compiler.map_plan import Layout, Plan
from tilework.compiler.map_problem import SUM_BYTES, Figures, Problem

Array = NDArray[Any]

_PARTS = 96  # numbers of parts of a side that are tried at most
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
    for split in ("rows", "columns") if figures.cores > 1 else ("rows",):
        keeps = ("no", "core", "sram") if figures.shares else ("no", "core")
        for own_outer, keep_own, keep_shared in product((True, False), (False, True), keeps):
            for slices in _slices(problem.summed, serial):
                kind = Plan(split, own_outer, keep_own, keep_shared, 1, 1, slices)
                grid = _Grid(problem, figures, kind, serial)
                considered += int(grid.allowed.sum())
                found += [(*key, len(found) + n, plan) for n, (key, plan) in enumerate(grid.best())]
    fitting = (plan for *_, plan in sorted(found, key=lambda row: row[:3]) if _fits(problem, figures, plan, serial))
    return Space(considered, [plan for plan, _ in zip(fitting, range(limit), strict=False)])


def _fits(problem: Problem, figures: Figures, plan: Plan, serial: bool) -> bool:
    return Layout(problem, figures, plan, serial=serial).fits()


def _slices(summed: int, serial: bool) -> list[int]:
    """Into how many slices the summed places are cut: serially no more than needed, else at least two."""
    if serial:
        return sorted({-(-summed // (1 << power)) for power in range(summed.bit_length() + 1)})
    return sorted({max(2, -(-summed // depth)) for depth in _DEPTHS})


def _counts(size: int) -> Array:
    """Numbers of parts, each the least of those with the same largest part; fewer of them for a large size."""
    root = isqrt(size)
    counts = {1, *range(1, root + 1), *(-(-size // part) for part in range(1, root + 1))}
    if len(counts) > _PARTS:
        parts = {-(-size // int(count)) for count in np.geomspace(1, size, _PARTS)}
        counts = {-(-size // part) for part in parts}
    return np.array(sorted(counts), float)


class _Grid:
    """All numbers of parts, of one way to keep operands, with their estimates as arrays [own parts, shared parts]."""

    def __init__(self, problem: Problem, figures: Figures, kind: Plan, serial: bool) -> None:
        self.problem, self.figures, self.kind = problem, figures, kind
        by_rows = kind.split == "rows"
        sizes = (problem.rows, problem.columns) if by_rows else (problem.columns, problem.rows)
        each = (float(problem.input_bytes), float(problem.weight_bytes))
        self.own_bytes, self.shared_bytes = each if by_rows else each[::-1]
        (self.side, self.across), self.depth = sizes, -(-problem.summed // kind.slices)
        self.each, self.left = divmod(self.side, figures.cores)
        self.a, self.b = _counts(self.each)[:, None], _counts(self.across)[None, :]
        self.buffers = 1 if serial else _BUFFERS
        alone = (self.a == 1) | (self.b == 1)  # then there is one order, and what is used once need not be kept
        once = ((self.b == 1) & kind.keep_own) | ((self.a == 1) & (kind.keep_shared != "no"))
        self.allowed = self._room() & ~once & ~(alone & (not kind.own_outer))
        self.key = self._serial() if serial else self._time_and_rest()

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
        summed, kind, figures = self.problem.summed, self.kind, self.figures
        own, across = np.ceil(self.each / self.a), np.ceil(self.across / self.b)
        passing = min(summed, self.buffers * self.depth)
        inner = own if kind.own_outer else np.full(own.shape, float(self.each))
        places = summed if kind.keep_own else passing
        own_there = (inner if kind.keep_own else own) * (places * self.own_bytes) + self.left * places * self.own_bytes
        kept = (self.across * summed if kind.own_outer else across * summed) * self.shared_bytes
        shared = kept if kind.keep_shared == "core" else across * passing * self.shared_bytes
        sums = own * across * SUM_BYTES * np.minimum(self.buffers, self.a * self.b)
        nram, wram = (own_there, shared) if kind.split == "rows" else (shared, own_there)
        sram = kept if kind.keep_shared == "sram" else np.zeros(1)
        return np.asarray((nram + sums <= figures.nram) & (wram <= figures.wram) & (sram <= figures.sram))

    def _loads(self) -> tuple[Array, Array]:
        """Ticks of the channel for a tile's own and for its shared operand."""
        figures, summed = self.figures, self.problem.summed
        shared = figures.mover * figures.clusters if figures.shares else figures.channel * figures.cores
        own = (self.each * figures.cores * figures.channel + self.left * shared) / self.a * summed * self.own_bytes
        return own, self.across / self.b * summed * self.shared_bytes * shared

    def _casts(self) -> Array:
        figures = self.figures
        ticks = figures.cast if figures.shares else 0
        return np.asarray(self.across / self.b * (self.problem.summed * self.shared_bytes * ticks))

    def _computation(self) -> Array:
        problem, figures = self.problem, self.figures
        macs = self.side / self.a / figures.cores * (self.across / self.b) * problem.summed * float(problem.done)
        return macs * figures.mac

    def _time_and_rest(self) -> tuple[Array, Array]:
        """The time, rounded so that little differences don't count; then the transfers, what makes a program long."""
        time, bound = self._time(), float(self.figures.bound(self.problem))
        uneven = (self.each % self.a > 0, self.across % self.b > 0, self.each * self.across % (self.a * self.b) > 0)
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
        store = self.side / self.a * (self.across / self.b) * self.problem.output_bytes * self.figures.channel
        tiles, keep_own, keep_shared = self.a * self.b, self.kind.keep_own, self.kind.keep_shared != "no"
        brings_own, brings_shared = (self.a if keep_own else tiles), (self.b if keep_shared else tiles)
        both = np.minimum(brings_own, brings_shared) if keep_own != keep_shared else 1 if keep_own else tiles
        computation = np.maximum(self._computation(), self._casts() if self.kind.keep_shared != "core" else 0)
        neither = tiles - brings_own - brings_shared + both
        time = sum(
            count * np.maximum(computation, load + store)
            for count, load in (
                (both, own + shared),
                (brings_own - both, own),
                (brings_shared - both, shared),
                (neither, 0 * own),
            )
        )
        last = own * (not keep_own) + shared * (not keep_shared)
        time = time + np.maximum(computation, own + shared) - np.maximum(computation, own + shared + store)
        more = np.maximum(computation, last + 2 * store) - np.maximum(computation, last + store)
        leads = (own + shared * (2 if self.figures.shares else 1)) * self.depth / self.problem.summed
        return np.asarray(leads + time + np.where(tiles > 1, more, 0))

    def _serial(self) -> tuple[Array, Array]:
        """The time of loads and casts, and the number of steps, as if more of them where tiles are uneven."""
        tiles = self.a * self.b
        casts = self._casts() * (self.b if self.kind.keep_shared == "core" else tiles)
        uneven = (self.each % self.a > 0) | (self.across % self.b > 0)
        return self._moved() + casts, tiles * self.kind.slices * (1 + uneven / 2)
