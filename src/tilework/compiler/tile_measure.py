"""The best of a few tilings by what they really take: each is lowered by itself and simulated."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

from tilework.compiler.chain_part import pieces_of
from tilework.compiler.group import Group
from tilework.compiler.memory import align
from tilework.compiler.options import Measure
from tilework.compiler.relocate import whole_code
from tilework.compiler.split import Part
from tilework.compiler.tile import Tiling
from tilework.compiler.tile_front import OBJECTIVES
from tilework.isa.instruction import Instruction
from tilework.isa.program import Program
from tilework.machine.machine import Machine


def best_measured(group: Group, tiling: Tiling, machine: Machine, objective: str, measure: Measure) -> Tiling:
    """Of a tiling and its rivals the best on one core of the machine, with its exact cycles.

    Where operands come from the SRAM, which other processors fill, nothing is measured.
    """
    if not tiling.rivals or tiling.chunks or group.resident:
        return tiling
    every = (tiling, *tiling.rivals)
    found = [measure(program_of(Part(group, each), machine)) for each in every]
    goal = OBJECTIVES[objective]
    cycles = [cost.cycles for cost in found]
    best = goal.best(cycles, [cost.energy_joules if goal.joules else cost.dram_bytes for cost in found])
    return replace(every[best], cycles=float(cycles[best]), rivals=())


def program_of(part: Part, machine: Machine) -> Program:
    """A program of this part alone, its tensors one after another in DRAM; it has no weights to load."""
    group = part.group
    sizes = [align(group.tensors[name].size_bytes) for name in group.names]
    plain = dict(zip(group.names, accumulate(sizes, initial=0), strict=False))
    buffers = [buffer for piece in pieces_of(part) for buffer in piece.tiling.plan.buffers]
    packed = {index: plain[b.access.tensor] for index, b in enumerate(buffers) if b.packed}
    code = whole_code(part, plain, packed)
    return Program(group.name, machine, (*code, Instruction("end")))
