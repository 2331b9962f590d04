"""Exercise 1.10 against arithmetic by hand and LeNet-5 written down in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import tilework as tw
from tilework.commands.exercise import load_exercise

Answer = dict[str, Any]
Array = np.ndarray[Any, Any]

MACS = 28 * 28 * 6 * 25 + 10 * 10 * 16 * 150 + 400 * 120 + 120 * 84 + 84 * 10
PARAMETERS = 6 * 26 + 16 * 151 + 120 * 401 + 84 * 121 + 10 * 85
MNIST = [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]  # the labels of the first ten test images


@pytest.fixture
def answer(answer_to: Callable[[str], Answer]) -> Answer:
    return answer_to("1.10")


def test_the_front_end_builds_lenet5(answer: Answer) -> None:
    assert answer["front_end"]["parameters"] == PARAMETERS
    assert answer["front_end"]["macs"] == MACS


def test_the_compiler_says_what_it_did(answer: Answer) -> None:
    assert answer["simplified"] == [f"dropped drop{i}: dropout does nothing at inference" for i in (1, 2)]
    assert answer["fused"] == [
        "conv1 + relu1 + pool1 + conv2 + relu2 + pool2 + fc1 + relu3 + fc2 + relu4 + fc3 + softmax"
    ]
    kept = 6 * (2 * 28 * 28 + 14 * 14) + 16 * (2 * 10 * 10 + 5 * 5) + 2 * 120 + 2 * 84 + 10  # all that lies between
    assert answer["bytes_kept_on_chip"] == 4 * kept
    assert answer["host_operations"] == []


def test_the_file_holds_the_program_and_reads_the_digits(answer: Answer) -> None:
    assert answer["executable"]["same_program"]
    assert answer["executable"]["bytes"] > 4 * PARAMETERS
    assert answer["run"]["digits"] == MNIST
    assert answer["run"]["serial_outputs_equal"]


def lenet5(weights: Any, image: Array) -> Array:
    """Probabilities for an image [1,28,28], by the definition of each layer and in double precision."""
    value = np.pad(image.astype(float), ((0, 0), (2, 2), (2, 2)))
    for layer in ("conv1", "conv2"):
        windows = sliding_window_view(value, (5, 5), axis=(1, 2))
        value = np.einsum("chwrs,kcrs->khw", windows, weights[f"{layer}.weight"])
        value = np.maximum(value + weights[f"{layer}.bias"][:, None, None], 0)
        value = value.reshape(len(value), value.shape[1] // 2, 2, -1, 2).max(axis=(2, 4))
    value = value.ravel()
    for layer in ("fc1", "fc2", "fc3"):
        value = (
            weights[f"{layer}.weight"] @ (value if layer == "fc1" else np.maximum(value, 0)) + weights[f"{layer}.bias"]
        )
    return np.exp(value) / np.exp(value).sum()


def test_the_probabilities_are_those_of_lenet5(answer: Answer) -> None:
    weights = tw.find_weights(tw.load("lenet5"), "lenet5")
    pictures = tw.read_digits(Path(__file__).parents[2] / "examples" / "digits.png")
    largest = [lenet5(weights, picture).max() for picture in pictures]
    np.testing.assert_allclose(answer["run"]["probabilities"], largest, rtol=1e-4)


def test_one_operation_per_cycle_is_the_sum_of_all_operations(answer: Answer) -> None:
    relus = 6 * 28 * 28 + 16 * 10 * 10 + 120 + 84
    pools = 3 * (6 * 14 * 14 + 16 * 5 * 5)
    softmax = 9 + 10 + 10 + 9 + 10  # comparisons, subtractions, exponentials, additions, divisions
    assert answer["time"]["one_operation_per_cycle"] == 2 * MACS + relus + pools + softmax


def test_the_serial_time_is_the_sum_of_its_instructions(answer: Answer) -> None:
    """An instruction of c cycles takes c + 2: it begins one cycle after its issue, and `sync` takes one."""
    counts, time = answer["instruction_counts"], answer["time"]
    busy = sum(answer["units"][unit] * time["cycles"] for unit in ("load", "store", "matrix", "vector"))
    alone = sum(counts.get(name, 0) for name in ("loop", "sync"))
    working = sum(counts.values()) - sum(
        counts.get(name, 0) for name in ("wait", "post", "loop", "endloop", "sync", "end")
    )
    assert time["serial_cycles"] == round(busy) + 2 * working + alone
    assert time["bound_cycles"] < time["cycles"] < time["serial_cycles"] < time["one_operation_per_cycle"]
    assert time["seconds"] == pytest.approx(time["cycles"] * 1e-9)


def test_without_the_picture_it_runs_on_random_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    exercise = load_exercise("1.10")
    monkeypatch.setitem(exercise.compute.__globals__, "PICTURE", Path("nowhere"))
    ran = exercise.answer()["run"]
    assert ran["input"] == "random pixels (seed 0)"
    assert len(ran["digits"]) == 1
