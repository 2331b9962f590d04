"""The best of a few tilings for several cores that share an SRAM, by what the whole chip really takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tilework.compiler.group import Group
from tilework.compiler.options import Measure
from tilework.compiler.split import Split, least_cycles, number
from tilework.compiler.split import split as split_group
from tilework.compiler.tile import Tiling
from tilework.compiler.tile_front import OBJECTIVES
from tilework.compiler.tile_measure import ENOUGH, fits, may_grow, program_of_works
from tilework.machine.machine import Machine

BUSY = 0.6  # of a group's time
DEEPER = (4, 2, 1)  # more slots of each buffer


def best_shared(group: Group, split: Split, machine: Machine, objective: str, measure: Measure) -> Split:
    """The split with the best of a few tilings by the exact time of all cores, where they wait for the DRAM: cores that
    take turns at its channel need more in stock than one alone. `machine` has the SRAM that residents leave.

    Tried are the rivals and the calm ones, each with as many slots as there is room for. Several clusters are too many
    cores to simulate for each tiling.
    """
    busy = split.tiling.dram_bytes * number(split.cut) / machine.dram_bytes_per_cycle
    if busy < BUSY * split.tiling.cycles or number(split.cut) > machine.cores:
        return split
    floor = max(busy, least_cycles(group, machine, split.cut))
    found = [(split.tiling, measure(program_of_works([split.apply(group)], machine)))]
    if found[0][1].cycles > ENOUGH * floor:
        splits = [replace(split, tiling=tiling) for tiling in _others(group, split, machine)]
        found += [(other.tiling, measure(program_of_works([other.apply(group)], machine))) for other in splits]
    goal = OBJECTIVES[objective]
    cost = [each.energy_joules if goal.joules else each.dram_bytes for _, each in found]
    tiling, measured = found[goal.best([each.cycles for _, each in found], cost)]
    return replace(split, tiling=replace(tiling, cycles=float(measured.cycles), rivals=(), calm=()))


def _others(group: Group, split: Split, machine: Machine) -> Iterator[Tiling]:
    """A tiling's rivals and the calm ones, and itself with more slots."""
    part, tiling = split_group(group, split.cut)[0], split.tiling
    for each in (tiling, *tiling.rivals, *tiling.calm):
        grown = [slots > 1 and may_grow(each, index) for index, slots in enumerate(each.slots)]
        added = [[slots + more * grows for slots, grows in zip(each.slots, grown, strict=True)] for more in DEEPER]
        deeper = (replace(each, slots=tuple(slots)) for slots in added)
        deep = next((other for other in deeper if fits(part, other, machine)), each)
        if deep.slots != tiling.slots or deep.tiles != tiling.tiles:
            yield deep
