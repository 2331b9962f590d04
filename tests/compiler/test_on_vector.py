"""Depthwise convolutions: on the vector unit, or on the matrix unit with pixels as columns, whichever is quicker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tilework.compiler.fuse import fuse
from tilework.compiler.on_vector import on_vector
from tilework.compiler.pipeline import compile_graph
from tilework.frontend.weight_files import seeded
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.network.execute import execute
from tilework.network.graph_text import parse_graph
from tilework.simulator.cycle import simulate
from tilework.simulator.functional import run

Small = Callable[..., Machine]


def depthwise(channels: int, groups: int, stride: int, padding: int) -> str:
    return (
        f"graph g\ninput x float32[2,{channels},9,11]\nparameter w float32[{channels},{channels // groups},3,3]\n"
        f"parameter b float32[{channels}]\n"
        f"y = conv2d(x, w, b, groups={groups}, stride=[{stride},{stride}], padding=[{padding},{padding}])\n"
        "z = relu(y)\noutput z\n"
    )


def narrow(machine: Machine) -> Machine:
    """The machine with a matrix unit that finishes one sum at a time."""
    return replace(machine, matrix=replace(machine.matrix, neurons=1))


@pytest.mark.parametrize("on_matrix", [True, False])
@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 1), (2, 1), (2, 2)])
def test_values_are_those_of_the_network(stride: int, padding: int, on_matrix: bool, small: Small) -> None:
    graph = parse_graph(depthwise(12, 12, stride, padding))
    weights = seeded(graph)
    machine = small(1 << 13, 1 << 12)
    compilation = compile_graph(graph, weights, machine if on_matrix else narrow(machine))
    (group,) = compilation.groups
    assert group.swapped == on_matrix
    assert len(group.nests) == (3 if on_matrix else 4)
    inputs = {"x": np.random.default_rng(2).standard_normal((2, 12, 9, 11), dtype=np.float32)}
    want = execute(graph, {name: weights[name] for name in weights}, inputs)["z"]
    np.testing.assert_allclose(run(compilation.program, inputs)["z"], want, rtol=1e-5, atol=1e-5)


def test_only_where_there_are_no_columns() -> None:
    found = {groups: fuse(parse_graph(depthwise(12, groups, 1, 1)))[0] for groups in (12, 6, 1)}
    assert [on_vector(group) is None for group in found.values()] == [False, True, True]


def test_it_is_quicker_where_it_is_chosen() -> None:
    """16 sums of a channel a cycle where pixels are columns; 64 lanes do a product and a sum for each place of a window
    where the matrix unit finishes one sum a cycle."""
    graph, machine = parse_graph(depthwise(64, 64, 1, 1)), load_machine("dlp-s")
    (swapped,) = compile_graph(graph, seeded(graph), machine).groups
    on_lanes = simulate(compile_graph(graph, seeded(graph), narrow(machine)).program)
    assert swapped.swapped
    assert (on_lanes.macs, on_lanes.instruction_counts.get("contract", 0)) == (0, 0)
    assert on_lanes.cycles < 2 * 64 * 9 * 11
