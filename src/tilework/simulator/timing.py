"""The cycles of every instruction and what it moves and computes, each stated once; docs/processor.md explains them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import prod
from operator import attrgetter

from tilework.errors import SimulationError
from tilework.isa.instruction import ELEMENT_BYTES, Instruction, Operand
from tilework.isa.table import OPCODES, Opcode
from tilework.machine.machine import Machine
from tilework.simulator.structure import descriptor_of, operands_of

CONTROL_CYCLES = {"loop": 1, "sync": 1}


@dataclass(frozen=True, slots=True)
class Cost:
    """What one execution takes: cycles of its unit, cycles of the DRAM channel, bytes of each memory, operations."""

    cycles: int = 0
    channel_cycles: int = 0
    dram_bytes: int = 0
    nram_read: int = 0
    nram_written: int = 0
    wram_read: int = 0
    wram_written: int = 0
    macs: int = 0
    vector_operations: int = 0
    lane_cycles: int = 0


_NOTHING = Cost()
_values = attrgetter(*Cost.__slots__)


def total(items: Iterable[tuple[int, Cost]]) -> Cost:
    """The sum of costs, each multiplied by how often it occurs."""
    rows = [[times * value for value in _values(cost)] for times, cost in items if cost != _NOTHING]
    return Cost(*map(sum, zip(*rows, strict=True)))


def energy(cost: Cost, machine: Machine) -> dict[str, float]:
    """Joules by part: each memory's bytes read and written, the multiply-accumulates and the vector lanes' cycles."""
    return {
        "dram": cost.dram_bytes * machine.dram.energy_per_byte_joules,
        "nram": (cost.nram_read + cost.nram_written) * machine.nram.energy_per_byte_joules,
        "wram": (cost.wram_read + cost.wram_written) * machine.wram.energy_per_byte_joules,
        "matrix": cost.macs * machine.matrix.energy_per_mac_joules,
        "vector": cost.lane_cycles * machine.vector.energy_per_operation_joules,
    }


def timing(instruction: Instruction, machine: Machine) -> Cost:
    """The cost of one execution of the instruction on the machine."""
    opcode = OPCODES[instruction.mnemonic]
    return TIMING[opcode.form](opcode, instruction, machine)


def transfer_cycles(size: int, machine: Machine) -> int:
    """ceil(size * clock / bandwidth), exact also where the bytes per cycle are no whole number."""
    cycles, divisor = _cycles_per_byte(machine.clock_hz, machine.dram.bandwidth_bytes_per_second)
    return -(-size * cycles // divisor)


@lru_cache
def _cycles_per_byte(clock: float, bandwidth: float) -> tuple[int, int]:
    return (Fraction(clock) / Fraction(bandwidth)).as_integer_ratio()


def array_shape(instruction: Instruction) -> tuple[int, int, int]:
    """A contraction's (rows, columns, summed): the products of its loops by role on an inner-product array.

    Summed are the loops that the destination lacks, columns those of the destination and b only, rows the others.
    """
    descriptor = descriptor_of(instruction)
    rows, columns, summed = 1, 1, 1
    a, b = operands_of(instruction)
    for loop, extent in enumerate(descriptor.extents):
        if not descriptor.destination.strides[loop]:
            summed *= extent
        elif b.strides[loop] and not a.strides[loop]:
            columns *= extent
        else:
            rows *= extent
    return rows, columns, summed


def _control(opcode: Opcode, instruction: Instruction, machine: Machine) -> Cost:
    return Cost(cycles=CONTROL_CYCLES.get(opcode.mnemonic, 0))


def _move(opcode: Opcode, instruction: Instruction, machine: Machine) -> Cost:
    descriptor = descriptor_of(instruction)
    size = ELEMENT_BYTES * descriptor.iterations
    occupied = transfer_cycles(size, machine)
    return _cost(
        [(source.memory, size) for source in operands_of(instruction)],
        [(descriptor.destination.memory, size)],
        cycles=machine.dram.latency_cycles + occupied,
        channel_cycles=occupied,
    )


def _fill(opcode: Opcode, instruction: Instruction, machine: Machine) -> Cost:
    descriptor = descriptor_of(instruction)
    size = ELEMENT_BYTES * descriptor.iterations
    return _cost([], [(descriptor.destination.memory, size)], cycles=transfer_cycles(size, machine))


def _inner_product(instruction: Instruction, machine: Machine) -> Cost:
    """DianNao's NFU (Chen et al. 2014): `neurons` sums of `synapses` products a cycle."""
    descriptor, unit = descriptor_of(instruction), machine.matrix
    rows, columns, summed = array_shape(instruction)
    groups = -(-columns // unit.neurons)
    a, b = operands_of(instruction)
    result = (descriptor.destination.memory, ELEMENT_BYTES * rows * columns)
    read = [(a.memory, ELEMENT_BYTES * rows * summed * groups), (b.memory, ELEMENT_BYTES * rows * summed * columns)]
    return _cost(
        [*read, result] if instruction.accumulate else read,
        [result],
        cycles=rows * groups * -(-summed // unit.synapses) + unit.pipeline_cycles,
        macs=descriptor.iterations,
    )


MATRIX_UNITS: dict[str, Callable[[Instruction, Machine], Cost]] = {"inner-product": _inner_product}


def _contract(opcode: Opcode, instruction: Instruction, machine: Machine) -> Cost:
    kind = MATRIX_UNITS.get(machine.matrix.kind)
    if kind is None:
        names = ", ".join(MATRIX_UNITS)
        raise SimulationError(
            f"the matrix unit must be one of {names} to be simulated, not {machine.matrix.kind}; change it"
        )
    return kind(instruction, machine)


def _vector(opcode: Opcode, instruction: Instruction, machine: Machine) -> Cost:
    descriptor, unit = descriptor_of(instruction), machine.vector
    rate = unit.cycles.get(opcode.function, 1) if opcode.function else 1
    kept = prod(n for n, s in zip(descriptor.extents, descriptor.destination.strides, strict=True) if s)
    result = (descriptor.destination.memory, ELEMENT_BYTES * kept)
    read = [(s.memory, ELEMENT_BYTES * descriptor.iterations) for s in descriptor.sources if isinstance(s, Operand)]
    return _cost(
        [*read, result] if instruction.accumulate else read,
        [result],
        cycles=-(-descriptor.iterations // unit.lanes) * rate + unit.pipeline_cycles,
        vector_operations=descriptor.iterations,
        lane_cycles=descriptor.iterations * rate,
    )


TIMING: dict[str, Callable[[Opcode, Instruction, Machine], Cost]] = {
    "none": _control,
    "count": _control,
    "token": _control,
    "move": _move,
    "fill": _fill,
    "contract": _contract,
    "vector": _vector,
    "reduce": _vector,
}


def _cost(
    read: Iterable[tuple[str, int]],
    written: Iterable[tuple[str, int]],
    *,
    cycles: int,
    channel_cycles: int = 0,
    macs: int = 0,
    vector_operations: int = 0,
    lane_cycles: int = 0,
) -> Cost:
    """A cost from the (memory, bytes) that are read and written."""
    moved = {"dram_bytes": 0, "nram_read": 0, "nram_written": 0, "wram_read": 0, "wram_written": 0}
    for accesses, suffix in ((read, "_read"), (written, "_written")):
        for memory, size in accesses:
            moved["dram_bytes" if memory == "dram" else memory + suffix] += size
    return Cost(
        cycles, channel_cycles, **moved, macs=macs, vector_operations=vector_operations, lane_cycles=lane_cycles
    )
