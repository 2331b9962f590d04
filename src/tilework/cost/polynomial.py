"""Exact polynomials in named symbols, and the one polynomial that passes through given values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import product
from math import lcm, prod
from typing import Any

from tilework.errors import NetworkError

Powers = tuple[int, ...]  # of each symbol
Number = int | Fraction


@dataclass(frozen=True, eq=False, repr=False)
class Polynomial:
    """A polynomial with rational coefficients; `terms` are (powers of the symbols, coefficient), no two alike, none 0.

    `+`, `-`, `*` and `**` take numbers too; polynomials are equal where they have the same terms, however they came
    about, and a constant equals its number. Prints as `12*N*H*W + 4/3*N`, and with thousands separators as f"{p:,}".
    """

    symbols: tuple[str, ...]
    terms: tuple[tuple[Powers, Fraction], ...]

    @classmethod
    def of(cls, symbols: Sequence[str], terms: Mapping[Powers, Number]) -> Polynomial:
        """From coefficients by powers; the highest degree comes first, and of equal ones that in the first symbols."""
        ordered = sorted(terms, key=lambda powers: (sum(powers), powers), reverse=True)
        return cls(tuple(symbols), tuple((powers, Fraction(terms[powers])) for powers in ordered if terms[powers]))

    @classmethod
    def constant(cls, value: Number) -> Polynomial:
        return cls.of((), {(): value})

    @classmethod
    def symbol(cls, name: str) -> Polynomial:
        return cls.of((name,), {(1,): 1})

    def at(self, /, **sizes: int) -> Number:
        """The value at these sizes, an int where it is whole; others than the polynomial's symbols don't matter.

        Raises NetworkError where a symbol that occurs has no size.
        """
        if missing := [name for name in self._occurring if name not in sizes]:
            raise NetworkError(f"a size must be given for each of {', '.join(self._occurring)}; {missing[0]} has none")
        places = [sizes.get(name, 0) for name in self.symbols]
        value = Fraction(self._value(places), self._denominator)
        return value.numerator if value.denominator == 1 else value

    def is_at(self, places: Sequence[int], value: int) -> bool:
        """Whether it has that value where its symbols, in their order, have those sizes; quicker than `at`."""
        return self._value(places) == value * self._denominator

    def _value(self, places: Sequence[int]) -> int:
        return sum(
            coefficient * prod(map(pow, places, powers))
            for (powers, _), coefficient in zip(self.terms, self._numerators, strict=True)
        )

    @cached_property
    def _denominator(self) -> int:
        return lcm(*(coefficient.denominator for _, coefficient in self.terms))

    @cached_property
    def _numerators(self) -> list[int]:
        return [int(coefficient * self._denominator) for _, coefficient in self.terms]

    @cached_property
    def _occurring(self) -> list[str]:
        return [name for i, name in enumerate(self.symbols) if any(powers[i] for powers, _ in self.terms)]

    def degree(self, symbol: str) -> int:
        """The highest power of a symbol; 0 for one that does not occur, and for the polynomial 0."""
        place = self.symbols.index(symbol) if symbol in self.symbols else None
        return max((powers[place] for powers, _ in self.terms if place is not None), default=0)

    def __bool__(self) -> bool:
        return bool(self.terms)

    def __add__(self, other: Polynomial | Number) -> Polynomial:
        symbols, terms, added = _aligned(self, other)
        for powers, coefficient in added.items():
            terms[powers] = terms.get(powers, Fraction(0)) + coefficient
        return Polynomial.of(symbols, terms)

    def __mul__(self, other: Polynomial | Number) -> Polynomial:
        symbols, left, right = _aligned(self, other)
        terms: dict[Powers, Fraction] = {}
        for (a, x), (b, y) in product(left.items(), right.items()):
            powers = tuple(map(sum, zip(a, b, strict=True)))
            terms[powers] = terms.get(powers, Fraction(0)) + x * y
        return Polynomial.of(symbols, terms)

    def __pow__(self, exponent: int) -> Polynomial:
        return prod([self] * exponent, start=Polynomial.constant(1))

    def __neg__(self) -> Polynomial:
        return self * -1

    def __sub__(self, other: Polynomial | Number) -> Polynomial:
        return self + -other

    def __rsub__(self, other: Number) -> Polynomial:
        return -self + other

    __radd__ = __add__
    __rmul__ = __mul__

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int | Fraction):
            return self._content == Polynomial.constant(other)._content
        return self._content == other._content if isinstance(other, Polynomial) else NotImplemented

    def __hash__(self) -> int:
        constant = not self._occurring
        return hash(self.at()) if constant else hash(self._content)

    @cached_property
    def _content(self) -> frozenset[tuple[frozenset[tuple[str, int]], Fraction]]:
        return frozenset((frozenset(self.powers(powers).items()), c) for powers, c in self.terms)

    def powers(self, powers: Powers) -> dict[str, int]:
        """The powers of a term by symbol, without those that are 0."""
        return {name: power for name, power in zip(self.symbols, powers, strict=True) if power}

    def __str__(self) -> str:
        return format(self, "")

    def __repr__(self) -> str:
        return f"<Polynomial {self}>"

    def __format__(self, spec: str) -> str:
        """`spec` is "" or ",", how the numbers in it are written."""
        return self._joined(lambda value: _fraction(value, spec), "*", lambda power: f"^{power}")

    def latex(self) -> str:
        r"""For a formula in LaTeX: 12 N H W + \frac{4}{3} N."""
        return self._joined(_latex_fraction, " ", lambda power: f"^{{{power}}}")

    def _joined(self, number: Callable[[Fraction], str], times: str, raised: Callable[[int], str]) -> str:
        text = ""
        for powers, coefficient in self.terms:
            factors = [name + (raised(power) if power > 1 else "") for name, power in self.powers(powers).items()]
            size = abs(coefficient)
            shown = times.join(factors if factors and size == 1 else [number(size), *factors])
            sign = "-" if coefficient < 0 else "+"
            text += f" {sign} {shown}" if text else shown if sign == "+" else f"-{shown}"
        return text or "0"

    def to_dict(self) -> dict[str, Any]:
        """`formula` as text, and `terms`: each with its coefficient as text, such as "4/3", and powers by symbol."""
        terms = [{"coefficient": str(c), "powers": self.powers(powers)} for powers, c in self.terms]
        return {"formula": str(self), "terms": terms}


def _fraction(value: Fraction, spec: str) -> str:
    whole = format(value.numerator, spec)
    return whole if value.denominator == 1 else f"{whole}/{format(value.denominator, spec)}"


def _latex_fraction(value: Fraction) -> str:
    return str(value) if value.denominator == 1 else rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def _aligned(
    left: Polynomial, other: Polynomial | Number
) -> tuple[tuple[str, ...], dict[Powers, Fraction], dict[Powers, Fraction]]:
    """The symbols of both, the left one's first, and the terms of each over them."""
    right = other if isinstance(other, Polynomial) else Polynomial.constant(other)
    symbols = tuple(dict.fromkeys((*left.symbols, *right.symbols)))

    def terms(of: Polynomial) -> dict[Powers, Fraction]:
        named = ((of.powers(powers), coefficient) for powers, coefficient in of.terms)
        return {tuple(powers.get(name, 0) for name in symbols): c for powers, c in named}

    return symbols, terms(left), terms(right)


