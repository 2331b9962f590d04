"""Which groups become chains: of all ways to cut the sequence of groups into chains, the one that costs least.

Chains and groups are measured one by one, and costs add up, since each ends in a sync. A chain is measured only if the
best way would have it by a little more than what no program of it can beat.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from tilework.compiler.buffers import Plan, contraction_operands
from tilework.compiler.chain import Chain, linked, strips
from tilework.compiler.chain_bounds import alternating, arithmetic, matrix_cycles
from tilework.compiler.chain_memory import Layout
from tilework.compiler.chain_part import CHANNELS, COLUMNS, ONE, ChainPart, ChainTiling, Config, chains, joined
from tilework.compiler.group import Group
from tilework.compiler.on_vector import on_vector
from tilework.compiler.options import Measure, Measured
from tilework.compiler.prune_blocks import DENSE
from tilework.compiler.split import Part, Work
from tilework.compiler.tile_front import OBJECTIVES, Objective
from tilework.compiler.tile_measure import program_of
from tilework.errors import CompileError
from tilework.machine.machine import Machine

LONGEST = 6  # groups of a chain
LONGEST_IN_STRIPS = 2  # with a contraction on the vector unit: longer ones' strips are too narrow to be quick
STRIPS = tuple((count, COLUMNS) for count in (1, 2, 3, 4))
SLICES = range(2, 13)
LOOKED_AT = 6  # steps, after which bands take no more rows
PROMISE = 1.02  # times what no program of a chain can beat: what it is taken to cost before it is measured
FORMS = ((1, 2), (4, 1), (2, 1))  # turns and buffers; the last if not both others fit
NONE = Measured(1e30, 1 << 62, 1e30)

Span = tuple[int, int]  # the first group and the one behind the last


class ChainSearch:
    """Chains for one core of a machine; equal ones are measured once."""

    def __init__(self, machine: Machine, objective: str, measure: Measure) -> None:
        self.machine, self.objective, self.measure = machine, OBJECTIVES[objective], measure
        self.found: dict[object, tuple[Config, Measured]] = {}
        self.alone: dict[object, Measured] = {}
        self.numbers: dict[object, int] = {}

    def chained(self, works: Sequence[Work], outputs: Sequence[str]) -> tuple[Work, ...]:
        """The works with those that gain by it joined into chains; `outputs` are the graph's."""
        spans = list(self._spans(works, outputs))
        if not spans:
            return tuple(works)
        costs = {(i, i + 1): self._apart(work.parts[0]) for i, work in enumerate(works)}
        weigh = _weight(self.objective, list(costs.values()), self.machine)
        least = {span: self._least(self._members(works[slice(*span)])) for span in spans}
        while True:
            chosen = _shortest({**least, **costs}, weigh, len(works))
            open_spans = [span for span in chosen if span not in costs]
            if not open_spans:
                return tuple(self._work(works[slice(*span)]) for span in chosen)
            for span in open_spans:
                apart = sum(costs[i, i + 1].cycles for i in range(*span))
                costs[span] = self._chain(self._members(works[slice(*span)]), apart)[1]

    def _spans(self, works: Sequence[Work], outputs: Sequence[str]) -> Iterator[Span]:
        """Neighbouring groups that make a chain whose weights fit on chip."""
        readers = Counter(outputs)
        for work in works:
            readers.update({access.tensor for _, access in work.group.external_reads})
        for first in range(len(works)):
            for end in range(first + 1, min(first + LONGEST, len(works)) + 1):
                groups = self._members(works[first:end])
                if not all(map(_alone, works[first:end])) or not self._weights_fit(groups):
                    break
                if end > first + 1 and linked(groups, readers):
                    yield first, end

    def _members(self, works: Sequence[Work]) -> list[Group]:
        """The groups as a chain computes them: weights stay in WRAM and activations in NRAM, or a contraction is the
        vector unit's where that has less to do."""
        return [self._member(work.group) if work.group.swapped else work.group for work in works]

    def _member(self, group: Group) -> Group:
        straight, lanes = replace(group, swapped=False), on_vector(group)
        on_lanes = group.main.iterations / self.machine.vector.lanes
        return lanes if lanes and on_lanes < matrix_cycles(straight, self.machine) else straight

    def _weights_fit(self, groups: Sequence[Group]) -> bool:
        size = sum(
            group.touched_bytes[b.tensor]
            for group in groups
            if group.contracts
            for b in contraction_operands(group)[1:]
        )
        return size <= self.machine.wram.capacity_bytes

    def _least(self, groups: Sequence[Group]) -> Measured:
        """A little more than what no program of a chain can beat."""
        made = {group.output.tensor for group in groups[:-1]}
        touched: dict[str, int] = {}
        for group in groups:
            for name in group.touched_bytes.keys() - made:
                touched[name] = max(touched.get(name, 0), group.touched_bytes[name])
        moved = sum(touched.values())
        cycles = max(*arithmetic(groups, self.machine), moved / self.machine.dram_bytes_per_cycle)
        cycles *= PROMISE
        return Measured(cycles, moved, PROMISE * moved * self.machine.dram.energy_per_byte_joules)

    def _apart(self, part: Part) -> Measured:
        key = self._number(part.group), part.tiling.choice
        if key not in self.alone:
            self.alone[key] = self.measure(program_of(part, self.machine))
        return self.alone[key]

    def _chain(self, groups: Sequence[Group], apart: float) -> tuple[Config, Measured]:
        """The best configuration of a chain and its cost, which is infinite where none fits or can be quicker than the
        groups `apart`."""
        numbers = {name: number for number, name in enumerate(name for group in groups for name in group.names)}
        names = tuple(numbers[name] for group in groups for name in group.names)
        key = tuple(self._number(group) for group in groups), names
        if key not in self.found:
            hopeful = (config for config in self._configs(groups) if self._hopeful(groups, config, apart))
            best = self._best([(config, self._measured(groups, config)) for config in hopeful])
            low = best[0]._replace(height=1)
            self.found[key] = best if low == best[0] else self._best([best, (low, self._measured(groups, low))])
        return self.found[key]

    def _best(self, tried: list[tuple[Config, Measured]]) -> tuple[Config, Measured]:
        costs = [cost for _, cost in tried]
        price = [cost.energy_joules if self.objective.joules else cost.dram_bytes for cost in costs]
        return tried[self.objective.best([cost.cycles for cost in costs], price)] if tried else (ONE, NONE)

    def _number(self, group: Group) -> int:
        """Equal for groups that differ only in names."""
        return self.numbers.setdefault(group.shape, len(self.numbers))

    def _configs(self, groups: Sequence[Group]) -> Iterator[Config]:
        """What is worth a measurement: with as few strips as can be some forms of a step, with the most rows.

        With one turn and one buffer units wait for each other, which is good for what fits in no other way. Strips of
        channels compute nothing twice, so there are as many as let the first form fit, if the matrix unit has no more
        to do.
        """
        slices = self._slices(groups) if strips(groups, CHANNELS, 2, own=True) else []
        quick = len(groups) <= LONGEST_IN_STRIPS or not any(group.on_lanes for group in groups)
        for count, axis in slices or (STRIPS if quick or not self.objective.slack else STRIPS[:1]):
            cut = chains(groups, count, axis)[:2]  # strips inside are as large as the second
            lone = _tallest(cut, (count, axis), (1, 1), self._fits, 1)
            found = {
                form: config for form in FORMS if lone and (config := _tallest(cut, (count, axis), form, self._fits))
            }
            if slices and FORMS[0] not in found:
                continue
            if len(found) == len(FORMS):
                del found[FORMS[-1]]
            yield from found.values()
            if found:
                return
            if lone and (lone := _tallest(cut, (count, axis), (1, 1), self._fits)):
                yield lone

    def _slices(self, groups: Sequence[Group]) -> list[tuple[int, int]]:
        """The numbers of strips of channels into which a chain may be cut."""
        work, found = PROMISE * arithmetic(groups, self.machine)[0], [STRIPS[0]]
        for count in SLICES:
            first = next(iter(strips(groups, CHANNELS, count, own=True)), ())
            if first and count * arithmetic(first, self.machine)[0] <= work:
                found.append((count, CHANNELS))
        return found

    def _hopeful(self, groups: Sequence[Group], config: Config, apart: float) -> bool:
        """Whether a chain might be chosen before its groups, which take so many cycles apart."""
        if self.objective.joules or not self.objective.slack:
            return True
        parts = strips(groups, config.axis, config.strips, own=True) if config.strips > 1 else [tuple(groups)]
        alternate = (config.turns, config.slots) == (1, 1)
        works = [(*arithmetic(part, self.machine), alternate * alternating(part, self.machine)) for part in parts]
        return sum(map(max, works)) < PROMISE * apart

    def _measured(self, groups: Sequence[Group], config: Config) -> Measured:
        part = _part(groups, config)
        try:
            return self.measure(program_of(part, self.machine)) if all(map(self._fits, part.layouts)) else NONE
        except CompileError:
            return NONE

    def _fits(self, layout: Layout) -> bool:
        """Whether a strip fits on chip."""
        sizes = {"nram": self.machine.nram.capacity_bytes, "wram": self.machine.wram.capacity_bytes}
        return all(top <= sizes[memory] for memory, top in layout.top.items())

    def _work(self, works: Sequence[Work]) -> Work:
        if len(works) == 1:
            return works[0]
        groups = self._members(works)
        config, cost = self._chain(groups, NONE.cycles)
        part = _part(groups, config, cost.cycles)
        return Work(part.group, (), (part,))


