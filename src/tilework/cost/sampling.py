"""Along which sizes of a symbol a count is one polynomial, found by counting at a few of them.

docs/formulas.md says why the counts at a few sizes determine those at all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice, pairwise
from math import lcm

from tilework.cost.count import Count
from tilework.cost.polynomial import Polynomial, interpolation
from tilework.cost.record import INTEGERS, OTHER_KINDS
from tilework.errors import NetworkError

CountAt = Callable[[dict[str, int]], Count]
Point = tuple[int, ...]  # a size of each symbol

NAMES: tuple[str, ...] = (*INTEGERS, "neurons_with_input", *OTHER_KINDS)
ROOTS = (256, 1792, 768, 1280, 32, 1)  # periods to start from: 2^8, times 7, 3 and 5; then short ones
DEGREE = 6  # the highest that is looked for
EXTRA = 2  # counts beyond those that determine a polynomial
RUN = 8  # sizes in a row at which a polynomial must hold: all residues of 2 to 8
FAR = 64  # how many times the first size the farthest check is
DOUBLINGS = 10  # of the first sizes, while the network refuses them


@dataclass(frozen=True)
class Condition:
    """The sizes of a symbol at which a formula holds: residue + k*period, from `least` to `most` (None: no end found).

    `checked` is the greatest size at which it was compared with a count.
    """

    symbol: str
    period: int
    residue: int
    least: int
    most: int | None
    checked: int

    def allows(self, size: int) -> bool:
        return size % self.period == self.residue and self.least <= size <= (self.most or size)

    def both(self, other: Condition) -> Condition:
        """What both allow; they must have a size in common."""
        period = lcm(self.period, other.period)
        residue = next(r for r in range(other.residue, period, other.period) if r % self.period == self.residue)
        least = max(self.least, other.least)
        most = min((end for end in (self.most, other.most) if end is not None), default=None)
        first = least + (residue - least) % period
        last = None if most is None else most - (most - residue) % period
        return Condition(self.symbol, period, residue, first, last, last or max(self.checked, other.checked))

    def around(self, start: int, degree: int) -> list[int]:
        """As many sizes, from the start if it is allowed, as determine a polynomial of that degree."""
        first = start if self.allows(start) else self.least
        above = [first + i * self.period for i in range(degree + 1)]
        inside = [size for size in above if self.allows(size)]
        return inside + [first - (i + 1) * self.period for i in range(len(above) - len(inside))]

    def size(self, k: int) -> int:
        """Number k of the sizes, from 0; after the last one comes the first again."""
        among = k if self.most is None else k % ((self.most - self.least) // self.period + 1)
        return self.least + among * self.period

    def nearest(self, size: int) -> list[int]:
        """The sizes next to one that isn't allowed, at most one on either side."""
        below = size - (size - self.residue) % self.period
        around = (below, below + self.period)
        return sorted({max(self.least, min(place, self.most or place)) for place in around})

    def __str__(self) -> str:
        multiple = f"= {self.period}*k + {self.residue}" if self.residue else f"a multiple of {self.period}"
        bounds = [f"from {self.least}"] if self.least > self.period else []
        bounds += [] if self.most is None else [f"up to {self.most}"]
        form = [multiple] if self.period > 1 else [] if bounds else ["any size"]
        return " ".join((self.symbol, *form, *bounds))


class Samples:
    """The counts at the points that were asked for, each taken once, around `start`, which the network takes.

    Raises NetworkError, the network's own, where it refuses the first sizes however often they are doubled.
    """

    def __init__(self, count_at: CountAt, hints: Mapping[str, int]) -> None:
        self._count_at = count_at
        self.symbols = tuple(hints)
        self.counts: dict[Point, Count] = {}
        self.refusals: dict[Point, NetworkError] = {}
        self._values: dict[Point, tuple[int, ...]] = {}
        starts = [tuple(hint << doubling for hint in hints.values()) for doubling in range(DOUBLINGS + 1)]
        found = next((start for start in starts if self.takes(start)), None)
        if found is None:
            raise self.refusals[starts[0]]
        self.start = found
        self.network = self.counts[found].network

    def takes(self, point: Point) -> bool:
        """Whether the network takes these sizes; if so they are counted."""
        if point not in self.counts and point not in self.refusals:
            try:
                self.counts[point] = self._count_at(dict(zip(self.symbols, point, strict=True)))
            except NetworkError as error:
                self.refusals[point] = error
        return point in self.counts

    def values(self, point: Point) -> tuple[int, ...]:
        """The totals in the order of NAMES where the network takes the point; kinds that don't occur are 0."""
        if point not in self._values:
            counted = self.counts[point]
            numbers = (getattr(counted.total, name) for name in INTEGERS)
            others = (counted.total.other_operations.get(kind, 0) for kind in OTHER_KINDS)
            self._values[point] = (*numbers, counted.neurons_with_input, *others)
        return self._values[point]


