"""Divisions by a number that many share become products with its inverse, where their own node makes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tilework.compiler.inverse import with_inverses
from tilework.compiler.pipeline import compile_graph
from tilework.compiler.statement import statements
from tilework.frontend.weight_files import seeded
from tilework.machine.machine import Machine
from tilework.network.execute import execute
from tilework.network.graph_text import parse_graph
from tilework.simulator.cycle import simulate
from tilework.simulator.functional import run

SOFTMAX = "graph g\ninput x float32[6,{n}]\ny = softmax(x)\noutput y\n"


def nests(text: str) -> list[str]:
    return [str(statement.nest) for statement in with_inverses(statements(parse_graph(text))).items]


def test_a_softmax_divides_once_a_row() -> None:
    assert nests(SOFTMAX.format(n=40))[-2:] == [
        "a<6: y:inverse[a] = 1 / y:z[a]",
        "a<6 b<40: y[a,b] = y:t[a,b] * y:inverse[a]",
    ]


def test_the_inverse_is_a_tensor_of_the_result_s_dtype() -> None:
    given = with_inverses(statements(parse_graph(SOFTMAX.format(n=40).replace("float32", "float64"))))
    assert (given.tensors["y:inverse"].shape, given.tensors["y:inverse"].dtype) == ((6,), "float64")


@pytest.mark.parametrize(
    "text",
    [
        SOFTMAX.format(n=7),
        "graph g\ninput x float32[6,40]\ninput z float32[6,1]\ny = div(x, z)\noutput y\n",
        "graph g\ninput x float32[6,40]\ninput z float32[6,40]\ny = div(x, z)\noutput y\n",
        "graph g\ninput x float32[6,40]\ny = relu(x)\noutput y\n",
    ],
    ids=["few in a row", "another's divisor", "each its own", "no division"],
)
def test_what_stays_as_it_is(text: str) -> None:
    given = statements(parse_graph(text))
    assert with_inverses(given) == given


def test_values_and_time(small: Callable[..., Machine]) -> None:
    """Five instructions of one cycle for a group of lanes go over the rows; a division would take 40."""
    machine = small(1 << 16, 1 << 14)
    machine = replace(machine, vector=replace(machine.vector, cycles={"div": 40}))
    graph = parse_graph(SOFTMAX.format(n=400))
    program = compile_graph(graph, seeded(graph), machine).program
    x = np.random.default_rng(2).standard_normal((6, 400), dtype=np.float32)
    (got,) = run(program, {"x": x}).values()
    np.testing.assert_allclose(got, execute(graph, {}, {"x": x})["y"], rtol=2e-6)
    (layer,) = simulate(program).layers
    assert layer.busy_cycles["vector"] <= 1.1 * 5 * 6 * 400 / machine.vector.lanes
