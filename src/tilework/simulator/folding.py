"""States of the chip that come back: whole periods of loops are added at once, which changes no number.

The future depends only on the state relative to the present and on the iterations that the open loops have left. If the
state is one that has been before, and the iterations left differ, for each stream, at one level of its loops only, then
the chip does again what it did in between, for as long as each of these loops goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tilework.simulator.core import AT_BARRIER, NEVER, Core

_SEEN_STATES = 1 << 14
_VISITS = 16
_PATIENCE = 1 << 15  # endloops in vain, after which only one of so many is looked at:
_SELDOM = 16

Left = tuple[tuple[int, ...], ...]  # for each stream, the iterations left of its open loops


@dataclass(slots=True)
class Folds:
    """States that endloops have been in, each with the cycles and the iterations left of its latest visits."""

    cores: Sequence[Core]
    resources: Sequence[list[int]]
    last: Sequence[int]
    seen: dict[object, deque[tuple[int, Left]]] = field(default_factory=dict)
    in_vain: int = 0

    def skip(self, core: Core) -> None:
        """At an endloop of this stream: move the chip in time by as many whole periods as possible, perhaps none."""
        self.in_vain += 1
        if self.in_vain > _PATIENCE and self.in_vain % _SELDOM:
            return
        now, left = core.now, tuple([tuple(other.left) for other in self.cores])
        visits = self._visits(core.index, now)
        periods, shift, best = 0, 0, left
        for then, before in visits:
            possible = _periods(before, left, core.index)
            if (possible * (now - then), possible) > (shift, periods):
                periods, shift, best = possible, possible * (now - then), before
        visits.append((now, left))
        if periods:
            self.in_vain = 0
            self._advance(now, shift)
            for other, were, are in zip(self.cores, best, left, strict=True):
                other.left[:] = [b - periods * (a - b) for a, b in zip(were, are, strict=True)]

    def _visits(self, index: int, now: int) -> deque[tuple[int, Left]]:
        key = (index, self.last[0], *[_ahead(heap, now) for heap in self.resources], *self._states(now))
        if key not in self.seen:
            if len(self.seen) >= _SEEN_STATES:
                self.seen.clear()
            self.seen[key] = deque(maxlen=_VISITS)
        return self.seen[key]

    def _states(self, now: int) -> Iterator[object]:
        for core in self.cores:
            at, *where = core.pause
            busy = [until - at if until > at else 0 for until in core.busy]
            yield max(at - now, 0), *where, *busy, *map(tuple, core.queues), *core.tokens

    def _advance(self, now: int, shift: int) -> None:
        for heap in self.resources:
            heap[:] = [free + shift for free in heap]
        for core in self.cores:
            if core.runs or (core.pause[1] == AT_BARRIER and core.now > now):
                core.pause = (core.pause[0] + shift, *core.pause[1:])
                core.busy[:] = [until + shift for until in core.busy]


def _ahead(heap: list[int], now: int) -> tuple[int, ...]:
    """When the ports will be free, relative to now; which is which makes no difference."""
    return tuple(sorted([free - now if free > now else 0 for free in heap]))


def _periods(before: Left, left: Left, index: int) -> int:
    """How many further periods keep every loop that moved in its body; the stream's own innermost one may end."""
    periods = NEVER
    for stream, (were, are) in enumerate(zip(before, left, strict=True)):
        if were == are:
            continue
        moved = [level for level, (a, b) in enumerate(zip(were, are, strict=True)) if a != b]
        level, done = moved[0], were[moved[0]] - are[moved[0]]
        if len(moved) > 1 or done < 0:
            return 0
        may_end = stream == index and level == len(are) - 1
        periods = min(periods, (are[level] - (not may_end)) // done)
    return 0 if periods == NEVER else periods
