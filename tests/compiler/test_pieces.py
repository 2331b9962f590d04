"""Tiles whose sums stay on chip while operands come and go piece by piece: values, tokens, bytes and joules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.compiler.buffers import plan_buffers
from tilework.compiler.estimate import Estimator
from tilework.compiler.fuse import fuse
from tilework.compiler.group import Group
from tilework.compiler.options import Options
from tilework.compiler.pieces import alike, even, is_piece, loop_of
from tilework.compiler.pipeline import Compilation, compile_graph
from tilework.compiler.split import Part
from tilework.compiler.tile import Tiling
from tilework.compiler.tile_energy import joules
from tilework.compiler.tile_measure import program_of
from tilework.compiler.tile_space import Space
from tilework.executable import measure
from tilework.frontend.weight_files import seeded
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.network.execute import execute
from tilework.network.graph import Graph
from tilework.network.graph_text import parse_graph
from tilework.simulator.cycle import simulate
from tilework.simulator.functional import run
from tilework.simulator.hazards import find_hazards, find_races

Small = Callable[..., Machine]

NETWORKS = {
    "linear": "input x float32[24,32]\nparameter w float32[{k},32]\ny = linear(x, w)\n",
    "residual": "input x float32[24,32]\ninput z float32[24,{k}]\nparameter w float32[{k},32]\n"
    "a = linear(x, w)\nb = add(a, z)\ny = relu(b)\n",
    "pooled": "input x float32[2,16,8,8]\nparameter w float32[{k},16,3,3]\n"
    "a = conv2d(x, w, padding=[1,1])\nb = relu(a)\ny = max_pool2d(b, kernel=[2,2], stride=[2,2])\n",
}


def group_of(name: str, columns: int, swapped: bool) -> Group:
    graph = parse_graph(f"graph g\n{NETWORKS[name].format(k=columns)}output y\n")
    (group,) = fuse(graph)
    return replace(group, swapped=swapped)


def tilings(group: Group, machine: Machine, parked: bool) -> list[Tiling]:
    """All tilings with pieces that the space has of a group, where the sums stay in NRAM, or all are parked in WRAM,
    some of their slots."""
    plan = plan_buffers(group, parked)
    space, found = Space(group, plan, machine, group.extents, False), []
    for order, parallel in space.orders():
        if is_piece(order[-1]):
            sizes = space.sizes(order)
            for tile, piece in sizes[order[-1]]:
                for step in sizes[order[-2]]:
                    tiles = {n: sizes[n][-1] for n in order} | {order[-2]: step, loop_of(order[-1]): tile}
                    tiles[order[-1]] = piece
                    for levels in space.levels(order, parallel):
                        every = space.slots(order, levels)
                        found += [Tiling(order, tiles, parallel, levels, slots, 0.0, 1, plan) for slots in every]
    return found


@pytest.mark.parametrize("parked", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=25, derandomize=True, deadline=None)
@given(data=st.data())
def test_bytes_joules_and_tokens(name: str, parked: bool, data: Any, small: Small) -> None:
    machine = small(1 << 16, 1 << 16)
    group = group_of(name, data.draw(st.sampled_from((20, 33, 64))), data.draw(st.booleans()))
    tiling = data.draw(st.sampled_from(tilings(group, machine, parked)))
    burst = data.draw(st.sampled_from((1, 24, 64)))
    machine = replace(machine, dram=replace(machine.dram, burst_bytes=burst))
    program = program_of(Part(group, tiling), machine)
    assert find_races(program) == []
    assert find_hazards(program) == []
    estimator, cost = Estimator(group, tiling.plan, machine, tiling.points), measure(program)
    assert float(estimator.dram_bytes(tiling.chosen)[0]) == cost.dram_bytes
    assert float(joules(estimator, tiling.chosen)[0]) == pytest.approx(cost.energy_joules, rel=1e-9)
    assert float(estimator.matrix[0]) == simulate(program).busy_cycles["matrix"]


RESIDUAL = """graph g
input x float32[96,{c}]
input z float32[96,{k}]
parameter w float32[{k},{c}]
a = linear(x, w)
b = add(a, z)
y = relu(b)
parameter v float32[{c},{k}]
d = linear(y, v)
e = add(d, x)
output e
"""


def compiled(c: int, k: int, machine: Machine) -> tuple[Any, Compilation]:
    graph = parse_graph(RESIDUAL.format(c=c, k=k))
    return graph, compile_graph(graph, seeded(graph, 3), machine)


@pytest.mark.parametrize(("c", "k", "name", "cores"), [(400, 96, "dlp-s", 1), (608, 90, "dlp-m4", 4)])
def test_values_where_the_search_takes_pieces(c: int, k: int, name: str, cores: int) -> None:
    machine = load_machine(name)
    nram, wram = replace(machine.nram, capacity_bytes=1 << 13), replace(machine.wram, capacity_bytes=1 << 14)
    graph, compilation = compiled(c, k, replace(machine, nram=nram, wram=wram, sram=None))
    assert compilation.tilings[0].pieces
    assert compilation.tilings[0].plan.parked is None
    assert len(compilation.program.streams) >= cores
    check_values(graph, compilation)


def check_values(graph: Graph, compilation: Compilation) -> None:
    """The same values as NumPy's, and nothing out of order."""
    assert find_races(compilation.program) == []
    assert find_hazards(compilation.program) == []
    generator, (name,) = np.random.default_rng(0), graph.outputs
    inputs = {t.name: generator.standard_normal(t.shape, dtype=np.float32) for t in graph.inputs}
    want = execute(graph, compilation.weights, inputs)[name]
    np.testing.assert_allclose(run(compilation.program, inputs)[name], want, rtol=1e-4, atol=1e-4)


RAGGED = """graph g
input x float32[600,512]
input z float32[600,250]
parameter w float32[250,512]
a = linear(x, w)
y = add(a, z)
output y
"""
POOLED = """graph g
input x float32[9,64,14,14]
parameter w float32[96,64,3,3]
a = conv2d(x, w, padding=[1,1])
b = relu(a)
y = max_pool2d(b, kernel=[2,2], stride=[2,2])
output y
"""


@pytest.mark.parametrize(
    ("text", "name", "objective", "swapped"),
    [
        (RAGGED, "dlp-s", "time", True),
        (RAGGED, "dlp-s", "traffic", False),
        (POOLED, "dlp-m4", "traffic", False),
    ],
)
def test_values_where_the_search_parks_sums(text: str, name: str, objective: str, swapped: bool) -> None:
    """Pieces of rows and of columns, ragged ones too, under a residual and with results that are pooled."""
    graph = parse_graph(text)
    compilation = compile_graph(graph, seeded(graph, 3), load_machine(name), Options(objective=objective))
    assert compilation.tilings[0].plan.parked is not None
    assert compilation.groups[0].swapped == swapped
    check_values(graph, compilation)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60))
def test_pieces_are_counted(extent: int, tile: int, piece: int) -> None:
    starts = range(0, extent, tile)
    numbers = {len(range(start, min(start + tile, extent), piece)) for start in starts}
    assert alike(extent, min(tile, extent), piece) == (len(numbers) == 1)
    sizes = [min(piece, tile - start) for start in range(0, tile, piece)]
    assert even(tile, piece) == (len(sizes) > 1 and 2 * sizes[-1] >= sizes[0])
