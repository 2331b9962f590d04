"""The cycles of every instruction and what it moves and computes, each stated once; docs/processor.md explains them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from math import gcd, prod
from operator import attrgetter

from tilework.errors import SimulationError
from tilework.isa.blocks import block_elements, multiplied, stored
from tilework.isa.instruction import Instruction, Operand
from tilework.isa.table import OPCODES, Opcode
from tilework.machine.machine import Machine
from tilework.simulator.structure import descriptor_of, operands_of

BANK_BYTES = 4

Accesses = Sequence[tuple[str, int]]  # memories, and the bytes read from or written to each


@dataclass(frozen=True, slots=True)
class Cost:
    """What one execution takes.

    Cycles of its unit, and those for which it has the DRAM channel and a port of the SRAM; bytes of each memory, DRAM's
    in whole bursts; `products`, the multiply-accumulates of each dtype; the vector unit's operations.
    """

    cycles: int = 0
    channel_cycles: int = 0
    sram_cycles: int = 0
    dram_bytes: int = 0
    nram_read: int = 0
    nram_written: int = 0
    wram_read: int = 0
    wram_written: int = 0
    sram_read: int = 0
    sram_written: int = 0
    vector_operations: int = 0
    lane_cycles: int = 0
    products: dict[str, int] = field(default_factory=dict)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all dtypes."""
        return sum(self.products.values())


_NOTHING, _STEP = Cost(), Cost(cycles=1)
_COUNTERS = Cost.__slots__[:-1]  # all but the products
_values = attrgetter(*_COUNTERS)


def total(items: Iterable[tuple[int, Cost]]) -> Cost:
    """The sum of costs, each multiplied by how often it occurs."""
    often, known = Counter[int](), dict[int, Cost]()  # equal costs are mostly one object
    for times, cost in items:
        often[id(cost)] += times
        known[id(cost)] = cost
    rows, products = [], Counter[str]()
    for key, cost in known.items():
        times = often[key]
        rows.append([times * value for value in _values(cost)])
        for dtype, number in cost.products.items():
            products[dtype] += times * number
    sums = map(sum, zip(*rows, strict=True))
    return Cost(**dict(zip(_COUNTERS, sums, strict=False)), products=dict(products))


def energy(cost: Cost, machine: Machine) -> dict[str, float]:
    """Joules by part: each memory's bytes read and written, the multiply-accumulates and the vector lanes' work."""
    matrix = machine.matrix.energy_per_mac_joules
    return {
        "dram": cost.dram_bytes * machine.dram.energy_per_byte_joules,
        "nram": (cost.nram_read + cost.nram_written) * machine.nram.energy_per_byte_joules,
        "wram": (cost.wram_read + cost.wram_written) * machine.wram.energy_per_byte_joules,
        "sram": (cost.sram_read + cost.sram_written) * (machine.sram.energy_per_byte_joules if machine.sram else 0.0),
        "matrix": float(sum(number * matrix[dtype] for dtype, number in cost.products.items())),
        "vector": cost.lane_cycles * machine.vector.energy_per_operation_joules,
    }


def timing(instruction: Instruction, machine: Machine) -> Cost:
    """The cost of one execution of the instruction on the machine.

    Raises SimulationError for a contraction of a dtype that the machine's matrix unit does not multiply.
    """
    opcode = OPCODES[instruction.mnemonic]
    return TIMING[opcode.form](opcode, instruction, machine)


