"""A plan of a product: how it is cut into tiles and slices, what stays on chip, and how many bytes that takes.

The outputs are cut into tiles. A tile's sums are made in one go, slice by slice of the places that are summed, each
with its inputs and weights. Cores divide one side of a tile, rows or columns; the operand along that side is each
core's own, the other is shared by all. What the cores cannot divide equally, less than one row or column each, is left
over: all cores have it, and each computes its share of the outputs there.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from tilework.compiler.map_problem import SUM_BYTES, Figures, Problem, whole
from tilework.compiler.map_runs import Runs, mapped, spread, total, zipped
from tilework.compiler.map_runs import divided as cut
from tilework.compiler.map_side import Portion, divided


@dataclass(frozen=True, slots=True)
class Plan:
    """How a product is cut, and what stays.

    `split` is what cores divide: a side, "rows" or "columns", or the "groups", of which each does some by itself, with
    the rows as its own side. That side is cut into `own_parts`, the other into
    `shared_parts`; in `own_outer` the parts of the first are the outer loop. An operand that is kept is brought once:
    the whole of it if its parts are the inner loop, else the part at hand. The shared one is kept "no", "core" (in each
    core) or "sram". The summed places are cut into `slices`, the last `ending` of which the last tile does output by
    output, `grain` for each core at a time, so that most are stored before the end.
    """

    split: str
    own_outer: bool
    keep_own: bool
    keep_shared: str
    own_parts: int
    shared_parts: int
    slices: int
    ending: int = 1
    grain: int = 1


class Tile(NamedTuple):
    """Elements for each summed place that come for a tile: each core's own and those of what is left over, to all
    cores; those of the shared operand that come from DRAM, and from SRAM to the cores. `outputs` of a core of each
    group.
    """

    own: int
    left: int
    shared: int
    cast: int
    outputs: tuple[int, ...]


class Layout:
    """A plan applied to a product on a machine: its tiles, and the bytes that it takes on chip.

    A `serial` program loads, computes and stores one after the other, so that it has one buffer where others have two.
    Cores must be able to divide what the plan says that they do: `divided` says so of a side.
    """

    def __init__(self, problem: Problem, figures: Figures, plan: Plan, *, serial: bool = False) -> None:
        self.problem, self.figures, self.plan, self.serial = problem, figures, plan, serial
        rows, columns = problem.sides
        own, shared = (columns, rows) if plan.split == "columns" else (rows, columns)
        sizes = (problem.input_bytes, problem.weight_bytes)
        self.own_bytes, self.shared_bytes = sizes[::-1] if plan.split == "columns" else sizes
        self.dealers = 1 if plan.split == "groups" else figures.cores
        portions = divided(own, self.dealers)
        assert portions is not None
        self.own_side, self.left_side = portions
        self.shared_side = Portion(shared, shared.frames, shared.lines)
        self.shares = figures.shares and plan.split != "groups"
        self.rounds = problem.groups * self.dealers // (figures.cores * figures.lots)
        self.width = own.width * shared.width
        across = {self.shared_side.part(plan.shared_parts, index).lines for index in (0, plan.shared_parts - 1)}
        self.groups = _groups(self.dealers, figures.cores, {self.left_outputs(size) for size in across})
        self.slices = spread(problem.summed, plan.slices)
        self._done = problem.done.as_integer_ratio()
        depth = problem.layer.depth if problem.layer else 1
        # What cannot be sliced comes a whole tile ahead, and its sums are made in as many phases.
        self.whole = problem.summed == 1 and not serial and not self.shares
        self.places = spread(depth, plan.slices) if self.whole else mapped(self.slices, lambda places: places * depth)
        self.tiles = plan.own_parts * plan.shared_parts * self.rounds

    def left_outputs(self, across: int) -> int:
        """Outputs of what is left over, for so many lines across."""
        return self.left_side.size * across * self.width

    def tile(self, own: int, across: int) -> Tile:
        """The tile of these parts; what is kept needs only what the part before it did not."""
        plan = self.plan
        one, other = self.own_side.part(plan.own_parts, own), self.shared_side.part(plan.shared_parts, across)
        last = own == plan.own_parts - 1
        brings, brings_shared = across == 0 or not plan.keep_own, own == 0 or plan.keep_shared == "no"
        shared = other.held if plan.keep_shared == "no" else other.fresh
        cast = other.held if plan.keep_shared == "sram" else shared * brings_shared
        return Tile(
            (one.fresh if plan.keep_own else one.held) * brings,
            self.left_side.part(1, 0).held * (brings and last),
            shared * brings_shared,
            cast,
            self._outputs(one.lines, last, other.lines),
        )

    def _outputs(self, own: int, last: bool, across: int) -> tuple[int, ...]:
        least, more = divmod(self.left_outputs(across) if last else 0, self.dealers)
        firsts = (sum(self.groups[:group]) for group in range(len(self.groups)))
        return tuple(own * across * self.width + least + (first < more) for first in firsts)

    def macs(self, outputs: tuple[int, ...], places: int) -> tuple[int, ...]:
        """Multiply-accumulates of a core of each group for so many outputs, and places of each."""
        part, of = self._done
        return tuple(-(-some * places * part // of) for some in outputs)

    def loads(self) -> Fraction:
        """Ticks of the channel for all operands that are brought from DRAM."""
        plan, figures = self.plan, self.figures
        _, _, own_held, own_fresh = self.own_side.measures(plan.own_parts)
        _, _, held, fresh = self.shared_side.measures(plan.shared_parts)
        shared = figures.clusters * figures.mover if self.shares else figures.cores * figures.channel
        times = 1 if plan.keep_own else plan.shared_parts
        ticks = (own_fresh if plan.keep_own else own_held) * figures.cores * figures.channel
        owns = (ticks + self.left_side.part(1, 0).held * shared) * times * self.own_bytes
        across = fresh if plan.keep_shared != "no" else held * plan.own_parts
        return (owns + across * shared * self.shared_bytes) * self.problem.summed * self.rounds

    def own(self, elements: int) -> int:
        """Bytes of so many elements of the cores' own operand."""
        return -(-elements * self.own_bytes.numerator // self.own_bytes.denominator)

    def shared(self, elements: int) -> int:
        return -(-elements * self.shared_bytes.numerator // self.shared_bytes.denominator)

    @cached_property
    def last(self) -> Tile:
        """The tile that comes last."""
        return self.tile(self.plan.own_parts - 1, self.plan.shared_parts - 1)

    @cached_property
    def phases_of_last(self) -> int:
        """Of the last tile, before its ending."""
        return self.plan.slices - self.plan.ending

    def coming(self, size: int) -> Runs[int]:
        """The elements of an operand of that size that come to a core in each phase of the last tile.

        The first slice is there before. They run ahead of the computation, so that the ending's are there in time. What
        comes through SRAM has been loaded into it in the phase before, and the second slice before the tile.
        """
        phases, first = self.phases_of_last, self.slices[0][1]
        if not self.shares:
            return spread(size * (self.problem.summed - first), phases)
        second = cut(self.slices, 1)[1][0][1]
        rest = size * (self.problem.summed - first - second)
        return [(1, size * second), *(spread(rest, phases - 1) if phases > 1 else [])]

    def occupied(self) -> dict[str, int]:
        """Bytes that the program takes of each core's nram and wram, and of sram: of its buffers together."""
        plan, biggest, problem = self.plan, self.slices[0][1], self.problem
        lines, own_size, _, own_whole = self.own_side.measures(plan.own_parts)
        across_lines, across, _, whole_side = self.shared_side.measures(plan.shared_parts)
        left = self.left_side.part(1, 0).held
        inner = own_size if plan.own_outer else own_whole
        own = [
            self._kept(kept, self.own_bytes) if plan.keep_own else self._passing(now, self.own_bytes)
            for kept, now in ((inner + self._next(own_size), own_size), (left, left))
        ]
        shared = self._kept((whole_side if plan.own_outer else across) + self._next(across), self.shared_bytes)
        # What is left over comes with the last part, which may be smaller than the largest.
        last = self.own_side.part(plan.own_parts, plan.own_parts - 1).lines
        most = max(self._outputs(lines, False, across_lines)[0], self._outputs(last, True, across_lines)[0])
        sums = most * SUM_BYTES * min(1 if self.serial else 2, self.tiles) + most * problem.added_bytes
        on_core = shared if plan.keep_shared == "core" else self._passing(across, self.shared_bytes)
        inputs, weights = (on_core, sum(own)) if plan.split == "columns" else (sum(own), on_core)
        sram = 0
        if self.shares:
            sram = shared if plan.keep_shared == "sram" else self._in_sram(across, biggest, self.shared_bytes)
            sram += self._in_sram(left, biggest, self.own_bytes)
        return {"nram": inputs + sums + self.fixed, "wram": weights, "sram": sram}

    @cached_property
    def fixed(self) -> int:
        """Bytes that a core loads for pointwise work once: all, or, if they go with what cores divide, its part."""
        whole_of = self.problem.fixed_bytes
        return whole_of if self.plan.split == "rows" else -(-whole_of // self.figures.cores)

    def _next(self, size: int) -> int:
        """Elements for which there must be room beside what is kept, since they come before that is done with."""
        return size if self.whole and self.tiles > 1 else 0

    def _kept(self, size: int, each: Fraction) -> int:
        return total(mapped(self.slices, lambda summed: whole(size * summed * each)))

    def _passing(self, size: int, each: Fraction) -> int:
        """Bytes of what is computed on and what comes: two slices, more in the last tile; serially one."""
        if self.whole:
            return min(2, self.tiles) * whole(size * each)
        if self.serial:
            return whole(size * self.slices[0][1] * each)
        freed, there, steady = 0, size * self.slices[0][1], 2 * size * self.slices[0][1]
        most = min(steady, size * self.problem.summed)
        for count, (more, summed) in zipped(self.coming(size), cut(self.slices, self.phases_of_last)[0]):
            most = max(most, there + more - freed, there + count * more - freed - (count - 1) * size * summed)
            there, freed = there + count * more, freed + count * size * summed
        return whole(most * each) + (0 if each.denominator == 1 else self.phases_of_last)

    def _in_sram(self, size: int, biggest: int, each: Fraction) -> int:
        """Bytes of what comes and what goes to the cores."""
        if self.serial:
            return whole(size * biggest * each)
        return 2 * whole(max(size * biggest, *(some for _, some in self.coming(size))) * each)

    def fits(self) -> bool:
        """Whether the chip has the bytes that the program takes."""
        taken = self.occupied()
        return all(taken[memory] <= getattr(self.figures, memory) for memory in ("nram", "wram", "sram"))


def _groups(dealers: int, cores: int, left: set[int]) -> tuple[int, ...]:
    """How many cores do the same: of what is left over, the first of them compute one output more in some tiles."""
    cuts = sorted({0, cores, *(size % dealers for size in left)} if dealers > 1 else {0, cores})
    return tuple(after - before for before, after in pairwise(cuts))
