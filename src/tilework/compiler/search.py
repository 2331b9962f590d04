"""The best split and tiling of each group, searched once for groups that differ only in names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tilework.compiler.buffers import plan_buffers
from tilework.compiler.group import Group
from tilework.compiler.halve import halves
from tilework.compiler.on_vector import on_vector
from tilework.compiler.options import Measure, Options
from tilework.compiler.shared_measure import best_shared
from tilework.compiler.split import Split, Work, best_split, least_cycles, number, share, split
from tilework.compiler.steps import StepSearch
from tilework.compiler.tile_front import OBJECTIVES
from tilework.compiler.tile_measure import best_measured
from tilework.errors import CompileError
from tilework.machine.machine import Machine
from tilework.network.nest import CONTRACTION

Way = Callable[[Group], Group | None]  # how a group may be changed; None where it can't be

ENOUGH = 1.02  # of the compulsory bytes or the least time: less can hardly be gained


class Search:
    """What was found for the groups of a network; those that don't fit the machine are fused less."""

    def __init__(self, machine: Machine, options: Options, measure: Measure | None) -> None:
        self.machine, self.options, self.measure = machine, options, measure
        self.known: dict[tuple[object, ...], Split | CompileError] = {}
        self.steps = StepSearch(options, measure, self._found)
        self.ways: dict[tuple[object, ...], Way] = {}

    def worth(self, both: Group, apart: tuple[Group, ...]) -> bool:
        """Whether the objective likes a group better than those that it stands for, one after another."""
        together, *single = (self._found(group, self.machine) for group in (both, *apart))
        if isinstance(together, CompileError):
            return False
        alone = [split for split in single if not isinstance(split, CompileError)]
        cycles = sum(split.tiling.cycles for split in alone), together.tiling.cycles
        cost = sum(map(_cost, alone)), _cost(together)
        return len(alone) < len(apart) or OBJECTIVES[self.options.objective].best(cycles, cost) == 1

    def better(self, group: Group, machine: Machine) -> Group:
        """The group as it is, or on the vector unit alone, or with its operands swapped, whichever the objective likes
        best."""
        key = group.shape, machine.sram
        if key not in self.ways:
            self.ways[key] = self._way(group, machine)
        return self.ways[key](group) or group

    def _way(self, group: Group, machine: Machine) -> Way:
        first = self._found(group, machine)
        if group.main.kind != CONTRACTION or isinstance(first, CompileError):
            return _as_it_is
        found: list[tuple[Way, Group, Split]] = [(_as_it_is, group, first)]
        for way, other in self._others(group, first):
            split = self._found(other, machine)
            if not isinstance(split, CompileError):
                found.append((way, other, split))
        cycles = [split.tiling.cycles for *_, split in found]
        cost = [_cost(split) for *_, split in found]
        bound = min(least_cycles(other, self.machine, split.cut) for _, other, split in found)
        return found[OBJECTIVES[self.options.objective].best(cycles, cost, bound)][0]

    def _others(self, group: Group, found: Split) -> Iterator[tuple[Way, Group]]:
        """The group on the vector unit, and with its operands swapped, if it might be quicker so; swapped also where
        some of its bytes move more than once as it is."""
        again = found.tiling.dram_bytes * number(found.cut) > ENOUGH * group.compulsory_bytes
        for way, tried in ((on_vector, False), (_swapped, again)):
            other = way(group)
            if other and (tried or ENOUGH * least_cycles(other, self.machine, found.cut) < found.tiling.cycles):
                yield way, other

    def works(self, group: Group, machine: Machine, room: int = 0) -> list[Work]:
        """The group split and tiled, or its parts; `room` are the bytes of the SRAM that parts of its sums may take.

        Raises CompileError for a nest of which not even a tile fits.
        """
        found = self._found(group, machine)
        if not isinstance(found, CompileError):
            return self.steps.works(group, machine, found, room)
        if len(group.nests) == 1:
            raise found
        return [work for half in halves(group) for work in self.works(half, machine)]

    def _found(self, group: Group, machine: Machine, along: str | None = None) -> Split | CompileError:
        key = group.shape, machine.sram, along
        if key not in self.known:
            self.known[key] = self._search(group, machine, along)
        return self.known[key]

    def _search(self, group: Group, machine: Machine, along: str | None) -> Split | CompileError:
        try:
            plan_buffers(group).check(group.name)
            objective = self.options.objective
            found = best_split(group, machine, self.options.cores_of(machine), self.options.split, objective, along)
            if self.measure is None:
                return found
            cores = number(found.cut)
            if cores == 1 or found.tiling.rivals:  # other choices may come from the SRAM, and are estimates too
                part, seen = split(group, found.cut)[0], share(machine, cores)
                found = replace(found, tiling=best_measured(part, found.tiling, seen, objective, self.measure))
            return best_shared(group, found, machine, objective, self.measure) if cores > 1 else found
        except CompileError as error:
            return error


def _as_it_is(group: Group) -> Group | None:
    return group


def _swapped(group: Group) -> Group | None:
    return None if group.blocks.kept else replace(group, swapped=True)


def _cost(split: Split) -> float:
    """What all parts of a group cost together, in the objective's unit."""
    return split.tiling.cost * number(split.cut)
