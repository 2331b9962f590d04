"""Races to a target and comparisons of methods, on data made here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from tilework.errors import TrainingError
from tilework.train.data.dataset import Dataset
from tilework.train.fit import Training
from tilework.train.layers import connected
from tilework.train.race import Course, Outcome, race
from tilework.train.recipe import Recipe, recipe_of
from tilework.train.sources import Data
from tilework.train.speedup import Comparison, compare, tuned
from tilework.train.statistics import geometric_mean, mean


def blobs(size: int, seed: int) -> Dataset:
    """Three classes around three points of eight axes."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, size)
    images = 1.2 * np.eye(8)[labels] + generator.normal(0, 0.7, (size, 8))
    return Dataset(images.astype(np.float32), labels, ("a", "b", "c"), "blobs")


DATA = Data(blobs(300, 0), blobs(200, 1), "blobs", blobs(200, 2))
COURSE = Course(connected((8, 16, 3), loss="cross_entropy"), DATA, 0.5)


def recipe(**changes: Any) -> Recipe:
    base = {
        "title": "blobs",
        "network": {"layers": [8, 16, 3]},
        "data": {"kind": "digits", "validation": 0.1},
        "batch": 10,
        "epochs": 8,
        "target": 0.8,
        "optimiser": {"method": "sgd", "rate": 0.05},
    }
    return recipe_of({**base, **changes})


def test_a_race_ends_where_the_target_is_reached() -> None:
    found = race(COURSE, recipe(), 0)
    assert found.reached
    assert found.curve[-1] == (found.seconds, found.validation)
    assert found.validation >= 0.8 > max(accuracy for _, accuracy in found.curve[:-1])
    assert found.steps == round(found.epochs * 30)
    assert found.epochs == pytest.approx(0.5 * len(found.curve))


def test_a_race_is_the_training_of_its_recipe() -> None:
    wanted = recipe(target=1.0, epochs=3)
    training = Training(COURSE.graph, wanted, DATA, 5)
    accuracies = [record.validation_accuracy for _ in range(90) if (record := training.advance())]
    found = race(COURSE, wanted, 5)
    assert not found.reached
    assert (found.steps, found.epochs) == (90, 3.0)
    assert [accuracy for _, accuracy in found.curve[1::2]] == accuracies
    assert found.test == training.evaluator.accuracy(DATA.test)


def test_a_race_ends_at_its_limit_and_where_numbers_run_away() -> None:
    assert race(COURSE, recipe(target=1.0), 0, 0.0).steps == 0
    away = race(COURSE, recipe(target=1.0, optimiser={"method": "sgd", "rate": 1e30}), 0)
    assert not away.reached
    assert away.steps < 90


def test_a_race_needs_a_target_and_validation() -> None:
    for course, wanted in (
        (COURSE, recipe(target=None)),
        (replace(COURSE, data=replace(DATA, validation=None)), recipe()),
    ):
        with pytest.raises(TrainingError) as raised:
            race(course, wanted, 0)
        assert str(raised.value) == "a race must have a target and data for validation; add both"


def test_focus_takes_the_examples_of_the_largest_losses() -> None:
    training = Training(COURSE.graph, recipe(focus=0.2, epochs=3), DATA, 0)
    assert training.total_steps == 30 + 6 + 6
    for _ in range(30):
        training.advance()
    losses = training.last_losses.copy()
    assert np.isfinite(losses).all()
    training.advance()
    kept = set(training.order.tolist())
    assert kept == set(np.argsort(losses)[-60:].tolist())
    for _ in range(5):
        training.advance()
    moved = np.flatnonzero(training.last_losses != losses)
    assert set(moved.tolist()) == kept


def test_losses_are_those_of_each_example() -> None:
    training = Training(COURSE.graph, recipe(focus=0.5), DATA, 0)
    before = {name: array.copy() for name, array in training.parameters.weights.items()}
    training.move()
    places = training.order[:10]
    x = DATA.train.images[places]
    hidden = np.maximum(x @ before["fc1.weight"].T + before["fc1.bias"], 0)
    logits = hidden @ before["fc2.weight"].T + before["fc2.bias"]
    losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(10), DATA.train.labels[places]]
    np.testing.assert_allclose(training.last_losses[places] * 10, losses, rtol=1e-5)


def test_tuning_finds_the_rate_that_reaches_the_target() -> None:
    rates = (1e-5, 0.05, 1e-4)
    told: list[str] = []
    recipes = [recipe(optimiser={"method": "sgd", "rate": rate}) for rate in rates]
    assert tuned(COURSE, recipes, 2, told.append).rate == 0.05
    assert len(told) == 3
    hopeless = [msgspec.structs.replace(r, target=1.0, epochs=2) for r in recipes]
    assert tuned(COURSE, hopeless, 1, told.append).rate == 0.05
    assert tuned(COURSE, recipes[:1], 1, told.append) == recipes[0]


def test_a_comparison_pairs_the_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    def scripted(course: Course, wanted: Recipe, seed: int, limit: float = 0) -> Outcome:
        slow = 4.0 if wanted.batch == 10 else 1.0 + seed
        return Outcome(seed < 2 or wanted.batch == 10, slow, 10, slow / 2, 0.8, 0.9 - 0.01 * slow, ((slow, 0.8),))

    monkeypatch.setattr("tilework.train.speedup.race", scripted)
    first, second = compare(COURSE, {"first": [recipe()], "second": [recipe(batch=20)]}, 4)
    assert (first.speedup.value, first.reached, second.reached) == (1.0, 4, 2)
    # runs of 1, 2, 3 and 4 s, the last two of which miss: doing one again takes (1 + 2 + 3 + 4) / 2 = 5 s until it hits
    assert second.speedup.value == pytest.approx((4 / 1 * 4 / 2 * 4 / (3 + 5) * 4 / (4 + 5)) ** 0.25)
    assert second.speedup.low < second.speedup.value < second.speedup.high
    assert second.test_difference.value == pytest.approx(0.015)
    found = Comparison("title", 0.8, 1, "blobs", (first, second))
    assert found.best is second
    assert found.to_dict()["speedup"] == second.speedup.value
    assert "second  sgd at 0.05, batch 20, 8 epochs   2 of 4    1.25     2.50  87.50 %" in str(found)


def test_intervals_hold_the_mean_as_often_as_they_say() -> None:
    generator = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        found = mean(generator.normal(3, 1, 30))
        hits += found.low <= 3 <= found.high
    assert 180 <= hits <= 199
    ratio = geometric_mean([2.0, 8.0])
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((4, 2, 8))
