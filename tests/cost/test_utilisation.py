"""The utilisation model against counting every read, and at its limits."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.cost.utilisation import utilisation
from tilework.machine.matrix import InnerProductArray, ScalarMacArray
from tilework.network.product import Product

SIZE = st.integers(1, 12)
PRODUCTS = st.builds(Product, st.just("x"), st.integers(1, 3), SIZE, SIZE, SIZE)
WIDE = Fraction(10**9)


def inner(neurons: int, synapses: int) -> InnerProductArray:
    return InnerProductArray(
        neurons=neurons, synapses=synapses, pipeline_cycles=9, rates={"float16": 1}, energy_per_mac_joules={}
    )


def scalar(macs: int) -> ScalarMacArray:
    return ScalarMacArray(macs=macs, pipeline_cycles=9, rates={"float16": 1}, energy_per_mac_joules={})


@given(PRODUCTS, SIZE, st.booleans())
def test_scalar_macs_read_what_they_read(product: Product, macs: int, kept: bool) -> None:
    """Turn by turn, cycle by cycle: the rows at work are the neurons that are read."""
    words, outputs = 0, product.rows * product.columns
    for turn in range(0, outputs, macs):
        places = {output // product.columns for output in range(turn, min(turn + macs, outputs))}
        words += product.summed * len(places)
        words += 0 if kept else product.summed * min(macs, outputs - turn)
    words += outputs + (product.columns * product.summed if kept else 0)
    found = utilisation([product], scalar(macs), WIDE, weights_kept=kept)
    assert found.words == product.groups * words
    assert found.compute_cycles == product.groups * -(-outputs // macs) * product.summed


@given(PRODUCTS, SIZE, SIZE, st.booleans())
def test_inner_product_units_read_what_they_read(product: Product, neurons: int, synapses: int, kept: bool) -> None:
    words = cycles = 0
    for row in range(product.rows):
        for column in range(0, product.columns, neurons):
            at_work = min(neurons, product.columns - column)
            cycles += len(range(0, product.summed, synapses))
            words += product.summed + at_work  # neurons and results
            words += at_work * product.summed if row == 0 or not kept else 0
    found = utilisation([product], inner(neurons, synapses), WIDE, weights_kept=kept)
    assert (found.words, found.compute_cycles) == (product.groups * words, product.groups * cycles)


@given(st.lists(PRODUCTS, min_size=1, max_size=4), SIZE, st.fractions(Fraction(1, 4), 64), st.booleans())
def test_bounds(products: list[Product], number: int, width: Fraction, kept: bool) -> None:
    for unit in (inner(number, 4), scalar(number)):
        found = utilisation(products, unit, width, weights_kept=kept)
        assert 0 < found.share <= 1
        assert found.cycles >= max(found.compute_cycles, found.words / width)
        assert found.cycles >= utilisation(products, unit, 2 * width, weights_kept=kept).cycles
        assert found.cycles >= utilisation(products, unit, width, weights_kept=True).cycles


def test_points_by_hand() -> None:
    """A product of 4 by 8 and 8 by 6 at 2 words a cycle, 192 products."""
    product = Product("x", 1, 4, 6, 8)
    again = utilisation([product], scalar(3), Fraction(2), weights_kept=False)
    assert again.words == 8 * 8 + 192 + 24  # 8 turns of one row each; each product's weight; results
    assert again.cycles == 140
    assert again.share == pytest.approx(192 / (3 * 140))
    kept = utilisation([product], scalar(3), Fraction(2), weights_kept=True)
    assert (kept.words, kept.cycles) == (8 * 8 + 48 + 24, 8 * 8 + 4)
    wide = utilisation([product], inner(4, 4), Fraction(1000), weights_kept=False)
    assert wide.cycles == 4 * 2 * 2  # two passes over the columns, two over the products
    assert wide.share == 192 / (16 * 16)


def test_layers_add_up() -> None:
    """One layer that waits for its words and one that doesn't: each takes the longer of its own two times."""
    starved, fed = Product("a", 1, 1, 10, 10), Product("b", 1, 10, 1, 10)
    both = utilisation([starved, fed], scalar(10), Fraction(5), weights_kept=True)
    single = [utilisation([product], scalar(10), Fraction(5), weights_kept=True) for product in (starved, fed)]
    assert both.cycles == sum(found.cycles for found in single)
    assert both.macs == 200
