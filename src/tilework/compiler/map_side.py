"""A side of a product, its rows or its columns: lines, and the elements of the operand that each part of them needs.

A line is what isn't cut further. Lines of a convolution's outputs need windows of its inputs, which overlap: the halo.
So there are two sizes of a part: what it needs, and what it needs beyond the part before it. All are counted for one
of the places that are summed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import isqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilework.compiler.map_runs import Runs, alike, total

Array = NDArray[Any]
_PARTS = 96  # numbers of parts of a side that are tried at most


@dataclass(frozen=True, slots=True)
class Side:
    """`frames` times `lines` lines of `width` outputs each (for every output of the other side).

    A line of a frame needs what lies from `low` to `high`, which grow from line to line, of the frame's rows of
    elements, `each` in a row. Without them it needs a row of its own, and there is one frame. Frames, such as the
    images of a batch, have nothing in common.
    """

    lines: int
    frames: int = 1
    width: int = 1
    each: int = 1
    low: tuple[int, ...] = ()
    high: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Outputs along the side."""
        return self.frames * self.lines * self.width

    def span(self, first: int, end: int) -> int:
        """Elements that lines of a frame need together."""
        rows = self.high[end - 1] - self.low[first] if self.low and end > first else end - first
        return rows * self.each

    def beyond(self, first: int, end: int) -> int:
        """Elements that lines need and those before them in the frame do not."""
        if not self.low or not first:
            return self.span(first, end)
        return (self.high[end - 1] - max(self.low[first], self.high[first - 1])) * self.each if end > first else 0


class Part(NamedTuple):
    """Lines, the elements that they need, and those of these that the part before does not need."""

    lines: int
    held: int
    fresh: int


class Portion:
    """The part of a side that a core has: some frames, or some lines of the only frame.

    `starts` are the first lines of each core; where their parts differ in size, at a tensor's border, all are taken to
    be as large as the largest.
    """

    def __init__(self, side: Side, frames: int, lines: int, starts: Sequence[int] = (0,)) -> None:
        self.side, self.frames, self.lines, self.starts = side, frames, lines, starts
        self.size = frames * lines
        self._known: dict[tuple[int, int], Part] = {}

    @cached_property
    def numbers(self) -> Array:
        """Into how many parts it may be cut: frames into lines, or all into frames."""
        if self.frames < 2:
            return np.array(_counts(self.lines))
        finer = [self.frames * count for count in _counts(self.lines)]
        return np.array(sorted({*_counts(self.frames), *finer}))

    def part(self, parts: int, index: int) -> Part:
        """One of so many parts."""
        if (parts, index) not in self._known:
            self._known[parts, index] = self._part(parts, index)
        return self._known[parts, index]

    @property
    def overlaps(self) -> bool:
        """Whether its parts may need the same elements."""
        return bool(self.side.low)

    def _part(self, parts: int, index: int) -> Part:
        if not self.size:
            return Part(0, 0, 0)
        if self._of_frames(parts):
            frames = self.frames // parts + (index < self.frames % parts)
            whole = frames * self._most(self.side.span, 0, self.lines)
            return Part(frames * self.lines, whole, whole)
        per = parts // max(1, self.frames)
        index %= per
        least, more = divmod(self.lines, per)
        first, lines = index * least + min(index, more), least + (index < more)
        held = self._most(self.side.span, first, lines)
        return Part(lines, held, self._most(self.side.beyond, first, lines) if index else held)

    def _most(self, elements: Callable[[int, int], int], first: int, lines: int) -> int:
        return max(elements(start + first, start + first + lines) for start in self.starts)

    def _of_frames(self, parts: int) -> bool:
        return self.frames > 1 and parts <= self.frames

    def runs(self, parts: int) -> Runs[Runs[int]]:
        """Parts as runs of those with equal parts before and after them, each by its first place; by frame.

        The first and the last one, and the neighbours of the last one, are by themselves.
        """
        if self.frames < 2 or self._of_frames(parts):
            return [(1, self._alike(self.frames if self._of_frames(parts) else self.lines, parts, 0))]
        per = parts // self.frames
        inner = self._alike(self.lines, per, 0)
        return [
            (count, [(times, frame * per + place) for times, place in inner])
            for count, frame in alike(self.frames, self.frames)
        ]

    def _alike(self, size: int, parts: int, first: int) -> Runs[int]:
        if not self.side.low:
            return alike(size, parts)
        keys = [self.part(parts, first + place) for place in range(parts)]
        cuts = {0, 1, parts - 2, parts - 1, parts}
        for place, (one, other) in enumerate(pairwise(keys), 1):
            cuts |= {place - 1, place, place + 1} if one != other else set()
        return [(b - a, a) for a, b in pairwise(sorted(cut for cut in cuts if 0 <= cut <= parts))]

    def measures(self, parts: int) -> tuple[int, int, int, int]:
        """The most lines and elements of a part; the elements that all parts need, and without what two share."""
        found = [(count, self.part(parts, index)) for count, index in self._sizes(parts)]
        lines, held = max(part.lines for _, part in found), max(part.held for _, part in found)
        return lines, held, total([(n, part.held) for n, part in found]), total([(n, part.fresh) for n, part in found])

    def _sizes(self, parts: int) -> Runs[int]:
        if not self.side.low:
            larger = self.lines % parts
            return [(count, place) for count, place in ((larger, 0), (parts - larger, parts - 1)) if count]
        return [(times * count, place) for times, inner in self.runs(parts) for count, place in inner]


def divided(side: Side, cores: int) -> tuple[Portion, Portion] | None:
    """What each core has of a side, and what is left over for all; None if halos would not let it be divided so."""
    if side.frames > 1 and side.frames >= cores:
        each, left = divmod(side.frames, cores)
        return Portion(side, each, side.lines), Portion(side, left, side.lines)
    if side.frames > 1:
        return None
    each, left = divmod(side.lines, cores)
    starts = [core * each for core in range(cores)] if side.low else (0,)
    return Portion(side, 1, each, starts), Portion(side, 1, left, (cores * each if side.low else 0,))


def _counts(size: int) -> list[int]:
    """Numbers of parts, each the least of those with the same largest part; fewer of them for a large size."""
    root = isqrt(size)
    counts = {1, *range(1, root + 1), *(-(-size // part) for part in range(1, root + 1))}
    if len(counts) > _PARTS:
        parts = {-(-size // int(count)) for count in np.geomspace(1, size, _PARTS)}
        counts = {-(-size // part) for part in parts}
    return sorted(counts)
