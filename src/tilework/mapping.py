"""A matrix product or a layer mapped on a machine: the best program that is found, the serial one, simulated times."""

from __future__ import annotations

from collections.abc import Mapping as Table
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache, partial
from typing import Any

from tilework.compiler.map import Mapping, best_mapping, serial_mapping
from tilework.compiler.map_layer import layer_group
from tilework.compiler.map_nest import layer_problems
from tilework.compiler.map_problem import DTYPES, Problem
from tilework.isa.tile_language import parse_tiles, print_tiles
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.network.graph import Graph
from tilework.network.weights import Weights
from tilework.plain import columns, quantity
from tilework.simulator.tile_time import TileTime, simulate_tiles, tile_table


@dataclass(frozen=True)
class MappedProduct:
    """The mapping that was found and the serial one; the times are what the simulator gives for their programs."""

    machine: Machine
    found: Mapping
    time: TileTime
    serial: Mapping
    serial_time: TileTime
    layer: str = ""

    @property
    def capacities(self) -> dict[str, int]:
        """Bytes of the machine's memories on chip."""
        memories = {"nram": self.machine.nram, "wram": self.machine.wram, "sram": self.machine.sram}
        return {name: memory.capacity_bytes for name, memory in memories.items() if memory}

    @property
    def program(self) -> str:
        """In the tile language, with what it is as a comment."""
        return self._text(self.found, explanation(self.found, self.machine))

    @property
    def serial_program(self) -> str:
        return self._text(self.serial, ["One thing after the other."])

    def _text(self, mapping: Mapping, sentences: list[str]) -> str:
        problem, layer = mapping.problem, [f"Layer {self.layer}."] if self.layer else []
        head = [*layer, f"{_work(problem)}, {problem.dtype}, on {self.machine.name}.", *sentences]
        return "".join(f"# {line}\n" for line in head) + "\n" + print_tiles(mapping.program)

    def to_dict(self) -> dict[str, Any]:
        """The record of `tilework map --json`: times in seconds and cycles, peaks in bytes, of each core's memories."""
        problem, peak, clock = self.found.problem, self.found.peak_bytes, Fraction(self.machine.clock_hz)
        return {
            "machine": self.machine.name,
            "layer": self.layer or None,
            "groups": problem.groups,
            "rows": problem.rows,
            "summed": problem.summed * (problem.layer.depth if problem.layer else 1),
            "columns": problem.columns,
            "dtype": problem.dtype,
            "program": self.program,
            "seconds": float(self.time.seconds),
            "serial_seconds": float(self.serial_time.seconds),
            "bound_seconds": float(self.found.bound_cycles / clock),
            "cycles": float(self.time.cycles),
            "serial_cycles": float(self.serial_time.cycles),
            "bound_cycles": float(self.found.bound_cycles),
            "achieved_over_bound": float(self.time.cycles / self.found.bound_cycles),
            "nram_peak_bytes": peak["nram"],
            "wram_peak_bytes": peak["wram"],
            "sram_peak_bytes": peak["sram"],
            "dram_bytes": self.time.bytes_in + self.time.bytes_out,
            "compulsory_bytes": problem.compulsory_bytes,
            "macs": self.time.macs,
            "plans_considered": self.found.considered,
            "programs_timed": self.found.timed,
            "serial_program": self.serial_program,
            "serial_peak_bytes": self.serial.peak_bytes,
        }

    def __str__(self) -> str:
        record, peak = self.to_dict(), self.found.peak_bytes
        memories = [f"{memory} {size:,}" for memory, size in peak.items() if size]
        return "\n".join(
            (
                self.program,
                f"time              {quantity(record['seconds'], 's')}, {record['cycles']:,.6g} cycles",
                f"serial            {quantity(record['serial_seconds'], 's')}, {record['serial_cycles']:,.6g} cycles",
                f"bound             {quantity(record['bound_seconds'], 's')}, {record['bound_cycles']:,.6g} cycles",
                f"achieved / bound  {record['achieved_over_bound']:.4f}",
                f"peak bytes        {' · '.join(memories)}",
                f"DRAM bytes        {record['dram_bytes']:,}, compulsory {record['compulsory_bytes']:,}",
                f"search            {self.found.considered:,} plans considered, {self.found.timed:,} programs timed",
            )
        )


