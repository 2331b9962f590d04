"""Training in 16-bit floats: rounding bit by bit, PyTorch's autocast, what underflows and what a master copy is for."""

from __future__ import annotations

import sys
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

import tilework as tw
from tilework.errors import MissingPackageError, TrainingError
from tilework.frontend.zoo import network
from tilework.network.execute import execute
from tilework.network.graph import GraphBuilder
from tilework.network.graph_text import parse_graph
from tilework.train.engine import Engine
from tilework.train.fit import Training
from tilework.train.half import LossScale, mixed, rounding
from tilework.train.initial import initial_weights
from tilework.train.layers import connected
from tilework.train.parameters import Parameters
from tilework.train.recipe import recipe_of
from tilework.train.sources import Data, load_data
from tilework.train.step import TrainingStep
from tilework.training import network_of, result

HALVES = {"float16": np.dtype(np.float16), "bfloat16": np.dtype(ml_dtypes.bfloat16)}
PLACES = {"float16": 11, "bfloat16": 8}  # bits of a significand
TORCHS = {"float16": torch.float16, "bfloat16": torch.bfloat16}
each_half = pytest.mark.parametrize("dtype", HALVES)

RECIPE: dict[str, Any] = {
    "title": "halved",
    "batch": 32,
    "epochs": 4,
    "loss": "binary_cross_entropy",
    "initial": "xavier",
    "network": {"layers": [7, 24, 4], "activation": "tanh"},
    "data": {"kind": "adder", "bits": 3},
    "optimiser": {"method": "sgd", "rate": 0.5},
}


@given(st.floats(width=32, allow_nan=False, allow_infinity=False, max_value=2.0**127, min_value=-(2.0**127)))
def test_bfloat16_is_the_nearest_with_16_bits_of_a_float32_ties_to_even(number: float) -> None:
    values = np.array([number], np.float32)
    bits = int(values.view(np.uint32)[0])
    expected = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
    rounding("bfloat16")(values)
    assert int(values.view(np.uint32)[0]) == expected


@given(st.floats(width=32, allow_nan=False, min_value=-70000, max_value=70000))
def test_float16_is_rounded_as_torch_does(number: float) -> None:
    values = np.array([number], np.float32)
    expected = torch.tensor([number]).half().float().numpy()
    rounding("float16")(values)
    np.testing.assert_array_equal(values, expected)


@each_half
def test_a_layer_multiplies_rounded_values_and_rounds_their_float32_sum(dtype: str) -> None:
    g = GraphBuilder("layer")
    graph = g.graph(g.node("y", "linear", g.input("x", (3, 40)), g.weight("w", (5, 40)), g.weight("b", (5,))))
    generator = np.random.default_rng(0)
    x, w, b = (generator.standard_normal(shape).astype(np.float32) for shape in ((3, 40), (5, 40), (5,)))
    halves = [array.astype(HALVES[dtype]).astype(np.float64) for array in (x, w, b)]
    exact = halves[0] @ halves[1].T + halves[2]
    for found in (
        execute(mixed(graph, dtype), {"w": w, "b": b}, {"x": x}),
        Engine(mixed(graph, dtype), {"w": w, "b": b}).run({"x": x}),
    ):
        (values,) = found.values()
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, values.astype(HALVES[dtype]).astype(np.float32))
        np.testing.assert_allclose(values, exact, rtol=1.001 * 2.0 ** -PLACES[dtype], atol=1e-5)


SUMS = [((1, 1, 8, 8), (1, 1, 3, 3)), ((64, 1, 28, 28), (1, 1, 5, 5)), ((8, 3, 40, 40), (4, 3, 3, 3))]


@each_half
@pytest.mark.parametrize(("image", "kernel"), SUMS)
def test_sums_are_float32_even_where_they_are_made_in_pieces(
    dtype: str, image: tuple[int, ...], kernel: tuple[int, ...]
) -> None:
    """The gradient of a kernel of ones counts places; a sum in 16 bits would stop at 2048, or at 256."""
    g = GraphBuilder("convolution")
    inputs = g.input("x", image), g.weight("w", kernel)
    graph = g.graph(g.node("y", "conv2d", *inputs))
    step = mixed(graph, dtype)
    slopes = Engine(tw.gradient(step), {"w": np.ones(kernel, np.float32)}).run({"x": np.ones(image, np.float32)})
    places = image[0] * (image[2] - kernel[2] + 1) * (image[3] - kernel[3] + 1)
    np.testing.assert_array_equal(slopes["d:w"], np.full(kernel, np.float32(HALVES[dtype].type(places))))


