"""Exercise 2.5: its stored figures, and that a fresh run gives the same ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from statistics import mean
from typing import Any

import pytest

from tilework.commands.exercise import load_exercise

Answers = Callable[[str], dict[str, Any]]


def test_the_gap_is_there_and_more_data_closes_it_most(answer_to: Answers) -> None:
    answer = answer_to("2.5")
    test = {name: mean(run["test"] for run in runs) for name, runs in answer["runs"].items()}
    assert len(test) >= 4
    assert {len(runs) for runs in answer["runs"].values()} == {10}
    assert all(run["training"] == 1 for run in answer["runs"]["nothing"])
    assert test["nothing"] < 0.9
    assert max(test, key=lambda name: test[name]) == "shifted pictures"
    assert test["dropout"] > test["nothing"]
    assert test["softened targets"] > test["nothing"]


@pytest.mark.skipif("TILEWORK_DATA" in os.environ, reason="the stored answer is for the digits that a package ships")
def test_a_short_run_goes_every_way(answer_to: Answers) -> None:
    stored, fresh = answer_to("2.5"), load_exercise("2.5").compute(seeds=1, epochs=2)
    assert fresh.keys() == stored.keys()
    assert fresh["data"] == stored["data"]
    assert fresh["examples"] == stored["examples"] == 300
    assert all(0.3 < run["test"] < 0.9 for runs in fresh["runs"].values() for run in runs)
