"""The scalar functions that NumPy lacks, and what bodies make of truth values and integers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.network.functions import FUNCTIONS
from tilework.network.scalars import apply, erf

TRUTHS, COUNTS = np.array([True, False, True]), np.array([3, -2, 0], np.int64)


@given(st.floats())
def test_the_error_function_is_pythons(x: float) -> None:
    np.testing.assert_allclose(erf(x), math.erf(x), rtol=1e-15)


def test_the_error_function_where_its_approximations_meet() -> None:
    points = [
        sign * point * (1 + step * 2.0**-52) for sign in (1, -1) for point in (0.46875, 6.0) for step in range(-3, 4)
    ]
    np.testing.assert_allclose(erf(np.array(points)), [math.erf(x) for x in points], rtol=1e-15)
    assert erf(np.zeros((2, 0, 3))).shape == (2, 0, 3)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_value_is_the_same_alone_in_an_array_and_written_to_one(name: str) -> None:
    numbers = [0.75, 0.5, 0.25][: FUNCTIONS[name].arity]
    alone = apply(name, list(numbers))
    assert isinstance(alone, float)
    arrays = [np.full(3, number) for number in numbers]
    np.testing.assert_array_equal(apply(name, list(arrays)), np.full(3, alone))
    out = np.zeros(3)
    assert apply(name, list(arrays), out) is out
    np.testing.assert_array_equal(out, np.full(3, alone))


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("add", [TRUTHS, TRUTHS], [2, 0, 2]),
        ("sub", [1.0, TRUTHS], [0, 1, 0]),
        ("mul", [TRUTHS, COUNTS], [3, 0, 0]),
        ("div", [COUNTS, 2.0], [1.5, -1, 0]),
        ("pow", [np.array([2]), np.array([-1])], [0.5]),
        ("exp", [TRUTHS], [math.e, 1, math.e]),
        ("sqrt", [np.array([9], np.int8)], [3]),
        ("max", [TRUTHS, ~TRUTHS], [1, 1, 1]),
        ("less", [COUNTS, 0.0], [0, 1, 0]),
        ("and", [COUNTS, TRUTHS], [1, 0, 0]),
        ("not", [COUNTS], [0, 0, 1]),
        ("select", [COUNTS, COUNTS, -7.0], [3, -2, -7]),
    ],
)
def test_truth_values_and_integers_are_numbers(name: str, arguments: list, expected: list) -> None:
    np.testing.assert_allclose(apply(name, arguments), expected, rtol=1e-15)


def test_sums_and_products_of_integers_are_exact() -> None:
    large = np.array([2**53 + 1])
    assert apply("add", [large, large]) == 2**54 + 2
    assert apply("abs", [-large]) == 2**53 + 1
