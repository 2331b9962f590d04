"""Nests taken apart for the processor, and training steps, which need it: values, races, what stays on the host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tilework.compiler.runnable import why_not
from tilework.compiler.separate import separated
from tilework.errors import NetworkError
from tilework.executable import compile_network
from tilework.frontend.weight_files import seeded
from tilework.frontend.zoo import network
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.network.execute import execute
from tilework.network.graph import Graph
from tilework.network.graph_text import parse_graph
from tilework.network.training import training_step
from tilework.simulator.functional import unwritten_reads
from tilework.simulator.hazards import find_hazards, find_races

Small = Callable[..., Machine]

CONVOLUTIONAL = """graph convolutional
input x float32[2,3,9,9]
parameter c1.weight float32[4,3,3,3]
parameter b1.weight float32[4]
parameter b1.bias float32[4]
buffer b1.mean float32[4]
buffer b1.var float32[4]
parameter c2.weight float32[4,2,3,3]
parameter c2.bias float32[4]
parameter c3.weight float32[6,4,3,3]
parameter fc.weight float32[5,24]
c1 = conv2d(x, c1.weight, padding=[1,1])
b1 = batch_norm(c1, b1.weight, b1.bias, b1.mean, b1.var)
r1 = relu(b1)
p1 = max_pool2d(r1, kernel=[3,3], stride=[2,2], padding=[1,1])
c2 = conv2d(p1, c2.weight, c2.bias, padding=[1,1], groups=2)
sum = add(c2, p1)
c3 = conv2d(sum, c3.weight, stride=[2,2], padding=[1,1])
p2 = avg_pool2d(c3, kernel=[2,2], stride=[1,1])
flat = flatten(p2)
fc = linear(flat, fc.weight)
softmax = softmax(fc)
output softmax
"""

NORMALISED = """graph normalised
input x float32[2,6]
parameter w float32[6,6]
parameter g float32[6]
parameter b float32[6]
a = linear(x, w)
f = reshape(a, shape=[2,6,1])
n = group_norm(f, g, b, groups=3)
k = rms_norm(n, axes=2)
e = pointwise(k, what="gelu", body="0.5 * x0 * (1 + erf(x0 * 0.7071067811865476))")
flat = flatten(e)
output flat
"""

TURNED = """graph turned
input x float32[2,4]
parameter w float32[6,4]
parameter v float32[3,3]
a = linear(x, w)
b = slice(a, axis=1, start=5, step=-2, size=3)
c = linear(b, v)
output c
"""

NETWORKS = {
    "mlp": network("mlp", 4, sizes=(784, 30, 20, 10)),
    "lenet5": network("lenet5", 2),
    "convolutional": parse_graph(CONVOLUTIONAL),
    "normalised": parse_graph(NORMALISED),
    "encoder": network("encoder", 2, (6, 16), heads=4, feedforward=32),
    "lstm": network("lstm", 2, (3, 5), hidden=4),
}


def inputs_of(graph: Graph) -> dict[str, Any]:
    generator = np.random.default_rng(5)
    return {t.name: generator.standard_normal(t.shape, dtype=np.float32) for t in graph.inputs}


@pytest.mark.parametrize("scratchpad", [0, 16384], ids=["dlp-s", "small"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_training_step_runs_whole_on_the_processor(name: str, scratchpad: int, small: Small) -> None:
    graph = NETWORKS[name]
    step = training_step(graph, axis=len(graph.tensors[graph.outputs[0]].shape) - 1, rate=0.1)
    weights, inputs = seeded(graph, 1), inputs_of(step)
    machine = small(scratchpad, scratchpad) if scratchpad else load_machine("dlp-s")
    executable = compile_network(step, machine, weights)
    assert not executable.bundle.host_parts
    assert find_races(executable.program) == []
    assert find_hazards(executable.program) == []
    assert unwritten_reads(executable.program, inputs) == []
    expected, found = execute(step, weights, inputs), executable.run(**inputs)
    assert found.keys() == expected.keys()
    for output, values in expected.items():
        np.testing.assert_allclose(found[output], values, rtol=1e-4, atol=1e-5)


def test_what_runs_backwards_stays_with_the_host_and_is_named() -> None:
    graph = parse_graph(TURNED)
    step = training_step(graph, rate=0.1)
    weights, inputs = seeded(graph, 1), inputs_of(step)
    executable = compile_network(step, "dlp-s", weights)
    refused = [line for line in executable.bundle.host_operations if "backwards" in line]
    assert refused == [
        "slice b: runs backwards through a tensor",
        "slice backward d:a: runs backwards through a tensor",
    ]
    expected, found = execute(step, weights, inputs), executable.run(**inputs)
    for output, values in expected.items():
        np.testing.assert_allclose(found[output], values, rtol=1e-4, atol=1e-5)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    size=st.tuples(st.integers(2, 7), st.integers(2, 7)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    ceil=st.booleans(),
    what=st.sampled_from(("max", "avg")),
)
def test_poolings_gradients_are_nests_of_the_processor(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    ceil: bool,
    what: str,
) -> None:
    """Windows that overlap, hang over the edge and leave places out."""
    pool = {"kernel": kernel, "stride": stride, "padding": [k // 2 for k in kernel], "ceil": str(ceil).lower()}
    pool |= {"dilation": dilation} if what == "max" else {}
    attributes = ", ".join(f"{key}={list(value) if isinstance(value, tuple) else value}" for key, value in pool.items())
    try:
        graph = parse_graph(
            f"graph pooled\nparameter x float32[1,2,{size[0]},{size[1]}]\n"
            f"y = {what}_pool2d(x, {attributes})\nf = flatten(y)\noutput f\n"
        )
    except NetworkError:
        assume(False)
    step = training_step(graph, "mean_squared_error")
    apart = separated(step)
    assert [node.name for node in apart.nodes if why_not(apart, node)] == []
    weights, inputs = seeded(graph), inputs_of(step)
    expected = execute(step, weights, inputs)
    for output, values in execute(apart, weights, inputs).items():
        np.testing.assert_allclose(values, expected[output], rtol=1e-5, atol=1e-6)


def test_the_terms_of_a_sum_over_several_tensors() -> None:
    graph = parse_graph(
        "graph g\ninput x float32[2,3]\ninput y float32[3]\n"
        'z = nests(x, y, body="a<2 b<3: o[a] += x0[a,b] * x0[a,b] * x1[b]", shape=[2], what="weighed")\noutput z\n'
    )
    assert str(separated(graph)).splitlines()[3:-1] == [
        'z:terms = nests(x, y, body="a<2 b<3: o[a,b] = x0[a,b] * x0[a,b] * x1[b]", shape=[2,3], what="weighed")',
        'z = nests(z:terms, body="a<2 b<3: o[a] += x0[a,b]", shape=[2], what="weighed")',
    ]


@pytest.mark.parametrize("name", ["lenet5", "lstm", "encoder"])
def test_a_network_that_runs_stays_as_it_is(name: str) -> None:
    assert separated(NETWORKS[name]) is NETWORKS[name]