@each_half
@pytest.mark.parametrize("count", [64, 4096])
def test_the_gradient_of_a_bias_is_summed_in_float32(dtype: str, count: int) -> None:
    g = GraphBuilder("bias")
    graph = g.graph(g.node("y", "linear", g.input("x", (count, 2)), g.weight("w", (1100, 2)), g.weight("b", (1100,))))
    weights = {"w": np.ones((1100, 2), np.float32), "b": np.zeros(1100, np.float32)}
    found = Engine(tw.gradient(mixed(graph, dtype)), weights).run({"x": np.ones((count, 2), np.float32)})
    np.testing.assert_array_equal(found["d:b"], np.full(1100, count, np.float32))


@each_half
def test_loss_and_gradients_are_those_of_autocast(dtype: str) -> None:
    """Up to roundings to 16 bits that fall otherwise where a float32 sum was made in another order."""
    graph = network("mlp", 16, sizes=(20, 30, 12, 5))
    parameters = Parameters(graph, initial_weights(graph, seed=2))
    generator = np.random.default_rng(1)
    images = generator.standard_normal((16, 20)).astype(np.float32)
    labels = generator.integers(0, 5, 16)
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in parameters.arrays.items()}
    with torch.autocast("cpu", dtype=TORCHS[dtype]):
        x = torch.tensor(images)
        for layer in (1, 2, 3):
            x = functional.linear(x, tensors[f"fc{layer}.weight"], tensors[f"fc{layer}.bias"])
            x = functional.relu(x) if layer < 3 else x
        loss = functional.cross_entropy(x, torch.tensor(labels))
    (loss * 1024).backward()
    step = TrainingStep(mixed(graph, dtype), parameters, scaled=True)
    found = step(images, np.eye(5, dtype=np.float32)[labels], 1024)
    unit = 2.0 ** -PLACES[dtype]
    assert found == pytest.approx(loss.item(), abs=2 * unit)
    for name, tensor in tensors.items():
        assert tensor.grad is not None
        theirs, ours = tensor.grad.numpy(), parameters.slopes[name]
        assert np.abs(ours - theirs).max() <= 8 * unit * np.abs(theirs).max(), name


def test_what_stays_in_float32() -> None:
    graph = parse_graph(
        "graph g\ninput x float32[2,3,4,4]\nparameter w float32[2,3,1,1]\nparameter s float32[2]\n"
        "parameter t float32[2]\nbuffer m float32[2]\nbuffer v float32[2]\nc = conv2d(x, w)\n"
        "n = batch_norm(c, s, t, m, v)\nr = relu(n)\nf = flatten(r)\np = softmax(f, axis=1)\noutput p\n"
    )
    found = {node.name: mixed(graph, "bfloat16").tensors[node.name].dtype for node in graph.nodes}
    assert found == {"c": "bfloat16", "n": "float32", "r": "bfloat16", "f": "bfloat16", "p": "float32"}


@pytest.mark.parametrize(("dtype", "scale", "kept"), [("float16", 1, 0), ("float16", 65536, 1), ("bfloat16", 1, 1)])
def test_small_gradients_are_0_in_float16_unless_the_loss_is_scaled(dtype: str, scale: int, kept: int) -> None:
    """2 (z - t) / 4 is 2^-24; through weights of 1/16 it is 2^-28, below half of float16's smallest number, 2^-24."""
    graph = parse_graph(
        "graph g\ninput x float32[1,4]\nparameter a float32[4,4]\nparameter b float32[4,4]\n"
        "y = linear(x, a)\nz = linear(y, b)\noutput z\n"
    )
    identity, x = np.eye(4, dtype=np.float32), np.ones((1, 4), np.float32)
    parameters = Parameters(graph, {"a": identity, "b": identity / 16})
    targets = np.full((1, 4), 1 / 16 - 2.0**-23, np.float32)
    step = TrainingStep(mixed(graph, dtype), parameters, "mean_squared_error", scaled=True)
    step(x, targets, scale)
    expected = kept * np.full((4, 4), 2.0**-28)
    np.testing.assert_array_equal(parameters.slopes["a"] / scale, expected)


