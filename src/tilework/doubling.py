"""What if a resource of the machine were doubled: which unit bounds a run, and how much less time it would take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from tilework.errors import MachineError
from tilework.executable import Executable, compile_network, find_weights
from tilework.frontend.resolve import resolve
from tilework.isa.bundle import Bundle
from tilework.isa.program import Program
from tilework.isa.tile_language import Section
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.network.graph import Graph
from tilework.plain import columns, percent
from tilework.simulator.cycle import simulate
from tilework.simulator.tile_time import simulate_tiles

Change = Callable[[Machine], Machine | None]
Cycles = int | Fraction


def _bandwidth(machine: Machine) -> Machine:
    wide = replace(machine.dram, bandwidth_bytes_per_second=2 * machine.dram.bandwidth_bytes_per_second)
    return replace(machine, dram=wide)


def _sram_bandwidth(machine: Machine) -> Machine | None:
    sram = machine.sram
    wide = replace(sram, bandwidth_bytes_per_second=2 * sram.bandwidth_bytes_per_second) if sram else None
    return replace(machine, sram=wide) if wide else None


def _macs(machine: Machine) -> Machine:
    rates = {dtype: 2 * rate for dtype, rate in machine.matrix.rates.items()}
    return replace(machine, matrix=replace(machine.matrix, rates=rates))


def _lanes(machine: Machine) -> Machine:
    return replace(machine, vector=replace(machine.vector, lanes=2 * machine.vector.lanes))


def _depth(machine: Machine) -> Machine:
    return replace(machine, control=replace(machine.control, queue_depth=2 * machine.control.queue_depth))


def _capacity(memory: str) -> Change:
    def larger(machine: Machine) -> Machine | None:
        there = getattr(machine, memory)
        fields: dict[str, Any] = {memory: replace(there, capacity_bytes=2 * there.capacity_bytes)} if there else {}
        return replace(machine, **fields) if fields else None

    return larger


TIMED: dict[str, Change] = {"DRAM bandwidth": _bandwidth, "MACs": _macs, "SRAM bandwidth": _sram_bandwidth}
ISSUED: dict[str, Change] = {**TIMED, "vector lanes": _lanes, "queue depth": _depth}
COMPILED: dict[str, Change] = {**ISSUED, **{name.upper(): _capacity(name) for name in ("nram", "wram", "sram")}}


@dataclass(frozen=True)
class Doubled:
    """A resource, the cycles with twice as much of it, and how many times as fast that is."""

    resource: str
    cycles: Cycles
    speedup: float


@dataclass(frozen=True)
class WhatIf:
    """A run's cycles, the unit that is busy for most of them and its share of the time, and each resource doubled.

    `anew` says that the network was compiled anew for each changed machine; otherwise the program is the same, and
    larger memories can't help it.
    """

    name: str
    machine: str
    cycles: Cycles
    busiest: str
    share: float
    rows: tuple[Doubled, ...]
    anew: bool

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        rows = [{"resource": r.resource, "cycles": _number(r.cycles), "speedup": r.speedup} for r in self.rows]
        return {"busiest": self.busiest, "busy_share": self.share, "compiled_anew": self.anew, "what_if": rows}

    def __str__(self) -> str:
        rows = [
            (row.resource, f"{_number(row.cycles):,}", f"{row.speedup:.3f}", percent(1 - 1 / row.speedup))
            for row in self.rows
        ]
        how = "the network compiled anew for each machine" if self.anew else "the same program"
        best = max(self.rows, key=lambda row: row.speedup)
        helps = f"twice the {best.resource} saves most" if best.speedup > 1 else "no single resource saves time"
        return f"busiest: {self.busiest}, {percent(self.share)} of the time. With {how}, {helps}.\n\n" + columns(
            ("twice the", "cycles", "times as fast", "time saved"), rows
        )


def what_if(
    subject: Program | Bundle | Executable | Sequence[Section] | Graph | str,
    machine: str | Machine | None = None,
    **choices: Any,
) -> WhatIf:
    """Double each resource of the machine in turn.

    A program (also one in the tile language, for `machine`) stays as it is and is simulated on each changed machine; a
    network is compiled anew for each, with the choices of `compile_network`, memories included. Doubled MACs are twice
    the products of each multiplier in a cycle. Where a machine states no width of transfers inside a core, that is the
    DRAM's, and is doubled with it. Raises what `simulate`, `simulate_tiles` or `compile_network` does, and
    MachineError for a machine given to a program that has its own.
    """
    if isinstance(subject, Program | Bundle | Executable):
        if machine is not None:
            raise MachineError("a program must be looked at on its own machine, not on another; leave the machine out")
        return _of_programs(subject)
    target = machine if isinstance(machine, Machine) else load_machine(machine or "dlp-s")
    if isinstance(subject, str | Graph):
        return _of_network(subject, target, choices)
    return _of_tiles(subject, target)


def _of_programs(subject: Program | Bundle | Executable) -> WhatIf:
    bundle = subject.bundle if isinstance(subject, Executable) else subject
    bundle = Bundle.of(bundle) if isinstance(bundle, Program) else bundle

    def cycles(machine: Machine) -> int:
        return sum(_time(replace(program, machine=machine)) for program in bundle.programs)

    units = [simulate(program, inputs=_inputs(program)) for program in bundle.programs]
    whole = sum(result.cycles for result in units)
    shares = {
        unit: sum(r.units.get(unit, 0.0) * r.cycles for r in units) / max(1, whole)
        for unit in dict.fromkeys(unit for result in units for unit in result.units)
    }
    return _answer(bundle.name, bundle.machine, whole, shares, ISSUED, cycles, anew=False)


def _time(program: Program) -> int:
    return simulate(program, inputs=_inputs(program)).cycles


def _inputs(program: Program) -> Mapping[str, Any] | None:
    """What is given to a program whose jumps may depend on values: nothing, if it takes nothing."""
    return None if program.inputs else {}


def _of_tiles(sections: Sequence[Section], machine: Machine) -> WhatIf:
    time = simulate_tiles(sections, machine)
    cycles = time.cycles
    return _answer("program", machine, cycles, time.units, TIMED, lambda m: simulate_tiles(sections, m).cycles, False)


def _of_network(network: str | Graph, machine: Machine, choices: dict[str, Any]) -> WhatIf:
    graph = resolve(network) if isinstance(network, str) else network
    if choices.get("weights") is None:
        found = find_weights(graph, network if isinstance(network, str) else "", None, choices.get("seed"))
        choices = {**choices, "weights": found}

    def cost(target: Machine) -> Any:
        return compile_network(graph, target, **choices).cost

    result = cost(machine)
    return _answer(
        graph.name, machine, result.cycles, result.units, COMPILED, lambda target: cost(target).cycles, anew=True
    )


def _answer(
    name: str,
    machine: Machine,
    cycles: Cycles,
    shares: Mapping[str, float],
    resources: Mapping[str, Change],
    measure: Callable[[Machine], Cycles],
    anew: bool,
) -> WhatIf:
    rows = []
    for resource, change in resources.items():
        if changed := change(machine):
            faster = measure(changed)
            rows.append(Doubled(resource, faster, float(Fraction(cycles) / Fraction(faster)) if faster else 1.0))
    busiest = max(shares, key=lambda unit: shares[unit], default="none")
    return WhatIf(name, machine.name, cycles, busiest, shares.get(busiest, 0.0), tuple(rows), anew)


def _number(value: Cycles) -> int | float:
    whole = Fraction(value)
    return whole.numerator if whole.denominator == 1 else float(whole)
