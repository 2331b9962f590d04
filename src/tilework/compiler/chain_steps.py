"""The order of a chain's work: in each step every stage computes the rows that later stages need, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from tilework.compiler.chain import Band, Chain
from tilework.network.nest import Access

Rows = tuple[int, int]  # the first and the one behind the last
Use = tuple[int, int, Band, Access]  # a read of a band: the stage, the buffer of its plan, the band, the access


@dataclass(frozen=True)
class Step:
    """Step `number`: some turns of the chain: `work[turn][stage]` are the rows of its output, and
    `fresh[turn][band]` those that come to lie on chip, padding included. `base` is the row that lies first in a band's
    buffer during the step; then the `kept` rows behind the first `shift` rows move to the front. `places` says for each
    read where in the buffer its rows begin, `outside` how many of the fresh rows lie before and behind the tensor."""

    number: int
    base: dict[str, int]
    places: tuple[int, ...]
    work: tuple[dict[int, Rows], ...]
    fresh: tuple[dict[str, Rows], ...]
    outside: tuple[Rows, ...]
    shift: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)

    @cached_property
    def signature(self) -> object:
        """What the step's code depends on, but for DRAM addresses."""
        return (
            tuple(tuple((s, high - low) for s, (low, high) in work.items()) for work in self.work),
            tuple(tuple((n, a - self.base[n], b - a) for n, (a, b) in fresh.items()) for fresh in self.fresh),
            self.places,
            self.outside,
            tuple(self.shift.items()),
            tuple(self.kept.items()),
        )


def uses(chain: Chain) -> Iterator[Use]:
    """Each read of a band."""
    for place, stage in enumerate(chain.stages):
        for index, buffer in enumerate(stage.plan.buffers):
            if buffer.loaded and not chain.stays(buffer):
                yield place, index, chain.bands[buffer.access.tensor], buffer.access


class Planner:
    """Steps in which the last stage computes `height` rows in each of `turns` turns."""

    def __init__(self, chain: Chain, height: int, turns: int) -> None:
        self.chain, self.height, self.turns = chain, height, turns
        self.uses = list(uses(chain))
        self.have = {name: band.rows[0] for name, band in chain.bands.items()}
        self.done = [0] * len(chain.stages)

    def steps(self, most: int | None = None) -> list[Step]:
        """All steps, or the first few."""
        found: list[Step] = []
        while self.done[-1] < self.chain.stages[-1].rows and len(found) != most:
            base, before = self._base(), dict(self.have)
            if found:
                self._move(found[-1], base, before)
            places = tuple(self._place(use, base[use[2].tensor.name]) for use in self.uses)
            turns = [self._turn() for _ in range(self.turns)]
            work, fresh = tuple(work for work, _ in turns), tuple(fresh for _, fresh in turns)
            found.append(Step(len(found), base, places, work, fresh, tuple(self._outside(fresh))))
        return found

    def _base(self) -> dict[str, int]:
        """The lowest row of each band that is still needed, or else the next to come."""
        base = dict(self.have)
        for use in self.uses:
            name = use[2].tensor.name
            base[name] = min(base[name], self._lowest(use))
        return base

    def _place(self, use: Use, base: int) -> int:
        """Where in a band's buffer a read begins; in a band that is held whole, for which row of the output."""
        place, _, band, access = use
        if band.axis is None:
            return self.done[place] * ((self.chain.stages[place].loop or "") in access.loops())
        return self._lowest(use) - base

    def _lowest(self, use: Use) -> int:
        """The first row that a read still needs."""
        place, _, band, access = use
        return self.chain.stages[place].reach(access, band.axis, self.done[place], self.done[place] + 1)[0]

    def _outside(self, turns: tuple[dict[str, Rows], ...]) -> Iterator[Rows]:
        for fresh in turns:
            for name, (low, high) in fresh.items():
                yield min(low, 0), max(high - self.chain.bands[name].inside, 0)

    @staticmethod
    def _move(last: Step, base: dict[str, int], have: dict[str, int]) -> None:
        for name, row in base.items():
            last.shift[name], last.kept[name] = row - last.base[name], have[name] - row

    def _turn(self) -> tuple[dict[int, Rows], dict[str, Rows]]:
        """The rows of each stage and band in the next turn, from the last stage's back to the first loads."""
        stages, need = self.chain.stages, dict(self.have)
        work: dict[int, Rows] = {}
        for place in reversed(range(len(stages))):
            stage, name = stages[place], stages[place].group.output.tensor
            if place == len(stages) - 1:
                need[name] = stage.start + min(stage.rows, self.done[place] + self.height)
            rows = max(self.done[place], min(stage.rows, need[name] - stage.start))
            if rows > self.done[place]:
                work[place] = self.done[place], rows
                for reader, _, band, access in self.uses:
                    if reader == place:
                        other = band.tensor.name
                        need[other] = max(need[other], stage.reach(access, band.axis, *work[place])[1])
        fresh = {name: (self.have[name], row) for name, row in need.items() if row > self.have[name]}
        self.have = need
        for place, (_, rows) in work.items():
            self.done[place] = rows
        return work, fresh
