"""`tw.gradient`: a graph whose outputs are a loss and its gradients, against closed forms, torch and training steps."""

from typing import Any

import numpy as np
import pytest

import tilework as tw
from tilework.errors import NetworkError
from tilework.network.graph_text import parse_graph


def classifier() -> tw.Graph:
    g = tw.GraphBuilder("net")
    x = g.node("fc", "linear", g.input("x", (2, 3)), g.weight("w", (4, 3)), g.weight("b", (4,)))
    y = g.node("y", "tanh", x)
    g.node("energy", "reduce", g.node("square", "mul", y, y))
    g.node("other", "linear", y, g.weight("v", (5, 4)))
    return g.graph("y")


def arrays(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    generator = np.random.default_rng(5)
    return [generator.standard_normal(shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize("loss", ["cross_entropy", "mean_squared_error"])
def test_a_training_step_is_the_gradient_and_an_update(loss: str) -> None:
    graph, rate = classifier(), 0.25
    x, targets, w, b, v = arrays((2, 3), (2, 4), (4, 3), (4,), (5, 4))
    given = {"x": x, "targets": abs(targets)}
    found = tw.execute(tw.gradient(graph, loss), {"w": w, "b": b}, given)
    step = tw.execute(tw.training_step(graph, loss, rate), {"w": w, "b": b, "v": v}, given)
    assert found.keys() == {"loss", "d:w", "d:b"}
    assert found["loss"] == step["loss"]
    np.testing.assert_allclose(step["new:w"], w - rate * found["d:w"], rtol=1e-6)
    np.testing.assert_allclose(step["new:b"], b - rate * found["d:b"], rtol=1e-6)


def test_a_value_of_the_graph_is_a_loss_and_what_comes_after_it_is_not_computed() -> None:
    made = tw.gradient(classifier(), "energy", ["x", "w"])
    assert made.outputs == ("energy", "d:x", "d:w")
    assert [tensor.name for tensor in made.sources] == ["x", "w", "b"]
    assert "other" not in made.tensors
    assert parse_graph(str(made)) == made
    x, w, b = arrays((2, 3), (4, 3), (4,))
    found = tw.execute(made, {"w": w, "b": b}, {"x": x})
    y = np.tanh(x @ w.T + b)
    np.testing.assert_allclose(found["energy"], (y * y).sum(), rtol=1e-5)
    np.testing.assert_allclose(found["d:x"], (2 * y * (1 - y * y)) @ w, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["d:w"], (2 * y * (1 - y * y)).T @ x, rtol=1e-4, atol=1e-5)


def test_of_several_elements_it_is_the_gradient_of_their_sum() -> None:
    x, w, b = arrays((2, 3), (4, 3), (4,))
    found = tw.execute(tw.gradient(classifier(), wanted=["b"]), {"w": w, "b": b}, {"x": x})
    np.testing.assert_allclose(found["d:b"], (1 - found["y"] ** 2).sum(0), rtol=1e-5)


def test_a_binary_cross_entropys_gradient_where_the_logit_is_zero() -> None:
    g = tw.GraphBuilder("neuron")
    graph = g.graph(g.node("z", "linear", g.input("x", (3, 2)), g.weight("w", (1, 2))))
    x, targets = np.array([[1, 2], [3, -1], [0, 1]], np.float32), np.array([[1], [0], [0.25]], np.float32)
    for w in (np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32)):
        found = tw.execute(tw.gradient(graph, "binary_cross_entropy"), {"w": w}, {"x": x, "targets": targets})
        share = 1 / (1 + np.exp(-(x @ w.T)))
        np.testing.assert_allclose(found["d:w"], (share - targets).T @ x / 3, rtol=1e-6)


def test_it_compiles_and_simulates_like_any_graph() -> None:
    x, w, b = arrays((2, 3), (4, 3), (4,))
    made = tw.gradient(classifier(), "energy")
    executable = tw.compile(made, "dlp-s", {"w": w, "b": b})
    found, wanted = executable.run(x=x), tw.execute(made, {"w": w, "b": b}, {"x": x})
    assert executable.cost.cycles > 0
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5)


def pair() -> tw.Graph:
    graph = classifier()
    return graph.replace(graph.sources, graph.nodes, ("y", "energy"))


MISTAKES: list[tuple[tw.Graph, dict[str, Any], str]] = [
    (pair(), {}, "network net must have one output, not 2; name the loss"),
    (
        classifier(),
        {"loss": "x"},
        "the loss must be one of cross_entropy, binary_cross_entropy, mean_squared_error or a value of real numbers "
        "that net makes, not 'x'",
    ),
    (
        classifier(),
        {"axis": 1},
        "the axis is that of a cross-entropy's classes; a value of the graph has none, leave it out",
    ),
    (classifier(), {"wanted": ["v"]}, "the loss must depend on v to have a gradient with respect to it"),
    (
        classifier(),
        {"wanted": ["y"]},
        "a gradient is with respect to a source of net that holds real numbers, not 'y'",
    ),
    (
        classifier(),
        {"wanted": []},
        "the loss must depend on a parameter of net to have a gradient; say what is wanted",
    ),
]


@pytest.mark.parametrize(("graph", "choices", "message"), MISTAKES)
def test_mistakes(graph: tw.Graph, choices: dict[str, Any], message: str) -> None:
    with pytest.raises(NetworkError) as caught:
        tw.gradient(graph, **choices)
    assert str(caught.value) == message
