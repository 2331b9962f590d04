"""Which groups become chains: of all ways to cut the sequence of groups into chains, the one that costs least.

Chains and groups are measured one by one, and costs add up, since each ends in a sync. A chain is measured only if the
best way would have it by a little more than what no program of it can beat.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from tilework.compiler.buffers import Plan, contraction_operands
from tilework.compiler.chain import linked
from tilework.compiler.chain_bounds import arithmetic, matrix_cycles
from tilework.compiler.chain_configs import PROMISE, Configs
from tilework.compiler.chain_part import CHANNELS, ONE, ChainPart, ChainTiling, Config, joined
from tilework.compiler.chain_send import with_copies
from tilework.compiler.chain_strips import strips
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
LONGEST_WITH_COPIES = 4  # and copies: longer ones' strips are too narrow to be quick
NONE = Measured(1e30, 1 << 62, 1e30)

Span = tuple[int, int]  # the first group and the one behind the last


class ChainSearch:
    """Chains for one core of a machine; equal ones are measured once."""

    def __init__(self, machine: Machine, objective: str, measure: Measure) -> None:
        self.machine, self.objective, self.measure = machine, OBJECTIVES[objective], measure
        self.configs = Configs(machine, self.objective)
        self.found: dict[object, tuple[int, Config, Measured]] = {}
        self.alone: dict[object, Measured] = {}
        self.numbers: dict[object, int] = {}
        self.fitting: dict[object, bool] = {}
        self.floors: dict[object, Measured] = {}

    def chained(self, works: Sequence[Work], outputs: Sequence[str]) -> tuple[Work, ...]:
        """The works with those that gain by it joined into chains; `outputs` are the graph's."""
        spans = list(self._spans(works, outputs))
        if not spans:
            return tuple(works)
        costs = {(i, i + 1): self._apart(work.parts[0]) for i, work in enumerate(works)}
        weigh = _weight(self.objective, list(costs.values()), self.machine)
        least = {span: self._floor(works[slice(*span)]) for span in spans}
        while True:
            chosen = _shortest({**least, **costs}, weigh, len(works))
            open_spans = [span for span in chosen if span not in costs]
            if not open_spans:
                return tuple(self._work(works[slice(*span)]) for span in chosen)
            for span in open_spans:
                apart = sum(costs[i, i + 1].cycles for i in range(*span))
                costs[span] = self._chain(works[slice(*span)], apart)[-1]

    def _spans(self, works: Sequence[Work], outputs: Sequence[str]) -> Iterator[Span]:
        """Neighbouring groups that make a chain whose weights fit on chip."""
        readers = Counter(outputs)
        for work in works:
            readers.update({access.tensor for _, access in work.group.external_reads})
        for first in range(len(works)):
            for end in range(first + 1, min(first + LONGEST, len(works)) + 1):
                inside = works[first:end]
                if not all(map(_alone, inside)) or not self._fits(inside):
                    break
                if end > first + 1 and linked(self._nears(inside), readers):
                    yield first, end

    def _fits(self, works: Sequence[Work]) -> bool:
        key = self._key(works)
        if key not in self.fitting:
            self.fitting[key] = self._weights_fit(self._nears(works))
        return self.fitting[key]

    def _floor(self, works: Sequence[Work]) -> Measured:
        key = self._key(works)
        if key not in self.floors:
            self.floors[key] = min(map(self._least, self._ways(works)))
        return self.floors[key]

    def _key(self, works: Sequence[Work]) -> object:
        """Equal for works that differ only in names, and name their tensors alike."""
        groups = [work.group for work in works]
        numbers = {name: number for number, name in enumerate(name for group in groups for name in group.names)}
        return tuple(map(self._number, groups)), tuple(numbers[name] for group in groups for name in group.names)

    def _ways(self, works: Sequence[Work]) -> list[tuple[Group, ...]]:
        """The groups as a chain may compute them: a contraction's weights in WRAM and activations in NRAM, or on the
        vector unit where that has less to do; and those of which a swapped one has less to do so, after copies."""
        groups, near = tuple(work.group for work in works), self._nears(works)
        far = with_copies([self._far(*pair) if pair[0].swapped else pair[0] for pair in zip(groups, near, strict=True)])
        return [near] if far == near or len(far) > LONGEST_WITH_COPIES else [near, far]

    def _nears(self, works: Sequence[Work]) -> tuple[Group, ...]:
        return tuple(self._near(work.group) if work.group.swapped else work.group for work in works)

    def _near(self, group: Group) -> Group:
        straight, lanes = replace(group, swapped=False), on_vector(group)
        on_lanes = group.main.iterations / self.machine.vector.lanes
        return lanes if lanes and on_lanes < matrix_cycles(straight, self.machine) else straight

    def _far(self, group: Group, near: Group) -> Group:
        straight = replace(group, swapped=False)
        return group if matrix_cycles(group, self.machine) < matrix_cycles(straight, self.machine) else near

    def _weights_fit(self, groups: Sequence[Group]) -> bool:
        """Whether weights fit in the WRAM, or strips have their own."""
        size = sum(
            group.touched_bytes[b.tensor]
            for group in groups
            if group.contracts and not group.swapped
            for b in contraction_operands(group)[1:]
        )
        return size <= self.machine.wram.capacity_bytes or bool(strips(groups, CHANNELS, 2, own=True, most=1))

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

    def _chain(self, works: Sequence[Work], apart: float) -> tuple[int, Config, Measured]:
        """The best way and configuration of a chain and its cost, which is infinite where none fits or can be quicker
        than the groups `apart`."""
        key = self._key(works)
        if key not in self.found:
            ways = [self._best_config(way, apart) for way in self._ways(works)]
            number = self._best([cost for _, cost in ways])
            self.found[key] = number, *ways[number]
        return self.found[key]

    def _best_config(self, groups: Sequence[Group], apart: float) -> tuple[Config, Measured]:
        hopeful = self.configs.hopeful(groups, apart)
        tried = [(config, self._measured(groups, config)) for config in hopeful] or [(ONE, NONE)]
        best = tried[self._best([cost for _, cost in tried])]
        low = best[0]._replace(height=1)
        if low != best[0] and low.axis != CHANNELS:
            tried = [best, (low, self._measured(groups, low))]
        return tried[self._best([cost for _, cost in tried])]

    def _best(self, costs: Sequence[Measured]) -> int:
        price = [cost.energy_joules if self.objective.joules else cost.dram_bytes for cost in costs]
        return self.objective.best([cost.cycles for cost in costs], price)

    def _number(self, group: Group) -> int:
        """Equal for groups that differ only in names."""
        return self.numbers.setdefault(group.shape, len(self.numbers))

    def _measured(self, groups: Sequence[Group], config: Config) -> Measured:
        part = _part(groups, config)
        try:
            return self.measure(program_of(part, self.machine)) if all(map(self.configs.fits, part.layouts)) else NONE
        except CompileError:
            return NONE

    def _work(self, works: Sequence[Work]) -> Work:
        if len(works) == 1:
            return works[0]
        number, config, cost = self._chain(works, NONE.cycles)
        groups = self._ways(works)[number]
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
    ending: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for (first, end), cost in costs.items():
        ending[end].append((first, weigh(cost)))
    for end in range(1, count + 1):
        value, first = min((best[first][0] + cost, first) for first, cost in ending[end])
        best.append((value, [*best[first][1], (first, end)]))
    return best[count][1]
