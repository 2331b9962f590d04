"""Polynomials against the laws of a ring, against plain arithmetic, and interpolation against what it must recover."""

from fractions import Fraction
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.cost.polynomial import Polynomial, interpolation
from tilework.errors import NetworkError

N, H, W, S = map(Polynomial.symbol, "NHWS")
ZERO, ONE = Polynomial.constant(0), Polynomial.constant(1)
SYMBOLS = ("N", "H", "W")
rationals = st.fractions(min_value=-20, max_value=20, max_denominator=12)


@st.composite
def polynomials(draw: st.DrawFn) -> Polynomial:
    symbols = draw(st.permutations(SYMBOLS))[: draw(st.integers(0, 3))]
    powers = st.tuples(*(st.integers(0, 3) for _ in symbols))
    return Polynomial.of(symbols, draw(st.dictionaries(powers, rationals, max_size=4)))


sizes = st.fixed_dictionaries({name: st.integers(-9, 9) for name in SYMBOLS})


@settings(max_examples=60, deadline=None)
@given(polynomials(), polynomials(), polynomials())
def test_the_laws_of_a_ring(a: Polynomial, b: Polynomial, c: Polynomial) -> None:
    assert (a + b) + c == a + (b + c)
    assert (a * b) * c == a * (b * c)
    assert (a + b, a * b) == (b + a, b * a)
    assert a * (b + c) == a * b + a * c
    assert a + ZERO == a * ONE == a == ZERO - (-a)
    assert a - a == a * ZERO == 0
    assert a - b == a + -b


@settings(max_examples=60, deadline=None)
@given(polynomials(), polynomials(), sizes)
def test_values_are_those_of_arithmetic(a: Polynomial, b: Polynomial, at: dict[str, int]) -> None:
    x, y = a.at(**at), b.at(**at)
    assert (a + b).at(**at) == x + y
    assert (a * b).at(**at) == x * y
    assert (a - b).at(**at) == x - y
    assert (a**3).at(**at) == x**3
    assert isinstance(x, int) == (Fraction(x).denominator == 1)
    places = [at[name] for name in a.symbols]
    assert a.is_at(places, int(x)) == (x == int(x))


@settings(max_examples=60, deadline=None)
@given(polynomials(), polynomials())
def test_equal_ones_have_one_hash_however_their_symbols_are_ordered(a: Polynomial, b: Polynomial) -> None:
    left, right = a + b, b + a
    assert left == right
    assert hash(left) == hash(right)
    assert (a == b) == ((a - b) == 0)


@settings(max_examples=60, deadline=None)
@given(polynomials())
def test_the_text_says_the_same(a: Polynomial) -> None:
    values = {"N": 3, "H": 5, "W": -2}
    python = str(a).replace("^", "**")
    found = sum(term_value(term, values) for term in python.replace(" - ", " + -").split(" + "))
    assert found == a.at(**values)
    assert format(a, ",").replace(",", "") == str(a)


def term_value(term: str, values: dict[str, int]) -> Fraction:
    sign, term = (-1, term[1:]) if term.startswith("-") else (1, term)
    value = Fraction(sign)
    for factor in term.replace("**", "^").split("*"):
        name, _, power = factor.partition("^")
        value *= Fraction(values.get(name) or Fraction(name)) ** int(power or 1)
    return value


@pytest.mark.parametrize(
    ("polynomial", "text", "latex"),
    [
        (12 * N * H * W + Fraction(4, 3) * N, "12*N*H*W + 4/3*N", r"12 N H W + \frac{4}{3} N"),
        (S * S * 2 - S + 1, "2*S^2 - S + 1", "2 S^{2} - S + 1"),
        (-N * H - Fraction(1, 2), "-N*H - 1/2", r"-N H - \frac{1}{2}"),
        (3 - N, "-N + 3", "-N + 3"),
        (N * H**2 + N**2 * H + N**3, "N^3 + N^2*H + N*H^2", "N^{3} + N^{2} H + N H^{2}"),
        (ZERO, "0", "0"),
        (N - N, "0", "0"),
        (-ONE, "-1", "-1"),
    ],
)
def test_text(polynomial: Polynomial, text: str, latex: str) -> None:
    assert str(polynomial) == text
    assert polynomial.latex() == latex
    assert repr(polynomial) == f"<Polynomial {text}>"


def test_thousands_separators() -> None:
    assert f"{22016 * N + Fraction(10_000, 2_001):,}" == "22,016*N + 10,000/2,001"


def test_a_constant_equals_its_number() -> None:
    assert Polynomial.constant(3) == 3
    assert N - N + 3 == 3
    assert hash(N * 0 + Fraction(1, 2)) == hash(Fraction(1, 2))
    assert Polynomial.constant(3).at(N=7) == 3
    assert N != "N"
    assert not bool(N - N)
    assert bool(N)


def test_degrees() -> None:
    p = N * S**2 + W
    assert [p.degree(name) for name in ("N", "S", "W", "X")] == [1, 2, 1, 0]
    assert (p - p).degree("S") == 0


def test_terms_for_machines() -> None:
    assert (Fraction(4, 3) * N * S**2 - 7).to_dict() == {
        "formula": "4/3*N*S^2 - 7",
        "terms": [{"coefficient": "4/3", "powers": {"N": 1, "S": 2}}, {"coefficient": "-7", "powers": {}}],
    }


def test_a_size_that_is_missing() -> None:
    with pytest.raises(NetworkError) as raised:
        (N * H + 0 * W).at(H=3)
    assert str(raised.value) == "a size must be given for each of N, H; N has none"


@st.composite
def grids(draw: st.DrawFn) -> tuple[dict[str, list[int]], Polynomial]:
    places = {
        name: draw(st.lists(st.integers(-30, 30), min_size=1, max_size=4, unique=True))
        for name in SYMBOLS[: draw(st.integers(0, 3))]
    }
    powers = st.tuples(*(st.integers(0, len(sizes) - 1) for sizes in places.values()))
    return places, Polynomial.of(tuple(places), draw(st.dictionaries(powers, rationals, max_size=5)))


@settings(max_examples=60, deadline=None)
@given(grids())
def test_interpolation_recovers_a_polynomial(grid: tuple[dict[str, list[int]], Polynomial]) -> None:
    places, polynomial = grid
    scale = 1
    for _, coefficient in polynomial.terms:
        scale *= coefficient.denominator
    whole = polynomial * scale
    values: list[Any] = [whole.at(**dict(zip(places, point, strict=True))) for point in product(*places.values())]
    assert interpolation(places)(values) == whole


def test_interpolation_by_hand() -> None:
    assert str(interpolation({"H": [1, 2, 3]})([1, 3, 6])) == "1/2*H^2 + 1/2*H"