def transfer_cycles(size: int, bytes_per_second: float, clock_hz: float) -> int:
    """ceil(size * clock / bandwidth), exact also where the bytes per cycle are no whole number."""
    cycles, divisor = _cycles_per_byte(clock_hz, bytes_per_second)
    return -(-size * cycles // divisor)


@lru_cache
def _cycles_per_byte(clock: float, bandwidth: float) -> tuple[int, int]:
    return (Fraction(clock) / Fraction(bandwidth)).as_integer_ratio()


@dataclass(frozen=True, slots=True)
class Runs:
    """An operand's contiguous runs: the bytes of each, where the first begins relative to the operand's first element,
    and the strides and extents of the loops over them, outermost first."""

    bytes: int
    lowest: int
    loops: tuple[tuple[int, int], ...]


def runs_of(operand: Operand, extents: Sequence[int]) -> Runs:
    """A run begins as one element. The innermost loop not used yet whose stride, of either sign, is the run's length
    makes it so many times as long, and so on; the other loops say how many runs there are."""
    size, lowest, loops = operand.element_bytes, 0, list(zip(operand.strides, extents, strict=True))
    while found := [place for place, (stride, extent) in enumerate(loops) if abs(stride) == size and extent > 1]:
        stride, extent = loops.pop(found[-1])
        lowest += min(0, stride * (extent - 1))
        size *= extent
    return Runs(size, lowest, tuple(loops))


def burst_bytes(operand: Operand, extents: Sequence[int], burst: int) -> int:
    """The bytes of the bursts that a DRAM operand takes: each of its contiguous runs in whole ones."""
    runs = runs_of(operand, extents)
    return -(-runs.bytes // burst) * burst * prod(extent for _, extent in runs.loops)


def array_shape(instruction: Instruction) -> tuple[int, int, int]:
    """A contraction's (rows, columns, summed): the products of its loops by role.

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


def conflicts(operand: Operand, extents: Sequence[int], lanes: int, banks: int) -> int:
    """How many times as long a group of lanes takes because several of its elements lie in one bank.

    `lanes` are those that are at work. Neighbouring lanes are a stride apart, that of the innermost loop which moves
    the operand.
    """
    strides = [stride for stride, extent in zip(operand.strides, extents, strict=True) if stride and extent > 1]
    if not banks or not strides:
        return 1
    return max(1, -(-lanes * gcd(-(-abs(strides[-1]) // BANK_BYTES), banks) // banks))


def _free(opcode: Opcode, instruction: Instruction, machine: Machine) -> Cost:
    return _NOTHING


def _control(opcode: Opcode, instruction: Instruction, machine: Machine) -> Cost:
    return _NOTHING if opcode.mnemonic in ("end", "endloop") else _STEP


def _element(opcode: Opcode, instruction: Instruction, machine: Machine) -> Cost:
    operand = descriptor_of(instruction).destination
    access = [(operand.memory, operand.element_bytes)]
    return _cost(access, [], cycles=1) if opcode.form == "sload" else _cost([], access, cycles=1)


def _transfer(opcode: Opcode, instruction: Instruction, machine: Machine) -> Cost:
    descriptor = descriptor_of(instruction)
    moved = [
        (o.memory, burst_bytes(*stored(o, descriptor.extents), machine.dram.burst_bytes if o.memory == "dram" else 1))
        for o in descriptor.operands
    ]
    sizes, latency, channel, port = dict(moved), 0, 0, 0
    if "dram" in sizes:
        channel = transfer_cycles(sizes["dram"], machine.dram.bandwidth_bytes_per_second, machine.clock_hz)
        latency += machine.dram.latency_cycles
    if machine.sram and "sram" in sizes:
        port = transfer_cycles(sizes["sram"], machine.sram.bandwidth_bytes_per_second, machine.clock_hz)
        latency += machine.sram.latency_cycles
    (target, written), *read = moved
    copies = machine.cores if opcode.unit == "cast" else 1
    return _cost(
        read,
        [(target, copies * written)],
        cycles=latency + (max(channel, port) or _own_cycles(written, machine)),
        channel_cycles=channel,
        sram_cycles=port,
    )


def _own_cycles(size: int, machine: Machine) -> int:
    """The cycles for bytes that a core moves between its own memories, or fills."""
    if machine.transfer_bytes_per_cycle:
        return -(-size // machine.transfer_bytes_per_cycle)
    return transfer_cycles(size, machine.dram.bandwidth_bytes_per_second, machine.clock_hz)


def _contract(opcode: Opcode, instruction: Instruction, machine: Machine) -> Cost:
    descriptor, unit = descriptor_of(instruction), machine.matrix
    a, b = operands_of(instruction)
    if a.dtype not in unit.rates:
        raise SimulationError(
            f"contract must multiply a dtype of the machine's matrix unit, {', '.join(unit.rates)}, not {a.dtype}; "
            "use one of these or take another machine"
        )
    if b.kept and not unit.zero_skipping:
        raise SimulationError(
            f"contract must have weights that are not compressed, as the matrix unit of {machine.name} skips no zeros; "
            "expand them when they are loaded or take another machine"
        )
    rows, columns, summed = array_shape(instruction)
    left = multiplied(summed, b.kept)
    again_a, again_b = unit.readings(rows, columns)
    result = (descriptor.destination.memory, descriptor.destination.element_bytes * rows * columns)
    read = [
        (a.memory, a.element_bytes * rows * summed * again_a),
        (b.memory, b.element_bytes * _elements(summed, b) * columns * again_b),
        *([result] if instruction.accumulate else []),
    ]
    steps = unit.cycles(rows, columns, left, a.dtype) - unit.pipeline_cycles
    return _cost(
        read,
        [result],
        cycles=max(steps, _port_cycles(read, machine), _port_cycles([result], machine)) + unit.pipeline_cycles,
        products={a.dtype: rows * columns * left},
    )


def _elements(summed: int, operand: Operand) -> int:
    """What is read of an operand for each sum: its elements, or, if it is compressed, whole blocks of them."""
    return multiplied(summed, block_elements(operand.kept, operand.element_bytes)) if operand.kept else summed


def _vector(opcode: Opcode, instruction: Instruction, machine: Machine) -> Cost:
    descriptor, unit = descriptor_of(instruction), machine.vector
    iterations, extents = descriptor.iterations, descriptor.extents
    rate = unit.cycles.get(opcode.function, 1) if opcode.function else 1
    kept = prod(n for n, s in zip(extents, descriptor.destination.strides, strict=True) if s)
    result = (descriptor.destination.memory, descriptor.destination.element_bytes * kept)
    read = [(source.memory, source.element_bytes * iterations) for source in operands_of(instruction)]
    read += [result] if instruction.accumulate else []
    lanes = min(unit.lanes, iterations)
    factor = max([conflicts(operand, extents, lanes, machine.nram.banks) for operand in descriptor.operands])
    steps = -(-iterations // unit.lanes) * rate * factor
    return _cost(
        read,
        [result],
        cycles=max(steps, _port_cycles(read, machine), _port_cycles([result], machine)) + unit.pipeline_cycles,
        vector_operations=iterations * opcode.operations,
        lane_cycles=iterations * opcode.operations * rate,
    )


def _port_cycles(accesses: Accesses, machine: Machine) -> int:
    """The cycles that the accesses need at the memories' ports; 0 where no port has a limit."""
    limits = {"nram": machine.nram.port_bytes_per_cycle, "wram": machine.wram.port_bytes_per_cycle}
    sizes = Counter[str]()
    for memory, size in accesses:
        sizes[memory] += size
    return max([-(-size // limits[memory]) for memory, size in sizes.items() if limits[memory]], default=0)


TIMING: dict[str, Callable[[Opcode, Instruction, Machine], Cost]] = {
    "none": _control,
    "count": _control,
    "token": _free,
    "scope": _control,
    "jump": _control,
    "branch": _control,
    "register": _control,
    "scalar": _control,
    "sload": _element,
    "sstore": _element,
    "fill": _transfer,
    "move": _transfer,
    "contract": _contract,
    "vector": _vector,
    "reduce": _vector,
}


def _cost(
    read: Accesses,
    written: Accesses,
    *,
    cycles: int,
    channel_cycles: int = 0,
    sram_cycles: int = 0,
    vector_operations: int = 0,
    lane_cycles: int = 0,
    products: dict[str, int] | None = None,
) -> Cost:
    """A cost from the (memory, bytes) that are read and written."""
    moved = Counter[str]()
    for accesses, suffix in ((read, "_read"), (written, "_written")):
        for memory, size in accesses:
            moved["dram_bytes" if memory == "dram" else memory + suffix] += size
    return Cost(
        cycles,
        channel_cycles,
        sram_cycles,
        **moved,
        vector_operations=vector_operations,
        lane_cycles=lane_cycles,
        products=products or {},
    )
