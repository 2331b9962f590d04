"""Rewrites of the graph: text in, text out, and the same values before and after."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tilework.compiler.simplify import (
    Simplified,
    drop_identities,
    drop_unused,
    fold_batch_norm,
    merge_equal,
    readers,
    simplify,
)
from tilework.frontend.weight_files import seeded
from tilework.network.execute import execute
from tilework.network.graph_text import parse_graph
from tilework.network.weights import Weights

NORM = "".join(f"parameter {name} float32[4]\n" for name in ("gamma", "beta", "mean", "variance"))
CONV = "graph g\ninput x float32[2,3,5,5]\nparameter w float32[4,3,3,3]\nparameter b float32[4]\n" + NORM
LINEAR = "graph g\ninput x float32[2,6]\nparameter w float32[4,6]\nparameter b float32[4]\n" + NORM


def start(text: str) -> Simplified:
    graph = parse_graph(text)
    return Simplified(graph, seeded(graph, 7))


def body(state: Simplified) -> str:
    """Nodes and outputs as text, without the graph's name and sources."""
    lines = str(state.graph).splitlines()
    return "\n".join(line for line in lines if line.split()[0] not in ("graph", "input", "parameter", "buffer"))


def assert_same_values(before: Simplified, after: Simplified) -> None:
    generator = np.random.default_rng(1)
    inputs = {t.name: generator.standard_normal(t.shape, dtype=np.float32) for t in before.graph.inputs}
    want = execute(before.graph, before.weights, inputs)
    got = execute(after.graph, after.weights, inputs)
    assert got.keys() == want.keys()
    for name, values in want.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-4, atol=1e-4)


def test_readers_count_each_read_and_each_output() -> None:
    graph = parse_graph("graph g\ninput x float32[2]\ny = add(x, x)\nz = relu(y)\noutput y\noutput z\noutput z\n")
    assert readers(graph) == {"x": 2, "y": 2, "z": 2}


def test_dropout_goes() -> None:
    state = start("graph g\ninput x float32[2]\na = dropout(x)\nb = dropout(a)\nc = relu(b)\nd = add(b, c)\noutput d\n")
    after = drop_identities(state)
    assert body(after) == "c = relu(x)\nd = add(x, c)\noutput d"
    assert after.log == (
        "dropped a: dropout does nothing at inference",
        "dropped b: dropout does nothing at inference",
    )
    assert_same_values(state, after)


def test_a_dropout_that_is_an_output_stays() -> None:
    state = start("graph g\ninput x float32[2]\na = dropout(x)\nb = relu(a)\noutput a\noutput b\n")
    assert drop_identities(state) == state


@pytest.mark.parametrize(
    ("before", "nodes", "folded"),
    [
        (CONV, "y = conv2d(x, w, b, stride=[2,1])", "z = conv2d(x, y.weight:folded, y.bias:folded, stride=[2,1])"),
        (CONV, "y = conv2d(x, w)", "z = conv2d(x, y.weight:folded, y.bias:folded)"),
        (LINEAR, "y = linear(x, w, b)", "z = linear(x, y.weight:folded, y.bias:folded)"),
        (LINEAR, "y = linear(x, w)", "z = linear(x, y.weight:folded, y.bias:folded)"),
    ],
)
def test_batch_normalisation_becomes_weights(before: str, nodes: str, folded: str) -> None:
    norm = "z = batch_norm(y, gamma, beta, mean, variance, epsilon=0.1)"
    state = start(f"{before}{nodes}\n{norm}\noutput z\n")
    after = simplify(state.graph, state.weights)
    assert body(after) == f"{folded}\noutput z"
    assert after.log == ("folded z into the weights of y",)
    assert [t.name for t in after.graph.weights] == ["y.weight:folded", "y.bias:folded"]
    assert_same_values(state, after)


