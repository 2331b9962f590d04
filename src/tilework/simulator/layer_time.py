"""The time and cost of one layer of a simulated program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tilework.errors import SimulationError
from tilework.isa.program import Layer
from tilework.machine.machine import Machine
from tilework.simulator.busy import busy_cycles
from tilework.simulator.core import Core
from tilework.simulator.engine import Run
from tilework.simulator.plan import Plan, ranges
from tilework.simulator.timing import Cost, total


@dataclass(frozen=True, slots=True)
class LayerTime:
    """One layer: from the cycle in which control passes its first instruction to the one after its last.

    With several cores, from the first of them to the last; movers may be ahead. `mac_cycles` are the layer's MACs at
    the peak rate of all cores, but those that are skipped, `array_cycles` what matrix units of this shape take at
    least. `bound_cycles` is what no program can beat: the first, or if it is more, the part of its `dram_bytes_bound`
    that can't come before it begins, at full width; `array_bound_cycles` is the same with the second.
    """

    name: str
    operation: str
    start: int
    end: int
    cycles: int
    macs: int
    dram_bytes: int
    dram_bytes_bound: int
    mac_cycles: float
    array_cycles: float
    bound_cycles: float
    array_bound_cycles: float
    busy_cycles: dict[str, int]


def layer_time(layer: Layer, plan: Plan, run: Run, machine: Machine) -> LayerTime:
    """Raises SimulationError for a layer that begins or ends in a loop, or where control never comes by."""
    of_streams = ranges(layer, len(plan.streams))
    parts = [(core, first, last) for core, (first, last) in zip(run.cores, of_streams, strict=True) if first < last]
    for core, first, last in parts:
        _check_borders(layer, core, first, last)
    cost = total(
        (core.plan.flow.executions[place], core.plan.costs[place])
        for core, first, last in parts
        for place in range(first, last)
    )
    computing = [part for part in parts if part[0].plan.stream.role == "core"] or parts
    start = min([core.first_passed(first) for core, first, _ in computing], default=_empty(layer, run))
    end = max([core.passed[last - 1] + core.plan.issue_cycles(last - 1) for core, _, last in computing], default=start)
    cores = sum(stream.stream.role == "core" for stream in plan.streams)
    peak = _mac_cycles(layer, cost, cores, machine)
    array = max(peak, layer.array_cycles / cores)
    rest = (layer.dram_bytes_bound - min(layer.ahead_bytes, machine.on_chip_bytes)) / machine.dram_bytes_per_cycle
    return LayerTime(
        name=layer.name,
        operation=layer.operation,
        start=start,
        end=end,
        cycles=end - start,
        macs=cost.macs,
        dram_bytes=cost.dram_bytes,
        dram_bytes_bound=layer.dram_bytes_bound,
        mac_cycles=peak,
        array_cycles=array,
        bound_cycles=max(peak, rest),
        array_bound_cycles=max(array, rest),
        busy_cycles=busy_cycles(run, machine, of_streams),
    )


def peak_cycles(cost: Cost, machine: Machine) -> float:
    """The cycles that one core's matrix unit would take for the multiply-accumulates at its peak."""
    return sum(number / machine.macs_per_cycle(dtype) for dtype, number in cost.products.items())


def least_cycles(layers: Sequence[Layer], arithmetic: Sequence[float], machine: Machine) -> float:
    """What no program can beat that computes these layers one after another, whose arithmetic takes so many cycles at
    least; docs/bounds.md says why.

    From the last layer to the first: of what its arithmetic doesn't hide as much as can be comes in the time of the
    layer before, no more than the memory on chip holds.
    """
    width, total, carried = machine.dram_bytes_per_cycle, 0.0, 0.0
    for layer, computed in zip(reversed(layers), reversed(arithmetic), strict=True):
        moved = layer.dram_bytes_bound + carried
        able = min(layer.ahead_bytes + carried, machine.on_chip_bytes)
        carried = min(able, max(0.0, moved - computed * width))
        total += max(computed, (moved - carried) / width)
    return total + carried / width


def _mac_cycles(layer: Layer, cost: Cost, cores: int, machine: Machine) -> float:
    """Its MACs on all cores at the peak of the fastest dtype that it multiplies, but those that may be skipped."""
    peak = max([machine.macs_per_cycle(dtype) for dtype in cost.products], default=machine.macs_per_cycle())
    return (layer.macs - layer.skipped_macs) / (cores * peak)


def _empty(layer: Layer, run: Run) -> int:
    """When a layer without instructions is passed."""
    passed = run.cores[0].passed
    return passed[layer.first] if layer.first < len(passed) else 0


def _check_borders(layer: Layer, core: Core, first: int, last: int) -> None:
    counts, passed = core.plan.structure.counts, core.passed
    if any(counts[place] for place in (first, last) if place < len(counts)):
        raise SimulationError(f"the layer {layer.name!r} must begin and end outside of loops; move its borders")
    if min(passed[first], passed[last - 1]) < 0:
        raise SimulationError(
            f"the layer {layer.name!r} must begin and end with instructions that are executed; move its borders"
        )
