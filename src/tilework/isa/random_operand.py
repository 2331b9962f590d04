"""Random operands that stay inside a region of a memory in every iteration of the loops around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tilework.isa.instruction import ELEMENT_BYTES, Operand


@dataclass(frozen=True, slots=True)
class Region:
    """Bytes [start, stop) of a memory, both multiples of 4."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start


def random_permutation(random: Random, values: Sequence[int]) -> list[int]:
    return random.sample(list(values), len(values))


def random_operand(
    random: Random,
    memory: str,
    region: Region,
    extents: tuple[int, ...],
    moves: Sequence[bool],
    counts: tuple[int, ...],
    written: bool,
) -> Operand:
    """An operand that moves in the loops that `moves` says, over loops of these counts; one element a place if written.

    The region must hold as many elements as the extents span.
    """
    strides = _strides(random, extents, moves, 0 if written else 0.3, 0.3)
    if _reach(strides, extents)[1] - _reach(strides, extents)[0] + ELEMENT_BYTES > region.size:
        strides = _strides(random, extents, moves, 0, 0)
    low, high = _reach(strides, extents)
    slack = region.size - (high - low + ELEMENT_BYTES)
    ring = random.random() < 0.3 and slack >= ELEMENT_BYTES
    steps, phase, wrap, used = _ring(random, slack, counts) if ring else _line(random, slack, counts)
    below, above = used
    base = region.start - low - below + _up_to(random, slack - (above - below))
    return Operand(memory, base, strides, steps, phase, wrap)


def _strides(
    random: Random, extents: tuple[int, ...], moves: Sequence[bool], overlap: float, gap: float
) -> tuple[int, ...]:
    """Strides of a tensor with its axes in any order; with probabilities overlapping windows, gaps, and backwards."""
    strides, size = [0] * len(extents), ELEMENT_BYTES
    for loop in random_permutation(random, range(len(extents))):
        if not moves[loop]:
            continue
        if random.random() < gap:
            size += ELEMENT_BYTES * random.randint(1, 3)
        window = random.random() < overlap
        strides[loop] = ELEMENT_BYTES * random.randint(1, 4) if window else size
        size = max(size, strides[loop] * extents[loop])
        if random.random() < 0.1:
            strides[loop] = -strides[loop]
    return tuple(strides)


def _reach(strides: Sequence[int], extents: Sequence[int]) -> tuple[int, int]:
    """The lowest and the highest offset over all iterations."""
    ends = [stride * (extent - 1) for stride, extent in zip(strides, extents, strict=True)]
    return sum(end for end in ends if end < 0), sum(end for end in ends if end > 0)


def _line(random: Random, slack: int, counts: tuple[int, ...]) -> tuple[tuple[int, ...], int, int, tuple[int, int]]:
    steps = []
    for count in counts:
        step = _up_to(random, min(slack // max(count - 1, 1), 4096)) if random.random() < 0.7 else 0
        slack -= step * (count - 1)
        steps.append(-step if random.random() < 0.2 else step)
    return tuple(steps), 0, 0, _reach(steps, counts)


def _ring(random: Random, slack: int, counts: tuple[int, ...]) -> tuple[tuple[int, ...], int, int, tuple[int, int]]:
    wrap = ELEMENT_BYTES + _up_to(random, min(slack, 4096))
    steps = tuple(random.choice((-1, 1)) * _up_to(random, 2 * wrap) for _ in counts)
    return steps, random.choice((0, _up_to(random, 2 * wrap))), wrap, (0, wrap - ELEMENT_BYTES)


def _up_to(random: Random, most: int) -> int:
    """A multiple of 4 from 0 to `most`."""
    return ELEMENT_BYTES * random.randint(0, most // ELEMENT_BYTES)
