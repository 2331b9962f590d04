"""Which polynomials hold where: domains of sizes, and the polynomials of numbers on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

from tilework.cost.polynomial import Polynomial, interpolation
from tilework.cost.sampling import DEGREE, NAMES, RUN, Condition, Line, Point, Samples, find_axis, refusal
from tilework.errors import NetworkError

Points = tuple[Point, ...]
Series = tuple[int, ...]  # a number's values at points
COMMON = 64  # the longest period that all numbers are given because one of them has it
RAISES = 4  # how often the smallest sizes are given up, twice as many each time


@dataclass(frozen=True)
class Domain:
    """The sizes at which a polynomial holds: a condition for each symbol."""

    conditions: tuple[Condition, ...]

    def allows(self, point: Point) -> bool:
        return all(map(Condition.allows, self.conditions, point))

    def require(self, sizes: Mapping[str, int]) -> Point:
        """The point of these sizes; raises NetworkError where it has others than its symbols or is not allowed."""
        wanted = [condition.symbol for condition in self.conditions]
        if sizes.keys() != set(wanted):
            raise NetworkError(f"sizes must be given for {', '.join(wanted)}, not for {', '.join(sizes) or 'none'}")
        for condition in self.conditions:
            if not condition.allows(size := sizes[condition.symbol]):
                nearest = " or ".join(map(str, condition.nearest(size)))
                raise NetworkError(f"the formula holds for {condition}, such as {nearest}, not for {size}")
        return tuple(sizes[symbol] for symbol in wanted)

    def both(self, other: Domain) -> Domain:
        """What both allow; they must have a point in common."""
        return Domain(tuple(map(Condition.both, self.conditions, other.conditions)))

    def further(self) -> list[Point]:
        """Points that must confirm a polynomial: all symbols changed together, and both ends."""
        mixed = [tuple(c.size(RUN + (j + i) % RUN) for i, c in enumerate(self.conditions)) for j in range(RUN)]
        ends = (tuple(c.least for c in self.conditions), tuple(c.checked for c in self.conditions))
        return [*mixed, *ends]

    def raised(self, doublings: int) -> Domain:
        """The same without the smallest sizes of each symbol."""
        return Domain(tuple(replace(c, least=min(c.size(2**doublings - 1), c.checked)) for c in self.conditions))

    def __str__(self) -> str:
        return "; ".join(map(str, self.conditions))


class Fit:
    """The polynomials of numbers on a domain, whose `degrees` in each symbol are at most these.

    `points` are those that it takes to find and to confirm them.
    """

    def __init__(self, samples: Samples, domain: Domain, degrees: tuple[int, ...]) -> None:
        self.domain, self.degrees, self._samples = domain, degrees, samples
        sizes = (c.around(*each) for c, *each in zip(domain.conditions, samples.start, degrees, strict=True))
        places = dict(zip(samples.symbols, sizes, strict=True))
        self._grid = tuple(product(*places.values()))
        self._through = interpolation(places)
        self.points = [point for point in (*self._grid, *domain.further()) if samples.takes(point)]
        self._known: dict[tuple[Points, Series], Polynomial | None] = {}

    def polynomial(self, points: Points, values: Series) -> Polynomial | None:
        """The one with these values at those of the points that the domain allows; None if there is none."""
        if (points, values) not in self._known:
            self._known[points, values] = self._fitted(dict(zip(points, values, strict=True)))
        return self._known[points, values]

    def _fitted(self, values: dict[Point, int]) -> Polynomial | None:
        if not values.keys() >= set(self._grid):
            return None
        polynomial = self._through([values[point] for point in self._grid])
        inside = ((point, value) for point, value in values.items() if self.domain.allows(point))
        return polynomial if all(polynomial.is_at(point, value) for point, value in inside) else None

    def fits(self, place: int) -> bool:
        """Whether number `place` of the totals has a polynomial."""
        return self.polynomial(*total(self._samples, place)) is not None


def find_fits(samples: Samples) -> list[Fit]:
    """Domains such that each of the totals is a polynomial on one of them, that of most totals first.

    Raises NetworkError where a symbol can have no other sizes than its first, and where a total fits nowhere.
    """
    for place in range(len(samples.symbols)):
        if error := refusal(samples, place):
            raise error
    fits: list[Fit] = []
    found: dict[int, Fit | None] = {}
    for place in sorted(range(len(NAMES)), key=lambda place: NAMES[place] != "macs"):  # most others do as the MACs do
        if not (fits and fits[0].fits(place)):
            found[place] = fit = _around(samples, place)
            fits = _joined(samples, fits, fit)[:1] if fit else fits
    for place in range(len(NAMES)):
        if not any(fit.fits(place) for fit in fits):
            fit = found.get(place) or (_smaller(samples, fits[0], place) if fits else None)
            if fit is None:
                raise _none(samples, place)
            fits = _joined(samples, fits, fit)
    for place in range(len(NAMES)):
        if not any(fit.fits(place) for fit in fits):  # with the points taken since
            raise _none(samples, place)
    return fits


def total(samples: Samples, place: int) -> tuple[Points, Series]:
    """Number `place` of NAMES at all points taken."""
    return tuple(samples.counts), tuple(samples.values(point)[place] for point in samples.counts)


def _around(samples: Samples, place: int) -> Fit | None:
    """A fit around the start, from what the total does along each symbol alone."""
    axes = []
    for symbol in range(len(samples.symbols)):
        if (axis := find_axis(Line(samples, symbol, place))) is None:
            return None
        axes.append(axis)
    fit = Fit(samples, Domain(tuple(condition for condition, _ in axes)), tuple(degree for _, degree in axes))
    return fit if fit.fits(place) else None


def _joined(samples: Samples, fits: list[Fit], new: Fit) -> list[Fit]:
    """With one more, which all numbers share if it asks for little: then one condition says where they all hold."""
    if not fits:
        return [new]
    common = fits[0].domain.both(new.domain) if new.domain.allows(samples.start) else new.domain
    if not common.allows(samples.start) or max(c.period for c in common.conditions) > COMMON:
        return [*fits, new]
    return [Fit(samples, common, tuple(map(max, fits[0].degrees, new.degrees))), *fits[1:]]


def _smaller(samples: Samples, common: Fit, place: int) -> Fit | None:
    """A fit on a part of the common domain, with only those smallest sizes given up that must be."""
    for doublings in range(1, RAISES + 1):
        fit = Fit(samples, common.domain.raised(doublings), common.degrees)
        if fit.fits(place):
            break
    else:
        return None
    for i, condition in enumerate(common.domain.conditions):
        kept = fit.domain.conditions
        lower = Fit(samples, Domain((*kept[:i], condition, *kept[i + 1 :])), common.degrees)
        fit = lower if lower.fits(place) else fit
    return fit


def _none(samples: Samples, place: int) -> NetworkError:
    start = ", ".join(f"{name} = {size}" for name, size in zip(samples.symbols, samples.start, strict=True))
    return NetworkError(
        f"a formula needs counts that are polynomials, and the {NAMES[place].replace('_', ' ')} of {samples.network} "
        f"around {start} are none of degree up to {DEGREE}; give numbers instead of symbols"
    )
