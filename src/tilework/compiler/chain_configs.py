"""In which configurations a chain is worth a measurement: those that fit on chip, of many the most promising."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain as joined

from tilework.compiler.body import functions
from tilework.compiler.chain import Chain, cut_loop
from tilework.compiler.chain_bounds import alternating, arithmetic, matrix_cycles, vector_cycles
from tilework.compiler.chain_memory import ONLY, Layout, Strip
from tilework.compiler.chain_part import CHANNELS, Config, chains, shared
from tilework.compiler.chain_pieces import mover
from tilework.compiler.chain_strips import strips
from tilework.compiler.group import Group
from tilework.compiler.tile_front import Objective
from tilework.machine.machine import Machine

LONGEST_IN_STRIPS = 2  # with a contraction on the vector unit: longer ones' strips are too narrow to be quick
STRIPS = (1, 2, 3, 4)  # of columns
FEW = range(2, 13)  # strips of channels, or more if they are all of one size
MANY = 64
TRIED, NEARLY = 2, 1.01  # how many, and with how many times the least estimated cycles
LOOKED_AT = 6  # steps, after which bands take no more rows
STEADY = 2  # the step that stands for all
PROMISE = 1.02  # times what no program of a chain can beat: what it is taken to cost before it is measured
FORMS = ((1, 2), (4, 1), (2, 1))  # turns and buffers; the last if not both others fit


class Configs:
    """Those for chains on one core of a machine."""

    def __init__(self, machine: Machine, objective: Objective) -> None:
        self.machine, self.objective = machine, objective

    def hopeful(self, groups: Sequence[Group], apart: float) -> Iterator[Config]:
        """Those with which a chain might be chosen before its groups, which take so many cycles apart."""
        sliced = list(self._sliced(groups)) if strips(groups, CHANNELS, 2, own=True, most=1) else []
        for config in sliced or self._in_columns(groups):
            if self._may_gain(groups, config, apart):
                yield config

    def fits(self, layout: Layout) -> bool:
        """Whether a strip fits on chip."""
        sizes = {"nram": self.machine.nram.capacity_bytes, "wram": self.machine.wram.capacity_bytes}
        return all(top <= sizes[memory] for memory, top in layout.top.items())

    def _in_columns(self, groups: Sequence[Group]) -> Iterator[Config]:
        """With as few strips as can be some forms of a step, with the most rows.

        With one turn and one buffer units wait for each other, which is good for what fits in no other way.
        """
        quick = len(groups) <= LONGEST_IN_STRIPS or not any(group.on_lanes for group in groups)
        for count in STRIPS if quick or not self.objective.slack else STRIPS[:1]:
            cut = chains(groups, count, most=2)  # strips inside are as large as the second
            lone = self._tallest(cut, Config(count, 1, 1, 1), 1)
            found = [self._tallest(cut, Config(count, 1, *form)) for form in FORMS if lone]
            several = [config for config in found if config][: len(FORMS) - 1]
            yield from several
            if several:
                return
            if lone and (lone := self._tallest(cut, Config(count, 1, 1, 1))):
                yield lone

    def _sliced(self, groups: Sequence[Group]) -> Iterator[Config]:
        """In strips of channels, which compute nothing twice: as many as leave the matrix unit no more to do."""
        found = []
        for count, even in self._slices(groups):
            cut = chains(groups, count, CHANNELS, 2)
            for copies in (2, 1)[not even :]:
                config = self._tallest(cut, Config(count, 1, *FORMS[0], CHANNELS, copies))
                if config:
                    found.append((self._estimate(cut, config), config))
                    break
        found.sort()
        yield from (config for cycles, config in found[:TRIED] if cycles <= NEARLY * found[0][0])

    def _slices(self, groups: Sequence[Group]) -> Iterator[tuple[int, bool]]:
        """The numbers of strips of channels into which a chain may be cut, and whether these are of one size."""
        work = PROMISE * arithmetic(groups, self.machine)[0]
        loop = cut_loop(groups[-1], CHANNELS)
        extent = groups[-1].extents[loop] if loop else 1
        for count in sorted({*FEW, *(n for n in range(2, MANY + 1) if extent % n == 0)}):
            first = strips(groups, CHANNELS, count, own=True, most=1)
            if first and count * arithmetic(first[0], self.machine)[0] <= work:
                yield count, extent % count == 0

    def _tallest(self, cut: list[Chain], config: Config, most: int = 1 << 30) -> Config | None:
        """The configuration with the most rows that fits, at most so many; None if one row doesn't, or there are none
        to take turns."""
        best, height, steps = None, 1, 2
        _, _, turns, slots, _, copies = config
        alone = (turns, slots) == (1, 1) or copies > 1
        strip = _strip(cut, copies)
        while cut and steps > 1 and height <= most:
            found = [Layout(chain, height, turns, slots, copies, strip, most=LOOKED_AT) for chain in cut]
            steps = len(found[0].steps)
            if not all(map(self.fits, found)) or (steps == 1 and not alone):
                break
            best, height = config._replace(height=height), 2 * height
        return best

    def _may_gain(self, groups: Sequence[Group], config: Config, apart: float) -> bool:
        if self.objective.joules or not self.objective.slack:
            return True
        if config.axis == CHANNELS:
            return max(arithmetic(groups, self.machine)) < PROMISE * apart
        parts = strips(groups, config.axis, config.strips, own=True) if config.strips > 1 else [tuple(groups)]
        alternate = (config.turns, config.slots) == (1, 1)
        works = [(*arithmetic(part, self.machine), alternate * alternating(part, self.machine)) for part in parts]
        return sum(map(max, works)) < PROMISE * apart

    def _estimate(self, cut: list[Chain], config: Config) -> float:
        """About the cycles of a chain in strips of one form: what takes longest in each step, and the first steps."""
        _, height, turns, slots, _, copies = config
        layout = Layout(cut[0], height, turns, slots, copies, _strip(cut, copies), most=LOOKED_AT)
        steps = -(-cut[0].stages[-1].rows // (height * turns))
        return (config.strips * steps + max(layout.lags.values()) + 1) * self._step_cycles(layout)

    def _step_cycles(self, layout: Layout) -> float:
        """Of the unit that has most to do in a step in the middle."""
        step, unit = layout.steps[min(STEADY, len(layout.steps) - 1)], self.machine.vector
        width = self.machine.transfer_bytes_per_cycle or self.machine.dram_bytes_per_cycle
        busy = {"matrix": 0.0, "vector": 0.0, "load": 0.0}
        for place, (low, high) in joined.from_iterable(work.items() for work in step.work):
            part = layout.part(place, high - low)
            busy["matrix"] += matrix_cycles(part, self.machine)
            called = sum(len(functions(nest)) for nest in part.nests[part.contracts :])
            busy["vector"] += vector_cycles(part, self.machine) + unit.pipeline_cycles * called * (not part.sends)
        for name, band in layout.chain.bands.items():
            moved = step.kept.get(name, 0) * band.row_bytes * layout.moves(name, step)
            busy[mover(band)] += moved / (4 * unit.lanes if mover(band) == "vector" else width)
            if mover(band) == "load" and not layout.shares(name):
                rows = sum(high - low for fresh in step.fresh for low, high in (fresh.get(name, (0, 0)),))
                busy["load"] += rows * band.row_bytes / width
        return max(busy.values())


def _strip(cut: list[Chain], copies: int) -> Strip:
    """The first strip of a chain, of which all have so many copies of their weights."""
    return Strip(shared=shared(cut)) if cut and copies > 1 else ONLY
