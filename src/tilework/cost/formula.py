"""The counts of a network as formulas: exact polynomials in symbols such as a batch N and a picture's H and W."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tilework.cost.domain import Domain, Fit, Points, Series, find_fits, total
from tilework.cost.polynomial import Polynomial
from tilework.cost.record import GROUPINGS, INTEGERS, OTHER_KINDS, Row
from tilework.cost.sampling import NAMES, CountAt, Samples
from tilework.errors import NetworkError
from tilework.plain import columns
from tilework.plain import dataframe as plain_dataframe

NOTHING = "--"
HEADER = ("Layer (type)", "Output Shape", "Param #", "Mult-Adds", "Multiplications", "Additions", "Neurons", "Other")
SHOWN = ("parameters", "macs", "multiplications", "additions", "neurons")


@dataclass(frozen=True)
class Formula:
    """A number as a polynomial, and the sizes for which it is one."""

    polynomial: Polynomial
    domain: Domain

    def at(self, /, **sizes: int) -> int:
        """The number at these sizes; raises NetworkError for sizes that are missing, unknown or outside the domain."""
        self.domain.require(sizes)
        return int(self.polynomial.at(**sizes))

    def __str__(self) -> str:
        return f"{self.polynomial:,}"


@dataclass(frozen=True)
class FormulaRow:
    """The formulas of one layer or of one group of layers: the numbers of a `Record`, and the kinds that occur.

    `layers` is None where their number varies.
    """

    name: str
    operation: str
    module: str
    layers: int | None
    output_shape: tuple[Polynomial, ...] | None
    numbers: dict[str, Formula]

    def to_dict(self) -> dict[str, Any]:
        """Formulas as text; the terms and the domains stand in the totals of `Formulas.to_dict`."""
        shape = None if self.output_shape is None else list(map(str, self.output_shape))
        head = {"name": self.name, "operation": self.operation, "module": self.module, "layers": self.layers}
        return {**head, "output_shape": shape, **{name: str(f.polynomial) for name, f in self.numbers.items()}}


@dataclass(frozen=True)
class Formulas:
    """The counts of a network as polynomials, each with the sizes for which it holds.

    `totals` has the numbers of a `Record`, `neurons_with_input`, and each kind of other operation that occurs. `rows`
    are the count's own where every size has the same ones, else its modules or its operations, else empty.
    `domains` begins with the one of most numbers; `compared` is the number of counts that they were compared with.
    """

    network: str
    totals: dict[str, Formula]
    rows: tuple[FormulaRow, ...]
    domains: tuple[Domain, ...]
    compared: int

    def at(self, /, **sizes: int) -> dict[str, int]:
        """The totals at these sizes; those that do not hold there, as `domains` after the first say, are left out.

        Raises NetworkError for sizes that are missing, unknown or outside the first domain.
        """
        point = self.domains[0].require(sizes)
        return {name: f.at(**sizes) for name, f in self.totals.items() if f.domain.allows(point)}

    def to_dict(self) -> dict[str, Any]:
        """`network`, `domains`, `totals` with their terms and the places of their domains, and `layers`, for JSON."""
        domains = [{c.symbol: vars(c) for c in domain.conditions} for domain in self.domains]
        totals = {
            name: {**formula.polynomial.to_dict(), "domain": self.domains.index(formula.domain)}
            for name, formula in self.totals.items()
        }
        layers = [row.to_dict() for row in self.rows]
        return {"network": self.network, "domains": domains, "totals": totals, "layers": layers}

    def to_markdown(self) -> str:
        """The table in GitHub's Markdown, the totals last."""
        rows = [HEADER, ("---", "---", *["---:"] * len(SHOWN), "---:"), *map(self._cells, self.rows)]
        table = [f"| {' | '.join(cell.replace('*', chr(92) + '*') for cell in cells)} |" for cells in rows]
        totals = (f"- {name}: {text.replace('*', chr(92) + '*')}" for name, text in self._totals())
        return "\n".join([*(table if self.rows else []), "", *totals]) + "\n"

    def to_dataframe(self) -> Any:
        """The rows, formulas as text, as a pandas DataFrame; raises MissingPackageError without pandas."""
        names = [name for name in NAMES if any(name in row.numbers for row in self.rows)]
        head = ("name", "operation", "module", "layers", "output_shape")
        return plain_dataframe([row.to_dict() for row in self.rows], [*head, *names])

    def __str__(self) -> str:
        table = [columns(HEADER, list(map(self._cells, self.rows)), left=2), ""] if self.rows else []
        totals = list(self._totals())
        width = max(len(name) for name, _ in totals) + 1
        return "\n".join((self.network, "", *table, *(f"{name + ':':<{width}} {text}" for name, text in totals)))

    def _totals(self) -> Iterator[tuple[str, str]]:
        yield from ((name.replace("_", " "), self._marked([formula])) for name, formula in self.totals.items())
        yield from ((f"{'*' * i} valid for".lstrip(), str(domain)) for i, domain in enumerate(self.domains))

    def _cells(self, row: FormulaRow) -> list[str]:
        shape = NOTHING if row.output_shape is None else f"[{', '.join(map(str, row.output_shape))}]"
        others = [formula for name, formula in row.numbers.items() if name in OTHER_KINDS]
        numbers = [self._marked(summands) for summands in (*([row.numbers[name]] for name in SHOWN), others)]
        return [f"{row.name} ({row.operation})", shape, *(NOTHING if number == "0" else number for number in numbers)]

    def _marked(self, summands: Sequence[Formula]) -> str:
        """Their sum, with as many stars as the place of the last of their domains."""
        number = sum((formula.polynomial for formula in summands), Polynomial.constant(0))
        mark = "*" * max((self.domains.index(formula.domain) for formula in summands), default=0)
        return f"{number:,} {mark}".rstrip()


