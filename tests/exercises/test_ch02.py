"""Exercise 2.2 against arithmetic by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_parameters_of_the_perceptron(answer_to: Callable[[str], dict[str, Any]]) -> None:
    answer = answer_to("2.2")
    assert answer["parameters"] == 34 * 512 + 513 * 10 == 22_538
    assert answer["layers"] == [
        {"name": "hidden", "weights": 33 * 512, "biases": 512, "parameters": 17_408},
        {"name": "output", "weights": 512 * 10, "biases": 10, "parameters": 5_130},
    ]
    assert (answer["weights"], answer["biases"]) == (22_016, 522)
