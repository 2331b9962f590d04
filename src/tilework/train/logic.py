"""Small data sets that are computed: truth tables, and the sums of an adder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tilework.errors import DataError
from tilework.train.data.dataset import Dataset, seeded
from tilework.train.parameters import Array


def bits_of(numbers: Array, count: int) -> Array:
    """The bits of whole numbers, the least significant first: int64 [numbers, count]."""
    return np.asarray(numbers, np.int64)[:, None] >> np.arange(count) & 1


def truth_table(columns: Sequence[str]) -> Dataset:
    """Every row of functions of the same inputs: images -1 for false and 1 for true, float32 [2^n, n].

    A column has the values in the order of the inputs as numbers, the first input being the least significant bit; bit
    i of a label is the value of column i. Raises DataError for columns whose length isn't the same power of 2.
    """
    rows = len(columns[0])
    if rows < 2 or rows & (rows - 1) or any(len(column) != rows or set(column) - {*"01"} for column in columns):
        raise DataError(
            f"the columns of a truth table must have the same power of 2 of digits 0 and 1, not be {[*columns]}; give "
            "0001 for AND"
        )
    inputs = rows.bit_length() - 1
    images = 2 * bits_of(np.arange(rows), inputs).astype(np.float32) - 1
    labels = sum(np.array([*map(int, column)]) << i for i, column in enumerate(columns))
    source = f"the truth table of {len(columns)} function{'s' * (len(columns) > 1)} of {inputs} inputs, {rows} rows"
    return Dataset(images, np.asarray(labels, np.int64), _numbers(len(columns)), source)


def adder(bits: int, test: float, seed: int) -> tuple[Dataset, Dataset]:
    """The rows of a + b + carry to learn from and those held out, a share `test` drawn by the seed.

    Images are the bits of a, of b and the carry, each as -1 or 1, float32 [rows, 2 bits + 1]; a label is the sum, whose
    `bits` + 1 bits the network gives.
    """
    rows = np.arange(1 << 2 * bits + 1)
    mask = (1 << bits) - 1
    sums = (rows & mask) + (rows >> bits & mask) + (rows >> 2 * bits)
    held_out = round(test * len(rows))
    if not 0 < held_out < len(rows):
        raise DataError(f"both parts must have a row, not {len(rows)} be split at {test}; change the share")
    order = seeded(seed).permutation(len(rows))
    source = (
        f"all {len(rows)} rows of the {bits}-bit adder with carry ({len(rows) - held_out} to train, {held_out} to test)"
    )
    whole = Dataset(2 * bits_of(rows, 2 * bits + 1).astype(np.float32) - 1, sums, _numbers(bits + 1), source)
    return whole.take(np.sort(order[held_out:])), whole.take(np.sort(order[:held_out]))


def _numbers(bits: int) -> tuple[str, ...]:
    return tuple(map(str, range(1 << bits)))
