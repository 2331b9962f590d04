"""The estimated joules of a group's tilings, by what the simulator counts (docs/processor.md, Counting and energy)."""

from __future__ import annotations

from typing import Any

from tilework.compiler.body import Scratch, Step, steps
from tilework.compiler.buffers import contraction_operands, unit_of
from tilework.compiler.estimate import Choice, Estimator
from tilework.compiler.volume import Numbers
from tilework.isa.instruction import DTYPES
from tilework.isa.table import OPCODES
from tilework.network.nest import Access, Nest


def joules(estimator: Estimator, choice: Choice) -> Numbers:
    """Joules of each point under a choice: of transfers, and of arithmetic with what it reads and writes on chip."""
    machine, total = estimator.machine, estimator.known(_arithmetic)
    per_byte = {"nram": machine.nram.energy_per_byte_joules, "wram": machine.wram.energy_per_byte_joules}
    total = total + 2 * estimator.parked_bytes * sum(per_byte.values())
    for index, buffer in enumerate(estimator.plan.buffers):
        around = choice.around(index)
        if buffer.loaded:
            total = total + estimator.covered(index, around) * per_byte[buffer.memory]
        elif buffer.stored:
            total = total + estimator.inside(index, around) * per_byte[buffer.memory]
        if estimator.staging and machine.sram and buffer.packed:
            filled = estimator.once(index) * estimator.staging.share
            total = total + (estimator.inside(index, around) + filled) * machine.sram.energy_per_byte_joules
    return total + estimator.dram_bytes(choice) * machine.dram.energy_per_byte_joules


def _arithmetic(estimator: Estimator) -> Numbers:
    total = estimator.zero
    for place, nest in enumerate(estimator.group.nests):
        on_matrix = unit_of(estimator.group, place) == "matrix"
        total = total + (_products(estimator) if on_matrix else _vector(estimator, place, nest))
    return total


def _products(estimator: Estimator) -> Numbers:
    machine, group, unit = estimator.machine, estimator.group, estimator.machine.matrix
    a, b = (group.tensors[access.tensor].dtype for access in contraction_operands(group))
    near, far, products = estimator.zero, estimator.zero, estimator.zero
    for number, rows, columns, summed in estimator.products():
        again_a, again_b = unit.readings(rows, columns)
        near = near + number * rows * summed * again_a * DTYPES[a]
        far = far + number * group.blocks.held(columns, summed, DTYPES[b]) * again_b * DTYPES[b]
        products = products + number * rows * columns * group.blocks.products(summed)
    near = near + _results(estimator, group.main)
    macs = products * unit.energy_per_mac_joules[a]
    total: Numbers = near * machine.nram.energy_per_byte_joules + far * machine.wram.energy_per_byte_joules + macs
    return total


def _results(estimator: Estimator, nest: Nest) -> Any:
    """Bytes of a reducing nest's result that are written, in each tile of the reduction, and read, in all but one."""
    size = 1
    for _, extent in nest.parallel_loops:
        size *= extent
    again = estimator.counts(frozenset(estimator.points.sizes) & {name for name, _ in nest.reduction_loops})
    return size * (2 * again - 1) * _element(estimator, nest.output)


def _vector(estimator: Estimator, place: int, nest: Nest) -> Any:
    found, unit, total = steps(nest), estimator.machine.vector, estimator.zero
    per_byte = estimator.machine.nram.energy_per_byte_joules
    for number, step in enumerate(found):
        last = number == len(found) - 1
        work: Any = nest.iterations
        if nest.update != "=" and not last:
            scratch = estimator.plan.scratch[place]
            tiles = estimator.around_temporaries(place)
            work = estimator.covered(scratch, tiles) / estimator.element_bytes(estimator.plan.buffers[scratch])
        moved = work * sum(_element(estimator, source) for source in _read(nest, step))
        if nest.update != "=" and last:
            moved = moved + _results(estimator, nest)
        else:
            moved = moved + work * _element(estimator, nest.output)
        opcode = OPCODES[step.mnemonic]
        lanes = work * opcode.operations * unit.cycles.get(opcode.function or "copy", 1)
        total = total + moved * per_byte + lanes * unit.energy_per_operation_joules
    return total


def _read(nest: Nest, step: Step) -> list[Access]:
    """What holds the sources of a step, constants left out; a temporary is of the result's dtype."""
    return [nest.output if isinstance(s, Scratch) else s for s in step.sources if isinstance(s, Scratch | Access)]


def _element(estimator: Estimator, access: Access) -> int:
    return DTYPES[estimator.group.tensors[access.tensor].dtype]
