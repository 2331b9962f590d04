"""The bytes that a group keeps on chip and moves, for many tile sizes at once (NumPy arrays, one element each)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from tilework.compiler.buffers import Buffer, Plan, whole_words
from tilework.compiler.group import Group
from tilework.compiler.pieces import is_piece, loop_of, piece_of
from tilework.compiler.tile_transfer import Axis, Cut, Sums, axes, burst_bytes, sums
from tilework.isa.instruction import DTYPES, ELEMENT_BYTES
from tilework.machine.machine import Machine

Numbers = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]
Key = tuple[Hashable, ...]


@dataclass(frozen=True)
class Staging:
    """Weights on their way through the SRAM: `slot_bytes` hold those in use, and, of two `slots`, as many those that
    come next. With one slot the cores wait while a chunk comes.

    `share` is what a core has to bear of the movers' loads: the clusters over the cores.
    """

    slot_bytes: int
    share: float
    slots: int = 2


@dataclass(frozen=True)
class Points:
    """Combinations of tile sizes: of each tiled loop the sizes considered, and of each point the place among them.

    A size of a loop's pieces comes with that of the tile: (tile, piece).
    """

    sizes: Mapping[str, tuple[Any, ...]]
    places: Mapping[str, Places]

    @classmethod
    def grid(cls, sizes: Mapping[str, Sequence[Any]]) -> Points:
        """Every combination; tiles of a loop that has pieces are those that they are pieces of."""
        pieces = {loop_of(name): each for name, each in sizes.items() if is_piece(name)}
        free = {name: each for name, each in sizes.items() if name not in pieces}
        shape = [len(each) for each in free.values()]
        indices = np.indices(shape).reshape(len(shape), -1) if shape else np.zeros((0, 1), np.intp)
        places = dict(zip(free, indices, strict=True))
        for loop, pairs in pieces.items():
            tiles = list(sizes[loop])
            places[loop] = np.array([tiles.index(tile) for tile, _ in pairs], np.intp)[places[piece_of(loop)]]
        return cls({n: tuple(each) for n, each in sizes.items()}, places)

    def __len__(self) -> int:
        return next((len(places) for places in self.places.values()), 1)

    def take(self, chosen: Places) -> Points:
        return Points(self.sizes, {name: places[chosen] for name, places in self.places.items()})

    def at(self, point: int) -> dict[str, Any]:
        """The tile sizes of one point."""
        return {name: sizes[int(self.places[name][point])] for name, sizes in self.sizes.items()}


class Volumes:
    """Footprints and traffic of a group at many points.

    What a buffer's tile covers depends on the tiled loops around the code that fills it: those are `around`.
    """

    def __init__(
        self, group: Group, plan: Plan, machine: Machine, points: Points, staging: Staging | None = None
    ) -> None:
        self.group, self.plan, self.machine, self.points, self.staging = group, plan, machine, points, staging
        self._known: dict[Key, Numbers] = {}
        self._whole: tuple[Self, Places] | None = None

    def take(self, chosen: Places) -> Self:
        """The same of some of the points only; what is known of them is made for all points and then chosen from."""
        whole, before = self._whole or (self, None)
        chosen = chosen if before is None else before[chosen]
        some = self._of(whole.points.take(chosen))
        some._whole = whole, chosen
        return some

    def keep(self, chosen: Places) -> Self:
        """The same of some of the points, without the others."""
        some = self._of(self.points.take(chosen))
        some._known = {key: value[chosen] for key, value in self._known.items()}
        return some

    def _of(self, points: Points) -> Self:
        return type(self)(self.group, self.plan, self.machine, points, self.staging)

    def known(self, make: Callable[..., Any], *arguments: Hashable) -> Numbers:
        """What a method makes of the arguments, an element per point, made once."""
        key = make, *arguments
        found = self._known.get(key)
        if found is None:
            if self._whole:
                whole, chosen = self._whole
                found = whole.known(make, *arguments)[chosen]
            else:
                found = np.broadcast_to(np.asarray(make(self, *arguments), np.float64), (len(self.points),))
            self._known[key] = found
        return found

    @cached_property
    def zero(self) -> Numbers:
        return np.zeros(len(self.points))

    def size(self, loop: str) -> Numbers:
        """The tile sizes of a tiled loop."""
        return self.known(Volumes._size, loop)

    def _size(self, loop: str) -> Any:
        sizes = self.points.sizes[loop]
        return np.array([piece for _, piece in sizes] if is_piece(loop) else sizes)[self.points.places[loop]]

    def count(self, loop: str) -> Numbers:
        """The number of tiles of a tiled loop, or of the pieces of each."""
        return self.known(Volumes._count, loop)

    def _count(self, loop: str) -> Any:
        whole = self.size(loop_of(loop)) if is_piece(loop) else self.group.extents[loop]
        return np.ceil(whole / self.size(loop))

    def counts(self, loops: frozenset[str]) -> Numbers:
        """How often the code inside these tile loops runs."""
        return self.known(Volumes._counts, loops)

    def _counts(self, loops: frozenset[str]) -> Any:
        return prod((self.count(n) for n in sorted(loops)), start=1.0)

    def footprint(self, around: Sequence[frozenset[str]], slots: Sequence[Any]) -> tuple[Numbers, Numbers]:
        """Bytes of NRAM and of WRAM that the buffers take."""
        total = {"nram": self.zero, "wram": self.zero}
        for index, buffer in enumerate(self.plan.buffers):
            own = self.box(index, around[index]) * slots[index] * buffer.copies
            own = own if self.element_bytes(buffer) == ELEMENT_BYTES else whole_words(own)
            total[buffer.memory] = total[buffer.memory] + own
        return total["nram"], total["wram"]

    def resident(self, index: int) -> bool:
        """Whether a buffer's tiles come from or go to an activation in the SRAM."""
        return self.plan.buffers[index].access.tensor in self.group.resident

    def element_bytes(self, buffer: Buffer) -> int:
        return DTYPES[buffer.dtype]

    def box(self, index: int, around: frozenset[str]) -> Numbers:
        """Bytes of one tile of a buffer, the largest."""
        return self.known(Volumes._box, index, around & self._loops[index])

    @cached_property
    def _loops(self) -> list[frozenset[str]]:
        """Of each buffer the loops that move it, under both of their names."""
        every = (buffer.access.loops() for buffer in self.plan.buffers)
        return [frozenset((*loops, *map(piece_of, loops))) for loops in every]

    def _box(self, index: int, cut: frozenset[str]) -> Any:
        buffer = self.plan.buffers[index]
        return self.element_bytes(buffer) * self._elements(buffer, cut)

    def _elements(self, buffer: Buffer, cut: frozenset[str]) -> Any:
        def extent(name: str) -> Any:
            name = _finest(name, cut)
            return self.size(name) if name in cut else self.group.extents[name]

        if buffer.packed:
            outputs, summed = (prod((extent(loop) for loop in loops), start=1) for loops in self._rows(buffer))
            return self.group.blocks.held(outputs, summed, self.element_bytes(buffer))
        return prod((1 + sum(abs(c) * (extent(n) - 1) for n, c in axis.terms) for axis in buffer.access.index), start=1)

    def once(self, index: int) -> int:
        """Bytes of a packed weight."""
        buffer = self.plan.buffers[index]
        outputs, summed = (prod(self.group.extents[loop] for loop in loops) for loops in self._rows(buffer))
        size = self.element_bytes(buffer)
        return int(size * self.group.blocks.stored(outputs, summed, size))

    def _rows(self, buffer: Buffer) -> tuple[list[str], list[str]]:
        """The loops of a packed weight that count its rows, and those along a row, which are summed."""
        reduced, loops = dict(self.group.main.reduction_loops), sorted(buffer.access.loops())
        return [n for n in loops if n not in reduced], [n for n in loops if n in reduced]

    def moved(self, index: int, around: frozenset[str]) -> Numbers:
        """Bytes that a buffer's tiles bring from DRAM or send there in all, each tile's in whole bursts."""
        return self.known(Volumes._repeated, Volumes._moved, index, around)

    def covered(self, index: int, around: frozenset[str]) -> Numbers:
        """Bytes of all tiles, with the padding that they are filled with."""
        return self.known(Volumes._repeated, Volumes._covered, index, around)

    def inside(self, index: int, around: frozenset[str]) -> Numbers:
        """Bytes of all tiles without their padding."""
        return self.known(Volumes._repeated, Volumes._inside, index, around)

    def _repeated(self, make: Callable[..., Any], index: int, around: frozenset[str]) -> Any:
        """What all different tiles have, as often as loops around them repeat it that the buffer does not have."""
        loops = self._loops[index]
        return self.known(make, index, around & loops) * self.counts(around - loops)

    def _covered(self, index: int, cut: frozenset[str]) -> Any:
        if self.plan.buffers[index].packed:
            return self.box(index, frozenset())
        found = self._sums(index, cut)
        return prod((each.covered for each in found), start=float(self.element_bytes(self.plan.buffers[index])))

    def _inside(self, index: int, cut: frozenset[str]) -> Any:
        if self.plan.buffers[index].packed:
            return self.once(index)
        found = self._sums(index, cut)
        return prod((each.inside for each in found), start=float(self.element_bytes(self.plan.buffers[index])))

    def _moved(self, index: int, cut: frozenset[str]) -> Any:
        buffer, burst = self.plan.buffers[index], self.machine.dram.burst_bytes
        element = self.element_bytes(buffer)
        if not buffer.packed:
            return burst_bytes(self._sums(index, cut), element, burst)
        total: Any = 0
        for (i, outputs), (k, summed) in product(*(list(self.shapes(loops, cut)) for loops in self._rows(buffer))):
            size = element * self.group.blocks.stored(outputs, summed, element)
            total = total + i * k * np.ceil(size / burst) * burst
        return total

    def _sums(self, index: int, cut: frozenset[str]) -> list[Sums]:
        """For each axis of a buffer's transfers the sums over its tiles, with an element per point or one for all."""
        found = []
        rest = {name: extent for name, extent in self.group.loops if name not in cut}
        for axis in self._axes[index]:
            axis = axis.without(rest)
            terms = ((_finest(n, cut), c, self.group.extents[n]) for n, c in axis.terms)
            cuts = tuple(Cut(n, c, extent, self.points.sizes[n]) for n, c, extent in terms)
            table = sums(axis, cuts, self.machine.dram.burst_bytes)
            places = tuple(self.points.places[cut.loop] for cut in cuts)
            found.append(Sums(*(column[places] for column in table)))
        return found

    @cached_property
    def _axes(self) -> list[tuple[Axis, ...]]:
        return [axes(self.group, buffer) for buffer in self.plan.buffers]

    def shapes(self, loops: Sequence[str], cut: frozenset[str]) -> Iterator[tuple[Any, Any]]:
        """How many tiles of some loops have which size, in iterations of these together."""
        whole = prod(self.group.extents[n] for n in loops if n not in cut)
        parts = [self.parts(_finest(loop, cut)) for loop in loops if loop in cut]
        for chosen in product(*parts):
            yield prod((n for n, _ in chosen), start=1), prod((size for _, size in chosen), start=whole)

    def parts(self, loop: str) -> tuple[tuple[Any, Any], ...]:
        """How many tiles of a loop are whole, and how many, one or none, are smaller, with their sizes; or so of the
        pieces of all tiles."""
        extent, size = self.group.extents[loop_of(loop)], self.size(loop)
        if not is_piece(loop):
            return (extent // size, size), (extent % size > 0, extent % size)
        tile, before = self.size(loop_of(loop)), self.count(loop) - 1
        whole, rest = extent // tile, extent % tile
        ends = (whole, tile - before * size), (rest > 0, np.maximum(0, rest - before * size))
        return ((whole + (rest > 0)) * before, size), *ends


def _finest(loop: str, cut: frozenset[str]) -> str:
    """The name of a loop's pieces, if these are cut."""
    return piece_of(loop) if piece_of(loop) in cut else loop
