"""Rows that are longer than the scratchpad: they are reduced part by part, whatever is done to each place first."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tilework.compiler.pipeline import compile_graph
from tilework.frontend.weight_files import seeded
from tilework.machine.machine import Machine
from tilework.network.execute import execute
from tilework.network.graph_text import parse_graph
from tilework.simulator.functional import run

ROW = "input x float32[2,3001]\n"
VOLUME = "input x float32[1,4,11,12,13]\n"
CASES = {
    "layer_norm": ROW + "y = layer_norm(x)",
    "rms_norm": ROW + "parameter g float32[3001]\ny = rms_norm(x, g)",
    "softmax": ROW + "y = softmax(x)",
    "log_softmax": ROW + "y = log_softmax(x)",
    "softmax along columns": "input x float32[3001,2]\ny = softmax(x, axis=0)",
    "sum of squares": ROW + 'y = pointwise(x, body="x0 * x0 + 1")\nz = reduce(y, axes=[1])',
    "maximum": ROW + 'y = reduce(x, axes=[1], update="max=")',
    "group_norm of a volume": VOLUME + "parameter g float32[4]\ny = group_norm(x, g, groups=2)",
    "maximum of a volume": VOLUME + 'y = reduce(x, axes=[2,3,4], update="max=")',
    "products of volumes": "input x float32[11,12,13]\ninput w float32[11,12,13]\n"
    'y = nests(x, w, body="i<11 j<12 k<13: o[] += x0[i,j,k] * x1[i,j,k]", shape=[])',
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("nram", [2048, 256])
def test_rows_longer_than_the_scratchpad(name: str, nram: int, small: Callable[..., Machine]) -> None:
    text = CASES[name]
    graph = parse_graph(f"graph g\n{text}\noutput {text.splitlines()[-1].partition(' ')[0]}\n")
    generator = np.random.default_rng(0)
    inputs = {t.name: generator.standard_normal(t.shape, dtype=np.float32) + 1 for t in graph.inputs}
    weights = seeded(graph, 3)
    program = compile_graph(graph, weights, small(nram, nram)).program
    ((found,), (wanted,)) = (tuple(made.values()) for made in (run(program, inputs), execute(graph, weights, inputs)))
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5 * float(np.abs(wanted).max()))


def test_as_many_loops_of_a_sum_are_cut_as_there_must_be(small: Callable[..., Machine]) -> None:
    """Of 11 x 12 x 13 places: the longest loop, two, or all three."""
    graph = parse_graph("graph g\ninput x float32[4,11,12,13]\ny = reduce(x, axes=[1,2,3])\noutput y\n")
    cut = {nram: compile_graph(graph, seeded(graph, 3), small(nram)).tilings[0] for nram in (8192, 1024, 128)}
    assert {nram: len(tiling.order) - tiling.parallel for nram, tiling in cut.items()} == {8192: 1, 1024: 2, 128: 3}
