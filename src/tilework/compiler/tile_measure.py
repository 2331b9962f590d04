"""The best of a few tilings by what they really take: each is lowered by itself and simulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from tilework.compiler.buffers import whole_words
from tilework.compiler.chain_part import pieces_of
from tilework.compiler.group import Group
from tilework.compiler.layout import Frame
from tilework.compiler.memory import align, map_dram
from tilework.compiler.options import Measure
from tilework.compiler.relocate import whole_code
from tilework.compiler.split import Part, Work, least_cycles
from tilework.compiler.streams import lower_streams
from tilework.compiler.tile import Tiling
from tilework.compiler.tile_front import OBJECTIVES
from tilework.isa.instruction import Instruction
from tilework.isa.program import Program
from tilework.machine.machine import Machine
from tilework.network.graph import Graph, Tensor

ENOUGH = 1.02  # times what no tiling beats that moves as much: less can hardly be gained


def best_measured(group: Group, tiling: Tiling, machine: Machine, objective: str, measure: Measure) -> Tiling:
    """Of a tiling and its rivals the best on one core of the machine, with its exact cycles, and with a third slot for
    each buffer where that takes less time.

    Where operands come from the SRAM, which other processors fill, nothing is measured. Nor is a rival that costs more
    than one which is as quick as need be, whatever the others take.
    """
    if tiling.chunks or group.resident:
        return tiling
    goal = OBJECTIVES[objective]
    enough = goal.limit(least_cycles(group, machine, ())) if goal.slack else 0.0
    every, cycles, costs = sorted((tiling, *tiling.rivals), key=lambda each: each.cost), [], []
    for each in every:
        found = measure(program_of(Part(group, each), machine))
        cycles.append(found.cycles)
        costs.append(found.energy_joules if goal.joules else found.dram_bytes)
        best = goal.best(cycles, costs)
        if cycles[best] <= enough:
            break
    return _with_third_slots(group, replace(every[best], cycles=float(cycles[best]), rivals=()), machine, measure)


def _with_third_slots(group: Group, tiling: Tiling, machine: Machine, measure: Measure) -> Tiling:
    """For all buffers at once, then for each, if there is room; nothing is tried where little can be gained."""
    floor = max(least_cycles(group, machine, ()), tiling.dram_bytes / machine.dram_bytes_per_cycle)
    if tiling.cycles <= ENOUGH * floor:
        return tiling
    best, twice = tiling, [index for index, slots in enumerate(tiling.slots) if slots == 2 and may_grow(tiling, index)]
    for chosen in dict.fromkeys((tuple(twice), *((index,) for index in twice))):
        slots = tuple(3 if index in chosen else number for index, number in enumerate(best.slots))
        more = replace(best, slots=slots)
        if slots != best.slots and fits(group, more, machine):
            cycles = float(measure(program_of(Part(group, more), machine)).cycles)
            best = replace(more, cycles=cycles) if cycles < best.cycles else best
    return best


def may_grow(tiling: Tiling, index: int) -> bool:
    """Whether a buffer in two slots may have more. Pieces of parked sums may not: load and store unit free them, and of
    three the wrong one might be taken."""
    return tiling.plan.parked is None or index != tiling.plan.writes[0]


def fits(group: Group, tiling: Tiling, machine: Machine) -> bool:
    """Whether a group's buffers have room on a core."""
    taken = {"nram": 0, "wram": 0}
    for index, buffer in enumerate(tiling.plan.buffers):
        taken[buffer.memory] += whole_words(Frame(group, tiling, index).total_bytes)
    return taken["nram"] <= machine.nram.capacity_bytes and taken["wram"] <= machine.wram.capacity_bytes


def program_of(part: Part, machine: Machine) -> Program:
    """A program of this part alone, its tensors one after another in DRAM; it has no weights to load."""
    group = part.group
    sizes = [align(group.tensors[name].size_bytes) for name in group.names]
    plain = dict(zip(group.names, accumulate(sizes, initial=0), strict=False))
    buffers = [buffer for piece in pieces_of(part) for buffer in piece.tiling.plan.buffers]
    packed = {index: plain[b.access.tensor] for index, b in enumerate(buffers) if b.packed}
    code = whole_code(part, plain, packed)
    return Program(group.name, machine, (*code, Instruction("end")))


def program_of_works(works: Sequence[Work], machine: Machine) -> Program:
    """A program of these works alone on all their cores; what is resident lies behind the machine's SRAM."""
    tensors = {name: tensor for work in works for name, tensor in work.group.tensors.items() if not tensor.is_weight}
    last = works[-1].group
    end = machine.sram.capacity_bytes if machine.sram else 0
    resident = {}
    for name in dict.fromkeys(name for work in works for name in sorted(work.group.resident)):
        resident[name] = end
        end += align(tensors[name].size_bytes)
    sources = tuple(Tensor(name, tensor.shape, tensor.dtype, "input") for name, tensor in tensors.items())
    dram = map_dram(Graph(last.name, sources, (), (last.output.tensor,)), works, reuse=False, resident=resident)
    (first, *others), _ = lower_streams(works, dram, machine)
    return Program(last.name, machine, first.instructions, others=tuple(others))
