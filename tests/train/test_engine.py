"""An engine's values against those of the same graph executed once."""

from __future__ import annotations

import numpy as np
import pytest

from tilework.errors import NetworkError
from tilework.frontend.weight_files import seeded
from tilework.frontend.zoo import network
from tilework.network.execute import execute
from tilework.network.graph import Graph
from tilework.network.training import training_step
from tilework.train.engine import Engine

Arrays = dict[str, np.ndarray]


def values(graph: Graph, seed: int = 0) -> Arrays:
    generator = np.random.default_rng(seed)
    return {t.name: generator.standard_normal(t.shape).astype(t.dtype) for t in graph.inputs}


@pytest.mark.parametrize("graph", [network("lenet5", 8), network("mlp", 4, sizes=(784, 20, 10))], ids=lambda g: g.name)
def test_steps_are_those_of_the_graph(graph: Graph) -> None:
    step = training_step(graph)
    weights = dict(seeded(graph))
    engine = Engine(step, weights)
    for run in range(3):
        given = values(step, run)
        expected = execute(step, weights, given)
        found = engine.run(given)
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-5)
        for name in weights:
            weights[name][...] = found[f"new:{name}"]


def test_outputs_are_written_where_they_are_wanted() -> None:
    step = training_step(network("mlp", 4, sizes=(784, 20, 10)))
    flat = np.zeros(20 * 784 + 20, np.float32)
    views = {"new:fc1.weight": flat[: 20 * 784].reshape(20, 784), "new:fc1.bias": flat[20 * 784 :]}
    weights = dict(seeded(step))
    found = Engine(step, weights, outputs=views).run(values(step))
    expected = execute(step, weights, values(step))
    for name, array in views.items():
        assert found[name] is array
        np.testing.assert_allclose(array, expected[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"fc1": np.zeros((4, 20), np.float32)}, "an array to write to must be for an output of mlp, not for 'fc1'"),
        (
            {"softmax": np.zeros((4, 20), np.float32)},
            "the array for output softmax must be float32[4, 10], not float32[4, 20]",
        ),
    ],
)
def test_arrays_that_do_not_fit(outputs: Arrays, message: str) -> None:
    graph = network("mlp", 4, sizes=(784, 20, 10))
    with pytest.raises(NetworkError) as caught:
        Engine(graph, seeded(graph), outputs=outputs)
    assert str(caught.value) == message
