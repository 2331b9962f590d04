"""What the matrix unit takes for a group at least for what it can do side by side. docs/bounds.md says why it holds."""

from __future__ import annotations

from math import prod

from tilework.compiler.bounds import most_places
from tilework.compiler.buffers import contraction_operands
from tilework.compiler.chain_part import groups_of
from tilework.compiler.group import Group
from tilework.compiler.split import Work
from tilework.machine.machine import Machine
from tilework.network.extent import sums_inside
from tilework.network.nest import Access


def array_cycles(work: Work, machine: Machine) -> float:
    """Cycles of one core's matrix unit that no program of the work's contractions can beat on the matrix unit alone."""
    return sum(_cycles(group, machine) for group in groups_of(work))


def _cycles(group: Group, machine: Machine) -> float:
    if not group.contracts:
        return 0.0
    operands = contraction_operands(group)
    dtype = group.tensors[operands[0].tensor].dtype
    if group.blocks.kept:
        return group.needed_macs / machine.macs_per_cycle(dtype)
    tensors = {access.tensor for access in (group.main.output, *operands)}
    sums = sums_inside(group.main, {name: group.tensors[name].shape for name in tensors})
    return machine.matrix.least(sums, dtype, max(_shared(group, access) for access in operands))


def _shared(group: Group, access: Access) -> int:
    """Of how many sums an element of an operand can be part at most."""
    own, places = access.loops(), most_places(access, group.main)
    every = prod(extent for _, extent in group.main.parallel_loops)
    others = prod(extent for name, extent in group.main.parallel_loops if name not in own)
    return every if places is None else min(every, others * places)