def test_the_scale_halves_at_an_overflow_and_doubles_after_some_steps() -> None:
    scale, good = LossScale(1024.0, 2), np.full(3, 512, np.float32)
    assert not scale.unscaled(np.array([1, np.inf], np.float32))
    assert scale.unscaled(good)
    np.testing.assert_array_equal(good, 1)
    assert (scale.scale, scale.good) == (512, 1)
    assert scale.unscaled(good)
    assert (scale.scale, scale.good) == (1024, 0)
    again = LossScale(1.0, 1)
    again.restore(scale.state())
    assert again.state() == scale.state()
    assert LossScale(1.0, 2).unscaled(np.array([np.nan])), "then no smaller scale would help"


def opened(**changes: Any) -> Training:
    recipe = recipe_of({**RECIPE, **changes})
    layers, loss = recipe.network.layers or (), recipe.loss
    return Training(connected(layers, "tanh", 0.0, loss), recipe, load_data(recipe.data))


def test_a_step_whose_gradients_overflow_is_left_out() -> None:
    training = opened(precision={"dtype": "float16", "scale": 2.0**24})
    before = training.parameters.values.copy()
    assert training.scaling is not None
    for halvings in range(1, 30):
        training.advance()
        if (training.parameters.values != before).any():
            break
        assert training.scaling.scale == 2.0 ** (24 - halvings)
    assert 1 < halvings < 24
    assert training.steps == halvings


def test_with_a_fixed_scale_an_overflow_is_an_error() -> None:
    training = opened(precision={"dtype": "float16", "scale": 2.0**30, "every": 0})
    with pytest.raises(TrainingError, match=r"^every number of a training must stay finite, and at step 1 "):
        training.advance()


def test_without_a_master_a_small_update_of_bfloat16_is_lost() -> None:
    """1 - 2^-10 rounds to 1; a hundred such updates of a float32 master copy do not."""
    found = {}
    for master in (True, False):
        training = opened(precision={"dtype": "bfloat16", "master": master})
        training.parameters.values[:] = 1
        for _ in range(100):
            training.parameters.gradients[:] = 1
            training._update(2.0**-10)
        found[master] = training.parameters.values.copy()
    np.testing.assert_array_equal(found[False], 1)
    np.testing.assert_allclose(found[True], 1 - 100 / 1024, rtol=1e-6)


@each_half
def test_without_a_master_all_weights_are_of_16_bits(dtype: str) -> None:
    training = opened(precision={"dtype": dtype, "master": False})
    for _ in range(5):
        values = training.parameters.values
        np.testing.assert_array_equal(values, values.astype(HALVES[dtype]).astype(np.float32))
        training.advance()


@each_half
def test_the_adder_is_learnt_in_16_bits(dtype: str) -> None:
    trained = tw.fit({**tw.load_recipe("adder").to_dict(), "precision": {"dtype": dtype}}, seed=1, epochs=150)
    assert trained.accuracy >= 0.98
    assert all(array.dtype == np.float32 for array in trained.weights.values())


def test_a_convolutional_network_with_normalisation_and_dropout() -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(64) % 2
    images = generator.random((64, 1, 12, 12), np.float32) + np.float32(labels[:, None, None, None])
    data = tw.Dataset(images, labels, ("dark", "bright"), "greys")
    recipe = recipe_of(
        {
            **RECIPE,
            "loss": "cross_entropy",
            "epochs": 30,
            "network": {"stages": [8], "dropout": 0.2},
            "data": {"kind": "digits"},
            "optimiser": {"method": "nesterov", "rate": 0.05},
        }
    )
    both = Data(data, data, "greys")
    found = {}
    for dtype in (None, "bfloat16"):
        own = recipe_of({**recipe.to_dict(), "precision": dtype and {"dtype": dtype}})
        training = Training(network_of(own, both), own, both)
        while not training.finished:
            training.advance()
        found[dtype] = result(training)
    assert found["bfloat16"].accuracy == found[None].accuracy == 1
    for name, array in found[None].weights.items():
        assert np.abs(array - found["bfloat16"].weights[name]).max() < 0.1


def test_without_ml_dtypes_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(MissingPackageError) as caught:
        opened(precision={"dtype": "bfloat16"})
    assert str(caught.value) == "values of bfloat16 need the package ml_dtypes: pip install 'tilework[train]'"


def test_another_dtype_is_refused() -> None:
    with pytest.raises(TrainingError) as caught:
        opened(precision={"dtype": "float8"})
    assert str(caught.value) == (
        "the recipe: precision.dtype must be one of float16, bfloat16, not 'float8'; did you mean float16?"
    )