def interpolation(places: Mapping[str, Sequence[int]]) -> Callable[[Sequence[int]], Polynomial]:
    """The function from values on a grid to the polynomial through them.

    `places` are the grid's distinct sizes of each symbol. The values are in the order of
    itertools.product(*places.values()). The polynomial's degree in a symbol is less than the number of its sizes;
    there is exactly one such (Lagrange).
    """
    bases = [list(_lagrange(sizes)) for sizes in places.values()]
    powers = list(product(*(range(len(sizes)) for sizes in places.values())))
    rows = [
        [prod((b[i] for b, i in zip(basis, p, strict=True)), start=Fraction(1)) for basis in product(*bases)]
        for p in powers
    ]
    common = lcm(*(entry.denominator for row in rows for entry in row))
    whole = [[int(entry * common) for entry in row] for row in rows]

    def through(values: Sequence[int]) -> Polynomial:
        sums = (sum(map(int.__mul__, row, values)) for row in whole)
        return Polynomial.of(tuple(places), {p: Fraction(n, common) for p, n in zip(powers, sums, strict=True)})

    return through


def _lagrange(sizes: Sequence[int]) -> Iterator[list[Fraction]]:
    """For each size the coefficients, constant first, of the polynomial that is 1 there and 0 at the others."""
    for own in sizes:
        basis = [Fraction(1)]
        for other in sizes:
            if other != own:
                risen, same = [Fraction(0), *basis], [*basis, Fraction(0)]
                basis = [(a - other * b) / (own - other) for a, b in zip(risen, same, strict=True)]
        yield basis
