"""Schedules: a contraction's nest cut into tiles, in an order, and the bytes that then come and go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod

from tilework.compiler.buffers import contraction_operands
from tilework.compiler.group import Group, restrict
from tilework.compiler.tile import Tiling, tile
from tilework.errors import CompileError
from tilework.machine.machine import Machine
from tilework.network.extent import outputs_inside
from tilework.network.graph import DTYPE_BYTES, Tensor
from tilework.network.nest import CONTRACTION, Access, Affine, Nest
from tilework.network.views import distinct

Step = Mapping[str, int]  # where the tile begins along each tile loop
Box = tuple[tuple[int, int], ...]  # the first and the last place along each axis

ROLES = ("output", "input", "weight")


@dataclass(frozen=True)
class Traffic:
    """What becomes of one operand: `loads` is how often a part of it takes its place on chip, which `held_bytes` hold.

    A part of the output that was there before comes back as partial sums; each goes out when another takes its place.
    """

    tensor: str
    role: str
    loads: int
    read_bytes: int
    written_bytes: int
    held_bytes: int

    @property
    def moved_bytes(self) -> int:
        return self.read_bytes + self.written_bytes


@dataclass(frozen=True)
class Schedule:
    """A contraction in tiles: loops `order` go from tile to tile, outermost first, and take `sizes` iterations at once.

    A tile runs all loops of the nest, in the nest's order. `levels` says for the output, the input and the weight how
    many of the tile loops cut the part that is held on chip; without it, all do. `tensors` has the operands. Raises
    CompileError where the nest is no contraction, or order, sizes and levels don't fit it.
    """

    name: str
    nest: Nest
    tensors: Mapping[str, Tensor]
    order: tuple[str, ...]
    sizes: Mapping[str, int]
    levels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.nest.kind != CONTRACTION:
            raise CompileError(f"a schedule must be of a contraction, not of a nest of kind {self.nest.kind}")
        if not distinct(self.nest.output, self.nest.parallel_loops):
            raise CompileError("a schedule's nest must write each place from one iteration of its output's loops alone")
        _check_sizes(self.nest, self.sizes)
        if sorted(self.order) != sorted(self.sizes):
            raise CompileError(
                f"the order must name each tiled loop once, {', '.join(self.sizes)}, not {', '.join(self.order)}"
            )
        if self.levels and (len(self.levels) != 3 or not all(0 <= n <= len(self.order) for n in self.levels)):
            raise CompileError(f"levels must be three numbers from 0 to {len(self.order)}, not {list(self.levels)}")

    @cached_property
    def operands(self) -> tuple[Access, Access, Access]:
        """The output, the input and the weight; of two operands that are no weights, the second counts as one."""
        return self.nest.output, *contraction_operands(group_of(self.nest, self.tensors))

    def count(self, loop: str) -> int:
        """The number of tiles along a loop."""
        return -(-self.nest.extents[loop] // self.sizes[loop])

    @property
    def tiles(self) -> int:
        """The number of steps."""
        return prod(map(self.count, self.order))

    def steps(self) -> Iterator[Step]:
        """The tiles in the order in which they are computed."""
        starts = [range(0, self.nest.extents[loop], self.sizes[loop]) for loop in self.order]
        return (dict(zip(self.order, point, strict=True)) for point in product(*starts))

    def changes(self, access: Access) -> tuple[str, ...]:
        """The outer tile loops up to the last that cuts an operand: each of their iterations brings another part."""
        level = dict(zip(self.operands, self.levels, strict=True)).get(access) if self.levels else None
        outside = self.order[:level]
        cut = [depth for depth, loop in enumerate(outside) if loop in access.loops() and self.count(loop) > 1]
        return outside[: max(cut, default=-1) + 1]

    def cuts(self, access: Access) -> tuple[str, ...]:
        """The tile loops that say which part of an operand is held."""
        return tuple(loop for loop in self.changes(access) if loop in access.loops() and self.count(loop) > 1)

    def part(self, access: Access, step: Step) -> Box:
        """The box held of an operand in a step, halo included, padding not; an empty one ends before it begins."""
        nest, shape = self._part(access, step), self.tensors[access.tensor].shape
        bounds = (axis.bounds(nest.extents) for axis in nest.output.index)
        return tuple((max(low, 0), min(high, size - 1)) for (low, high), size in zip(bounds, shape, strict=True))

    def _part(self, access: Access, step: Step) -> Nest:
        """A nest that touches what is held of an operand."""
        cuts, extents = self.cuts(access), self.nest.extents
        sizes = extents | {loop: min(self.sizes[loop], extents[loop] - step[loop]) for loop in cuts}
        moved = access.substitute({loop: Affine(((loop, 1),), step[loop]) for loop in cuts})
        return Nest(restrict(sizes.items(), access.loops()), moved, "+=", moved)

    def traffic(self) -> tuple[Traffic, ...]:
        """What each operand moves if a part of it comes whenever it changes: the output's, the input's, the weight's.

        A part is the elements that its tile touches, so that halos come again with each part. All the parts together
        come once for each iteration of the loops outside that do not cut the operand.
        """
        return tuple(self._traffic(access, role) for access, role in zip(self.operands, ROLES, strict=True))

    def _traffic(self, access: Access, role: str) -> Traffic:
        tensor, cuts = self.tensors[access.tensor], self.cuts(access)
        starts = (range(0, self.nest.extents[loop], self.sizes[loop]) for loop in cuts)
        parts = [
            outputs_inside(self._part(access, dict(zip(cuts, point, strict=True))), {access.tensor: tensor.shape})
            for point in product(*starts)
        ]
        again = prod(self.count(loop) for loop in self.changes(access) if loop not in cuts)
        once, held = (DTYPE_BYTES[tensor.dtype] * elements for elements in (sum(parts), max(parts)))
        read, written = (again - 1, again) if role == "output" else (again, 0)
        return Traffic(access.tensor, role, again * len(parts), read * once, written * once, held)

    def __str__(self) -> str:
        tiled = " ".join(f"{loop}:{self.sizes[loop]}" for loop in self.order)
        return f"{self.name}: tiles {tiled or 'whole'}, {self.tiles} steps"


def group_of(nest: Nest, tensors: Mapping[str, Tensor]) -> Group:
    """A nest alone as the compiler's group."""
    return Group((nest.output.tensor,), nest.kind, nest.loops, (nest,), dict(tensors))


