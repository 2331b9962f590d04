"""The estimate that chooses among tilings: footprints and traffic exactly, cycles against the simulator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.compiler.estimate import Choice, Estimator
from tilework.compiler.group import Group
from tilework.compiler.layout import Frame
from tilework.compiler.options import Options
from tilework.compiler.pipeline import Compilation, compile_graph
from tilework.compiler.tile import Tiling, tile
from tilework.compiler.tile_measure import program_of
from tilework.errors import CompileError
from tilework.frontend.weight_files import seeded
from tilework.frontend.zoo import network
from tilework.machine.load import load_machine, machine_names
from tilework.machine.machine import Control, Machine
from tilework.machine.matrix import (
    DATAFLOWS,
    ConvolutionCore,
    InnerProductArray,
    MatrixUnit,
    ScalarMacArray,
    SystolicArray,
)
from tilework.network.graph import Graph, Tensor
from tilework.network.text import parse_nest
from tilework.simulator.cycle import simulate

Draw = Callable[[Any], tuple[Graph, Compilation]]


def estimated(group: Group, tiling: Tiling, machine: Machine) -> tuple[Estimator, Choice]:
    """An estimator of one point, that of a tiling."""
    return Estimator(group, tiling.plan, machine, tiling.points), tiling.chosen


@settings(max_examples=80, derandomize=True, deadline=None)
@given(data=st.data())
def test_the_footprint_is_what_is_allocated(data: Any, draw: Draw) -> None:
    _, compilation = draw(data)
    machine = compilation.program.machine
    for group, tiling in zip(compilation.groups, compilation.tilings, strict=True):
        estimator, choice = estimated(group, tiling, machine)
        nram, wram = estimator.footprint(choice.arounds, choice.slots)
        frames = [Frame(group, tiling, index) for index in range(len(tiling.plan.buffers))]
        for name, taken in (("nram", nram), ("wram", wram)):
            assert int(taken[0]) == sum(f.total_bytes for f in frames if f.buffer.memory == name)
        assert float(estimator.cycles(choice)[0]) == pytest.approx(tiling.cycles)
        assert float(estimator.least(choice)[0]) <= float(estimator.cycles(choice)[0]) * (1 + 1e-12)
        assert float(estimator.floor(choice)[0]) <= float(estimator.least(choice)[0])


def test_every_temporary_tile_is_counted(small: Callable[..., Machine]) -> None:
    """Two operands, the output and two temporaries, 4 bytes each where one element is computed at a time."""
    nest = parse_nest("i<50: o[i] = (a[i] + b[i]) * (a[i] - b[i])")
    group = Group(("square",), "square", nest.loops, (nest,), {name: Tensor(name, (50,)) for name in "abo"})
    assert tile(group, small(20, 0)).tiles == {"i": 1}
    with pytest.raises(CompileError, match="NRAM of at least 20 bytes, not 16"):
        tile(group, small(16, 0))


COSTS: dict[str, Any] = {"pipeline_cycles": 3, "energy_per_mac_joules": {"float32": 1.0}, "rates": {"float32": 1}}
UNITS: dict[str, MatrixUnit] = {
    "inner-product": InnerProductArray(neurons=4, synapses=3, **COSTS),
    "scalar-mac": ScalarMacArray(macs=7, **COSTS),
    "convolution-core": ConvolutionCore(macs=16, atom=4, winograd=False, **COSTS),
    "two products a cycle": InnerProductArray(neurons=2, synapses=3, **(COSTS | {"rates": {"float32": 2}})),
} | {flow: SystolicArray(array_rows=3, array_columns=5, dataflow=flow, **COSTS) for flow in DATAFLOWS}


@pytest.mark.parametrize("unit", UNITS)
@settings(max_examples=15, derandomize=True, deadline=None)
@given(data=st.data())
def test_the_matrix_unit_s_cycles_are_exact(unit: str, data: Any, draw: Draw) -> None:
    """Of every kind of unit, ragged tiles included: what its instructions take in the program."""
    graph, drawn = draw(data)
    machine = replace(drawn.program.machine, matrix=UNITS[unit])
    compilation = compile_graph(graph, seeded(graph, 3), machine)
    times = simulate(compilation.program).layers
    for group, tiling, time in zip(compilation.groups, compilation.tilings, times, strict=True):
        assert float(estimated(group, tiling, machine)[0].matrix[0]) == time.busy_cycles["matrix"]


def machines() -> dict[str, Machine]:
    """The preset, and what it would be with a slower or faster memory, shorter queues or smaller scratchpads."""
    preset = load_machine("dlp-s")
    dram, nram, wram = preset.dram, preset.nram, preset.wram
    return {
        "preset": preset,
        "slow": replace(preset, dram=replace(dram, bandwidth_bytes_per_second=16e9)),
        "fast": replace(preset, dram=replace(dram, bandwidth_bytes_per_second=256e9)),
        "late": replace(preset, dram=replace(dram, latency_cycles=100)),
        "short": replace(preset, control=Control(4)),
        "small": replace(
            preset, nram=replace(nram, capacity_bytes=1 << 14), wram=replace(wram, capacity_bytes=1 << 14)
        ),
    }


def alone(compilation: Compilation) -> list[int]:
    """The simulated cycles of each group by itself."""
    machine = compilation.program.machine
    return [simulate(program_of(work.parts[0], machine)).cycles for work in compilation.works]


@cache
def layers(machine: str, name: str) -> list[tuple[float, int]]:
    """The estimated over the simulated cycles of each group by itself."""
    graph = network(name)
    compilation = compile_graph(graph, seeded(graph), machines()[machine])
    return [(t.cycles / cycles, cycles) for t, cycles in zip(compilation.tilings, alone(compilation), strict=True)]


@pytest.mark.parametrize("machine", machines())
def test_the_estimate_is_near_the_simulation(machine: str) -> None:
    """Every layer of 2000 cycles or more within 25 %, seven of eight within 10 %."""
    names = ("mlp", "lenet5", "alexnet", "vgg11", "resnet18")
    ratios = [ratio for name in names for ratio, cycles in layers(machine, name) if cycles >= 2000]
    assert len(ratios) > 40
    assert 0.75 < min(ratios) <= max(ratios) < 1.25
    assert sum(0.9 < ratio < 1.1 for ratio in ratios) > len(ratios) * 7 / 8


MACHINES = {name: load_machine(name) for name in machine_names()}
FLOATS = [name for name, m in MACHINES.items() if m.dram.is_ideal and m.matrix.dtypes != ("int8",)]


@pytest.mark.parametrize("machine", FLOATS)
def test_the_estimate_on_the_catalogue_s_machines(machine: str) -> None:
    """On one core: each layer of 2000 cycles or more from 0.8 to 1.1 of its time, a network from 0.93 to 1.1."""
    for name in ("mlp", "lenet5", "alexnet"):
        graph = network(name)
        compilation = compile_graph(graph, seeded(graph), load_machine(machine), Options(cores=1))
        pairs = list(zip(compilation.tilings, alone(compilation), strict=True))
        assert 0.93 < sum(tiling.cycles for tiling, _ in pairs) / sum(cycles for _, cycles in pairs) < 1.1
        assert all(0.8 < tiling.cycles / cycles < 1.1 for tiling, cycles in pairs if cycles >= 2000)


@settings(max_examples=80, derandomize=True, deadline=None)
@given(data=st.data())
def test_the_estimate_of_tiny_layers(data: Any, draw: Draw) -> None:
    """A few instructions for a few bytes: within a factor of 2 where the queues have 4 places or more."""
    compilation = draw(data)[1]
    if compilation.program.machine.control.queue_depth >= 4:
        for tiling, cycles in zip(compilation.tilings, alone(compilation), strict=True):
            assert 0.5 < tiling.cycles / cycles < 2