def map_product(
    rows: int,
    summed: int,
    columns: int,
    machine: str | Machine = "dlp-s",
    *,
    dtype: str | None = None,
    input_share: Fraction | int = 1,
    weight_share: Fraction | int = 1,
    skip: str = "none",
) -> MappedProduct:
    """The best program that is found for inputs rows x summed by weights summed x columns, all operands in DRAM.

    The shares are what is left of the operands' volume after compression; `skip` says whose zeros cost no time: "none",
    "weights", "inputs" or "both". The dtype is fp32, if the machine has it and none is named. Raises CompileError for
    what cannot be, or does not fit on the machine.
    """
    on = load_machine(machine) if isinstance(machine, str) else machine
    shares = Fraction(input_share), Fraction(weight_share)
    return _mapped(on, Problem(rows, summed, columns, dtype or _own_dtype(on), *shares, skip))


def map_layer(
    graph: Graph,
    weights: Weights,
    layer: str,
    machine: str | Machine = "dlp-s",
    *,
    dtype: str | None = None,
    input_share: Fraction | int = 1,
    weight_share: Fraction | int = 1,
    skip: str = "none",
) -> MappedProduct:
    """The best program that is found for a node of a network: a sum of products, with the pointwise work after it.

    The choices are those of `map_product`; the weights' own zeros play no part. Raises CompileError for a node that
    isn't there or is no sum of products, and for what cannot be, or does not fit on the machine.
    """
    on = load_machine(machine) if isinstance(machine, str) else machine
    group = layer_group(graph, weights, layer)
    compressed = partial(replace, input_share=Fraction(input_share), weight_share=Fraction(weight_share), skip=skip)
    views = map(compressed, layer_problems(group, dtype or _own_dtype(on)))
    return _mapped(on, *views, layer=f"{graph.name}:{layer}, {group.operation}")


def _own_dtype(machine: Machine) -> str:
    return next((short for short, (name, _) in DTYPES.items() if name in machine.matrix.rates), "fp32")


def _mapped(on: Machine, *views: Problem, layer: str = "") -> MappedProduct:
    found, serial = best_mapping(views[0], on, *views[1:]), serial_mapping(views[0], on, *views[1:])
    times = (simulate_tiles(mapping.program, on) for mapping in (found, serial))
    return MappedProduct(on, found, next(times), serial, next(times), layer)


@dataclass(frozen=True)
class Assignment:
    """An exercise's work: inputs rows x summed by weights summed x columns, fp32, on a machine, from and to DRAM.

    The shares are what compression leaves of the operands' volume; `skips` says whose zeros multipliers may leave out:
    each is a case by itself.
    """

    rows: int
    summed: int
    columns: int
    machine: str
    input_share: Fraction = Fraction(1)
    weight_share: Fraction = Fraction(1)
    skips: tuple[str, ...] = ("none",)

    def problem(self, skip: str) -> Problem:
        """The work in one of the cases."""
        return Problem(self.rows, self.summed, self.columns, "fp32", self.input_share, self.weight_share, skip)

    def mapped(self, skip: str = "none") -> MappedProduct:
        """The best program that the system finds for a case."""
        return _found(self, skip)

    @property
    def command(self) -> str:
        """What shows that program."""
        shares = (("input", self.input_share), ("weight", self.weight_share))
        options = "".join(f" --{name}-share {share}" for name, share in shares if share != 1)
        on = "" if self.machine == "dlp-s" else f" --on {self.machine}"
        return f"tilework map {self.rows},{self.summed},{self.columns}{on}{options}"


