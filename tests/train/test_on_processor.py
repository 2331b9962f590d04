"""The same training in NumPy, step by step, and by a program on the simulated processor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import tilework as tw
from tilework.frontend.weight_files import seeded
from tilework.frontend.zoo import network
from tilework.network.graph import INPUT

NETWORKS = {
    "mlp": network("mlp", 8, (12,), sizes=(12, 10, 4)),
    "lenet5": network("lenet5", 2),
}
HOSTS = {"mlp": [], "lenet5": ["conv2d backward d:pool1: runs backwards through a tensor"]}


@pytest.mark.parametrize(("name", "steps"), [("mlp", 6), ("lenet5", 2)])
def test_the_processor_learns_as_numpy_does(name: str, steps: int) -> None:
    """One program, compiled once: the weights are inputs of it, and each step's outputs are the next one's weights.

    A kernel that is an input can't be turned around before the program starts, so the host computes what needs that.
    """
    graph = NETWORKS[name]
    step = tw.training_step(graph, rate=0.01)
    on_chip = step.replace((replace(tensor, role=INPUT) for tensor in step.sources), step.nodes, step.outputs)
    executable = tw.compile(on_chip, "dlp-s")
    assert [line for part in executable.bundle.host_parts for line in part.operations] == HOSTS[name]
    weights = {name: array.copy() for name, array in seeded(graph).items()}
    theirs = {name: array.copy() for name, array in weights.items()}
    engine = tw.Engine(step, weights)
    generator = np.random.default_rng(2)
    (x,) = graph.inputs
    classes = graph.tensors[graph.outputs[0]].shape[-1]
    given = {
        x.name: generator.standard_normal(x.shape).astype(np.float32),
        "targets": np.eye(classes, dtype=np.float32)[generator.integers(0, classes, x.shape[0])],
    }
    losses = []
    for _ in range(steps):
        found, ours = executable.run(**given, **theirs), engine.run(given)
        losses.append(float(ours["loss"]))
        np.testing.assert_allclose(found["loss"], losses[-1], rtol=1e-4)
        for key in weights:
            np.testing.assert_allclose(found[f"new:{key}"], ours[f"new:{key}"], rtol=1e-3, atol=1e-5)
            weights[key][...] = ours[f"new:{key}"]
            theirs[key] = found[f"new:{key}"]
    assert losses == sorted(losses, reverse=True)
