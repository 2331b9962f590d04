"""Data that is computed, against Python's own arithmetic; what outputs mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.errors import DataError, TrainingError
from tilework.train.evaluate import accuracy, codes, softened
from tilework.train.logic import adder, bits_of, truth_table


def number(bits: Any) -> int:
    return sum(int(bit > 0) << i for i, bit in enumerate(bits))


def test_every_row_of_the_adder_is_a_sum_and_stands_in_one_part() -> None:
    train, test = adder(4, 0.3, seed=5)
    assert (len(train), len(test)) == (358, 154)
    rows = set()
    for part in (train, test):
        assert set(np.unique(part.images)) == {-1.0, 1.0}
        for row, label in zip(part.images, part.labels, strict=True):
            assert label == number(row[:4]) + number(row[4:8]) + number(row[8:])
            rows.add(number(row))
    assert len(rows) == 512
    assert train.source == "all 512 rows of the 4-bit adder with carry (358 to train, 154 to test)"


def test_what_the_adder_holds_out_depends_on_the_seed() -> None:
    first, again, other = (adder(3, 0.5, seed)[1].images for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    with pytest.raises(DataError, match=r"^both parts must have a row, not 8 be split at 0\.01; change the share$"):
        adder(1, 0.01, 0)


def test_a_truth_table_has_its_inputs_in_order() -> None:
    table = truth_table(["0001", "0111"])
    assert table.images.tolist() == [[-1, -1], [1, -1], [-1, 1], [1, 1]]
    assert table.labels.tolist() == [0, 2, 2, 3]  # AND is bit 0, OR bit 1
    assert table.source == "the truth table of 2 functions of 2 inputs, 4 rows"


@pytest.mark.parametrize("columns", [["011"], ["01", "0111"], ["02"], [""], ["0"]])
def test_columns_that_are_none_are_refused(columns: list[str]) -> None:
    with pytest.raises(
        DataError, match=r"must have the same power of 2 of digits 0 and 1, not be .*; give 0001 for AND$"
    ):
        truth_table(columns)


@given(st.integers(1, 10), st.data())
def test_bits_make_the_number_again(count: int, data: st.DataObject) -> None:
    numbers = data.draw(st.lists(st.integers(0, 2**count - 1), min_size=1))
    assert [number(row) for row in bits_of(np.array(numbers), count)] == numbers


def test_codes_are_one_output_for_each_class_or_its_bits() -> None:
    assert codes(3, 3).tolist() == np.eye(3).tolist()
    assert codes(4, 2).tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]]
    with pytest.raises(
        TrainingError, match=r"for each of the 10 classes, or for each bit of their number, not 4; change"
    ):
        codes(10, 4)


def test_smoothing_keeps_the_sum_of_classes() -> None:
    soft = softened(codes(10, 10), 0.1)
    assert soft.sum(1) == pytest.approx(1)
    assert soft[3, 3] == pytest.approx(0.91)
    assert softened(codes(2, 1), 0.1).tolist() == [[pytest.approx(0.05)], [pytest.approx(0.95)]]


def test_accuracy_counts_the_best_the_five_best_and_whole_rows() -> None:
    outputs = np.array([[0.1, 0.7, 0.2], [0.5, 0.1, 0.4], [0.3, 0.3, 0.4], [np.nan] * 3], np.float32)
    labels = np.array([1, 2, 0, 0])
    assert accuracy(outputs, labels, 3) == 0.25
    assert accuracy(outputs, labels, 3, top=2) == 0.5  # of the third row two share the second place
    bits = np.array([[0.9, 0.1], [0.6, 0.2], [0.1, 0.1]], np.float32)
    assert accuracy(bits, np.array([1, 3, 0]), 4) == pytest.approx(2 / 3)