def formulas(count_at: CountAt, symbols: Mapping[str, int]) -> Formulas:
    """The counts as polynomials in `symbols`, exact, from the counts at a few sizes.

    `count_at({"N": 1, "H": 224})` counts the network at those sizes and raises NetworkError where it takes none such.
    `symbols` are names with a size from which to start, which decides the residue (227: H = 32*k + 3) and which is
    doubled while the network refuses it. Raises NetworkError for sizes below 1, where the network refuses all sizes
    that are tried, or where no polynomial fits.
    """
    if bad := [name for name, size in symbols.items() if size < 1]:
        raise NetworkError(f"the size of {bad[0]} must be at least 1, not {symbols[bad[0]]}")
    samples = Samples(count_at, symbols)
    fits = find_fits(samples)
    totals = {name: _formula(fits, *total(samples, place)) for place, name in enumerate(NAMES)}
    shown = {name: f for name, f in totals.items() if f is not None and (f.polynomial or name not in OTHER_KINDS)}
    domains = tuple(fit.domain for fit in fits)
    return Formulas(samples.network, shown, _rows(samples, fits), domains, len(samples.counts))


def _formula(fits: Sequence[Fit], points: Points, values: Series) -> Formula | None:
    found = ((fit.polynomial(points, values), fit.domain) for fit in fits)
    return next((Formula(polynomial, domain) for polynomial, domain in found if polynomial is not None), None)


def _rows(samples: Samples, fits: Sequence[Fit]) -> tuple[FormulaRow, ...]:
    """By layer where all sizes have the same ones and each number fits, else by module, else by operation."""
    points = tuple(dict.fromkeys(point for fit in fits for point in fit.points))
    for grouping in GROUPINGS:
        tables = [samples.counts[point].by(grouping) for point in points]
        named = {tuple((row.name, row.operation, row.module) for row in rows) for rows in tables}
        if len(named) == 1:
            found = [_row(fits, points, rows) for rows in zip(*tables, strict=True)]
            if None not in found:
                return tuple(row for row in found if row is not None)
    return ()


def _row(fits: Sequence[Fit], points: Points, rows: Sequence[Row]) -> FormulaRow | None:
    """The formulas of a layer from its rows at the points; None where a number is no polynomial."""
    kinds = [kind for kind in OTHER_KINDS if any(kind in row.other_operations for row in rows)]
    values = {name: tuple(getattr(row, name) for row in rows) for name in INTEGERS}
    values |= {kind: tuple(row.other_operations.get(kind, 0) for row in rows) for kind in kinds}
    numbers = {name: f for name, series in values.items() if (f := _formula(fits, points, series)) is not None}
    if len(numbers) < len(values):
        return None
    first = rows[0]
    layers = first.layers if {row.layers for row in rows} == {first.layers} else None
    return FormulaRow(first.name, first.operation, first.module, layers, _shape(fits[0], points, rows), numbers)


def _shape(fit: Fit, points: Points, rows: Sequence[Row]) -> tuple[Polynomial, ...] | None:
    """The sizes of the output; None where it has no one shape."""
    shapes = [row.output_shape or () for row in rows]
    if not all(shapes) or len({len(shape) for shape in shapes}) > 1:
        return None
    found = [fit.polynomial(points, sizes) for sizes in zip(*shapes, strict=True)]
    sizes = tuple(polynomial for polynomial in found if polynomial is not None)
    return sizes if len(sizes) == len(found) else None
