"""The exact time of a program, and what it moves, computes and spends, in total and by layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from tilework.errors import SimulationError
from tilework.isa.instruction import QUEUES
from tilework.isa.program import Layer, Program
from tilework.machine.machine import Machine
from tilework.simulator import tables
from tilework.simulator.engine import MAX_ITERATIONS, Plan, execute
from tilework.simulator.timing import energy, total


@dataclass(frozen=True, slots=True)
class LayerTime:
    """One layer: from the cycle in which control passes its first instruction to the one after its last.

    `bound_cycles` is what no program can beat: the layer's MACs at the peak rate, its compulsory bytes at full width.
    """

    name: str
    operation: str
    start: int
    end: int
    cycles: int
    macs: int
    dram_bytes: int
    bound_cycles: float
    busy_cycles: dict[str, int]


@dataclass(frozen=True)
class Result:
    """A program's time and cost: `busy_cycles` of each unit and of the DRAM channel, `energy` in joules by part.

    `compulsory_bytes` are the layers' inputs, weights and outputs once, which no program can save.
    """

    cycles: int
    seconds: float
    bound_cycles: float
    bound_seconds: float
    busy_cycles: dict[str, int]
    dram_bytes: int
    compulsory_bytes: int
    macs: int
    vector_operations: int
    utilisation: float
    energy: dict[str, float]
    instructions: int
    instruction_counts: dict[str, int]
    layers: tuple[LayerTime, ...]

    @property
    def energy_joules(self) -> float:
        return sum(self.energy.values())

    @property
    def units(self) -> dict[str, float]:
        """The share of the program's cycles for which each unit is busy."""
        return {unit: busy / max(1, self.cycles) for unit, busy in self.busy_cycles.items()}

    def to_dict(self) -> dict[str, Any]:
        """The record of `tilework simulate --json`."""
        record = asdict(self)
        return record | {"energy_joules": self.energy_joules, "units": self.units, "layers": list(record["layers"])}

    def to_dataframe(self) -> Any:
        """A pandas DataFrame with a row per layer; the units' columns are their busy cycles."""
        return tables.frame(self)

    def __str__(self) -> str:
        return tables.everything(self)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def simulate(program: Program, *, fold: bool = True, max_iterations: int = MAX_ITERATIONS) -> Result:
    """The program's exact time on its machine, by the rules of docs/processor.md.

    `fold` adds up a loop's iterations in one step once its state repeats, which changes no number. Raises ProgramError
    for a program that isn't well formed, SimulationError for one that stops for ever, or that has more loop
    iterations than `max_iterations` to be simulated one by one.
    """
    plan = Plan.of(program)
    run = execute(plan, fold=fold, max_iterations=max_iterations)
    executions = plan.structure.executions
    machine, cost = program.machine, total(zip(executions, plan.costs, strict=True))
    layers = tuple(_layer(layer, plan, executions, run.passed, machine) for layer in program.layers)
    bound = sum(layer.bound_cycles for layer in layers)
    counts = Counter[str]()
    for name, times in zip(plan.names, executions, strict=True):
        counts[name] += times
    return Result(
        cycles=run.cycles,
        seconds=run.cycles / machine.clock_hz,
        bound_cycles=bound,
        bound_seconds=bound / machine.clock_hz,
        busy_cycles=_busy(plan, executions, range(len(plan.kind))),
        dram_bytes=cost.dram_bytes,
        compulsory_bytes=sum(layer.compulsory_bytes for layer in program.layers),
        macs=cost.macs,
        vector_operations=cost.vector_operations,
        utilisation=cost.macs / (machine.macs_per_cycle * max(1, run.cycles)),
        energy=energy(cost, machine),
        instructions=sum(executions),
        instruction_counts=dict(counts),
        layers=layers,
    )


def _layer(layer: Layer, plan: Plan, executions: tuple[int, ...], passed: list[int], machine: Machine) -> LayerTime:
    places = range(layer.first, layer.last)
    if any(plan.structure.counts[place] for place in (layer.first, layer.last) if place < len(plan.kind)):
        raise SimulationError(f"the layer {layer.name!r} must begin and end outside of loops; move its borders")
    cost = total((executions[place], plan.costs[place]) for place in places)
    start = passed[layer.first] if layer.first < len(passed) else 0
    end = passed[layer.last - 1] + plan.issue_cycles(layer.last - 1) if places else start
    return LayerTime(
        name=layer.name,
        operation=layer.operation,
        start=start,
        end=end,
        cycles=end - start,
        macs=cost.macs,
        dram_bytes=cost.dram_bytes,
        bound_cycles=max(layer.macs / machine.macs_per_cycle, layer.compulsory_bytes / machine.dram_bytes_per_cycle),
        busy_cycles=_busy(plan, executions, places),
    )


def _busy(plan: Plan, executions: tuple[int, ...], places: Iterable[int]) -> dict[str, int]:
    """Cycles for which the units, control and the DRAM channel are busy with the instructions at `places`."""
    busy = dict.fromkeys((*QUEUES, "control", "channel"), 0)
    for place in places:
        times, cost = executions[place], plan.costs[place]
        busy["control"] += times * plan.issue_cycles(place)
        busy["channel"] += times * cost.channel_cycles
        if plan.queue[place] >= 0:
            busy[QUEUES[plan.queue[place]]] += times * cost.cycles
    return busy
