"""What the arithmetic of a chain's groups takes at least, whatever the order of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from tilework.compiler.body import functions
from tilework.compiler.buffers import contraction_operands
from tilework.compiler.group import Group
from tilework.machine.machine import Machine


def arithmetic(groups: Sequence[Group], machine: Machine) -> tuple[float, float]:
    """Cycles of the matrix unit and of the vector unit."""
    return sum(matrix_cycles(group, machine) for group in groups), sum(
        vector_cycles(group, machine) for group in groups
    )


def matrix_cycles(group: Group, machine: Machine) -> float:
    """Those of a group's contraction in one piece; 0 if the matrix unit does none."""
    if not group.contracts:
        return 0.0
    a, b = contraction_operands(group)
    parallel, summed = dict(group.main.parallel_loops), prod(n for _, n in group.main.reduction_loops)
    columns = prod(n for name, n in parallel.items() if name in b.loops() - a.loops())
    rows = prod(parallel.values()) // columns
    return float(machine.matrix.cycles(rows, columns, summed, group.tensors[a.tensor].dtype))


def vector_cycles(group: Group, machine: Machine) -> float:
    """Those of all instructions of a group's elementwise nests, and of the last one of its sums and maxima."""
    unit, total = machine.vector, 0
    if group.sends:
        return 0.0
    for nest in group.nests[group.contracts :]:
        names = functions(nest)
        rates = [unit.cycles.get(name, 1) for name in (names if nest.update == "=" else names[-1:])]
        total += nest.iterations * sum(rates)
    return total / unit.lanes


def alternating(groups: Sequence[Group], machine: Machine) -> float:
    """Cycles where what a group makes has one buffer and one turn: it is written or read, never both at a time."""
    written = [
        vector_cycles(group, machine) if len(group.nests) > group.contracts else matrix_cycles(group, machine)
        for group in groups
    ]
    read = [(matrix_cycles if group.contracts else vector_cycles)(group, machine) for group in groups]
    return max((made + used for made, used in zip(written, read[1:], strict=False)), default=0.0)
