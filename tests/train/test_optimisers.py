"""Optimisers against torch's on the same gradients, their states, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tilework.errors import TrainingError, WeightsError
from tilework.network.graph import Graph, GraphBuilder
from tilework.train.initial import INITIALS, initial_weights
from tilework.train.optimisers import OPTIMISERS, PIECE, Optimiser
from tilework.train.parameters import Parameters
from tilework.train.precondition import inverse_fourth_root, orthogonal


def network(width: int = 12) -> Graph:
    g = GraphBuilder("net")
    weights = (g.weight("first.weight", (width, 7)), g.weight("first.bias", (width,)))
    x = g.node("first", "linear", g.input("x", (2, 7)), *weights)
    return g.graph(g.node("second", "linear", x, g.weight("second.weight", (3, width))))


def begun(width: int = 12) -> Parameters:
    return Parameters(network(width), initial_weights(network(width)))


def slope(parameters: Parameters, step: int) -> None:
    """A gradient of its own for every step, one that depends on the values."""
    noise = np.random.default_rng(step).normal(size=parameters.values.shape)
    parameters.gradients[...] = noise + 0.5 * parameters.values


TORCH: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "sgd": ("SGD", {"decay": 0.1}, {"weight_decay": 0.1}),
    "momentum": ("SGD", {"momentum": 0.8}, {"momentum": 0.8}),
    "nesterov": ("SGD", {"decay": 0.1}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    "rmsprop": ("RMSprop", {"decay": 0.1}, {"weight_decay": 0.1}),
    "adam": ("Adam", {"decay": 0.1}, {"weight_decay": 0.1}),
    "adamw": ("AdamW", {"decay": 0.1}, {"weight_decay": 0.1}),
}


@pytest.mark.parametrize("method", TORCH)
def test_twenty_steps_are_torchs(method: str) -> None:
    torch = pytest.importorskip("torch")
    name, settings, theirs = TORCH[method]
    parameters = begun()
    values = torch.from_numpy(parameters.values.copy()).requires_grad_()
    other = getattr(torch.optim, name)([values], lr=0.05, **theirs)
    optimiser = Optimiser(method, parameters, **settings)
    for step in range(20):
        slope(parameters, step)
        values.grad = torch.from_numpy(parameters.gradients.copy())
        optimiser.update(0.05)
        other.step()
    np.testing.assert_allclose(parameters.values, values.detach().numpy(), rtol=2e-5, atol=2e-6)


def test_muon_is_torchs_to_its_half_precision() -> None:
    torch = pytest.importorskip("torch")
    parameters = begun()
    array = parameters.arrays["first.weight"]
    theirs = torch.from_numpy(array.copy()).requires_grad_()
    before = array.copy()
    other = torch.optim.Muon([theirs], lr=0.1, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    optimiser = Optimiser("muon", parameters, decay=0.1)
    for step in range(4):
        slope(parameters, step)
        theirs.grad = torch.from_numpy(parameters.slopes["first.weight"].copy())
        optimiser.update(0.1)
        other.step()
    moved = array - before
    np.testing.assert_allclose(moved, theirs.detach().numpy() - before, atol=0.03 * abs(moved).max())


def test_every_optimiser_without_a_twin_is_tested_apart() -> None:
    assert OPTIMISERS.keys() - TORCH.keys() == {"muon", "shampoo"}


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (6, 6)])
def test_rounds_draw_singular_values_to_one(shape: tuple[int, int]) -> None:
    matrix = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    found = orthogonal(matrix, 5)
    values = np.diag(left.T @ found @ right.T)
    assert values.min() > 0.6
    assert values.max() < 1.3
    np.testing.assert_allclose(left.T @ found @ right.T, np.diag(values), atol=1e-4)


def test_shampoos_first_step_is_the_gradient_between_two_roots() -> None:
    parameters = begun()
    before = parameters.arrays["first.weight"].copy()
    slope(parameters, 0)
    g = parameters.slopes["first.weight"].astype(np.float64)
    Optimiser("shampoo", parameters, memory=0.0, damping=0.01).update(0.1)

    def root(square: Any) -> Any:
        values, vectors = np.linalg.eigh(square + 0.01 * np.linalg.norm(square, 2) * np.eye(len(square)))
        return vectors @ np.diag(values**-0.25) @ vectors.T

    direction = root(g @ g.T) @ g @ root(g.T @ g)
    expected = direction * 0.1 * np.linalg.norm(g) / np.linalg.norm(direction)
    np.testing.assert_allclose(before - parameters.arrays["first.weight"], expected, atol=2e-5)


def test_the_fourth_power_of_a_root_is_the_inverse() -> None:
    a = np.random.default_rng(1).normal(size=(5, 8))
    root = inverse_fourth_root(a @ a.T, 0.0).astype(np.float64)
    np.testing.assert_allclose(np.linalg.matrix_power(root, 4) @ (a @ a.T), np.eye(5), atol=1e-3)


@pytest.mark.parametrize("method", OPTIMISERS)
def test_a_restored_state_goes_on_to_the_bit(method: str) -> None:
    parameters, again = begun(), begun()
    first, second = Optimiser(method, parameters), Optimiser(method, again)
    for step in range(6):
        slope(parameters, step)
        first.update(0.01)
        if step == 2:
            again.values[...] = parameters.values
            second.restore({name: value.copy() for name, value in first.state().items()})
        if step > 2:
            slope(again, step)
            second.update(0.01)
    np.testing.assert_array_equal(parameters.values, again.values)
    assert not np.array_equal(parameters.values, begun().values)


@pytest.mark.parametrize("method", OPTIMISERS)
def test_every_optimiser_descends_a_bowl(method: str) -> None:
    parameters = begun()
    optimiser = Optimiser(method, parameters)
    start = np.linalg.norm(parameters.values)
    for step in range(400):
        parameters.gradients[...] = parameters.values
        optimiser.update(0.02 * (1 - step / 400))
    assert np.linalg.norm(parameters.values) < 0.2 * start


def test_long_vectors_are_updated_in_pieces_of_the_same_result() -> None:
    parameters = begun(PIECE // 10 * 3 + 5)
    before = parameters.values.copy()
    slope(parameters, 0)
    Optimiser("sgd", parameters).update(0.1)
    np.testing.assert_allclose(parameters.values, before - np.float32(0.1) * parameters.gradients, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("rule", INITIALS)
def test_initial_weights_have_the_rules_variance(rule: str) -> None:
    g = GraphBuilder("net")
    x = g.input("x", (1, 100, 4, 4))
    x = g.node("conv", "conv2d", x, g.weight("w", (150, 100, 3, 3)), g.weight("b", (150,)))
    running = (g.weight("mean", (150,), trainable=False), g.weight("var", (150,), trainable=False))
    graph = g.graph(g.node("norm", "batch_norm", x, g.weight("scale", (150,)), g.weight("shift", (150,)), *running))
    found = initial_weights(graph, rule, 3)
    variance = {"he": 2 / 900, "lecun": 1 / 900, "xavier": 2 / (900 + 1350)}[rule]
    assert found["w"].var() == pytest.approx(variance, rel=0.02)
    assert abs(found["w"].mean()) < 1e-3
    constants = {name: set(found[name].tolist()) for name in ("b", "scale", "shift", "mean", "var")}
    assert constants == {"b": {0}, "scale": {1}, "shift": {0}, "mean": {0}, "var": {1}}
    assert np.array_equal(found["w"], initial_weights(graph, rule, 3)["w"])
    assert not np.array_equal(found["w"], initial_weights(graph, rule, 4)["w"])


MISTAKES = [
    (
        lambda: Optimiser("sdg", begun()),
        "the optimiser must be one of sgd, momentum, nesterov, rmsprop, adam, adamw, muon, shampoo, not 'sdg'",
    ),
    (lambda: Optimiser("sgd", begun(), beta=1), "sgd can be given decay, not beta; leave it out"),
    (
        lambda: Optimiser("sgd", begun()).update(float("nan")),
        "the learning rate must be a number of at least 0, not nan",
    ),
    (
        lambda: Optimiser("momentum", begun()).restore({"steps": np.array(1)}),
        "the optimiser's state must hold steps, velocity, not steps",
    ),
]


@pytest.mark.parametrize(("act", "message"), MISTAKES)
def test_mistakes_are_told(act: Any, message: str) -> None:
    with pytest.raises(TrainingError) as raised:
        act()
    assert str(raised.value) == message


def test_weights_must_fit() -> None:
    weights = initial_weights(network())
    with pytest.raises(WeightsError) as raised:
        Parameters(network(), {**weights, "first.bias": np.zeros(3)})
    assert str(raised.value) == "weight first.bias must have the shape [12], not [3]"
    del weights["first.bias"]
    with pytest.raises(WeightsError) as raised:
        Parameters(network(), weights)
    assert str(raised.value) == "the weights must hold first.bias, which they lack"
    with pytest.raises(WeightsError) as raised:
        initial_weights(network(), "zeros")
    assert str(raised.value) == "the initial weights must be one of he, xavier, lecun, not 'zeros'"
