"""Exercises 3.4, 3.10 and 4.11: what is stored holds what was asked, and small trainings go the same way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tilework.commands.exercise import load_exercise

Answers = Callable[[str], dict[str, Any]]


def test_the_loss_falls_on_while_the_validation_accuracy_stands(answer_to: Answers) -> None:
    answer = answer_to("3.4")
    loss, curves, early = answer["loss"], answer["accuracy"], answer["early"]
    assert loss[-1] < 0.01 < 1 < loss[0]
    assert curves["training"][-1] == 1
    assert curves["validation"][-1] < 0.95
    assert 0.8 < curves["test"][-1] < 0.95
    best = max(range(len(loss)), key=lambda epoch: curves["validation"][epoch])
    assert early["kept"] <= best + 1
    assert early["epochs"] == early["kept"] + early["patience"] < len(loss)
    assert early["test"] == curves["test"][early["kept"] - 1]


def test_the_picture_of_the_curves(answer_to: Answers, tmp_path: Path) -> None:
    load_exercise("3.4").draw_to(str(tmp_path / "curves.svg"), answer_to("3.4"))
    assert "validation" in (tmp_path / "curves.svg").read_text()


@pytest.mark.parametrize(
    ("number", "goals"),
    [
        ("3.10", {"mnist-mlp": 0.983, "mnist-mlp-4000": 0.98}),
        ("4.11", {"lenet5": 0.993, "lenet5-4000": 0.99}),
    ],
)
def test_the_stored_accuracies_reach_the_goals(answer_to: Answers, number: str, goals: dict[str, float]) -> None:
    runs = answer_to(number)["runs"]
    for recipe, goal in goals.items():
        shares = [run["accuracy"] for run in runs if run["recipe"] == recipe]
        assert sum(shares) / len(shares) >= goal
        assert all("MNIST (60,000 to train, 10,000 to test)" in run["data"] for run in runs)


@pytest.mark.parametrize(("number", "recipe"), [("3.10", "mnist-mlp-4000"), ("4.11", "lenet5-4000")])
def test_a_short_training_by_the_same_recipe(number: str, recipe: str) -> None:
    (run,) = load_exercise(number).compute(seeds=1, epochs=1, recipes=(recipe,))["runs"]
    assert (run["recipe"], run["seed"], run["epochs"]) == (recipe, 0, 1)
    assert run["accuracy"] > 0.3


def test_faster_than_tuned_gradient_descent(answer_to: Answers) -> None:
    answer = answer_to("3.11")
    methods = {one["name"]: one for one in answer["methods"]}
    tuned, best = methods["SGD, tuned"], methods[answer["best"]]
    assert tuned["reached"] == tuned["runs"] == 10
    assert {one["tried"] for one in answer["methods"]} == {1, answer["trials"]}
    assert answer["speedup"] == best["speedup"] > 2
    assert best["interval"][0] > 1.5
    assert abs(best["test_difference"]["value"]) < 0.001
    assert methods["SGD, a textbook's rate"]["reached"] == 0
    assert methods["momentum"]["interval"][0] < 1 < methods["momentum"]["interval"][1]
    assert methods["Adam"]["interval"][1] < 1
    assert all(one["ends"].count(True) == one["reached"] for one in answer["methods"])


def test_natural_images_are_learnt_sooner_and_as_well(answer_to: Answers) -> None:
    answer = answer_to("3.12")
    tuned, best = answer["methods"]
    assert answer["best"] == best["name"] == "Nesterov, one cycle"
    assert tuned["reached"] == best["reached"] == 10
    assert (tuned["tried"], best["tried"]) == (answer["trials"], answer["trials"])
    assert 1.4 < best["interval"][0] < best["speedup"] < best["interval"][1] < 2.1
    assert best["test_difference"]["low"] > 0
    assert "images of 10 classes" in answer["data"]
