"""Dtypes in memory against NumPy's float16, torch's bfloat16 and Python's integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tilework.isa.instruction import DTYPES
from tilework.isa.numbers import STORAGE, from_float32, from_register, to_float32, to_register

ALL_HALVES = np.arange(1 << 16, dtype=np.uint16)
RANDOM = np.random.default_rng(11)


def random_floats() -> npt.NDArray[np.float32]:
    """Every exponent and sign, and numbers half-way between two bfloat16 or two float16 and next to half-way."""
    bits = RANDOM.integers(0, 1 << 32, 200_000, np.uint32)
    halfway = np.uint32(0x8000) + (ALL_HALVES.astype(np.uint32) << 16)
    halves = ALL_HALVES[:-1].view(np.float16)
    with np.errstate(invalid="ignore", over="ignore"):
        between = ((halves[:-1].astype(np.float64) + halves[1:].astype(np.float64)) / 2).astype(np.float32)
    near = [np.nextafter(between, np.float32(side)) for side in (-np.inf, np.inf)]
    return np.concatenate(
        [
            bits.view(np.float32),
            (halfway + np.arange(-1, 2)[:, None]).astype(np.uint32).reshape(-1).view(np.float32),
            between,
            *near,
        ]
    )


def same(given: npt.NDArray[Any], expected: npt.NDArray[Any]) -> None:
    """Equal with signs of zeros, NaN for NaN."""
    np.testing.assert_array_equal(given, expected)
    number = ~np.isnan(expected.astype(np.float32))
    np.testing.assert_array_equal(np.signbit(given[number]), np.signbit(expected[number]))


def test_elements_have_their_sizes() -> None:
    assert {name: dtype.itemsize for name, dtype in STORAGE.items()} == DTYPES


def test_every_float16_is_read_exactly_and_comes_back() -> None:
    stored = ALL_HALVES.view(np.float16)
    same(to_float32(stored, "float16"), stored.astype(np.float32))
    same(from_float32(to_float32(stored, "float16"), "float16"), stored)


def test_every_bfloat16_is_read_exactly_and_comes_back() -> None:
    values = to_float32(ALL_HALVES, "bfloat16")
    same(values, torch.from_numpy(ALL_HALVES.view(np.int16)).view(torch.bfloat16).float().numpy())
    back = from_float32(values, "bfloat16")
    np.testing.assert_array_equal(back[~np.isnan(values)], ALL_HALVES[~np.isnan(values)])
    assert np.isnan(to_float32(back[np.isnan(values)], "bfloat16")).all()


def test_float32_is_rounded_to_bfloat16_as_torch_does() -> None:
    values = random_floats()
    expected = torch.from_numpy(values).to(torch.bfloat16).float().numpy()
    same(to_float32(from_float32(values, "bfloat16"), "bfloat16"), expected)


def test_float32_is_rounded_to_float16_as_numpy_and_torch_do() -> None:
    values = random_floats()
    given = from_float32(values, "float16")
    same(given, torch.from_numpy(values).to(torch.float16).numpy())


def test_a_quiet_or_signalling_nan_stays_nan() -> None:
    bits = np.array([0x7F800001, 0xFF800001, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FC00000], np.uint32)
    for dtype in ("float16", "bfloat16"):
        assert np.isnan(to_float32(from_float32(bits.view(np.float32), dtype), dtype)).all()


@pytest.mark.parametrize(("dtype", "bits"), [("int8", 8), ("int32", 32)])
def test_float32_is_rounded_to_integers(dtype: str, bits: int) -> None:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    halves = [n + 0.5 for n in range(-140, 140)]
    special = [np.nan, np.inf, -np.inf, 3e38, -0.0, 2147483520.0, 2147483648.0, -2147483648.0, -2147483904.0, 1e-40]
    values = np.array(
        [*halves, *special, *RANDOM.uniform(-200, 200, 1000), *RANDOM.uniform(-3e9, 3e9, 1000)], np.float32
    )
    expected = [0 if np.isnan(v) else round(min(max(float(v), low), high)) for v in values]
    given = from_float32(values, dtype)
    assert given.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(given, expected)


def test_integers_are_read_to_the_nearest_float32() -> None:
    np.testing.assert_array_equal(to_float32(np.arange(-128, 128).astype(np.int8), "int8"), np.arange(-128, 128))
    given = to_float32(np.array([2**24 + 1, 2**24 + 3, 2**31 - 1, -(2**31)], np.int32), "int32")
    np.testing.assert_array_equal(given, np.array([2**24, 2**24 + 4, 2**31, -(2**31)], np.float32))


@pytest.mark.parametrize(
    ("dtype", "element", "value"),
    [
        ("float32", 2.9, 2),
        ("float32", -2.9, -2),
        ("float32", 3e9, 2**31 - 1),
        ("float32", -np.inf, -(2**31)),
        ("float16", np.nan, 0),
        ("float16", -65504, -65504),
        ("bfloat16", -1.75, -1),
        ("int8", -128, -128),
        ("int32", 2**31 - 1, 2**31 - 1),
    ],
)
def test_registers_take_elements_towards_zero(dtype: str, element: float, value: int) -> None:
    stored = from_float32(element, dtype) if "float" in dtype else np.asarray(element, STORAGE[dtype])
    assert to_register(stored, dtype) == value
    assert isinstance(to_register(stored, dtype), int)


@pytest.mark.parametrize(
    ("value", "dtype", "element"),
    [
        (2**31 - 1, "int32", 2**31 - 1),
        (300, "int8", 127),
        (-129, "int8", -128),
        (2**24 + 1, "float32", 2.0**24),
        (70000, "float16", np.inf),
        (2049, "float16", 2048),
        (257, "bfloat16", 256),
        (-(2**31), "bfloat16", -(2.0**31)),
    ],
)
def test_registers_are_stored_as_elements(value: int, dtype: str, element: float) -> None:
    stored = from_register(value, dtype)
    assert stored.dtype == STORAGE[dtype]
    assert (stored if "int" in dtype else to_float32(stored, dtype)) == element
