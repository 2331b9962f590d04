"""The exact time of a program, and what it moves, computes and spends, in total and by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from tilework.collection import no_collection
from tilework.errors import SimulationError
from tilework.isa.program import Program
from tilework.simulator import tables
from tilework.simulator.busy import busy_cycles, busy_shares, by_stream, instruction_cycles
from tilework.simulator.dram import DramTime
from tilework.simulator.engine import execute
from tilework.simulator.functional import decisions
from tilework.simulator.layer_time import LayerTime, layer_time, least_cycles, peak_cycles
from tilework.simulator.plan import MAX_INSTRUCTIONS, Plan
from tilework.simulator.scalar import deciding
from tilework.simulator.state import Array
from tilework.simulator.timing import energy, total


@dataclass(frozen=True)
class Result:
    """A program's time and cost: `busy_cycles` of each kind of unit, of the DRAM channel and of the SRAM's ports, over
    all `cores` that the program uses; `energy` in joules by part.

    `units` are their shares of the time: 1 would be all units of the kind busy all the time. `streams` has each
    stream's own busy cycles. `compulsory_bytes` are the layers' inputs, weights and outputs once; `dram_bytes_bound`,
    which is more where the memory on chip is small, no program can save that computes layer by layer. `utilisation`
    compares with the peak of all these cores. `array_bound_cycles` is the bound on time for a matrix unit of this
    shape. `instruction_cycles` says for each mnemonic how many executions took how many cycles. `dram_time` is there
    where the DRAM has rows or refreshes.
    """

    cycles: int
    seconds: float
    bound_cycles: float
    bound_seconds: float
    array_bound_cycles: float
    cores: int
    busy_cycles: dict[str, int]
    units: dict[str, float]
    streams: dict[str, dict[str, int]]
    dram_bytes: int
    sram_bytes: int
    compulsory_bytes: int
    dram_bytes_bound: int
    macs: int
    vector_operations: int
    utilisation: float
    energy: dict[str, float]
    instructions: int
    instruction_counts: dict[str, int]
    instruction_cycles: dict[str, dict[int, int]]
    layers: tuple[LayerTime, ...]
    dram_time: DramTime | None = None

    @property
    def energy_joules(self) -> float:
        return sum(self.energy.values())

    def to_dict(self) -> dict[str, Any]:
        """The record of `tilework simulate --json`; `dram_time` only where it is there."""
        record = asdict(self)
        if self.dram_time is None:
            del record["dram_time"]
        return record | {"energy_joules": self.energy_joules, "layers": list(record["layers"])}

    def to_dataframe(self) -> Any:
        """A pandas DataFrame with a row per layer; the units' columns are their busy cycles."""
        return tables.frame(self)

    def __str__(self) -> str:
        return tables.everything(self)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def simulate(
    program: Program,
    *,
    fold: bool = True,
    inputs: Mapping[str, Array] | None = None,
    max_instructions: int = MAX_INSTRUCTIONS,
) -> Result:
    """The program's exact time on its machine, by the rules of docs/processor.md.

    `fold` adds up a loop's iterations in one step once the chip's state repeats, which changes no number. `inputs` are
    used only where jumps depend on what an sload reads. Raises ProgramError for a program that isn't well formed,
    SimulationError for one that stops for ever or does not end, that leaves tokens, whose time depends on inputs that
    aren't given, or that has more than `max_instructions` of a stream to be simulated one by one.
    """
    plan = plan_of(program, inputs, max_instructions)
    run = execute(plan, fold=fold, max_instructions=max_instructions)
    machine = program.machine
    cost = total(item for stream in plan.streams for item in zip(stream.flow.executions, stream.costs, strict=True))
    layers = tuple(layer_time(layer, plan, run, machine) for layer in program.layers)
    bound = least_cycles(program.layers, [layer.mac_cycles for layer in layers], machine)
    cores = sum(stream.stream.role == "core" for stream in plan.streams)
    busy, counts = busy_cycles(run, machine), instruction_cycles(run)
    return Result(
        cycles=run.cycles,
        seconds=run.cycles / machine.clock_hz,
        bound_cycles=bound,
        bound_seconds=bound / machine.clock_hz,
        array_bound_cycles=least_cycles(program.layers, [layer.array_cycles for layer in layers], machine),
        cores=cores,
        busy_cycles=busy,
        units=busy_shares(busy, plan, run.cycles),
        streams=by_stream(run),
        dram_bytes=cost.dram_bytes,
        sram_bytes=cost.sram_read + cost.sram_written,
        compulsory_bytes=sum(layer.compulsory_bytes for layer in program.layers),
        dram_bytes_bound=sum(layer.dram_bytes_bound for layer in program.layers),
        macs=cost.macs,
        vector_operations=cost.vector_operations,
        utilisation=peak_cycles(cost, machine) / (cores * max(1, run.cycles)),
        energy=energy(cost, machine),
        instructions=sum(sum(stream.flow.executions) for stream in plan.streams),
        instruction_counts={name: sum(times.values()) for name, times in counts.items()},
        instruction_cycles=counts,
        layers=layers,
        dram_time=run.dram.time() if run.dram else None,
    )


def plan_of(program: Program, inputs: Mapping[str, Array] | None, max_instructions: int = MAX_INSTRUCTIONS) -> Plan:
    """The program decoded, its jumps decided: by its values on the inputs if they are given and it takes them."""
    flows = decisions(program, inputs) if inputs is not None and _depends_on_data(program) else None
    with no_collection():
        return Plan.of(program, flows, max_instructions)


def plan_of_a_core(program: Program, inputs: Mapping[str, Array] | None) -> Plan:
    """As `plan_of`, for what is tried on another kind of core; raises SimulationError for a program of several streams
    and for a DRAM that isn't ideal."""
    plan = plan_of(program, inputs)
    if not plan.dram.is_ideal:
        raise SimulationError(
            f"another core is tried beside an ideal DRAM, and that of {program.machine.name} has rows or refreshes; "
            "take a machine without"
        )
    if len(plan.streams) != 1:
        raise SimulationError(
            f"another core is tried on a program of one stream, not on one of {len(plan.streams)}; take one core"
        )
    return plan


def _depends_on_data(program: Program) -> bool:
    codes = [stream.instructions for stream in program.streams]
    return any(code[place].mnemonic == "sload" for code in codes for place in deciding(code))
