"""Which groups are computed in two steps, so that the cores can share their sums too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from tilework.compiler.group import Group
from tilework.compiler.memory import align
from tilework.compiler.options import Measure, Options
from tilework.compiler.partial import in_parts, outer_of, ways
from tilework.compiler.split import Split, Work, floor_cycles, number
from tilework.compiler.tile_front import OBJECTIVES
from tilework.compiler.tile_measure import program_of_works
from tilework.errors import CompileError
from tilework.machine.machine import Machine

Found = Callable[[Group, Machine, str | None], Split | CompileError]
Way = tuple[str, int]  # a loop and its number of parts
Cost = tuple[float, float]

HOPE = 1.03  # times the least time or the compulsory bytes: less is hardly gained
GAIN = 1.01  # how much better two steps must be
START = 30  # cycles: what a second step takes besides, to issue its instructions, to fill the units, and to meet
PARTS = "parts"
WIDEST = 4  # bytes of a part of a sum
TRIED = 2  # ways whose tilings are searched: those that might be quickest


class StepSearch:
    """The choice for each group, made once for those that differ only in names; `found` gives a group's best split,
    which is along a loop where one is named."""

    def __init__(self, options: Options, measure: Measure | None, found: Found) -> None:
        self.options, self.measure, self.found = options, measure, found
        self.objective = OBJECTIVES[options.objective]
        self.known: dict[tuple[object, ...], Way | None] = {}
        self.names: Counter[str] = Counter()

    def works(self, group: Group, machine: Machine, split: Split, room: int) -> list[Work]:
        """The group so split, or, if the objective likes that better, its two steps; parts of sums that take no more
        than `room` bytes lie in the SRAM."""
        whole, cores = [split.apply(group)], self.options.cores_of(machine)
        if self.options.split != "auto" or cores == 1:
            return whole
        room = min(room, cores * WIDEST * group.tensors[group.main.output.tensor].elements)
        key = group.shape, machine.sram, room
        if key not in self.known:
            self.known[key] = self._best(group, machine, whole, room)
        way = self.known[key]
        return self._steps(group, way, machine, room, self._name(group)) if way else whole

    def _name(self, group: Group) -> str:
        """That of the parts of the group's sums; several groups may make places of one tensor."""
        made = group.main.output.tensor
        self.names[made] += 1
        return f"{made}:{PARTS}" + (f"{self.names[made]}" if self.names[made] > 1 else "")

    def _best(self, group: Group, machine: Machine, whole: list[Work], room: int) -> Way | None:
        """The best way by estimate, if it is better than the whole group, as simulated if it can be."""
        found: list[tuple[Way, list[Work]]] = []
        for least, way in self._hopeful(group, machine, whole[0], room):
            if self.objective.slack and found and sum(map(_cycles, found[-1][1])) <= HOPE * least:
                break
            if works := self._steps(group, way, machine, room, PARTS):
                found.append((way, works))
        if not found:
            return None
        costs = [_estimate(works) for _, works in found]
        best = self.objective.best([cycles for cycles, _ in costs], [cost for _, cost in costs])
        way, works = found[best]
        gains = self._gains(costs[best], _estimate(whole))
        if gains and self.measure:
            gains = self._gains(self._exact(works, machine), self._exact(whole, machine))
        return way if gains else None

    def _gains(self, steps: Cost, whole: Cost) -> bool:
        return bool(GAIN * self.objective.value(*steps) <= self.objective.value(*whole))

    def _exact(self, works: list[Work], machine: Machine) -> Cost:
        """Cycles and bytes or joules of these works by themselves, simulated."""
        assert self.measure is not None
        cost = self.measure(program_of_works(works, machine))
        return cost.cycles, cost.energy_joules if self.objective.joules else cost.dram_bytes

    def _hopeful(self, group: Group, machine: Machine, whole: Work, room: int) -> list[tuple[float, Way]]:
        """The ways that might be better, after the cycles that they take at least, in that order."""
        cores, (cycles, _) = self.options.cores_of(machine), _estimate([whole])
        moved = whole.parts[0].tiling.dram_bytes * number(whole.cut)
        again = self.objective.slack == 0 and moved > HOPE * group.compulsory_bytes
        found = []
        for way in ways(group, cores):
            first, then = _settled(in_parts(group, *way, PARTS), PARTS, room)
            least = float(START + machine.dram.latency_cycles * _transfers(first, then))
            least += floor_cycles(first, machine, cores, "auto", outer_of(way[0]))
            least += floor_cycles(then, machine, cores, "auto")
            if again or HOPE * least < cycles:
                found.append((least, way))
        return sorted(found)[:TRIED]

    def _steps(self, group: Group, way: Way, machine: Machine, room: int, name: str) -> list[Work]:
        """The works of the two steps; none where one of them doesn't fit."""
        steps = _settled(in_parts(group, *way, name), name, room)
        splits = [self.found(step, machine, along) for step, along in zip(steps, (outer_of(way[0]), None), strict=True)]
        pairs = zip(steps, splits, strict=True)
        works = [replace(split.apply(step), whole=group) for step, split in pairs if isinstance(split, Split)]
        return works if len(works) == len(steps) else []


def _settled(steps: tuple[Group, Group], name: str, room: int) -> tuple[Group, Group]:
    """Steps with the parts of the sums in the SRAM, if there is room for them."""
    if align(steps[0].tensors[name].size_bytes) > room:
        return steps
    first, then = (replace(step, resident=step.resident | {name}) for step in steps)
    return first, then


def _transfers(first: Group, then: Group) -> int:
    """How many transfers to and from DRAM there are at least one after another: what the first step reads besides
    weights, which may come from the SRAM, what it makes, that again, and the result."""
    reads = {access.tensor for access in first.main.reads if not first.tensors[access.tensor].is_weight}
    made, result = first.output.tensor, then.output.tensor
    return len(reads - first.resident) + 2 * (made not in first.resident) + (result not in then.resident)


def _cycles(work: Work) -> float:
    return work.parts[0].tiling.cycles


def _estimate(works: list[Work]) -> Cost:
    """Cycles and bytes or joules of works one after another."""
    cost = sum(work.parts[0].tiling.cost * number(work.cut) for work in works)
    return sum(map(_cycles, works)), cost
