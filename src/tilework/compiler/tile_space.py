"""The space of tilings: which loops are cut into what sizes, in which order, where operands are loaded, and how often.

*Sizes.* Of each number of tiles the smallest size that makes so few, in whole multiples of what the matrix unit does
side by side (of rows, which are the product of several loops, also in others), and a single iteration. Larger ones
with the same number of tiles take more room and gain nothing. A loop that only a contraction's result has is cut to
single iterations. Where all combinations would be more than POINTS, the longest lists are thinned to sizes spread
evenly on a logarithmic scale.

*Order.* Parallel loops outside, reducing loops inside. Of a contraction, the loops that only the weight has stand
together, before, behind or between those that only the other operand has.

*Levels.* An operand of the main nest is loaded in any number of the loops around it. Loops that it does not have
directly around its load would only repeat it, and a loop of one tile is none: such levels are left out.

*Pieces.* Tiles of one loop, the longest that only NRAM's operand has and that moves along no padding, may be cut again,
inside the reduction: into about 4, 8, 16 or 32 pieces. A tile of the sums is then kept in one slot for the whole
reduction, and must take at least half of the NRAM. What is loaded or made for each of its places (the operand in NRAM;
a residual, a pooled result) comes and goes piece by piece. The reduction is cut into the few smallest sizes only.

*Parked sums.* The sums of a tile may lie in WRAM and take at least half of that. In each step of the reduction their
pieces, along the longest loop that only WRAM's operand has and that moves along no padding, come to NRAM one by one,
are added to, and go back; steps with so few products that this would take longer are left out. The operand in WRAM is
loaded for each piece, that in NRAM for each step, and there is one order of the loops. The pieces have two slots, and
so has all that is loaded but NRAM's operand, which has one or two.

*Slots.* One or two for each operand of the main nest, and for all results together; for other operands as many as the
most of these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import gcd, lcm, prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.compiler.buffers import Plan, contraction_operands, grain
from tilework.compiler.group import Group
from tilework.compiler.pieces import alike, even, is_piece, loop_of, piece_of
from tilework.compiler.volume import Volumes
from tilework.isa.instruction import DTYPES, ELEMENT_BYTES
from tilework.machine.machine import Machine
from tilework.network.nest import Access

POINTS = 1 << 15
MAX_TILED_LOOPS = 6
SHARE = 8  # an eighth of a scratchpad for what one result sums of an operand: two slots of it and a copy are to fit
PIECES = (4, 8, 16, 32)
STEPS = 4
MORE = 2


@dataclass(frozen=True)
class Space:
    """The tilings of a group that are valid for all parts of the whole, whose loops have `extents`.

    `fine`: sizes below what the matrix unit does side by side are halved step by step, so that chunks of a weight find
    their place in the SRAM.
    """

    group: Group
    plan: Plan
    machine: Machine
    extents: dict[str, int]
    fine: bool

    @cached_property
    def reductions(self) -> tuple[str, ...]:
        """The reduction loops that may be cut, of those that share no padded axis with another loop: the longest, and
        more as long as what one result sums along the others is large."""
        main = self.group.main
        if main.update == "=":
            return ()
        tied = self.group.tied(self.extents) | {name for nest in self.group.nests[1:] for name in nest.extents}
        loops = [(extent, name) for name, extent in main.reduction_loops if name not in tied and extent > 1]
        free = [(extent, name) for extent, name in loops if grain(self.group, name) < extent]
        longest = [name for _, name in sorted(free, reverse=True)]
        enough = (number for number in range(1, len(longest)) if self._is_small(longest[:number]))
        return tuple(longest[: next(enough, len(longest))])

    def _is_small(self, cut: Sequence[str]) -> bool:
        """Whether of each operand little is summed at once where these reduction loops are cut."""
        main, nram, wram = self.group.main, self.machine.nram.capacity_bytes, self.machine.wram.capacity_bytes
        around = {name: 1 if name in cut else extent for name, extent in main.reduction_loops}
        elements = max(prod(around.get(name, 1) for name in access.loops()) for access in main.reads)
        return elements * ELEMENT_BYTES * SHARE <= (min(nram, wram) if self.group.contracts else nram)

    def _inside(self, access: Access, axis: int) -> bool:
        """Whether an access never leaves its tensor along an axis, in no part of the group."""
        return access.index[axis].within(self.extents, self.group.tensors[access.tensor].shape[axis])

    @cached_property
    def parallel(self) -> list[str]:
        """The loops along which tiles differ: each of the nests makes its part of a tile."""
        made = [nest.output.loops() for nest in self.group.nests]
        return [name for name, extent in self.group.loops if extent > 1 and all(name in loops for loops in made)]

    def orders(self) -> list[tuple[tuple[str, ...], int]]:
        """Loop orders with the number of their parallel loops."""
        options = [self.parallel]
        if self.plan.parked is not None:
            return self._parked_orders()
        if self.group.contracts:
            inputs, weight = (a.loops() for a in contraction_operands(self.group))
            shared = [n for n in self.parallel if n in inputs and n in weight]
            columns = [n for n in self.parallel if n in weight and n not in inputs]
            rows = [n for n in self.parallel if n not in weight]
            options = [shared + rows[:i] + columns + rows[i:] for i in range(len(rows) + 1)]
        last = self.reductions
        found = dict.fromkeys(tuple(option[: MAX_TILED_LOOPS - max(1, len(last))]) for option in options)
        plain = [((*option, *last), len(option)) for option in found]
        again = [(*order, piece_of(name)) for order, _ in plain for name in self._shared if name in order]
        return plain + [(order, len(order) - 2) for order in again if len(order) <= MAX_TILED_LOOPS]

    def _parked_orders(self) -> list[tuple[tuple[str, ...], int]]:
        """The order of loops where sums are parked, if they can be: a weight's outside, as it may come in chunks."""
        weight = {name for buffer in self.plan.buffers if buffer.packed for name in buffer.access.loops()}
        plain = tuple(sorted(self.parallel, key=lambda name: name not in weight)[: MAX_TILED_LOOPS - 2])
        every = [(*plain, *self.reductions, piece_of(name)) for name in self._shared if name in plain]
        return [(order, len(plain)) for order in every]

    @cached_property
    def _shared(self) -> list[str]:
        """The loop whose tiles are cut into pieces, if there is one: the longest that only NRAM's operand has, or only
        WRAM's where sums are parked, and that moves along no padding."""
        if not self.group.contracts or len(self.reductions) != 1:
            return []
        near, far = contraction_operands(self.group)[:: 1 if self.plan.parked is None else -1]
        padded = {
            name
            for buffer in self.plan.buffers
            for place, axis in enumerate(buffer.access.index)
            if buffer.loaded and buffer.access.pad is not None and not self._inside(buffer.access, place)
            for name, _ in axis.terms
        }
        free = (near.loops() & set(self.parallel)) - far.loops() - padded
        return [max(sorted(free), key=lambda name: self.group.extents[name])] if free else []

    def sizes(self, order: tuple[str, ...]) -> dict[str, tuple[Any, ...]]:
        """The tile sizes of each loop, growing."""
        shared = piece_of(self._shared[0]) if order and is_piece(order[-1]) else None
        plain = order[:-1] if shared else order
        every = {loop: self._sizes(loop) for loop in plain}
        points = POINTS
        if shared:
            extent = self.group.extents[plain[-1]]
            every[plain[-1]] = [size for size in every[plain[-1]] if self._least_step <= size < extent][:STEPS]
            points *= MORE
        most = max(map(len, every.values()), default=1)
        while prod(min(most, len(sizes)) for sizes in every.values()) > points:
            most -= 1
        found: dict[str, tuple[Any, ...]] = {loop: _thinned(sizes, most) for loop, sizes in every.items()}
        return found | {shared: self._pieces(loop_of(shared), found[loop_of(shared)])} if shared else found

    @cached_property
    def _least_step(self) -> float:
        """How much of its loop a step of the reduction takes at least: with parked sums, so much that these come and go
        in the time of its products at the peak."""
        if self.plan.parked is None:
            return 1
        machine, main = self.machine, self.group.main
        width = machine.transfer_bytes_per_cycle or machine.dram_bytes_per_cycle
        inputs, sums = (self.group.tensors[a.tensor].dtype for a in (contraction_operands(self.group)[0], main.output))
        others = prod(extent for name, extent in main.reduction_loops if name not in self.reductions)
        return 2 * DTYPES[sums] / width * machine.macs_per_cycle(inputs) / others

    def whole(self, estimator: Volumes) -> npt.NDArray[np.bool_]:
        """Which points belong to the space: those with pieces only if a tile of the sums takes half of the NRAM, as
        smaller ones can do without."""
        outer = frozenset(estimator.points.sizes) & set(self.parallel)
        room = (self.machine.nram if self.plan.parked is None else self.machine.wram).capacity_bytes
        held = estimator.box(self.plan.writes[0], outer)
        found: npt.NDArray[np.bool_] = (2 * held >= room) & (held <= room)
        return found if any(map(is_piece, estimator.points.sizes)) else held >= 0

    def _pieces(self, loop: str, tiles: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        """Tiles and their pieces, so that all tiles of every part have as many of these."""
        own, unit = self.group.extents[loop], 1 if self._is_one_of_columns(loop) else self._unit(loop)
        extents = {own, own - (self.extents[loop] != own)}
        found = dict.fromkeys((tile, -(-tile // (pieces * unit)) * unit) for tile in tiles for pieces in PIECES)
        return tuple(pair for pair in found if even(*pair) and all(alike(e, *pair) for e in extents))

    def _sizes(self, loop: str) -> list[int]:
        if self._repeats(loop):
            return [1]
        extent, unit = self.group.extents[loop], self._unit(loop)
        sizes = {-(-extent // parts) for parts in range(1, extent + 1)}
        if extent > unit:
            parts = {unit >> halvings for halvings in range(1, unit.bit_length())} if self.fine else {1}
            whole_units = {min(extent, -(-size // unit) * unit) for size in sizes} | parts
            sizes = whole_units | (sizes if self._is_row(loop) else set())
        whole = grain(self.group, loop)
        return sorted(size for size in sizes if size % whole == 0 or size == extent)

    def _is_row(self, loop: str) -> bool:
        """Whether a loop moves the rows of a product, of which it may be one of several."""
        if not self.group.contracts or loop in self.reductions:
            return False
        return loop in contraction_operands(self.group)[0].loops()

    def _is_one_of_columns(self, loop: str) -> bool:
        """Whether a loop moves the columns of a product with others."""
        if not self.group.contracts:
            return False
        inputs, weight = (access.loops() for access in contraction_operands(self.group))
        columns = [n for n in self.parallel if n in weight and n not in inputs]
        return loop in columns and len(columns) > 1

    def _repeats(self, loop: str) -> bool:
        """Whether a loop only moves the result of a contraction, which no instruction makes several times."""
        if not self.group.contracts:
            return False
        return not any(loop in access.loops() for access in contraction_operands(self.group))

    def _unit(self, loop: str) -> int:
        """The number of iterations of a loop that the matrix unit does side by side."""
        main = self.group.main
        if not self.group.contracts:
            return 1
        inputs, _ = contraction_operands(self.group)
        rows, columns, summed = self.machine.matrix.sides
        if loop in self.reductions:
            summed *= self.machine.matrix.rates.get(self.group.tensors[inputs.tensor].dtype, 1)
            unit = summed // gcd(summed, prod(extent for name, extent in main.reduction_loops if name != loop))
            return lcm(unit, grain(self.group, loop))
        return rows if loop in inputs.loops() else columns

    def levels(self, order: tuple[str, ...], parallel: int) -> Iterator[tuple[int, ...]]:
        """Every combination of levels."""
        options = [self._levels(order, parallel, index) for index in range(len(self.plan.buffers))]
        yield from product(*options)

    @cached_property
    def free(self) -> set[int]:
        """The operands of the main nest that may be loaded at any level."""
        main = {i for (nest, _), i in self.plan.reads.items() if nest == 0 and self.plan.buffers[i].loaded}
        return set() if self.plan.scratch.get(0) is not None else main

    def _levels(self, order: tuple[str, ...], parallel: int, index: int) -> list[int]:
        """What the group makes is made once a tile; what it loads, at the deepest level where it still changes."""
        buffer, pieces = self.plan.buffers[index], is_piece(order[-1]) if order else False
        loops = buffer.access.loops()
        if self.plan.parked is not None and index == self.plan.writes[0]:
            return [len(order)]
        if pieces and (
            index in self.plan.late if not buffer.loaded else loops.issuperset(self._whole(index, order, parallel))
        ):
            return [len(order)]
        if not self.plan.filled_inside(index):
            return [parallel]
        useful = [0, *(depth + 1 for depth, loop in enumerate(order) if loop in loops)]
        return useful if index in self.free and self.plan.parked is None else useful[-1:]

    def _whole(self, index: int, order: tuple[str, ...], parallel: int) -> set[str]:
        """The loops of what is loaded piece by piece: the operand that is cut into pieces, and what has a place for
        each of the result's."""
        return set(order[:parallel]) if index in self.plan.late else {loop_of(order[-1])}

    def slots(self, order: tuple[str, ...], levels: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Every combination of slots for buffers of these levels."""
        single = {self.plan.writes[0]} if order and is_piece(order[-1]) and self.plan.parked is None else set()
        single |= {i for i, buffer in enumerate(self.plan.buffers) if levels[i] == 0 or len(buffer.units) == 1}
        return list(dict.fromkeys(self._slots(single)))

    def _slots(self, single: set[int]) -> Iterator[tuple[int, ...]]:
        free, parked = sorted(self.free), self.plan.parked is not None
        if parked:
            free.remove(self.plan.reads[0, contraction_operands(self.group)[1]])
        for made, *loaded in product((2, 1), repeat=1 + max(1, len(free))):
            own, most = dict(zip(free, loaded, strict=False)), 2 if parked else max(loaded)
            own |= {self.plan.writes[0]: 2} if parked else {}
            yield tuple(
                1 if index in single else own.get(index, most if buffer.loaded else made)
                for index, buffer in enumerate(self.plan.buffers)
            )


def _thinned(sizes: list[int], most: int) -> tuple[int, ...]:
    """At most so many of the sizes, among them the least and the largest."""
    if len(sizes) <= most:
        return tuple(sizes)
    picks = np.geomspace(sizes[0], sizes[-1], most)
    return tuple(sorted({min(sizes, key=lambda size: abs(size - pick)) for pick in picks} | {sizes[-1]}))
