"""Blocks over rows: softmax and normalisations in one tile, on machines that hold many rows, one, or not even that."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tilework.compiler.fuse import fuse
from tilework.compiler.pipeline import compile_graph
from tilework.frontend.weight_files import seeded
from tilework.machine.machine import Machine
from tilework.network.execute import execute
from tilework.network.graph_text import parse_graph
from tilework.simulator.cycle import simulate
from tilework.simulator.functional import run
from tilework.simulator.hazards import find_races

Small = Callable[..., Machine]

TEXTS = {
    "softmax": "input x float32[6,40]\ny = softmax(x)\noutput y\n",
    "softmax along columns": "input x float32[6,40]\ny = softmax(x, axis=0)\noutput y\n",
    "layer norm": "input x float32[6,40]\nparameter w float32[40]\nparameter b float32[40]\n"
    "y = layer_norm(x, w, b, axes=1)\noutput y\n",
    "scores": "input q float32[3,6,8]\ninput k float32[3,40,8]\ns = matmul(q, k, transpose_y=true)\n"
    'z = pointwise(s, what="scale", body="x0 * 0.3")\ny = softmax(z)\noutput y\n',
    "after an addition": "input x float32[6,40]\ninput r float32[6,40]\ns = add(x, r)\ny = softmax(s)\n"
    "z = relu(y)\noutput z\n",
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("memory", [1 << 16, 1 << 10, 400])
def test_values_and_traffic_on_small_machines(name: str, memory: int, small: Small) -> None:
    """With room for a row of each tensor every byte moves once; with less the group is cut, and is right as well."""
    graph = parse_graph(f"graph g\n{TEXTS[name]}")
    weights = seeded(graph)
    compilation = compile_graph(graph, weights, small(memory, 1 << 14))
    generator = np.random.default_rng(1)
    inputs = {t.name: generator.standard_normal(t.shape, dtype=np.float32) for t in graph.inputs}
    want = execute(graph, {name: weights[name] for name in weights}, inputs)
    for output, values in run(compilation.program, inputs).items():
        np.testing.assert_allclose(values, want[output], rtol=2e-5, atol=1e-6)
    assert find_races(compilation.program) == []
    cost = simulate(compilation.program)
    assert cost.dram_bytes >= cost.dram_bytes_bound
    if name in ("softmax", "layer norm", "after an addition") and memory > 400:
        assert len(compilation.groups) == 1
        assert cost.dram_bytes <= 1.5 * cost.compulsory_bytes
    if memory == 400 and name not in ("softmax along columns", "scores"):
        assert len(compilation.groups) > 1


def test_rows_are_not_cut() -> None:
    (group,) = fuse(parse_graph(f"graph g\n{TEXTS['softmax']}"))
    assert [nest.kind for nest in group.nests] == ["reduction", "elementwise", "reduction", "elementwise"]
    assert group.compulsory_bytes == 2 * 4 * 6 * 40


def test_a_norm_of_separate_nodes_is_one_group_too() -> None:
    """As a network from elsewhere has it: squares, their mean, its root, and the row divided by it."""
    text = """graph g
input x float32[6,40]
parameter w float32[40]
q = mul(x, x)
m = reduce(q, what="mean", axes=[1], keep=true, mean=true)
r = pointwise(m, what="rsqrt", body="1 / sqrt(x0 + 1e-6)")
n = mul(x, r)
y = mul(n, w)
output y
"""
    (group,) = fuse(parse_graph(text))
    assert group.nodes == ("q", "m", "r", "n", "y")
