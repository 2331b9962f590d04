"""Compressed operands: what a block takes in memory, and that elements come back from it."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.errors import AssemblyError
from tilework.isa.assembly import parse_instruction
from tilework.isa.blocks import block_elements, compressed, expanded, multiplied, stored
from tilework.isa.instruction import DTYPES, Operand
from tilework.isa.numbers import STORAGE


@pytest.mark.parametrize(
    ("kept", "size", "elements"),
    [(1, 4, 2), (4, 4, 5), (8, 4, 9), (9, 4, 11), (16, 4, 18), (4, 2, 5), (5, 2, 7), (2, 1, 3), (3, 1, 5), (16, 1, 24)],
)
def test_what_a_block_takes(kept: int, size: int, elements: int) -> None:
    assert block_elements(kept, size) == elements


@pytest.mark.parametrize(("summed", "kept", "left"), [(16, 4, 4), (17, 4, 8), (1, 4, 4), (32, 16, 32), (17, 0, 17)])
def test_how_many_products_are_left(summed: int, kept: int, left: int) -> None:
    assert multiplied(summed, kept) == left


def test_blocks_by_hand() -> None:
    """Three values of a block of 16 and one of the four behind it, as bytes."""
    row = np.zeros((1, 20), np.int8)
    row[0, [2, 3, 15, 17]] = 10, 11, 12, 13
    raw = compressed(row, 3)
    assert list(raw.view(np.uint8)) == [10, 11, 12, 0x32, 0x0F, 0, 13, 0, 0x10, 0x02]


def test_the_later_of_two_in_one_place_counts() -> None:
    operand = Operand("wram", 0, (1,), dtype="int8", kept=2)
    raw = np.array([5, 6, 0x33], np.int8)
    assert list(expanded(raw, operand, (4,))) == [0, 0, 0, 6]


@given(st.data())
def test_elements_come_back_and_are_those_of_every_iteration(data: Any) -> None:
    dtype, kept = data.draw(st.sampled_from(list(DTYPES))), data.draw(st.integers(1, 16))
    rows, columns = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 40))
    random, size = np.random.default_rng(data.draw(st.integers(0, 99))), DTYPES[dtype]
    elements = random.integers(1, 100, (rows, columns)).astype(STORAGE[dtype])
    for row, block in product(range(rows), range(0, columns, 16)):
        part = elements[row, block : block + 16]
        part[random.permutation(len(part))[kept:]] = 0
    pitch = -(-columns // 16) * 16
    operand = Operand("dram", 0, (pitch * size, size), dtype=dtype, kept=kept)
    raw = compressed(elements, kept)
    flat, extents = stored(operand, (rows, columns))
    assert (flat.strides, flat.kept, extents) == ((size,), 0, (raw.size,))
    assert raw.size == rows * pitch // 16 * block_elements(kept, size)
    np.testing.assert_array_equal(expanded(raw, operand, (rows, columns)), elements)
    window = Operand("dram", 0, (size, 0, size), dtype=dtype, kept=kept)
    shape = ((columns + 1) // 2, 2, columns - (columns + 1) // 2 + 1)
    part = expanded(raw[: stored(window, shape)[1][0]], window, shape)
    for i, j, k in product(*map(range, shape)):
        assert part[i, j, k] == elements[0, i + k]


def test_assembly_says_what_a_block_keeps() -> None:
    line = "contract <3, 5, 20> nram 0x0 {20, 4, 0} = nram 0x200 {80, 0, 4} * wram:4 0x100 {0, 128, 4}"
    instruction = parse_instruction(line)
    assert [operand.kept for operand in instruction.descriptor.operands] == [0, 0, 4]  # type: ignore[union-attr]
    assert str(instruction) == line
    assert "dram.int8:16 0x40" in str(parse_instruction("load <5> nram.int8 0x0 {1} = dram.int8:16 0x40 {1}"))


WRONG = "must have no compressed operand but a move's source or a contract's weights; correct it"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("load <5> wram:3 0x0 {4} = dram 0x0 {4}", f"load {WRONG}"),
        ("vadd <5> nram 0x0 {4} = nram:4 0x0 {4}, #1", f"vadd {WRONG}"),
        ("rsum <5> nram 0x0 {0} = nram:4 0x0 {4}", f"rsum {WRONG}"),
        ("contract <5> nram 0x0 {0} = nram:4 0x0 {4} * wram 0x0 {4}", f"contract {WRONG}"),
        ("load <5> wram 0x0 {4} = dram:17 0x0 {4}", "load must keep 1 to 16 elements of a block, not 17; correct it"),
        ("load <5> wram 0x0 {4} = dram:0 0x0 {4}", "a block must keep 1 to 16 elements, not 0; leave out ':0'"),
        (
            "load <5> wram 0x0 {4} = dram:2 0x40 {-4}",
            "load must have no stride below 0 in its compressed operand, not -4; turn its loops around",
        ),
    ],
)
def test_mistakes(line: str, message: str) -> None:
    with pytest.raises(AssemblyError) as caught:
        parse_instruction(line)
    assert str(caught.value) == f"line 1: {message}"
