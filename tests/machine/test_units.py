"""Quantities as text: exact values, exact sentences, and back."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.errors import MachineError
from tilework.machine.units import BANDWIDTH, ENERGY, FREQUENCY, SIZE, Quantity, parse_quantity, print_quantity, shown

KINDS = pytest.mark.parametrize("kind", [SIZE, BANDWIDTH, FREQUENCY, ENERGY], ids=lambda kind: kind.noun)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (SIZE, "128 KiB", 131_072),
        (SIZE, "128KiB", 131_072),
        (SIZE, "  1.5 KiB ", 1536),
        (SIZE, "128 KB", 128_000),
        (SIZE, "128 kB", 128_000),
        (SIZE, "16 GiB", 1 << 34),
        (SIZE, "7 B", 7),
        (BANDWIDTH, "64 GB/s", 64_000_000_000),
        (BANDWIDTH, "1 GiB/s", 1 << 30),
        (FREQUENCY, "1 GHz", 1_000_000_000),
        (FREQUENCY, "2e3 Hz", 2000),
        (ENERGY, "3.7 pJ", Fraction(37, 10**13)),
        (ENERGY, "0 J", 0),
        (ENERGY, "5 µJ", Fraction(5, 10**6)),
    ],
)
def test_text_has_this_value(kind: Quantity, text: str, value: Fraction) -> None:
    assert parse_quantity(kind, text) == value


MUST = "must be a size in bytes such as '128 KiB', not"


@pytest.mark.parametrize(
    ("kind", "text", "sentence"),
    [
        (SIZE, "64 GB/s", f"{MUST} '64 GB/s'; its units are KiB, MiB, GiB, TiB, B, TB, GB, MB, kB, KB"),
        (SIZE, "1 Gb", f"{MUST} '1 Gb'; that counts bits, so divide by 8 and write B for bytes"),
        (SIZE, "1 Gib", f"{MUST} '1 Gib'; that counts bits, so divide by 8 and write B for bytes"),
        (SIZE, "128", f"{MUST} '128'; add the unit"),
        (SIZE, 128, f"{MUST} 128; add the unit"),
        (SIZE, True, f"{MUST} True; its units are KiB, MiB, GiB, TiB, B, TB, GB, MB, kB, KB"),
        (SIZE, "-1 KiB", f"{MUST} '-1 KiB'; write a number above 0"),
        (SIZE, "0 B", f"{MUST} '0 B'; write a number above 0"),
        (SIZE, "nan B", f"{MUST} 'nan B'; write a finite number"),
        (SIZE, "-inf B", f"{MUST} '-inf B'; write a finite number"),
        (SIZE, "0.3 KiB", "must be a whole number of bytes, not '0.3 KiB'; round it"),
        (SIZE, "1e300 B", "must be a size in bytes of at most 1024 TiB, not '1e300 B'; check its unit"),
        (
            BANDWIDTH,
            "512 Gbit/s",
            "must be a bandwidth in bytes per second such as '64 GB/s', not '512 Gbit/s'; "
            "that counts bits, so divide by 8 and write B for bytes",
        ),
        (FREQUENCY, "0 Hz", "must be a frequency such as '1 GHz', not '0 Hz'; write a number above 0"),
        (ENERGY, "-1 pJ", "must be an energy such as '3.7 pJ', not '-1 pJ'; write 0 or more"),
        (ENERGY, "2 J", "must be an energy of at most 1 J, not '2 J'; check its unit"),
    ],
)
def test_every_mistake_has_its_sentence(kind: Quantity, text: object, sentence: str) -> None:
    with pytest.raises(MachineError) as caught:
        parse_quantity(kind, text)
    assert str(caught.value) == sentence


@KINDS
@given(st.floats(min_value=0, exclude_min=True, allow_infinity=False))
def test_a_printed_number_reads_back_exactly(kind: Quantity, value: float) -> None:
    if value <= kind.limit and not kind.whole:
        assert float(parse_quantity(kind, print_quantity(kind, value))) == value


@given(st.integers(1, 1 << 50))
def test_a_printed_size_reads_back_exactly(value: int) -> None:
    assert parse_quantity(SIZE, print_quantity(SIZE, value)) == value


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (SIZE, 131_072, "128 KiB"),
        (SIZE, 131_073, "131073 B"),
        (BANDWIDTH, 64e9, "64 GB/s"),
        (FREQUENCY, 1.5e9, "1.5 GHz"),
        (ENERGY, 4.6e-12, "4.6 pJ"),
        (ENERGY, 0.0, "0 J"),
        (ENERGY, 1e-21, "0.001 aJ"),
        (ENERGY, 1e-60, "1e-42 aJ"),
    ],
)
def test_quantities_print_in_the_unit_that_people_use(kind: Quantity, value: float, text: str) -> None:
    assert print_quantity(kind, value) == text


@KINDS
@given(st.text() | st.from_regex(r"[+-]?[0-9.e]{1,9} ?[a-zA-Z/]{0,5}", fullmatch=True) | st.floats() | st.none())
def test_anything_is_a_quantity_or_an_error(kind: Quantity, value: object) -> None:
    with suppress(MachineError):
        assert 0 <= parse_quantity(kind, value) <= kind.limit


def test_long_values_are_cut() -> None:
    assert shown("x" * 100) == f"'{'x' * 55}…"
