"""Activations in the SRAM: where they lie, that they never go to DRAM, and that values and order stay right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tilework.compiler.fuse import fuse
from tilework.compiler.group import Group
from tilework.compiler.options import Options
from tilework.compiler.pipeline import compile_graph
from tilework.compiler.resident import rest, settle
from tilework.frontend.weight_files import seeded
from tilework.machine.machine import Machine, Sram
from tilework.network.execute import execute
from tilework.network.graph import Graph
from tilework.network.graph_text import parse_graph
from tilework.simulator.cycle import simulate
from tilework.simulator.functional import run
from tilework.simulator.hazards import find_races

Array = npt.NDArray[Any]
Inputs = Callable[[Graph], dict[str, Array]]
Small = Callable[..., Machine]

BLOCKS = """graph net
input x float32[{n},8,6,6]
parameter w float32[8,8,3,3]
parameter v float32[8,8,1,1]
a = conv2d(x, w, padding=[1,1])
b = relu(a)
c = conv2d(b, w, padding=[1,1])
d = add(c, b)
e = conv2d(d, v)
f = add(e, b)
g = conv2d(f, w, padding=[1,1])
h = conv2d(g, v)
output h
"""


def cluster(machine: Machine, size: int, cores: int = 4) -> Machine:
    return replace(machine, cores=cores, sram=Sram(size, 64e9, 2, 1.0, ports=2))


def network(batch: int = 1) -> Graph:
    return parse_graph(BLOCKS.format(n=batch))


def alive(name: str, graph: Graph, groups: tuple[Group, ...]) -> range:
    """The groups from the first that writes a tensor to the last that reads it."""
    touching = [i for i, group in enumerate(groups) if name in group.names and name not in group.local - {name}]
    return range(touching[0], touching[-1] + 1)


@pytest.mark.parametrize("size", [3000, 4096, 6000, 8192, 20_000])
def test_those_alive_together_lie_apart_behind_what_is_left_free(size: int, small: Small) -> None:
    graph = network()
    groups, machine = fuse(graph), cluster(small(), size)
    found = settle(graph, groups, machine, 4)
    tensors = {name: tensor for group in groups for name, tensor in group.tensors.items()}
    free = rest(machine, found)
    assert free.sram
    assert free.sram.capacity_bytes >= size // 8 // 64 * 64
    for name, address in found.items():
        assert address % 64 == 0
        assert free.sram.capacity_bytes <= address <= size - tensors[name].size_bytes
    for one, other in combinations(found, 2):
        if set(alive(one, graph, groups)) & set(alive(other, graph, groups)):
            ends = found[one] + tensors[one].size_bytes, found[other] + tensors[other].size_bytes
            assert ends[0] <= found[other] or ends[1] <= found[one]


def test_what_stays_and_what_does_not(small: Small) -> None:
    """Neither ports, nor what is too large, nor anything where several clusters work or little would be saved."""
    graph = network()
    groups = fuse(graph)
    roomy = settle(graph, groups, cluster(small(), 1 << 16), 4)
    assert roomy.keys() == {group.output.tensor for group in groups} - {"h"}
    assert settle(graph, groups, cluster(small(), 1200), 4) == {}  # a tensor has 1152 bytes, an eighth is left free
    assert len(settle(graph, groups, cluster(small(), 1400), 4)) >= 1
    assert settle(graph, groups, cluster(small(), 1 << 16), 5) == {}
    assert settle(graph, groups, small(), 1) == {}
    assert rest(small(), {}) == small()
    layers = parse_graph(
        "graph g\ninput x float32[1,300]\nparameter w float32[8,300]\nparameter v float32[300,8]\n"
        "y = linear(x, w)\nz = linear(y, v)\noutput z\n"
    )
    assert settle(layers, fuse(layers), cluster(small(), 1 << 16), 4) == {}


@pytest.mark.parametrize(
    ("size", "batch", "cores", "split"),
    [
        (4096, 1, 4, "auto"),
        (4096, 1, 4, "model"),
        (4096, 3, 4, "data"),
        (20_000, 1, 1, "auto"),
        (20_000, 1, 4, "auto"),
        (20_000, 3, 4, "auto"),
        (20_000, 2, 2, "model"),
    ],
)
def test_values_and_order(size: int, batch: int, cores: int, split: str, small: Small, random_inputs: Inputs) -> None:
    """What the nests say, in NumPy; no races; and only what the residents' tensors don't hold goes to DRAM."""
    graph, machine = network(batch), cluster(small(4000, 2000), size)
    weights, inputs = seeded(graph, 3), random_inputs(graph)
    compilation = compile_graph(graph, weights, machine, Options(cores=cores, split=split))
    program = compilation.program
    want = execute(graph, weights, inputs)
    np.testing.assert_allclose(run(program, inputs)["h"], want["h"], rtol=1e-4, atol=1e-4)
    assert find_races(program) == []
    result = simulate(program)
    assert result.dram_bytes >= result.compulsory_bytes
    assert result.cycles >= result.bound_cycles
    resident = compilation.dram.resident
    assert not resident.keys() & compilation.dram.plain.keys()
    without = compile_graph(graph, weights, replace(machine, sram=None), Options(cores=cores, split=split))
    if resident:
        assert simulate(without.program).dram_bytes > result.dram_bytes


def test_with_room_for_all_only_ports_and_weights_go_to_dram(small: Small) -> None:
    graph, machine = network(), cluster(small(1 << 16, 1 << 16), 1 << 16, 1)
    compilation = compile_graph(graph, seeded(graph), machine, Options(objective="traffic"))
    assert len(compilation.dram.resident) == len(compilation.groups) - 1
    once = 4 * (8 * 36 + 8 * 36 + 3 * 8 * 8 * 9 + 2 * 8 * 8)
    assert simulate(compilation.program).dram_bytes == once == simulate(compilation.program).compulsory_bytes