def output_stationary(nest: Nest, tensors: Mapping[str, Tensor], sizes: Mapping[str, int]) -> Schedule:
    """Each tile of the output is finished before the next begins; `sizes` are those of the loops to be tiled."""
    return _stationary(0, nest, tensors, sizes)


def input_stationary(nest: Nest, tensors: Mapping[str, Tensor], sizes: Mapping[str, int]) -> Schedule:
    """All is done with a tile of the input before the next comes."""
    return _stationary(1, nest, tensors, sizes)


def weight_stationary(nest: Nest, tensors: Mapping[str, Tensor], sizes: Mapping[str, int]) -> Schedule:
    """All is done with a tile of the weight before the next comes."""
    return _stationary(2, nest, tensors, sizes)


def _stationary(place: int, nest: Nest, tensors: Mapping[str, Tensor], sizes: Mapping[str, int]) -> Schedule:
    """The stationary operand's loops outside, in the nest's order, the others inside."""
    whole = Schedule("", nest, tensors, (), {})
    _check_sizes(nest, sizes)
    inside = whole.operands[place].loops()
    order = sorted(sizes, key=lambda loop: (loop not in inside, list(nest.extents).index(loop)))
    return Schedule(f"{ROLES[place]} stationary", nest, tensors, tuple(order), dict(sizes))


def _check_sizes(nest: Nest, sizes: Mapping[str, int]) -> None:
    for loop, size in sizes.items():
        if loop not in nest.extents:
            raise CompileError(f"a tiled loop must be one of {', '.join(nest.extents)}, not {loop!r}")
        if not 1 <= size <= nest.extents[loop]:
            raise CompileError(f"tiles of loop {loop} must have from 1 to {nest.extents[loop]} iterations, not {size}")


def best_schedule(nest: Nest, tensors: Mapping[str, Tensor], machine: Machine) -> Schedule:
    """The tiling of least estimated time that the compiler finds for a contraction on a core of a machine.

    Raises CompileError where the nest is no contraction, and where not even the smallest tile fits on chip.
    """
    whole = Schedule("", nest, tensors, (), {})
    group = group_of(whole.nest, tensors)
    return schedule_of(group, tile(group, machine))


def schedule_of(group: Group, tiling: Tiling) -> Schedule:
    """The schedule of a group's main nest, a contraction, under a tiling."""
    main = group.main
    order = tuple(loop for loop in tiling.order if loop in main.extents)
    whole = Schedule("", main, group.tensors, (), {})
    places = [tiling.plan.writes[0], *(tiling.plan.reads[0, access] for access in whole.operands[1:])]
    levels = tuple(len(_kept(tiling.order[: tiling.levels[place]], order)) for place in places)
    return Schedule("best found", main, group.tensors, order, {loop: tiling.tiles[loop] for loop in order}, levels)


def _kept(loops: Iterable[str], order: tuple[str, ...]) -> list[str]:
    return [loop for loop in loops if loop in order]
