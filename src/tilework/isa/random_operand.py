"""Random operands that stay inside a region of a memory in every iteration of the loops around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tilework.isa.blocks import stored
from tilework.isa.instruction import DTYPES, Operand


@dataclass(frozen=True, slots=True)
class Region:
    """Bytes [start, stop) of a memory, both multiples of 4."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start

    def parts(self, count: int) -> tuple[Region, ...]:
        """The region in `count` equal parts, without what is left over; none if they would be empty."""
        size = self.size // count // 4 * 4
        return tuple(Region(self.start + n * size, self.start + (n + 1) * size) for n in range(count) if size)


@dataclass(frozen=True, slots=True)
class Nest:
    """What operands of an instruction share: its extents, and the counts of the hardware loops around it."""

    extents: tuple[int, ...]
    counts: tuple[int, ...]


def random_permutation(random: Random, values: Sequence[int]) -> list[int]:
    return random.sample(list(values), len(values))


def random_operand(
    random: Random, memory: str, dtype: str, region: Region, nest: Nest, moves: Sequence[bool], written: bool, kept: int
) -> Operand:
    """An operand that moves in the loops of the nest that `moves` says; one element a place if it is written.

    The region must hold as many elements as the extents span. It is compressed if `kept` is not 0 and its blocks fit.
    """
    unit, extents = DTYPES[dtype], nest.extents
    strides = _strides(random, extents, moves, 0 if written else 0.3, 0.3, unit)
    if _reach(strides, extents)[1] - _reach(strides, extents)[0] + unit > region.size:
        strides = _strides(random, extents, moves, 0, 0, unit)
    if kept:
        strides = tuple(map(abs, strides))
    shape, sizes = stored(Operand(memory, 0, strides, dtype=dtype, kept=kept), extents)
    low, high = _reach(shape.strides, sizes)
    if kept and high + unit > region.size:
        return random_operand(random, memory, dtype, region, nest, moves, written, 0)
    slack = region.size - (high - low + unit)
    ring = random.random() < 0.3 and slack >= unit
    steps, phase, wrap, used = (_ring if ring else _line)(random, slack, nest.counts, unit)
    below, above = used
    base = region.start - low - below + _up_to(random, slack - (above - below), unit)
    return Operand(memory, base, strides, steps, phase, wrap, dtype, kept=kept)


def _strides(
    random: Random, extents: tuple[int, ...], moves: Sequence[bool], overlap: float, gap: float, unit: int
) -> tuple[int, ...]:
    """Strides of a tensor with its axes in any order; with probabilities overlapping windows, gaps, and backwards."""
    strides, size = [0] * len(extents), unit
    for loop in random_permutation(random, range(len(extents))):
        if not moves[loop]:
            continue
        if random.random() < gap:
            size += unit * random.randint(1, 3)
        window = random.random() < overlap
        strides[loop] = unit * random.randint(1, 4) if window else size
        size = max(size, strides[loop] * extents[loop])
        if random.random() < 0.1:
            strides[loop] = -strides[loop]
    return tuple(strides)


def _reach(strides: Sequence[int], extents: Sequence[int]) -> tuple[int, int]:
    """The lowest and the highest offset over all iterations."""
    ends = [stride * (extent - 1) for stride, extent in zip(strides, extents, strict=True)]
    return sum(end for end in ends if end < 0), sum(end for end in ends if end > 0)


def _line(
    random: Random, slack: int, counts: tuple[int, ...], unit: int
) -> tuple[tuple[int, ...], int, int, tuple[int, int]]:
    steps = []
    for count in counts:
        step = _up_to(random, min(slack // max(count - 1, 1), 4096), unit) if random.random() < 0.7 else 0
        slack -= step * (count - 1)
        steps.append(-step if random.random() < 0.2 else step)
    return tuple(steps), 0, 0, _reach(steps, counts)


def _ring(
    random: Random, slack: int, counts: tuple[int, ...], unit: int
) -> tuple[tuple[int, ...], int, int, tuple[int, int]]:
    wrap = unit + _up_to(random, min(slack, 4096), unit)
    steps = tuple(random.choice((-1, 1)) * _up_to(random, 2 * wrap, unit) for _ in counts)
    return steps, random.choice((0, _up_to(random, 2 * wrap, unit))), wrap, (0, wrap - unit)


def _up_to(random: Random, most: int, unit: int) -> int:
    """A multiple of the unit from 0 to `most`."""
    return unit * random.randint(0, most // unit)
