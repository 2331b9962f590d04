"""Seeded random weights: what they depend on, and where they lie."""

from __future__ import annotations

import numpy as np

from tilework.frontend.onnx_runtime import run_onnx
from tilework.frontend.weight_files import seeded
from tilework.frontend.zoo import network


def test_seeded_covers_the_graph() -> None:
    graph = network("resnet18")
    weights = seeded(graph, 4)
    assert weights.origin == "seeded random (seed 4)"
    assert {n: (a.shape, a.dtype.name) for n, a in weights.items()} == {
        t.name: (t.shape, "float32") for t in graph.weights
    }


def test_seeded_depends_on_seed_and_name_only() -> None:
    first, again, other = seeded(network("resnet18")), seeded(network("resnet18")), seeded(network("resnet18"), 1)
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
        assert not np.array_equal(first[name], other[name])
    assert not np.array_equal(first["bn1.weight"], first["bn1.running_var"])
    np.testing.assert_array_equal(
        seeded(network("resnet18"))["conv1.weight"], seeded(network("resnet50"))["conv1.weight"]
    )


def test_seeded_numbers_never_change() -> None:
    np.testing.assert_array_equal(
        seeded(network("lenet5"))["conv1.bias"],
        np.array([0.08107101, -0.027696908, 0.044702716, 0.08167597, -0.006836131, 0.049632736], np.float32),
    )


def test_seeded_ranges() -> None:
    weights = seeded(network("resnet50"))
    convolution = weights["layer1.0.conv2.weight"]
    bound = np.sqrt(6 / (64 * 9))
    assert 0.99 * bound < np.abs(convolution).max() <= bound * (1 + 1e-6)
    assert abs(float(convolution.mean())) < 0.01 * bound
    for name, low, high in [
        ("bn1.weight", 0.5, 1.5),
        ("bn1.running_var", 0.5, 1.5),
        ("bn1.bias", -0.1, 0.1),
        ("bn1.running_mean", -0.1, 0.1),
        ("layer1.0.bn3.weight", 0.5, 0.9),
        ("layer1.0.downsample.1.weight", 0.5, 0.9),
        ("layer1.1.bn3.weight", 0.05, 0.15),
        ("fc.bias", -0.1, 0.1),
    ]:
        values = weights[name]
        assert low <= values.min() < low + 0.2 * (high - low), name
        assert high - 0.2 * (high - low) < values.max() <= high + 1e-6, name


def test_seeded_arrays_are_anew() -> None:
    weights = seeded(network("resnet18"))
    weights["fc.weight"][:] = 0
    assert weights["fc.weight"].any()


def test_values_stay_sensible_in_the_deepest_network() -> None:
    graph = network("resnet152", input_shape=(3, 64, 64))
    inside = [node.name for node in graph.nodes if node.operation == "relu"]
    graph = graph.replace(graph.sources, graph.nodes, [*inside, "fc", "softmax"])
    image = np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32)
    values = run_onnx(graph, seeded(graph), {"image": image})
    for name in inside:
        assert 0.1 < np.sqrt(np.mean(values[name] ** 2)) < 20, name
    assert 0.5 < values["fc"].std() < 20
    assert values["softmax"].max() < 0.99
