"""Pruning while training: the schedule in closed form, which weights go and stay away, and what storing takes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tilework as tw
from tilework.errors import TrainingError
from tilework.frontend.zoo import network
from tilework.isa.blocks import compressed
from tilework.train.fit import Training, fit
from tilework.train.initial import initial_weights
from tilework.train.parameters import Array, Parameters
from tilework.train.recipe import Pruning, recipe_of
from tilework.train.sources import load_data
from tilework.train.sparse import Pruner, cubic_share, pruned_layers, stored_sizes

RECIPE: dict[str, Any] = {
    "title": "pruned",
    "batch": 32,
    "epochs": 6,
    "loss": "binary_cross_entropy",
    "initial": "xavier",
    "network": {"layers": [7, 40, 24, 4], "activation": "tanh"},
    "data": {"kind": "adder", "bits": 3},
    "optimiser": {"method": "nesterov", "rate": 0.1},
    "pruning": {"share": 0.5, "first": 0.0, "last": 0.5, "every": 2},
}


def trained(**changes: Any) -> Training:
    recipe = recipe_of({**RECIPE, **changes})
    graph = tw.fit(RECIPE, epochs=1).graph
    training = Training(graph, recipe, load_data(recipe.data))
    fit(training)
    return training


def shares(weights: Any) -> dict[str, float]:
    return {name: float((weights[name] == 0).mean()) for name in weights if name.endswith("weight")}


@given(st.floats(0, 0.99), st.integers(1, 100), st.integers(0, 120))
def test_the_schedule_is_that_of_zhu_and_gupta(final: float, count: int, step: int) -> None:
    """Equation 1 with first share 0, t0 = 0 and n = count prunings a step apart; after the last the share stays."""
    expected = final + (0 - final) * (1 - min(step, count) / count) ** 3
    assert cubic_share(final, step / count) == pytest.approx(expected, abs=1e-12)


def test_each_layer_ends_with_its_share_and_keeps_it() -> None:
    training = trained(pruning={**RECIPE["pruning"], "layers": {"fc2": 0.75, "fc3": 0.0}})
    weights = training.parameters.weights
    assert shares(weights) == {"fc1.weight": 0.5, "fc2.weight": 0.75, "fc3.weight": 0.0}
    assert all(np.count_nonzero(weights[name]) == weights[name].size for name in weights if name.endswith("bias"))


def test_while_training_the_share_follows_the_schedule_and_no_zero_comes_back() -> None:
    recipe = recipe_of(RECIPE)
    graph = tw.fit(RECIPE, epochs=1).graph
    training = Training(graph, recipe, load_data(recipe.data))
    assert training.pruner is not None
    stop, size = training.total_steps // 2, training.parameters.arrays["fc1.weight"].size
    while not training.finished:
        before = training.pruner.kept == 0
        training.advance()
        last = stop if training.steps >= stop else 2 * (training.steps // 2)
        expected = math.floor(size * 0.5 * (1 - (1 - last / stop) ** 3) + 0.5)
        assert np.count_nonzero(training.parameters.arrays["fc1.weight"] == 0) == expected
        assert not training.parameters.values[before].any()
        assert not training.parameters.gradients[before].any()


def pruner(**table: Any) -> tuple[Pruner, Parameters]:
    graph = network("mlp", 1, sizes=(20, 6, 3))
    parameters = Parameters(graph, initial_weights(graph, seed=3))
    return Pruner(graph, parameters, Pruning(first=0.0, last=1.0, every=1, **table), 10), parameters


def test_the_smallest_of_a_layer_go() -> None:
    made, parameters = pruner(share=0.25)
    before = {name: array.copy() for name, array in parameters.arrays.items()}
    made.prune(10)
    for name in ("fc1.weight", "fc2.weight"):
        array, old = parameters.arrays[name], before[name]
        smallest = sorted(abs(old).ravel())[: math.floor(0.25 * old.size + 0.5)]
        assert sorted(abs(old[array == 0])) == smallest
        np.testing.assert_array_equal(array[array != 0], old[array != 0])


def test_balanced_each_16_keep_equally_many() -> None:
    made, parameters = pruner(share=0.5, balanced=True)
    old = parameters.arrays["fc1.weight"].copy()
    made.prune(10)
    for row, whole in zip(parameters.arrays["fc1.weight"], old, strict=True):
        assert np.count_nonzero(row[:16]) == 8
        assert np.count_nonzero(row[16:]) == 4  # a last block that is cut short keeps up to 8 as well
        assert sorted(abs(row[:16]))[8:] == sorted(abs(whole[:16]))[8:]


@pytest.mark.parametrize("name", ["mlp", "lenet5"])
def test_the_compiler_takes_no_further_weight_from_a_balanced_network(name: str) -> None:
    """So rows are those that the processor sums, places of a kernel before channels."""
    graph = network(name)
    parameters = Parameters(graph, initial_weights(graph, seed=1))
    Pruner(graph, parameters, Pruning(first=0.0, last=1.0, balanced=True), 10).prune(10)
    executable = tw.compile(graph, "dlp-s", parameters.weights, prune={"*": 0.5})
    assert executable.compilation is not None
    kept = executable.compilation.parts[0].weights
    for key, array in parameters.arrays.items():
        np.testing.assert_array_equal(kept[key].reshape(array.shape), array)
    assert 0.4 < np.mean(parameters.arrays["fc1.weight"] == 0) <= 0.5


def test_stored_sizes_are_those_of_the_blocks() -> None:
    graph = network("lenet5")
    parameters = Parameters(graph, initial_weights(graph, seed=1))
    assert all(
        one.compressed_bytes == one.dense_bytes and not one.zeros for one in stored_sizes(graph, parameters.arrays)
    )
    Pruner(graph, parameters, Pruning(first=0.0, last=1.0, balanced=True), 10).prune(10)
    for layer, one in zip(pruned_layers(graph), stored_sizes(graph, parameters.arrays), strict=True):
        array = parameters.arrays[layer.weight]
        raw = compressed(layer.rows(array).view(np.uint32), 8).nbytes
        assert (one.layer, one.weights, one.dense_bytes) == (layer.node, array.size, 4 * array.size)
        assert one.zeros == array.size - np.count_nonzero(array)
        assert one.compressed_bytes == min(raw, array.nbytes)
    fc1 = next(one for one in stored_sizes(graph, parameters.arrays) if one.layer == "fc1")
    assert fc1.compressed_bytes == 120 * (400 // 16) * 9 * 4  # 8 values and 8 places of 4 bits: 9 words


def test_the_weights_of_an_epoch_before_the_last_pruning_are_never_the_best() -> None:
    training = trained(
        data={**RECIPE["data"], "validation": 0.2}, pruning={**RECIPE["pruning"], "last": 1.0}, target=0.01
    )
    assert training.best_record is training.history[-1]
    assert shares(training.weights) == pytest.approx(dict.fromkeys(shares(training.weights), 0.5), abs=0.01)


def weights_after(**changes: Any) -> Array:
    return trained(**changes).parameters.values.copy()


def test_a_share_of_0_changes_nothing() -> None:
    np.testing.assert_array_equal(weights_after(pruning=None), weights_after(pruning={"share": 0.0}))


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"first": 0.7}, "pruning.first must be less than pruning.last, 0.7, not 0.7; lower it"),
        ({"share": 1.0}, "pruning.share must be a number < 1.0, not 1.0; correct it"),
        ({"shares": 0.5}, "the keys in [pruning] must be one of share, layers, first, last, every, balanced, not "
         "'shares'; did you mean share?"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence(table: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TrainingError) as caught:
        recipe_of({**RECIPE, "pruning": table})
    assert str(caught.value) == f"the recipe: {sentence}"


def test_a_layer_that_there_is_not_is_named() -> None:
    with pytest.raises(TrainingError) as caught:
        trained(pruning={"layers": {"fc4": 0.5}})
    assert str(caught.value) == "the layers to prune must be one of fc1, fc2, fc3, not 'fc4'; did you mean fc3?"