def test_grouped_convolution_is_folded() -> None:
    text = "graph g\ninput x float32[2,6,5,5]\nparameter w float32[4,3,3,3]\n" + NORM
    state = start(
        text + "y = conv2d(x, w, groups=2)\nz = batch_norm(y, gamma, beta, mean, variance)\nr = relu(z)\noutput r\n"
    )
    after = simplify(state.graph, state.weights)
    assert body(after) == "z = conv2d(x, y.weight:folded, y.bias:folded, groups=2)\nr = relu(z)\noutput r"
    assert_same_values(state, after)


def test_a_convolution_along_one_axis_is_folded() -> None:
    text = "graph g\ninput x float32[2,3,7]\nparameter w float32[4,3,2]\n" + NORM
    state = start(text + "y = conv1d(x, w, padding=[1])\nz = batch_norm(y, gamma, beta, mean, variance)\noutput z\n")
    after = simplify(state.graph, state.weights)
    assert body(after) == "z = conv1d(x, y.weight:folded, y.bias:folded, padding=[1])\noutput z"
    assert_same_values(state, after)


def test_what_normalises_another_axis_than_the_features_is_not_folded() -> None:
    text = "graph g\ninput x float32[2,4,6]\nparameter w float32[4,6]\n" + NORM
    state = start(text + "y = linear(x, w)\nz = batch_norm(y, gamma, beta, mean, variance)\noutput z\n")
    assert fold_batch_norm(state) == state


def test_layers_that_share_their_weight_are_folded_apart() -> None:
    state = start(
        "graph g\ninput x float32[2,4]\nparameter w float32[4,4]\nparameter other float32[4]\n"
        + NORM
        + "a = linear(x, w)\nb = batch_norm(a, gamma, beta, mean, variance)\n"
        + "c = linear(b, w)\nd = batch_norm(c, other, beta, mean, variance)\noutput d\n"
    )
    after = simplify(state.graph, state.weights)
    assert body(after) == (
        "b = linear(x, a.weight:folded, a.bias:folded)\nd = linear(b, c.weight:folded, c.bias:folded)\noutput d"
    )
    assert_same_values(state, after)


@pytest.mark.parametrize(
    "nodes",
    [
        "y = conv2d(x, w, b)\nz = batch_norm(y, gamma, beta, mean, variance)\noutput y\noutput z",
        "y = conv2d(x, w, b)\nz = batch_norm(y, gamma, beta, mean, variance)\ns = add(y, z)\noutput s",
        "y = conv2d(x, w, b)\nr = relu(y)\nz = batch_norm(r, gamma, beta, mean, variance)\noutput z",
        "input m float32[4]\ny = conv2d(x, w, b)\nz = batch_norm(y, gamma, beta, m, variance)\noutput z",
        "input v float32[4,3,3,3]\ny = conv2d(x, v, b)\nz = batch_norm(y, gamma, beta, mean, variance)\noutput z",
    ],
    ids=["inner is an output", "inner is read twice", "not directly behind", "mean is an input", "weight is an input"],
)
def test_what_must_not_be_folded(nodes: str) -> None:
    state = start(f"{CONV}{nodes}\n")
    assert fold_batch_norm(state) == state


def test_a_dead_reader_does_not_hinder_folding() -> None:
    state = start(f"{CONV}y = conv2d(x, w)\nz = batch_norm(y, gamma, beta, mean, variance)\nd = relu(y)\noutput z\n")
    after = simplify(state.graph, state.weights)
    assert after.log == ("dropped d: nothing reads it", "folded z into the weights of y")


def test_folding_a_negative_variance_warns_of_nothing() -> None:
    """As in the network itself, its square root is NaN."""
    state = start(f"{LINEAR}y = linear(x, w)\nz = batch_norm(y, gamma, beta, mean, variance)\noutput z\n")
    weights = Weights(state.weights.makers | {"variance": lambda: -np.ones(4, np.float32)}, "test")
    after = simplify(state.graph, weights)
    assert np.isnan(after.weights["y.weight:folded"]).all()
    assert np.isnan(after.weights["y.bias:folded"]).all()


