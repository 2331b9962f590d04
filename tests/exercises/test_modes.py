"""Exercises 4.1, 4.2, 5.1 and 5.2, graph mode and eager mode, against arithmetic by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tilework.commands.exercise import load_exercise

Answer = dict[str, Any]
AnswerTo = Callable[[str], Answer]


def test_4_1_both_ways_give_the_constant(answer_to: AnswerTo) -> None:
    answer = answer_to("4.1")
    assert answer["from_the_graph"] == answer["at_once"] == [[2.5] * 3] * 2


def test_4_2_both_ways_add_and_only_one_takes_any_shape(answer_to: AnswerTo) -> None:
    answer = answer_to("4.2")
    for one in answer["sums"]:
        assert one["from_the_graph"] == one["at_once"] == [x + 2.5 for x in one["x"]]
    assert answer["another_shape"] == {
        "x": [1.0, 2.0, 3.0, 4.0],
        "from_the_graph": "input x must be float32[3], not float32[4]",
        "at_once": [3.5, 4.5, 5.5, 6.5],
    }


def test_5_1_by_hand(answer_to: AnswerTo) -> None:
    """1*1 + 2*0 + 3*2 = 7 and so on; 2 x 2 x 3 products, one addition fewer than products in each place."""
    answer = answer_to("5.1")
    assert (answer["multiplications"], answer["additions"], answer["shape"]) == (12, 8, [2, 2])
    for way in ("from_the_graph", "on_the_processor", "at_once"):
        assert answer[way] == [[7.0, -1.0], [16.0, -1.0]]


@pytest.mark.parametrize("fresh", [False, True])
def test_5_2_both_ways_learn_the_same(fresh: bool, answer_to: AnswerTo) -> None:
    answer = load_exercise("5.2").full() if fresh else answer_to("5.2")
    assert answer["static_losses"] == pytest.approx(answer["dynamic_losses"], rel=1e-4)
    assert answer["static_losses"][-1] < answer["static_losses"][0]
    assert answer["largest_difference"] < 1e-4
    assert answer["static_megabytes"] < answer["dynamic_megabytes"]
    assert min(answer["milliseconds"].values()) > 0
    for one in answer["newton"]:
        assert one["root"] == pytest.approx(one["number"] ** 0.5, rel=1e-6)
        assert one["slope"] == pytest.approx(0.5 * one["number"] ** -0.5, rel=1e-4)