@dataclass(frozen=True)
class Line:
    """One of the totals, number `name` of NAMES, along one symbol, number `place`; the others stay at the start."""

    samples: Samples
    place: int
    name: int

    @property
    def start(self) -> int:
        return self.samples.start[self.place]

    def point(self, size: int) -> Point:
        return (*self.samples.start[: self.place], size, *self.samples.start[self.place + 1 :])

    def at(self, size: int) -> int | None:
        """The total; None where the network refuses the size."""
        point = self.point(size)
        return self.samples.values(point)[self.name] if self.samples.takes(point) else None

    def walk(self, step: int) -> Iterator[tuple[int, int]]:
        """Sizes and totals from the start upwards, then downwards, until they are refused."""
        for sizes in (count(self.start, step), range(self.start - step, 0, -step)):
            for size in sizes:
                value = self.at(size)
                if value is None:
                    break
                yield size, value

    def polynomial(self, step: int) -> Polynomial | None:
        """That of least degree through sizes `step` apart, with EXTRA of them that confirm it."""
        taken: dict[int, int] = {}
        for size, value in islice(self.walk(step), DEGREE + 1 + EXTRA):
            taken[size] = value
            degree = len(taken) - EXTRA - 1
            if degree >= 0 and _vanish([taken[size] for size in sorted(taken)], degree + 1):
                sizes = list(taken)[: degree + 1]
                return interpolation({self.samples.symbols[self.place]: sizes})([taken[size] for size in sizes])
        return None

    def has_period(self, polynomial: Polynomial, period: int) -> bool:
        """Whether the polynomial holds at the first sizes that are `period` apart, and at enough of them."""
        needed = polynomial.degree(self.samples.symbols[self.place]) + 1 + EXTRA
        checked = 0
        for size, value in islice(self.walk(period), max(RUN, needed)):
            if not polynomial.is_at((size,), value):
                return False
            checked += 1
        return checked >= needed

    def condition(self, polynomial: Polynomial, period: int) -> Condition:
        """How far it holds: down to the first size there is, and up to FAR times the start, or where that ends."""

        def holds(size: int) -> bool:
            value = self.at(size)
            return value is not None and polynomial.is_at((size,), value)

        residue = self.start % period
        first = residue or period
        far = self.start + period * max(2 * RUN, (FAR - 1) * self.start // period)
        least = first if holds(first) else _border(holds, self.start, first, period)
        most = None if holds(far) else _border(holds, self.start, far, period)
        return Condition(self.samples.symbols[self.place], period, residue, least, most, most or far)


def _vanish(series: Sequence[int], order: int) -> bool:
    """Whether all differences of that order are 0, as those of a polynomial of a lower degree are."""
    for _ in range(order):
        series = [after - before for before, after in pairwise(series)]
    return not any(series)


def _border(holds: Callable[[int], bool], good: int, bad: int, period: int) -> int:
    """The last size that holds, on the way from one that does to one that doesn't."""
    while abs(bad - good) > period:
        middle = good + (abs(bad - good) // period // 2) * (period if bad > good else -period)
        good, bad = (middle, bad) if holds(middle) else (good, middle)
    return good


def find_axis(line: Line) -> tuple[Condition, int] | None:
    """Where the total is a polynomial around the start, and of what degree; None where it is none that is found.

    One that holds for all sizes above is best, then the one with the shortest period, if it holds for many.
    """
    bounded = []
    for root in ROOTS:
        if (polynomial := line.polynomial(root)) is not None:
            periods = (p for p in range(1, root + 1) if root % p == 0 and line.has_period(polynomial, p))
            if period := next(periods, None):
                condition = line.condition(polynomial, period)
                found = condition, polynomial.degree(line.samples.symbols[line.place])
                if condition.most is None:
                    return found
                if condition.most - condition.least > 2 * RUN * period:
                    bounded.append(found)
    return min(bounded, key=lambda found: found[0].period, default=None)


def refusal(samples: Samples, place: int) -> NetworkError | None:
    """The reason why a symbol can have no size but its first, if that is so."""
    symbol, start = samples.symbols[place], samples.start[place]
    line = Line(samples, place, 0)
    others = [start + root for root in ROOTS if root > 1] + [start - root for root in ROOTS if 1 < root < start]
    if any(line.at(size) is not None for size in others):
        return None
    return NetworkError(
        f"a formula in {symbol} needs other sizes than {start}, but {samples.network} refuses {others[0]}: "
        f"{samples.refusals[line.point(others[0])]}; give {symbol} as a number"
    )
