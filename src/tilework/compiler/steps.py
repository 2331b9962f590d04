"""Which groups are computed in two steps, so that the cores can share their sums too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from tilework.compiler.group import Group
from tilework.compiler.options import Measure, Options
from tilework.compiler.partial import in_parts, outer_of, ways
from tilework.compiler.split import Split, Work, floor_cycles, number
from tilework.compiler.tile_front import OBJECTIVES
from tilework.compiler.tile_measure import program_of_works
from tilework.errors import CompileError
from tilework.machine.machine import Machine

Found = Callable[[Group, Machine, str | None], Split | CompileError]
Way = tuple[str, int]  # a loop and its number of parts

ENOUGH = 1.02  # of the least time or the compulsory bytes: less can hardly be gained
START = 20  # cycles: what a step takes besides, at the very least, to issue its instructions and to fill the units
PARTS = "parts"
TRIED = 2  # ways whose tilings are searched: those that might be quickest


class StepSearch:
    """The choice for each group, made once for those that differ only in names; `found` gives a group's best split,
    which is along a loop where one is named."""

    def __init__(self, options: Options, measure: Measure | None, found: Found) -> None:
        self.options, self.measure, self.found = options, measure, found
        self.objective = OBJECTIVES[options.objective]
        self.known: dict[tuple[object, ...], Way | None] = {}
        self.names: Counter[str] = Counter()

    def works(self, group: Group, machine: Machine, split: Split) -> list[Work]:
        """The group so split, or, if the objective likes that better, its two steps."""
        whole = [split.apply(group)]
        if self.options.split != "auto" or self.options.cores_of(machine) == 1:
            return whole
        key = group.shape, machine.sram
        if key not in self.known:
            self.known[key] = self._best(group, machine, whole)
        way = self.known[key]
        return self._steps(group, way, machine, self._name(group)) if way else whole

    def _name(self, group: Group) -> str:
        """That of the parts of the group's sums; several groups may make places of one tensor."""
        made = group.main.output.tensor
        self.names[made] += 1
        return f"{made}:{PARTS}" + (f"{self.names[made]}" if self.names[made] > 1 else "")

    def _best(self, group: Group, machine: Machine, whole: list[Work]) -> Way | None:
        """The best way by estimate, if it is better than the whole group, as simulated if it can be."""
        kept: list[Way | None] = [None]
        tried = [whole]
        for least, way in self._hopeful(group, machine, whole[0]):
            if self.objective.slack and sum(map(_cycles, tried[-1])) <= ENOUGH * least:
                break
            if works := self._steps(group, way, machine, PARTS):
                kept.append(way)
                tried.append(works)
        best = self._choice([(sum(map(_cycles, works)), sum(map(_cost, works))) for works in tried])
        if best and self.measure:
            exact = [self.measure(program_of_works(works, machine)) for works in (whole, tried[best])]
            joules = self.objective.joules
            best *= self._choice([(each.cycles, each.energy_joules if joules else each.dram_bytes) for each in exact])
        return kept[best]

    def _choice(self, costs: list[tuple[float, float]]) -> int:
        cycles, cost = zip(*costs, strict=True)
        return self.objective.best(cycles, cost)

    def _hopeful(self, group: Group, machine: Machine, whole: Work) -> list[tuple[float, Way]]:
        """The ways that might be better, after the cycles that they take at least, in that order."""
        cores, cycles = self.options.cores_of(machine), _cycles(whole)
        again = self.objective.slack == 0 and _bytes(whole) > ENOUGH * group.compulsory_bytes
        waits = START + (2 if group.resident else 4) * machine.dram.latency_cycles
        found = []
        for way in ways(group, cores):
            first, then = in_parts(group, *way, PARTS)
            least = waits + floor_cycles(first, machine, cores, "auto", outer_of(way[0]))
            least += floor_cycles(then, machine, cores, "auto")
            if again or ENOUGH * least < cycles:
                found.append((least, way))
        return sorted(found)[:TRIED]

    def _steps(self, group: Group, way: Way, machine: Machine, name: str) -> list[Work]:
        """The works of the two steps; none where one of them doesn't fit."""
        steps = in_parts(group, *way, name)
        splits = [self.found(step, machine, along) for step, along in zip(steps, (outer_of(way[0]), None), strict=True)]
        pairs = zip(steps, splits, strict=True)
        works = [replace(split.apply(step), whole=group) for step, split in pairs if isinstance(split, Split)]
        return works if len(works) == len(steps) else []


def _cycles(work: Work) -> float:
    return work.parts[0].tiling.cycles


def _cost(work: Work) -> float:
    return work.parts[0].tiling.cost * number(work.cut)


def _bytes(work: Work) -> float:
    return work.parts[0].tiling.dram_bytes * number(work.cut)