@lru_cache
def _found(assignment: Assignment, skip: str) -> MappedProduct:
    return _mapped(load_machine(assignment.machine), assignment.problem(skip))


def beside_found(
    programs: Table[str, str], assignment: Assignment, peak_bytes: Table[str, Table[str, int]]
) -> dict[str, Any]:
    """Programs in the tile language for an exercise's work, by name: each with its time and its bound.

    `found` is the program that the system finds itself. `peak_bytes` of each program, by memory, can't be derived from
    a language without addresses. Raises as `parse_tiles`, `simulate_tiles` and `map_product` do.
    """
    best = assignment.mapped()
    machine = best.machine
    return {
        "machine": machine.name,
        "programs": dict(programs),
        "times": {name: simulate_tiles(parse_tiles(text), machine).to_dict() for name, text in programs.items()},
        "peak_bytes": peak_bytes,
        "found": {"program": best.program, "time": best.time.to_dict(), "peak_bytes": best.found.peak_bytes},
    }


def beside_found_text(answer: Table[str, Any], sources: Table[str, str], assignment: Assignment) -> str:
    """What `beside_found` gave: each program with its source, the found one with its command, times, bytes on chip."""
    found = answer["found"]
    programs = [f"{name}, {sources[name]}:\n\n{text.strip()}" for name, text in answer["programs"].items()]
    programs.append(f"found, `{assignment.command}`:\n\n{found['program'].strip()}")
    peaks = {**answer["peak_bytes"], "found": found["peak_bytes"]}
    memories = tuple(next(iter(answer["peak_bytes"].values())))
    rows = [(name, *(f"{peak[memory]:,}" for memory in memories)) for name, peak in peaks.items()]
    times = tile_table({**answer["times"], "found": found["time"]})
    return "\n\n".join((*programs, f"On {answer['machine']}:", times, columns(("peak bytes", *memories), rows)))


def explanation(mapping: Mapping, machine: Machine) -> list[str]:
    """The schedule in a few sentences."""
    plan, problem = mapping.plan, mapping.problem
    by_columns = plan.split == "columns"
    parts = (plan.shared_parts, plan.own_parts) if by_columns else (plan.own_parts, plan.shared_parts)
    own, shared = ("weights", "inputs") if by_columns else ("inputs", "weights")
    several = [f"The cores divide the {plan.split}."] if machine.cores * machine.clusters > 1 else []
    if mapping.lots > 1:
        several = [f"The groups are done in {mapping.lots} lots, each by clusters of its own.", *several]
    keeps = {"no": "pass by", "core": f"stay in {_memory(shared)}", "sram": "stay in sram"}
    stays = f"{own.capitalize()} {f'stay in {_memory(own)}' if plan.keep_own else 'pass by'}"
    order = "row by row" if plan.own_outer != by_columns else "column by column"
    of = " of each group" if problem.groups > 1 else ""
    return [
        *several,
        f"Outputs{of}: {parts[0]:,} x {parts[1]:,} tiles{f', {order}' if min(parts) > 1 else ''}, each summed in "
        f"{plan.slices:,} slices.",
        f"{stays}, {shared} {keeps[plan.keep_shared]}. While a slice is computed, the next is loaded",
        "and the tile before is stored.",
        f"The last {mapping.last_places:,} places of the last tile are summed for {plan.grain:,} outputs at a time, "
        "which are stored",
        "beside the next.",
    ]


def _memory(operand: str) -> str:
    return "nram" if operand == "inputs" else "wram"


def _work(problem: Problem) -> str:
    """What is computed, in words."""
    if not problem.layer:
        return f"Inputs {problem.rows} x {problem.summed}, weights {problem.summed} x {problem.columns}"
    groups = f"{problem.groups:,} times " if problem.groups > 1 else ""
    summed = problem.summed * problem.layer.depth
    return f"{groups}{problem.rows:,} x {problem.columns:,} outputs, each a sum of {summed:,} products"
