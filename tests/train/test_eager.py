"""Eager values and gradients: the numbers of the same graph, and torch's and NumPy's where control flow decides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tilework as tw
from tilework.errors import NetworkError
from tilework.frontend.zoo import network
from tilework.network.gradient import gradient_plan
from tilework.network.gradient_graph import gradients


def drawn(*shapes: tuple[int, ...], dtype: str = "float32") -> list[np.ndarray]:
    generator = np.random.default_rng(3)
    found = [generator.standard_normal(shape) for shape in shapes]
    return [np.asarray(abs(one) + 0.1 if one.ndim == 1 else one, dtype) for one in found]


def test_every_operation_gives_the_numbers_of_its_graph(operation: str, one: Any) -> None:
    arrays = drawn(*one.shapes)
    variables = [tw.Variable(array, trainable=True) for array in arrays]
    y = getattr(tw.eager, operation)(*variables, **one.attributes)
    g = tw.GraphBuilder("one")
    names = [g.weight(f"x{place}", shape) for place, shape in enumerate(one.shapes)]
    graph = g.graph(g.node("y", operation, *names, **one.attributes))
    weights = dict(zip(names, arrays, strict=True))
    np.testing.assert_array_equal(y.value, tw.execute(graph, weights, {})["y"])
    if gradients(gradient_plan(graph)):
        found = tw.execute(tw.gradient(graph), weights, {})
        y.backward()
        for key, variable in zip(names, variables, strict=True):
            if f"d:{key}" in found:
                assert variable.gradient is not None
                np.testing.assert_allclose(variable.gradient, found[f"d:{key}"], rtol=1e-5, atol=1e-6)
            else:
                assert variable.gradient is None


def test_a_network_learns_as_its_graph_does() -> None:
    graph = network("mlp", 4, (6,), sizes=(6, 5, 3))
    step = tw.training_step(graph, rate=0.5)
    weights = dict(tw.find_weights(graph, "", seed=0))
    own = {name: tw.Variable(array.copy(), trainable=True) for name, array in weights.items()}
    (x,) = drawn((4, 6))
    targets = np.eye(3, dtype=np.float32)[[0, 2, 1, 1]]
    for _ in range(3):
        value = tw.Variable(x)
        for layer in (1, 2):
            value = tw.eager.linear(value, own[f"fc{layer}.weight"], own[f"fc{layer}.bias"])
            value = tw.eager.relu(value) if layer == 1 else value
        loss = tw.eager.reduce(tw.eager.log_softmax(value, axis=1) * targets) * (-1 / 4)
        loss.backward()
        found = tw.execute(step, weights, {"x": x, "targets": targets})
        np.testing.assert_allclose(loss.value, found["loss"], rtol=1e-5)
        for name, variable in own.items():
            variable.value -= np.float32(0.5) * variable.gradient
            weights[name] = found[f"new:{name}"]
            np.testing.assert_allclose(variable.value, weights[name], rtol=1e-4, atol=1e-6)


def test_what_runs_may_depend_on_values() -> None:
    """Newton's iteration for a square root, as long as it takes: the derivative of sqrt is 1 / (2 sqrt)."""
    for number in (2.0, 9.0, 1e4):
        a = tw.Variable(np.float64(number), trainable=True)
        x, steps = a, 0
        while abs(x.value**2 - number) > 1e-12 * number:
            x, steps = (x + a / x) * 0.5, steps + 1
        x.backward()
        assert steps > 3
        np.testing.assert_allclose([x.value, a.gradient], [number**0.5, 0.5 * number**-0.5], rtol=1e-6)


def test_operators_are_numpys() -> None:
    a, b = drawn((2, 3), (3, 3), dtype="float64")
    x, y = tw.Variable(a, trainable=True), tw.Variable(b)
    for found, expected in (
        (x + 1, a + 1),
        (1 + x, 1 + a),
        (x - y.value[:2], a - b[:2]),
        (b[:2] - x, b[:2] - a),
        (2 * x, 2 * a),
        (b[:2] * x, b[:2] * a),
        (x / 3, a / 3),
        (3 / x, 3 / a),
        (x @ y, a @ b),
        (b[:, :2] @ x, b[:, :2] @ a),
        (-x, -a),
    ):
        assert found.value.dtype == np.float64
        np.testing.assert_allclose(found.value, expected, rtol=1e-12)
    assert repr(tw.Variable([1, 2])) == "Variable(array([1, 2]))"


def test_one_variable_used_often_gets_the_sum() -> None:
    x = tw.Variable(np.array([1.0, -2.0, 3.0]), trainable=True)
    unused = tw.Variable(np.array([1.0]), trainable=True)
    y = x * x + x
    (y * y - x).backward()
    value = x.value**2 + x.value
    np.testing.assert_allclose(x.gradient, 2 * value * (2 * x.value + 1) - 1)
    assert unused.gradient is None
    assert y.gradient is None


def test_an_embeddings_rows_are_added_up() -> None:
    table = tw.Variable(np.ones((4, 2), np.float32), trainable=True)
    ids = tw.Variable(np.array([[1, 3, 1]]))
    rows = tw.eager.host(ids, table, what="embedding", shape=(1, 3, 2), dtype="float32")
    (rows * 3.0).backward()
    np.testing.assert_array_equal(table.gradient, [[0, 0], [6, 6], [0, 0], [3, 3]])


def test_registered_activations_are_functions_too() -> None:
    tw.activation("bent", "(sqrt(x * x + 1) - 1) / 2 + x")
    x = tw.Variable(np.array([0.5, -1.0]), trainable=True)
    tw.eager.bent(x).backward()
    np.testing.assert_allclose(x.gradient, x.value / (2 * np.sqrt(x.value**2 + 1)) + 1)
    assert {"bent", "conv2d"} <= set(dir(tw.eager))


def mistakes() -> list[tuple[Any, str]]:
    x = tw.Variable(np.ones((2, 3), np.float32), trainable=True)
    return [
        (lambda: tw.Variable(["a"]), "a variable must hold numbers or truth values, not <U1"),
        (lambda: tw.Variable([1], trainable=True), "a variable must hold floating-point numbers, not int64"),
        (lambda: tw.Variable([1.0]).backward(), "a value must depend on a trainable variable to have a gradient"),
        (lambda: tw.eager.add(x, np.ones(2)), "add must get shapes that broadcast, not [2, 3] and [2]"),
        (
            lambda: tw.eager.unknown(x, what="foo", shape=(2,)),
            "an operation must be affine to have a value, which foo is not",
        ),
        (
            lambda: tw.eager.host(x, what="cumsum", how="cumsum 0 0 0", shape=(2, 3)).backward(),
            "an operation must have a gradient of nests, which cumsum has not",
        ),
    ]


@pytest.mark.parametrize(("use", "message"), mistakes())
def test_mistakes(use: Any, message: str) -> None:
    with pytest.raises(NetworkError) as caught:
        use()
    assert str(caught.value) == message


def test_an_operation_that_there_is_not() -> None:
    with pytest.raises(AttributeError, match="not 'convolve'"):
        getattr(tw.eager, "convolve")  # noqa: B009
