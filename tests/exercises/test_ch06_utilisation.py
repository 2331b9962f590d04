"""Exercises 6.8 and 6.9 against closed forms and points worked by hand."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tilework.commands.exercise import load_exercise

Answer = dict[str, Any]
FULL = 4096 * 9216 + 4096 * 4096 + 1000 * 4096  # weights, and products, of the fully connected layers


def curve(answer: Answer, layers: str, weights: str, **fields: int) -> dict[int, float]:
    (found,) = (
        one["utilisation"]
        for one in answer["curves"]
        if one["layers"] == layers
        and one["weights"].startswith(weights)
        and all(one[key] == value for key, value in fields.items())
    )
    return dict(zip(answer["units"], found, strict=True))


@pytest.mark.parametrize("number", ["6.8", "6.9"])
def test_utilisation_falls(number: str, answer_to: Callable[[str], Answer]) -> None:
    answer = answer_to(number)
    assert answer["words_per_cycle"] == 6.4
    for one in answer["curves"]:
        assert all(b <= a + 0.01 for a, b in pairwise(one["utilisation"]))  # ragged last turns may cost a little
        assert 0 < one["utilisation"][-1] < 0.3


def test_weights_that_are_read_again_limit_the_products_of_a_cycle(answer_to: Callable[[str], Answer]) -> None:
    """A product brings its weight, and with n units 1/n of a neuron's word: 6.4 / (1 + 1/n) products at most."""
    for n, share in curve(answer_to("6.9"), "network", "read").items():
        assert share * n == pytest.approx(min(n, 6.4 / (1 + 1 / n)), rel=0.01)
    for synapses in (4, 16):
        for n, share in curve(answer_to("6.8"), "network", "read", synapses=synapses).items():
            assert share * n * synapses == pytest.approx(6.4 / (1 + 1 / n), rel=0.04)


def test_fully_connected_layers_gain_nothing_from_weights_that_are_kept(answer_to: Callable[[str], Answer]) -> None:
    again, kept = (curve(answer_to("6.9"), "fully connected", weights) for weights in ("read", "kept"))
    assert again == kept
    assert kept[4096] == pytest.approx(6.4 / 4096, rel=0.01)


def test_one_unit(answer_to: Callable[[str], Answer]) -> None:
    """A MAC needs two words a cycle and gets 6.4; 16 products need 16 neurons, and 32 words if weights come too."""
    assert curve(answer_to("6.9"), "network", "read")[1] == curve(answer_to("6.9"), "network", "kept")[1] == 1
    long = answer_to("6.8")
    assert curve(long, "convolutions", "kept", synapses=16)[1] == pytest.approx(6.4 / 16, rel=0.01)
    assert curve(long, "network", "read", synapses=16)[1] == pytest.approx(6.4 / 32, rel=0.01)


def test_what_the_notices_say(answer_to: Callable[[str], Answer]) -> None:
    scalar, macs = answer_to("6.9"), 724_406_816
    assert round(FULL / macs, 2) == 0.08
    kept = curve(scalar, "network", "kept")
    time = macs / (256 * kept[256])
    assert 0.75 < FULL / (256 * curve(scalar, "fully connected", "kept")[256]) / time < 0.8
    assert curve(scalar, "convolutions", "kept")[256] > 0.99
    assert curve(scalar, "network", "read")[5] > 0.99 > curve(scalar, "network", "read")[6]
    units = curve(answer_to("6.8"), "convolutions", "kept", synapses=4)
    assert units[32] > 0.99
    assert units[128] > 0.8


@pytest.mark.parametrize("number", ["6.8", "6.9"])
def test_the_picture(number: str, answer_to: Callable[[str], Answer], tmp_path: Path) -> None:
    load_exercise(number).draw_to(str(tmp_path / "curves.svg"), answer_to(number))
    shown = (tmp_path / "curves.svg").read_text("utf-8")
    for one in answer_to(number)["curves"]:
        assert f"weights {one['weights']}" in shown