def _alone(work: Work) -> bool:
    """Whether a work can be part of a chain: it is one core's, no step, with dense weights and operands in DRAM."""
    plain = not work.chunks and not work.group.resident and work.group.blocks == DENSE
    return len(work.parts) == 1 and work.whole is None and plain


def _part(groups: Sequence[Group], config: Config, cycles: float = 0.0) -> ChainPart:
    none = Plan((), {}, {}, {})
    tiling = ChainTiling((), {}, 0, (), (), cycles, 1, none, config=config, members=len(groups))
    return ChainPart(joined(groups), tiling, tuple(groups))


def _tallest(
    cut: list[Chain], cuts: tuple[int, int], form: tuple[int, int], fits: Callable[[Layout], bool], most: int = 1 << 30
) -> Config | None:
    """The configuration with the most rows that fits; None if one row doesn't, or there are none to take turns."""
    best, height, steps = None, 1, 2
    while cut and steps > 1 and height <= most:
        found = [Layout(chain, height, *form, most=LOOKED_AT) for chain in cut]
        steps = len(found[0].steps)
        if not all(map(fits, found)) or (form != (1, 1) and steps == 1):
            break
        best, height = Config(cuts[0], height, *form, cuts[1]), 2 * height
    return best


def _weight(objective: Objective, apart: Sequence[Measured], machine: Machine) -> Callable[[Measured], float]:
    """A cost as one number that adds up: what the objective makes least, and for time a little of the traffic."""
    joules, cycles = (max(sum(c), 1e-30) for c in ([m.energy_joules for m in apart], [m.cycles for m in apart]))
    if not objective.joules:
        by_time = objective.slack > 0
        byte = objective.slack / machine.dram_bytes_per_cycle
        return lambda cost: cost.cycles + byte * cost.dram_bytes if by_time else cost.dram_bytes
    shared = objective.value(2.0, 1.0) > objective.value(1.0, 1.0)
    return lambda cost: cost.energy_joules / joules + shared * cost.cycles / cycles


def _shortest(costs: Mapping[Span, Measured], weigh: Callable[[Measured], float], count: int) -> list[Span]:
    """The spans of least cost that make the whole sequence."""
    best: list[tuple[float, list[Span]]] = [(0.0, [])]
    for end in range(1, count + 1):
        ways = [(best[first][0] + weigh(cost), first) for (first, stop), cost in costs.items() if stop == end]
        value, first = min(ways)
        best.append((value, [*best[first][1], (first, end)]))
    return best[count][1]
