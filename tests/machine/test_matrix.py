"""The cycles of matrix units against arrays that are played through, cycle by cycle, with values."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import ceil, prod
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.machine.load import load_machine
from tilework.machine.matrix import (
    DATAFLOWS,
    KINDS,
    ConvolutionCore,
    InnerProductArray,
    MatrixUnit,
    ScalarMacArray,
    SystolicArray,
)

Array = npt.NDArray[np.int64]
COMMON: dict[str, Any] = {"pipeline_cycles": 0, "energy_per_mac_joules": {"int8": 0.0}, "rates": {"int8": 1}}
SIZES = st.integers(1, 9)
SMALL = st.integers(1, 4)


def operands(rows: int, columns: int, summed: int) -> tuple[Array, Array]:
    """Matrices whose product shows every wrong, missing or double term."""
    numbers = np.random.default_rng(rows + 100 * columns + 10_000 * summed)
    return numbers.integers(1, 1000, (rows, summed)), numbers.integers(1, 1000, (summed, columns))


def tiles(size: int, step: int) -> list[slice]:
    return [slice(first, min(first + step, size)) for first in range(0, size, step)]


def inner_product_array(a: Array, b: Array, neurons: int, synapses: int) -> tuple[int, Array]:
    """One row, up to `neurons` sums and up to `synapses` products of each in a cycle."""
    cycles, result = 0, np.zeros((len(a), b.shape[1]), np.int64)
    for row, column, term in product(range(len(a)), tiles(b.shape[1], neurons), tiles(len(b), synapses)):
        result[row, column] += a[row, term] @ b[term, column]
        cycles += 1
    return cycles, result


def scalar_mac_array(a: Array, b: Array, macs: int) -> tuple[int, Array]:
    """Each unit takes an output, adds one product to it a cycle, and all go on to the next outputs together."""
    cycles, result = 0, np.zeros((len(a), b.shape[1]), np.int64)
    outputs = list(np.ndindex(*result.shape))
    for batch in tiles(len(outputs), macs):
        for term in range(len(b)):
            for row, column in outputs[batch]:
                result[row, column] += a[row, term] * b[term, column]
            cycles += 1
    return cycles, result


def stationary_fold(held: Array, streamed: Array) -> tuple[int, Array]:
    """A systolic array of the shape of `held`: filled from above, then `streamed` enters from the left, skewed.

    Operands go right, sums go down, one step a cycle; the array is through when the last sum has left it below.
    """
    (r, c), n = held.shape, len(streamed)
    weights, cycles = np.zeros((r, c), np.int64), 0
    for row in reversed(held):
        weights = np.vstack([row, weights[:-1]])
        cycles += 1
    right, down = np.zeros((r, c), np.int64), np.zeros((r, c), np.int64)
    result, left = np.zeros((n, c), np.int64), n * c
    for t in range(n + r + c):
        entering = [streamed[t - i, i] if 0 <= t - i < n else 0 for i in range(r)]
        right = np.column_stack([entering, right[:, :-1]])
        down = np.vstack([np.zeros((1, c), np.int64), down[:-1]]) + right * weights
        for column in range(c):
            if 0 <= (row := t - (r - 1) - column) < n:
                result[row, column] = down[-1, column]
                left -= 1
        cycles += 1
        if not left:
            break
    return cycles, result


def stationary(a: Array, b: Array, r: int, c: int) -> tuple[int, Array]:
    """a @ b with tiles of b held in the array; a tile at the edge is padded, for the array keeps its size."""
    cycles, result = 0, np.zeros((len(a), b.shape[1]), np.int64)
    for term, column in product(tiles(len(b), r), tiles(b.shape[1], c)):
        held, streamed = np.zeros((r, c), np.int64), np.zeros((len(a), r), np.int64)
        tile = b[term, column]
        held[: tile.shape[0], : tile.shape[1]] = tile
        streamed[:, : tile.shape[0]] = a[:, term]
        took, sums = stationary_fold(held, streamed)
        result[:, column] += sums[:, : tile.shape[1]]
        cycles += took
    return cycles, result


def output_stationary_fold(a: Array, b: Array) -> tuple[int, Array]:
    """Rows of `a` enter from the left, columns of `b` from above, both skewed; every place sums what meets in it."""
    r, c, k = len(a), b.shape[1], len(b)
    right, down, sums = (np.zeros((r, c), np.int64) for _ in range(3))
    terms, cycles = np.zeros((r, c), np.int64), 0
    while terms.min() < k:
        left = [a[i, cycles - i] if 0 <= cycles - i < k else 0 for i in range(r)]
        above = [b[cycles - j, j] if 0 <= cycles - j < k else 0 for j in range(c)]
        right, down = np.column_stack([left, right[:, :-1]]), np.vstack([above, down[:-1]])
        sums += right * down
        place = np.add.outer(np.arange(r), np.arange(c))
        terms += (place <= cycles) & (cycles < place + k)
        cycles += 1
    return cycles, sums


def output_stationary(a: Array, b: Array, r: int, c: int) -> tuple[int, Array]:
    cycles, result = 0, np.zeros((len(a), b.shape[1]), np.int64)
    for row, column in product(tiles(len(a), r), tiles(b.shape[1], c)):
        padded_a, padded_b = np.zeros((r, len(b)), np.int64), np.zeros((len(b), c), np.int64)
        height, width = result[row, column].shape
        padded_a[:height], padded_b[:, :width] = a[row], b[:, column]
        took, sums = output_stationary_fold(padded_a, padded_b)
        result[row, column] = sums[:height, :width]
        cycles += took
    return cycles, result


UNITS = (
    InnerProductArray(neurons=3, synapses=5, **COMMON),
    ScalarMacArray(macs=7, **COMMON),
    *(SystolicArray(array_rows=3, array_columns=5, dataflow=dataflow, **COMMON) for dataflow in DATAFLOWS),
    ConvolutionCore(macs=36, atom=3, winograd=True, **COMMON),
)
every_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: getattr(unit, "dataflow", unit.kind))


@given(SIZES, SIZES, SIZES, SMALL, SMALL)
def test_inner_product_array(rows: int, columns: int, summed: int, neurons: int, synapses: int) -> None:
    a, b = operands(rows, columns, summed)
    cycles, result = inner_product_array(a, b, neurons, synapses)
    assert (result == a @ b).all()
    assert (
        InnerProductArray(neurons=neurons, synapses=synapses, **COMMON).cycles(rows, columns, summed, "int8") == cycles
    )


@given(SIZES, SIZES, SIZES, st.integers(1, 20))
def test_scalar_mac_array(rows: int, columns: int, summed: int, macs: int) -> None:
    a, b = operands(rows, columns, summed)
    cycles, result = scalar_mac_array(a, b, macs)
    assert (result == a @ b).all()
    assert ScalarMacArray(macs=macs, **COMMON).cycles(rows, columns, summed, "int8") == cycles


@given(SIZES, SIZES, SIZES, SMALL, SMALL)
def test_systolic_array(rows: int, columns: int, summed: int, r: int, c: int) -> None:
    a, b = operands(rows, columns, summed)
    played = {
        "weight-stationary": stationary(a, b, r, c),
        "output-stationary": output_stationary(a, b, r, c),
        "input-stationary": stationary(b.T, a.T, r, c),
    }
    for dataflow, (cycles, result) in played.items():
        assert (result == (a @ b if dataflow != "input-stationary" else (a @ b).T)).all()
        unit = SystolicArray(array_rows=r, array_columns=c, dataflow=dataflow, **COMMON)
        assert unit.cycles(rows, columns, summed, "int8") == cycles, dataflow


@given(SIZES, SIZES, SIZES, SMALL, SMALL)
def test_convolution_core(rows: int, columns: int, summed: int, atom: int, atoms: int) -> None:
    """In each cycle `atoms` blocks of atom by atom products, of any rows; a block at the edge is a whole one."""
    blocks = list(product(range(rows), tiles(columns, atom), tiles(summed, atom)))
    unit = ConvolutionCore(macs=atoms * atom * atom, atom=atom, winograd=False, **COMMON)
    assert unit.cycles(rows, columns, summed, "int8") == len(tiles(len(blocks), atoms))


# SCALE-Sim 3.0.0, configs/scale.cfg, topologies/conv_nets/alexnet.csv, "Total Cycles" of each layer, which are one less
# than the last cycle of its demand matrices (its issue 125). Beside them output pixels, filters and what is summed.
SCALE_SIM = (
    ((55 * 55, 96, 11 * 11 * 3), 112_283),
    ((23 * 23, 256, 5 * 5 * 96), 373_799),
    ((11 * 11, 384, 3 * 3 * 256), 185_759),
    ((11 * 11, 384, 3 * 3 * 384), 278_639),
    ((11 * 11, 256, 3 * 3 * 384), 185_759),
)


@pytest.mark.parametrize(("layer", "total_cycles"), SCALE_SIM)
def test_the_array_of_scale_sim(layer: tuple[int, int, int], total_cycles: int) -> None:
    machine = load_machine("scale-32x32-ws")
    assert machine.matrix.cycles(*layer, machine.dtype) == total_cycles + 1


@every_unit
def test_arrays_of_numbers_are_taken_element_by_element(unit: MatrixUnit) -> None:
    rows, columns, summed = np.random.default_rng(0).integers(1, 500, (3, 200))
    cycles = unit.cycles(rows, columns, summed, "int8")
    each = zip(rows.tolist(), columns.tolist(), summed.tolist(), strict=True)
    assert cycles.tolist() == [unit.cycles(m, n, k, "int8") for m, n, k in each]


@every_unit
@given(SIZES, SIZES, SIZES, st.integers(1, 5), st.integers(0, 9))
def test_a_rate_divides_what_is_summed(
    unit: MatrixUnit, rows: int, columns: int, summed: int, rate: int, pipeline: int
) -> None:
    faster = replace(unit, rates={"float32": 1, "int8": rate}, pipeline_cycles=pipeline)
    assert faster.cycles(rows, columns, summed, "float32") == unit.cycles(rows, columns, summed, "int8") + pipeline
    assert faster.cycles(rows, columns, summed, "int8") == faster.cycles(rows, columns, ceil(summed / rate), "float32")


@every_unit
@given(SIZES, SIZES, SIZES)
def test_no_contraction_beats_the_peak(unit: MatrixUnit, rows: int, columns: int, summed: int) -> None:
    assert unit.cycles(rows, columns, summed, "int8") * unit.multipliers >= rows * columns * summed


def test_what_fits_the_sides_as_a_whole_takes_the_fewest_cycles() -> None:
    for unit in UNITS[:2]:
        rows, columns, summed = unit.sides
        assert prod(unit.sides) == unit.multipliers
        assert unit.cycles(rows, columns, summed, "int8") == 1
        assert unit.cycles(rows, columns, summed + 1, "int8") == 2


def test_every_kind_has_its_name() -> None:
    assert {kind: type(unit) for unit in UNITS for kind in [unit.kind]} == KINDS
    assert list(KINDS) == ["inner-product", "scalar-mac", "systolic", "convolution-core"]
