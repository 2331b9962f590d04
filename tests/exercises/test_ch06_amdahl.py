"""Exercise 6.2: the split of AlexNet's operations by hand, and Amdahl's law."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tilework.commands.exercise import Exercise, load_exercise

KINDS = ("convolution", "fully connected", "rest")
CONVOLUTIONS = (  # output places and channels, and what one output sums over
    (55 * 55, 96, 3 * 11 * 11),
    (27 * 27, 256, 48 * 5 * 5),
    (13 * 13, 384, 256 * 3 * 3),
    (13 * 13, 384, 192 * 3 * 3),
    (13 * 13, 256, 192 * 3 * 3),
)
LINEAR = ((9216, 4096), (4096, 4096), (4096, 1000))
ELEMENTS = (55 * 55 * 96, 27 * 27 * 256, 13 * 13 * 384, 13 * 13 * 384, 13 * 13 * 256, 4096, 4096)  # that a ReLU sees


@pytest.fixture(scope="module")
def exercise() -> Exercise:
    return load_exercise("6.2")


@pytest.fixture(scope="module")
def alexnet(exercise: Exercise) -> dict[str, Any]:
    """The stored answer, as a reader of its JSON gets it."""
    (network,) = json.loads(json.dumps(exercise.answer()))["networks"]
    return dict(network)


def test_counted_shares_by_hand(alexnet: dict[str, Any]) -> None:
    """An output that sums n products takes n multiplications and n additions, one of them its bias's. A ReLU is one
    comparison, a pooling of 9 places 8; a normalised element takes 6 multiplications, 5 additions, a division and a
    power, the softmax of 1,000 scores 999 comparisons and additions, 1,000 differences, exponentials and divisions."""
    counted = alexnet["splits"][1]
    convolution = sum(2 * places * channels * summed for places, channels, summed in CONVOLUTIONS)
    connected = sum(2 * inputs * outputs for inputs, outputs in LINEAR)
    shares = counted["shares"]
    assert shares["convolution"] / shares["fully connected"] == pytest.approx(convolution / connected, rel=1e-12)
    rest = shares["rest"] / shares["convolution"] * convolution
    windows = 8 * 27 * 27 * 96 + 8 * 13 * 13 * 256 + 8 * 6 * 6 * 256
    normalised = ELEMENTS[0] + ELEMENTS[1]
    assert rest == pytest.approx(sum(ELEMENTS) + windows + 13 * normalised + 2 * 999 + 3 * 1000, rel=1e-6)
    assert counted["speed_up"] == pytest.approx(7.3, abs=0.01)


@pytest.mark.parametrize("place", [0, 1])
def test_the_law_by_hand(alexnet: dict[str, Any], place: int) -> None:
    split = alexnet["splits"][place]
    c, f, r = (split["shares"][kind] for kind in KINDS)
    assert c + f + r == pytest.approx(1)
    assert split["speed_up"] == pytest.approx(1 / (c / 10 + f / 2 + r))
    assert split["limit"] == pytest.approx(1 / r)
    assert 1 < split["speed_up"] < min(10, split["limit"])


def test_a_third_of_each_kind(exercise: Exercise) -> None:
    """1 / (1/30 + 1/6 + 1/3) = 30/16."""
    law = exercise.compute.__globals__["speed_up"]
    thirds = dict.fromkeys(KINDS, 1 / 3)
    assert law(thirds, {"convolution": 10, "fully connected": 2, "rest": 1}) == pytest.approx(30 / 16)


def test_what_was_measured_is_slower_than_what_is_counted_promises(alexnet: dict[str, Any]) -> None:
    """Normalisation and weights that come from memory take time, and hardly any operations."""
    measured, counted = alexnet["splits"]
    assert measured["speed_up"] < counted["speed_up"]
    assert measured["shares"]["fully connected"] > counted["shares"]["fully connected"]
    assert {"norm1", "fc6"} <= {layer for part in alexnet["slowest"] for layer in part["layers"]}


def test_it_is_measured_afresh(exercise: Exercise, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another network, a few runs: every layer is in a part, and the shares are those of the times."""
    monkeypatch.setitem(exercise.compute.__globals__, "RUNS", 2)
    (found,) = exercise.compute(["lenet5"])["networks"]
    assert found["runtime"].startswith("ONNX Runtime ")
    assert sum(found["splits"][0]["shares"].values()) == pytest.approx(1)
    assert 0 < found["splits"][0]["shares"]["rest"] < 1


def test_the_stored_answer_is_of_this_command() -> None:
    stored = json.loads((Path(__file__).parents[2] / "exercises" / "ch06" / "ex6_2.json").read_text("utf-8"))
    assert stored["command"] == "tilework exercise 6.2 --full"
    assert "becomes" in load_exercise("6.2").text(stored["answer"])
