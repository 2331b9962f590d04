"""Why an instruction takes as many cycles as it does: the formula of docs/processor.md with this machine's numbers."""

from __future__ import annotations

from tilework.isa.blocks import multiplied, stored
from tilework.isa.instruction import Instruction, Operand
from tilework.isa.table import OPCODES
from tilework.machine.machine import Machine
from tilework.machine.matrix import (
    DATAFLOWS,
    ConvolutionCore,
    InnerProductArray,
    MatrixUnit,
    ScalarMacArray,
    SystolicArray,
)
from tilework.simulator.structure import descriptor_of, operands_of
from tilework.simulator.timing import array_shape, burst_bytes, conflicts, timing


def working(instruction: Instruction, machine: Machine) -> str:
    """One line that ends with the cycles, such as "10 latency + ceil(64 bytes / 16 a cycle) = 14"."""
    form, cycles = OPCODES[instruction.mnemonic].form, timing(instruction, machine).cycles
    if form in ("move", "fill"):
        dram = any(operand.memory == "dram" for operand in descriptor_of(instruction).operands)
        more = ", and what rows and refreshes of the DRAM add" if dram and not _is_ideal(machine) else ""
        return f"{_transfer(instruction, machine)} = {cycles}{more}"
    if form == "contract":
        return f"{_contract(instruction, machine, cycles)} = {cycles}"
    if form in ("vector", "reduce"):
        return f"{_vector(instruction, machine, cycles)} = {cycles}"
    if form == "token":
        return "a unit acts on it between two others, in no time = 0"
    return f"control passes {'no' if not cycles else 'one'} cycle with it = {cycles}"


def _is_ideal(machine: Machine) -> bool:
    return machine.dram.rows is None and machine.dram.refresh is None


def _transfer(instruction: Instruction, machine: Machine) -> str:
    descriptor, width = descriptor_of(instruction), machine.dram_bytes_per_cycle
    latencies, occupied = [], []
    for operand in descriptor.operands:
        burst = machine.dram.burst_bytes if operand.memory == "dram" else 1
        size = burst_bytes(*stored(operand, descriptor.extents), burst)
        if operand.memory == "dram":
            latencies.append(f"{machine.dram.latency_cycles} DRAM latency")
            what = f"bytes in bursts of {burst}" if burst > 1 else "bytes"
            occupied.append(f"ceil({size:,} {what} / {width:g} a cycle of the channel)")
        elif operand.memory == "sram" and machine.sram:
            latencies.append(f"{machine.sram.latency_cycles} SRAM latency")
            port = machine.sram.bandwidth_bytes_per_second / machine.clock_hz
            occupied.append(f"ceil({size:,} bytes / {port:g} a cycle of the SRAM's port)")
    if not occupied:
        size = burst_bytes(*stored(descriptor.destination, descriptor.extents), 1)
        return f"ceil({size:,} bytes / {machine.transfer_bytes_per_cycle or width:g} a cycle inside the core)"
    longest = occupied[0] if len(occupied) == 1 else f"the longer of {' and '.join(occupied)}"
    return " + ".join([*(text for text in latencies if not text.startswith("0 ")), longest])


def _contract(instruction: Instruction, machine: Machine, cycles: int) -> str:
    a, b = operands_of(instruction)
    unit, (rows, columns, summed) = machine.matrix, array_shape(instruction)
    left, rate = multiplied(summed, b.kept), unit.rates[a.dtype]
    note = f" ({summed} summed, of which {left} are kept)" if b.kept else ""
    depth = -(-left // rate)
    note += f" ({left} products, {rate} of {a.dtype} in a step, are {depth})" if rate > 1 else ""
    steps = cycles - unit.pipeline_cycles
    text = _steps(unit, rows, columns, depth) + note
    return _through(text, int(unit.steps(rows, columns, depth)), steps, unit.pipeline_cycles)


def _steps(unit: MatrixUnit, rows: int, columns: int, summed: int) -> str:
    """The kind's formula for its steps."""
    if isinstance(unit, InnerProductArray):
        return f"{rows} rows * ceil({columns} columns / {unit.neurons}) * ceil({summed} summed / {unit.synapses})"
    if isinstance(unit, ScalarMacArray):
        return f"ceil({rows} rows * {columns} columns / {unit.macs} MACs) * {summed} summed"
    if isinstance(unit, ConvolutionCore):
        return (
            f"ceil({rows} rows * {unit.whole(columns)} columns * {unit.whole(summed)} summed, in whole atoms of "
            f"{unit.atom}, / {unit.macs} MACs)"
        )
    assert isinstance(unit, SystolicArray)
    r, c = unit.array_rows, unit.array_columns
    if unit.dataflow == DATAFLOWS[1]:
        return f"({summed} summed + {r} + {c} - 2) * ceil({rows} rows / {r}) * ceil({columns} columns / {c})"
    (streamed, name), (held, what) = ((rows, "rows"), (columns, "columns"))
    if unit.dataflow == DATAFLOWS[2]:
        (streamed, name), (held, what) = (held, what), (streamed, name)
    return f"(2 * {r} + {c} + {streamed} {name} - 2) * ceil({summed} summed / {r}) * ceil({held} {what} / {c})"


def _vector(instruction: Instruction, machine: Machine, cycles: int) -> str:
    descriptor, unit, opcode = descriptor_of(instruction), machine.vector, OPCODES[instruction.mnemonic]
    rate = unit.cycles.get(opcode.function, 1) if opcode.function else 1
    lanes = min(unit.lanes, descriptor.iterations)
    operands: tuple[Operand, ...] = descriptor.operands
    factor = max(conflicts(operand, descriptor.extents, lanes, machine.nram.banks) for operand in operands)
    text = f"ceil({descriptor.iterations:,} iterations / {unit.lanes} lanes)"
    text += f" * {rate} for {opcode.function}" if rate > 1 else ""
    text += f" * {factor} conflicts of banks" if factor > 1 else ""
    own = -(-descriptor.iterations // unit.lanes) * rate * factor
    return _through(text, own, cycles - unit.pipeline_cycles, unit.pipeline_cycles)


def _through(text: str, own: int, steps: int, pipeline: int) -> str:
    """The unit's own steps, or those of the memories' ports where they take longer."""
    held = text if steps == own else f"{steps} for the bytes at the memories' ports (the unit alone: {text} = {own})"
    return f"{held} + {pipeline} pipeline"