def test_weights_are_read_when_they_are_needed() -> None:
    graph = parse_graph(f"{LINEAR}y = linear(x, w)\nz = batch_norm(y, gamma, beta, mean, variance)\noutput z\n")

    def fail() -> Any:
        raise AssertionError("a weight was read")

    simplify(graph, Weights({t.name: fail for t in graph.weights}, "test"))


def test_what_nobody_reads_goes() -> None:
    state = start(f"{CONV}d = relu(x)\ne = relu(d)\ny = conv2d(x, w)\noutput y\n")
    after = drop_unused(state)
    assert body(after) == "y = conv2d(x, w)\noutput y"
    assert [t.name for t in after.graph.sources] == ["x", "w"]
    assert after.log == ("dropped e: nothing reads it", "dropped d: nothing reads it")


def test_inputs_stay_even_if_nobody_reads_them() -> None:
    state = start("graph g\ninput x float32[2]\ninput unused float32[3]\ny = relu(x)\noutput y\n")
    assert [t.name for t in simplify(state.graph, state.weights).graph.inputs] == ["x", "unused"]


def test_of_equal_nodes_the_first_stays() -> None:
    """Also of nodes that are equal only once others are merged."""
    nodes = "a = relu(x)\nb = relu(x)\nc = tanh(a)\nd = tanh(b)\ny = add(c, d)\noutput y\n"
    state = start(f"graph g\ninput x float32[2,3]\n{nodes}")
    after = merge_equal(state)
    assert body(after) == "a = relu(x)\nc = tanh(a)\ny = add(c, c)\noutput y"
    assert after.log == ("merged b into a, which is equal to it", "merged d into c, which is equal to it")
    assert [(change.operations, change.bytes) for change in after.changes] == [(6, 48), (6, 48)]
    assert_same_values(state, after)


@pytest.mark.parametrize(
    "nodes",
    [
        "a = softmax(x, axis=0)\nb = softmax(x, axis=1)\ny = add(a, b)\noutput y",
        "a = sub(x, w)\nb = sub(w, x)\ny = add(a, b)\noutput y",
        "a = relu(x)\nb = relu(x)\noutput a\noutput b",
        'a = host(what="random", shape=[2])\nb = host(what="random", shape=[2])\ny = add(a, b)\noutput y',
        'a = pointwise(x, body="x0") as float16\nb = pointwise(x, body="x0") as bfloat16\noutput a\noutput b\n'
        'c = pointwise(a, body="x0") as float32\nd = pointwise(b, body="x0") as float32\ny = add(c, d)\noutput y',
    ],
    ids=["attributes", "order of inputs", "outputs", "random numbers", "dtypes"],
)
def test_what_is_not_equal_is_not_merged(nodes: str) -> None:
    state = start(f"graph g\ninput x float32[2,2]\nparameter w float32[2,2]\n{nodes}\n")
    assert merge_equal(state) == state


def test_what_each_change_saves() -> None:
    """By hand: a 3x3 window of 3 channels is 27 multiply-accumulates, and the bias one addition."""
    text = f"{CONV}d = relu(x)\nq = dropout(x)\nr = conv2d(q, w, b)\ns = conv2d(x, w, b)\ny = add(r, s)\noutput y\n"
    state = start(text)
    after = simplify(state.graph, state.weights)
    places, image, weights = 2 * 4 * 3 * 3, 2 * 3 * 5 * 5, 4 * 27 + 4
    assert [(c.action, c.node, c.operations, c.bytes) for c in after.changes] == [
        ("dropped", "d", image, 8 * image),
        ("dropped", "q", 0, 0),
        ("merged", "s", places * (2 * 27 + 1), 4 * (image + weights + places)),
    ]
    assert_same_values(state, after)
