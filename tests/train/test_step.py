"""A training step against torch's, with dropout and batch normalisation as they are while learning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tilework.errors import NetworkError
from tilework.network.graph import Graph, GraphBuilder
from tilework.train.initial import initial_weights
from tilework.train.parameters import Parameters
from tilework.train.step import TrainingStep, rebatched

CLASSES = 3


def network(batch: int = 6, p: float = 0.25) -> Graph:
    g = GraphBuilder("net")
    x = g.input("x", (batch, 2, 5, 5))
    x = g.node("conv", "conv2d", x, g.weight("conv.weight", (4, 2, 3, 3)), g.weight("conv.bias", (4,)))
    trained = [g.weight(f"norm.{key}", (4,)) for key in ("weight", "bias")]
    running = [g.weight(f"norm.{key}", (4,), trainable=False) for key in ("running_mean", "running_var")]
    x = g.node("relu", "relu", g.node("norm", "batch_norm", x, *trained, *running))
    x = g.node("drop", "dropout", g.node("flat", "flatten", x), p=p)
    weights = (g.weight("fc.weight", (CLASSES, 36)), g.weight("fc.bias", (CLASSES,)))
    return g.graph(g.node("fc", "linear", x, *weights))


def begun(graph: Graph) -> Parameters:
    return Parameters(graph, initial_weights(graph))


def torchs(graph: Graph, weights: dict[str, Any], images: Any, targets: Any) -> tuple[float, dict[str, Any]]:
    """Loss, gradients and running statistics of torch, without dropout."""
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    p = {t.name: torch.from_numpy(weights[t.name].copy()).requires_grad_(t.role == "parameter") for t in graph.weights}
    x = f.conv2d(torch.from_numpy(images), p["conv.weight"], p["conv.bias"])
    running = p["norm.running_mean"], p["norm.running_var"]
    x = f.batch_norm(x, *running, p["norm.weight"], p["norm.bias"], training=True)
    x = f.linear(torch.relu(x).flatten(1), p["fc.weight"], p["fc.bias"])
    loss = f.cross_entropy(x, torch.from_numpy(targets))
    loss.backward()
    found = {name: (value.grad if value.requires_grad else value).numpy() for name, value in p.items()}
    return loss.item(), found


def batch(size: int = 6) -> tuple[Any, Any]:
    generator = np.random.default_rng(0)
    images = generator.normal(size=(size, 2, 5, 5)).astype(np.float32)
    return images, np.eye(CLASSES, dtype=np.float32)[generator.integers(0, CLASSES, size)]


def test_a_step_is_torchs_with_the_batchs_statistics() -> None:
    graph = network(p=0.0)
    weights = initial_weights(graph)
    step = TrainingStep(graph, Parameters(graph, weights))
    images, targets = batch()
    loss, expected = torchs(graph, weights, images, targets)
    assert step(images, targets) == pytest.approx(loss, rel=1e-5)
    for name, slope in step.parameters.slopes.items():
        np.testing.assert_allclose(slope, expected[name], atol=2e-6)
    for name, value in step.parameters.buffers.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6)


def test_gradients_follow_the_parameters_where_they_are() -> None:
    graph = network(p=0.0)
    step = TrainingStep(graph, begun(graph))
    images, targets = batch()
    first = step(images, targets)
    for _ in range(20):
        step(images, targets)
        step.parameters.values -= 0.1 * step.parameters.gradients
    assert step(images, targets) < first / 2


def test_dropout_drops_its_share_and_keeps_the_mean() -> None:
    g = GraphBuilder("net")
    x = g.node("scaled", "mul", g.input("x", (200, 100)), g.weight("w", (100,)))
    graph = g.graph(g.node("drop", "dropout", x, p=0.3))
    parameters, generator = Parameters(graph, {"w": np.ones(100)}), np.random.default_rng(1)
    step = TrainingStep(graph, parameters, "mean_squared_error", generator=generator)
    step(np.ones((200, 100), np.float32), np.zeros((200, 100), np.float32))
    mask = step._inputs["mask:drop"]
    np.testing.assert_allclose(np.unique(mask), [0, 1 / 0.7], rtol=1e-6)
    assert np.mean(mask == 0) == pytest.approx(0.3, abs=0.01)
    expected = 2 * (mask**2).sum(0) / mask.size
    np.testing.assert_allclose(step.parameters.slopes["w"], expected, rtol=1e-4)


def test_the_same_seed_drops_the_same() -> None:
    images, targets = batch()
    seeds = (7, 7, 8)
    steps = [TrainingStep(network(), begun(network()), generator=np.random.default_rng(s)) for s in seeds]
    first, again, other = (step(images, targets) for step in steps)
    assert first == again != other


def test_another_batch_is_the_same_network() -> None:
    assert rebatched(network(6), 2) == network(2)


def test_a_network_of_two_inputs_is_refused() -> None:
    g = GraphBuilder("net")
    x = g.node("y", "add", g.input("a", (2, 3)), g.input("b", (2, 3)))
    graph = g.graph(g.node("z", "mul", x, g.weight("w", (3,))))
    with pytest.raises(NetworkError) as raised:
        TrainingStep(graph, Parameters(graph, {"w": np.ones(3)}))
    assert str(raised.value) == "network net must have one input to be trained, not 2"
