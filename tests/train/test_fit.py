"""The loop of a training: the same numbers from the same seed, an end where there should be one, and errors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tilework.errors import DataError, NetworkError, TrainingError
from tilework.train.data.dataset import Dataset
from tilework.train.fit import Record, Training, fit
from tilework.train.layers import connected, convolutional
from tilework.train.recipe import Recipe, recipe_of
from tilework.train.sources import Data

BASE: dict[str, Any] = {
    "title": "spots",
    "batch": 16,
    "epochs": 3,
    "network": {"layers": [16, 12, 4], "dropout": 0.2},
    "data": {"kind": "digits", "validation": 0.2},
    "optimiser": {"method": "nesterov", "rate": 0.1},
    "schedule": {"name": "cosine"},
    "augment": {"shift": 1},
}


def spots(count: int = 120, seed: int = 0) -> Dataset:
    """Pictures of 4x4 whose class is the bright quarter."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 4, count)
    images = generator.random((count, 1, 4, 4), np.float32) / 4
    for image, label in zip(images, labels, strict=True):
        row, column = 2 * (label // 2), 2 * (label % 2)
        image[0, row : row + 2, column : column + 2] += 0.5
    return Dataset(images, labels, tuple("abcd"), "spots")


def data() -> Data:
    return Data(spots(), spots(40, 1), "spots", spots(40, 2))


def recipe(**changes: Any) -> Recipe:
    return recipe_of({**BASE, **changes})


def training(seed: int = 0, examples: Data | None = None, **changes: Any) -> Training:
    found = recipe(**changes)
    graph = connected(found.network.layers or (), found.network.activation, found.network.dropout, found.loss)
    return Training(graph, found, examples or data(), seed)


def done(now: Training) -> Training:
    fit(now)
    return now


def test_the_same_seed_gives_the_same_numbers_and_another_gives_others() -> None:
    first, again, other = (done(training(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first.parameters.values, again.parameters.values)
    assert [replace(r, seconds=0) for r in first.history] == [replace(r, seconds=0) for r in again.history]
    assert not np.array_equal(first.parameters.values, other.parameters.values)


def test_it_learns_and_keeps_the_record_of_each_epoch() -> None:
    told: list[Record] = []
    now = training(epochs=12, augment={})
    fit(now, told.append)
    assert told == now.history
    assert [record.epoch for record in told] == [*range(1, 13)]
    assert [record.step for record in told] == [7 * epoch for epoch in range(1, 13)]  # 120 examples, 16 at a time
    assert told[-1].loss < told[0].loss / 2
    assert now.evaluator.accuracy(data().test) > 0.9
    assert told[-1].rate < told[0].rate <= 0.1
    assert told[-1].seconds >= told[0].seconds > 0


def test_the_weights_kept_are_those_of_the_best_epoch() -> None:
    now = training(epochs=8)
    kept = []
    fit(now, lambda record: kept.append({name: a.copy() for name, a in now.parameters.weights.items()}))
    assert now.best_record is not None
    for name, array in kept[now.best_record.epoch - 1].items():
        assert np.array_equal(now.weights[name], array)
    shares = [record.validation_accuracy or 0 for record in now.history]
    assert now.best_record.epoch == 1 + int(np.argmax(shares))


def test_without_validation_the_latest_weights_are_kept() -> None:
    now = done(training(examples=replace(data(), validation=None)))
    assert now.best_record is None
    assert all(now.weights[name] is array for name, array in now.parameters.arrays.items())


def test_patience_ends_a_training_that_no_longer_improves() -> None:
    still = {"method": "sgd", "rate": 1e-9}
    now = done(training(epochs=50, patience=4, optimiser=still, schedule={}))
    assert now.epoch == 5  # the first epoch is the best, and four more are no better


def test_a_target_ends_a_training() -> None:
    now = done(training(epochs=50, target=0.9, augment={}, optimiser={"method": "sgd", "rate": 0.03}))
    assert now.reached
    assert now.epoch < 50
    assert now.history[-1].validation_accuracy is not None
    assert now.history[-1].validation_accuracy >= 0.9 > max(r.validation_accuracy or 0 for r in now.history[:-1])


def test_a_target_that_is_not_reached_is_said() -> None:
    assert not done(training(epochs=1, target=1.0, optimiser={"method": "sgd", "rate": 1e-9})).reached


def test_the_batch_grows_and_the_parameters_stay() -> None:
    now = done(training(epochs=4, growth={"factor": 2, "every": 1, "most": 64}))
    assert [record.step for record in now.history] == [7, 7 + 3, 10 + 1, 11 + 1]
    assert now.total_steps == 12
    assert now.optimiser.parameters is now.parameters


def test_numbers_that_are_not_finite_stop_it_with_step_and_layer() -> None:
    examples = data()
    now = training(examples=examples, optimiser={"method": "sgd", "rate": 1e38}, schedule={}, augment={})
    before = now.parameters.values.copy()
    with (
        pytest.raises(
            TrainingError,
            match=r"^every number of a training must stay finite, and at step [23] the (weight|value of) .* did not; "
            r"lower the learning rate, 1e\+38$",
        ),
    ):
        fit(now)
    assert not np.array_equal(before, now.parameters.values)


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("fc1.weight", np.nan, "the weight fc1.weight"),
        ("fc1.bias", 3e38, "the value of fc2"),
    ],
)
def test_the_first_that_is_not_finite_is_named(name: str, value: float, what: str) -> None:
    now = training(network={"layers": [16, 12, 4]})
    now.parameters.arrays[name][...] = value
    now.parameters.arrays["fc2.weight"][...] = 3
    values = now.parameters.values.copy()
    with (
        pytest.raises(TrainingError, match=rf"at step 1 {what} did not; lower the learning rate, 0\.1$"),
    ):
        now.advance()
    assert np.array_equal(values, now.parameters.values, equal_nan=True)
    assert now.steps == 0


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(
        TrainingError,
        match=r"^network mlp must take examples of the shape \[1, 4, 4\], as the data has, not \[15\]; change",
    ):
        training(network={"layers": [15, 4]})
    with pytest.raises(TrainingError, match="must have an output for each of the 4 classes, or for each bit"):
        training(network={"layers": [16, 3]})
    with pytest.raises(DataError, match="a batch must have 1 to 120 examples"):
        training(batch=121)
    with pytest.raises(NetworkError, match="the loss must be one of"):
        Training(connected([16, 4]), replace_loss(recipe()), data())


def replace_loss(found: Recipe) -> Recipe:
    import msgspec

    return msgspec.structs.replace(found, loss="none")


def test_stages_of_convolutions_learn_too() -> None:
    graph = convolutional((1, 4, 4), (4, 8), 4, dropout=0.1, loss="cross_entropy")
    shapes = {tensor.name: tensor.shape for tensor in graph.weights}
    assert shapes["stage2.1.conv.weight"] == (8, 8, 3, 3)
    assert shapes["fc.weight"] == (4, 8)
    now = Training(graph, recipe(epochs=6, augment={}), data(), 0)
    fit(now)
    assert now.evaluator.accuracy(data().test) > 0.8
