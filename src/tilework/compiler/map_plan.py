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
from tilework.compiler.map_runs import Runs, divided, mapped, spread, total, zipped


@dataclass(frozen=True, slots=True)
class Plan:
    """How a product is cut, and what stays.

    `split` is the side that cores divide, "rows" or "columns". That side is cut into `own_parts`, the other into
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
    """Each core has `own` rows (or columns), all have `left` more; `across` of the other side.

    What is brought from DRAM for it, and what goes from SRAM to the cores; the outputs of a core of each group.
    """

    own: int
    left: int
    across: int
    brings_own: bool
    brings_shared: bool
    casts_shared: bool
    outputs: tuple[int, ...]


class Layout:
    """A plan applied to a product on a machine: its tiles, and the bytes that it takes on chip.

    A `serial` program loads, computes and stores one after the other, so that it has one buffer where others have two.
    """

    def __init__(self, problem: Problem, figures: Figures, plan: Plan, *, serial: bool = False) -> None:
        self.problem, self.figures, self.plan, self.serial = problem, figures, plan, serial
        by_rows = plan.split == "rows"
        sides = (problem.rows, problem.columns) if by_rows else (problem.columns, problem.rows)
        sizes = (problem.input_bytes, problem.weight_bytes)
        self.own_bytes, self.shared_bytes = sizes if by_rows else sizes[::-1]
        each, self.left = divmod(sides[0], figures.cores)
        self.own_side, self.across_side = each, sides[1]
        self.groups = _groups(
            figures.cores, self.left, {sides[1] // plan.shared_parts, -(-sides[1] // plan.shared_parts)}
        )
        self.slices = spread(problem.summed, plan.slices)
        self._done = problem.done.as_integer_ratio()
        self.tiles = plan.own_parts * plan.shared_parts

    def tile(self, own: int, across: int) -> Tile:
        """The tile of these parts."""
        plan = self.plan
        size, across_size = (
            _part(self.own_side, plan.own_parts, own),
            _part(self.across_side, plan.shared_parts, across),
        )
        left = self.left if own == plan.own_parts - 1 else 0
        brings_shared = plan.keep_shared == "no" or own == 0
        return Tile(
            size,
            left,
            across_size,
            across == 0 or not plan.keep_own,
            brings_shared,
            brings_shared or plan.keep_shared == "sram",
            self._outputs(size, left, across_size),
        )

    def _outputs(self, own: int, left: int, across: int) -> tuple[int, ...]:
        least, more = divmod(left * across, self.figures.cores)
        firsts = (sum(self.groups[:group]) for group in range(len(self.groups)))
        return tuple(own * across + least + (first < more) for first in firsts)

    def macs(self, outputs: tuple[int, ...], summed: int) -> tuple[int, ...]:
        """Multiply-accumulates of a core of each group for so many outputs and places."""
        part, of = self._done
        return tuple(-(-some * summed * part // of) for some in outputs)

    def loads(self) -> Fraction:
        """Ticks of the channel for all that is brought from DRAM."""
        plan, figures = self.plan, self.figures
        own = self.own_side * figures.cores * figures.channel
        shared = figures.clusters * figures.mover if figures.shares else figures.cores * figures.channel
        own_times = 1 if plan.keep_own else plan.shared_parts
        times = 1 if plan.keep_shared != "no" else plan.own_parts
        owns = (own + self.left * shared) * self.own_bytes * own_times
        return (owns + self.across_side * shared * self.shared_bytes * times) * self.problem.summed

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
        if not self.figures.shares:
            return spread(size * (self.problem.summed - first), phases)
        second = divided(self.slices, 1)[1][0][1]
        rest = size * (self.problem.summed - first - second)
        return [(1, size * second), *(spread(rest, phases - 1) if phases > 1 else [])]

    def occupied(self) -> dict[str, int]:
        """Bytes that the program takes of each core's nram and wram, and of sram: of its buffers together."""
        plan, biggest = self.plan, self.slices[0][1]
        first = self.tile(0, 0)
        own_size, across = first.own, first.across
        inner = own_size if plan.own_outer else self.own_side
        own = [
            self._kept(kept, self.own_bytes) if plan.keep_own else self._passing(now, self.own_bytes)
            for kept, now in ((inner, own_size), (self.left, self.left))
        ]
        whole_side = self.across_side if plan.own_outer else across
        shared = self._kept(whole_side, self.shared_bytes)
        most = max(first.outputs[0], self.tile(plan.own_parts - 1, 0).outputs[0])
        sums = most * SUM_BYTES * min(1 if self.serial else 2, self.tiles)
        on_core = shared if plan.keep_shared == "core" else self._passing(across, self.shared_bytes)
        inputs, weights = (sum(own), on_core) if plan.split == "rows" else (on_core, sum(own))
        sram = 0
        if self.figures.shares:
            sram = shared if plan.keep_shared == "sram" else self._in_sram(across, biggest, self.shared_bytes)
            sram += self._in_sram(self.left, biggest, self.own_bytes)
        return {"nram": inputs + sums, "wram": weights, "sram": sram}

    def _kept(self, size: int, each: Fraction) -> int:
        return total(mapped(self.slices, lambda summed: whole(size * summed * each)))

    def _passing(self, size: int, each: Fraction) -> int:
        """Bytes of what is computed on and what comes: two slices, more in the last tile; serially one."""
        if self.serial:
            return whole(size * self.slices[0][1] * each)
        freed, there, steady = 0, size * self.slices[0][1], 2 * size * self.slices[0][1]
        most = min(steady, size * self.problem.summed)
        for count, (more, summed) in zipped(self.coming(size), divided(self.slices, self.phases_of_last)[0]):
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


def _part(size: int, parts: int, index: int) -> int:
    """The size of one of the parts, of which the first are one larger where they cannot be equal."""
    return size // parts + (index < size % parts)


def _groups(cores: int, left: int, across: set[int]) -> tuple[int, ...]:
    """How many cores do the same: of what is left over, the first of them compute one output more in some tiles."""
    cuts = sorted({0, cores, *(left * size % cores for size in across)})
    return tuple(after - before for before, after in pairwise(cuts))
