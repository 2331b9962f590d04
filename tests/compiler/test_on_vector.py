"""Depthwise convolutions: on the vector unit, or on the matrix unit with pixels as columns, whichever is quicker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tilework.compiler.fuse import fuse
from tilework.compiler.group import Group
from tilework.compiler.on_vector import on_vector
from tilework.compiler.pipeline import compile_graph
from tilework.compiler.search import Search
from tilework.frontend.weight_files import seeded
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.network.execute import execute
from tilework.network.graph_text import parse_graph
from tilework.simulator.cycle import simulate
from tilework.simulator.functional import run
from tilework.simulator.hazards import find_races

Small = Callable[..., Machine]


def depthwise(channels: int, groups: int, stride: int, padding: int) -> str:
    return (
        f"graph g\ninput x float32[2,{channels},9,11]\nparameter w float32[{channels},{channels // groups},3,3]\n"
        f"parameter b float32[{channels}]\n"
        f"y = conv2d(x, w, b, groups={groups}, stride=[{stride},{stride}], padding=[{padding},{padding}])\n"
        "z = relu(y)\noutput z\n"
    )


FORMS: dict[str, Callable[[Group], Group | None]] = {
    "as it is": lambda group: group,
    "swapped": lambda group: replace(group, swapped=True),
    "on lanes": on_vector,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 1), (2, 1), (2, 2)])
def test_values_are_those_of_the_network(
    stride: int, padding: int, form: str, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = parse_graph(depthwise(12, 12, stride, padding))
    weights = seeded(graph)
    monkeypatch.setattr(Search, "better", lambda _, group, machine: FORMS[form](group))
    program = compile_graph(graph, weights, small(1 << 13, 1 << 12)).program
    multiplies = {i.mnemonic for i in program.instructions} & {"contract", "rdot"}
    assert multiplies == {"rdot" if form == "on lanes" else "contract"}
    inputs = {"x": np.random.default_rng(2).standard_normal((2, 12, 9, 11), dtype=np.float32)}
    want = execute(graph, {name: weights[name] for name in weights}, inputs)["z"]
    np.testing.assert_allclose(run(program, inputs)["z"], want, rtol=1e-5, atol=1e-5)
    assert find_races(program) == []


def test_a_weight_may_be_read_backwards_on_the_lanes(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the gradient of a depthwise convolution's input does: the weight is packed in the order of the loops."""
    text = "graph g\ninput x float32[1,6,8,9]\nparameter w float32[6,1,3,3]\n"
    graph = parse_graph(text + "y = conv_transpose2d(x, w, stride=[2,1], padding=[1,1], groups=6)\noutput y\n")
    weights = seeded(graph)
    monkeypatch.setattr(Search, "better", lambda _, group, machine: on_vector(group) or group)
    program = compile_graph(graph, weights, small(1 << 11, 1 << 10)).program
    assert "rdot" in {i.mnemonic for i in program.instructions}
    inputs = {"x": np.random.default_rng(2).standard_normal((1, 6, 8, 9), dtype=np.float32)}
    want = execute(graph, {name: weights[name] for name in weights}, inputs)["y"]
    np.testing.assert_allclose(run(program, inputs)["y"], want, rtol=1e-5, atol=1e-5)


def test_it_is_any_contraction_whose_sums_float32_holds() -> None:
    (group,) = fuse(parse_graph(depthwise(12, 1, 1, 1)))
    lanes = on_vector(replace(group, swapped=True))
    assert lanes == replace(group, on_lanes=frozenset({0}))
    assert (group.contracts, group.macs) == (True, group.main.iterations)
    assert (lanes.contracts, lanes.macs) == (False, 0)
    assert on_vector(replace(group, nests=group.nests[1:])) is None
    whole = {name: replace(tensor, dtype="int32") for name, tensor in group.tensors.items()}
    assert on_vector(replace(group, tensors=whole)) is not None
    (wide,) = fuse(parse_graph(depthwise(228, 2, 1, 1)))  # 114 channels, 1026 products a sum
    whole = {name: replace(tensor, dtype="int32") for name, tensor in wide.tensors.items()}
    assert on_vector(replace(wide, tensors=whole)) is None


def test_the_quicker_is_chosen() -> None:
    """16 sums of a channel a cycle where pixels are columns, 64 lanes with a product each for a 3 by 3 window: 64 / 9
    sums; the lanes win where the matrix unit finishes 4 sums a cycle."""
    graph, machine = parse_graph(depthwise(64, 64, 1, 1)), load_machine("dlp-s")
    narrow = replace(machine, matrix=replace(machine.matrix, neurons=4))
    on_matrix, on_lanes = (compile_graph(graph, seeded(graph), each) for each in (machine, narrow))
    assert (on_matrix.groups[0].swapped, on_lanes.groups[0].on_lanes) == (True, {0})
    cost = simulate(on_lanes.program)
    assert (cost.macs, cost.instruction_counts.get("contract", 0)) == (0, 0)
    assert cost.cycles < 1.3 * 11 * 64 * 9 * 11 * 2 / 64  # the products, the bias and relu
