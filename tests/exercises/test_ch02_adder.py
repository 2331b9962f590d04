"""Exercises 2.11 and 2.12 against Python's own addition, and back-propagation against central differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tilework.commands.exercise import load_exercise

Answers = Callable[[str], dict[str, Any]]


def test_nearly_every_split_of_the_adder_is_learnt_whole(answer_to: Answers) -> None:
    answer = answer_to("2.11")
    tanh, relu = (answer["runs"][name] for name in ("tanh", "relu"))
    assert len(tanh) == len(relu) == 20
    assert sum(run["held_out"] == 1 for run in tanh) >= 19
    assert sum(run["held_out"] == 1 for run in relu) == 0
    assert all(run["training"] == 1 for run in relu)


def test_what_is_stored_is_what_is_computed(answer_to: Answers) -> None:
    stored, fresh = answer_to("2.11"), load_exercise("2.11").compute(seeds=1)
    assert fresh["runs"]["tanh"] == stored["runs"]["tanh"][:1]
    assert {key: fresh[key] for key in ("data", "layers", "epochs")} == {
        key: stored[key] for key in ("data", "layers", "epochs")
    }


def test_numpy_alone_learns_it_too_and_sigmoids_do_not(answer_to: Answers) -> None:
    runs = answer_to("2.12")["runs"]
    assert all(run["held_out"] == 1 for run in runs["as in 2.11"])
    assert all(run["training"] == 1 > run["held_out"] for run in runs["ReLU"])
    assert all(run["held_out"] < 0.3 for run in runs["sigmoid"])
    assert all(0.6 < run["held_out_bits"] < 0.8 for run in runs["sigmoid"])


def test_the_rows_are_sums() -> None:
    x, y = load_exercise("2.12").compute.__globals__["rows"]("0 and 1")
    assert len({tuple(row) for row in x}) == 512
    for row, bits in zip(x.astype(int).tolist(), y.astype(int).tolist(), strict=True):
        a, b = (sum(bit << i for i, bit in enumerate(part)) for part in (row[:4], row[4:8]))
        assert sum(bit << i for i, bit in enumerate(bits)) == a + b + row[8]


@pytest.mark.parametrize("loss", ["cross-entropy", "squared error"])
@pytest.mark.parametrize("hidden", ["tanh", "sigmoid", "relu"])
def test_back_propagation_is_the_slope_of_the_loss(hidden: str, loss: str) -> None:
    names = load_exercise("2.12").compute.__globals__
    network = names["Network"](hidden, loss, np.random.default_rng(1))
    x, y = (part[::37] for part in names["rows"]("-1 and 1"))

    def mean_loss() -> float:
        p = network.forward(x)[-1]
        terms = -y * np.log(p) - (1 - y) * np.log(1 - p) if loss == "cross-entropy" else (p - y) ** 2
        return float(terms.mean())

    for layer, found in enumerate(network.gradients(x, y)):
        for array, slopes in zip((network.weights[layer], network.biases[layer]), found, strict=True):
            for place in [(0,) * array.ndim, (-1,) * array.ndim]:
                kept, ends = array[place], []
                for moved in (1e-6, -1e-6):
                    array[place] = kept + moved
                    ends.append(mean_loss())
                array[place] = kept
                assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(slopes[place], rel=1e-4, abs=1e-8)
