"""Splitting: how the cores of a chip share a group. Each computes a part of the group's output, with tiles of its own.

Nests are affine, so a part of a group is the same group with a loop or two cut short and its indices moved. The loops
are parallel ones: parts write different places, and together all of them. What two parts read alike both load.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, permutations, product
from math import ceil, prod

from tilework.compiler.buffers import contraction_operands, plan_buffers
from tilework.compiler.group import Group
from tilework.compiler.partial import cut_along
from tilework.compiler.pieces import loop_of
from tilework.compiler.tile import Tiling, tile
from tilework.compiler.tile_front import OBJECTIVES, SLACK
from tilework.compiler.volume import Staging
from tilework.machine.machine import Machine
from tilework.network.nest import Affine, Nest

Cut = tuple[tuple[str, int], ...]  # loops, and how many parts there are along each

NEARLY = 1 + SLACK  # times the least: what is no worse is not worth a search
GRIDS = 2  # pairs of loops that are tried, where no single loop is as even
ALIGNMENT = 64


@dataclass(frozen=True)
class Part:
    """What one core does of a group, and how it is tiled."""

    group: Group
    tiling: Tiling


@dataclass(frozen=True)
class Work:
    """A group on the cores: part k, for core k, of a grid by `cut`, which may be one part that is the whole group.

    A group may be one of the two steps that compute the `whole` one (see `partial`).
    """

    group: Group
    cut: Cut
    parts: tuple[Part, ...]
    slots: int = 2
    whole: Group | None = None

    @property
    def chunks(self) -> int:
        """In how many chunks its weight comes through the SRAM; 0 if it does not."""
        return self.parts[0].tiling.chunks

    def twin(self, number: int, loops: set[str]) -> int:
        """The first part with the same iterations of these loops as part `number`."""
        step, first = len(self.parts), 0
        for loop, parts in self.cut:
            step //= parts
            first += number // step % parts * step * (loop in loops)
        return first

    def __str__(self) -> str:
        cuts = [f"{parts} parts of {cut_along(loop, self.whole)}" for loop, parts in self.cut]
        cut = f"{' x '.join(cuts)} | " if cuts else ""
        through = f"weight through SRAM in {self.chunks} | " if self.chunks else ""
        return f"{self.group.name}: {cut}{through}{self.parts[0].tiling}\n"


def layers(works: Iterable[Work]) -> list[tuple[Work, ...]]:
    """The works of each layer: one, or the steps of a group."""
    found: list[tuple[Work, ...]] = []
    for work in works:
        if found and work.whole and work.whole is found[-1][-1].whole:
            found[-1] = (*found[-1], work)
        else:
            found.append((work,))
    return found


@dataclass(frozen=True)
class Split:
    """How a group is cut, the tiling of its first part, and in how many slots of the SRAM chunks of its weight lie."""

    cut: Cut
    tiling: Tiling
    slots: int = 2

    def apply(self, group: Group) -> Work:
        """The parts of a group, all tiled like the first, so that they pack the weights that they share alike."""
        parts = tuple(Part(part, self._tiling(part)) for part in split(group, self.cut))
        return Work(group, self.cut, parts, self.slots)

    def _tiling(self, part: Group) -> Tiling:
        tiles = {name: min(size, part.extents[loop_of(name)]) for name, size in self.tiling.tiles.items()}
        return replace(self.tiling, tiles=tiles, plan=plan_buffers(part, self.tiling.plan.parked is not None))


def split(group: Group, cut: Cut) -> tuple[Group, ...]:
    """The parts of a group along its output's loops, the last loop's neighbours next to each other.

    Along a loop they are as equal as can be, larger ones first: 14 iterations in 4 parts are 4, 4, 3 and 3.
    """
    if not cut:
        return (group,)
    shares = [[(loop, *piece) for piece in pieces(group.extents[loop], parts)] for loop, parts in cut]
    return tuple(_part(group, share) for share in product(*shares))


def pieces(extent: int, parts: int) -> list[tuple[int, int]]:
    """Start and size of each part of a loop."""
    size, larger = divmod(extent, parts)
    return [(i * size + min(i, larger), size + (i < larger)) for i in range(parts)]


def _part(group: Group, share: tuple[tuple[str, int, int], ...]) -> Group:
    moved = {loop: Affine(((loop, 1),), start) for loop, start, _ in share}
    sizes = {loop: size for loop, _, size in share}

    def cut(nest: Nest) -> Nest:
        inside = {loop: index for loop, index in moved.items() if loop in nest.extents}
        return nest.substitute(inside, shorter(nest.loops)) if inside else nest

    def shorter(loops: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
        return tuple((name, sizes.get(name, extent)) for name, extent in loops)

    return replace(group, loops=shorter(group.loops), nests=tuple(map(cut, group.nests)))


@dataclass(frozen=True)
class _Option:
    """A cut, the first part that it makes, and the machine as its core sees it.

    No tiling of it takes less than `cycles`, and all parts together move no less than `bytes` to and from DRAM.
    """

    cut: Cut
    whole: Group
    part: Group
    machine: Machine
    cycles: float
    bytes: float
    staging: Staging | None = None

    def even(self, loop: str, parts: int) -> bool:
        """Whether all parts of a loop are as long."""
        return self.whole.extents[loop] % parts == 0


@dataclass(frozen=True)
class _Found:
    """A tiling of an option, with its estimated cycles and, of all parts, its bytes or joules."""

    split: Split
    cycles: float
    cost: float

    def beats(self, option: _Option) -> bool:
        """Whether no tiling of the option can be much better."""
        as_fast = self.cycles <= NEARLY * option.cycles
        return NEARLY * self.cycles < option.cycles or (as_fast and self.cost <= NEARLY * option.bytes)


def best_split(
    group: Group, machine: Machine, cores: int, mode: str, objective: str = "time", along: str | None = None
) -> Split:
    """The cut that is best for the objective by estimate.

    The time is that of the first part, whose core has an equal share of the DRAM's bandwidth. `mode` says which loops
    may be cut: "data" those of the output's first axis, the batch, "model" those of its other axes (output channels,
    rows of pixels, heads), "auto" any of them, or none; `along` names one that must be. Where there is no such loop,
    the group stays whole and runs on one core while the others wait. Weights that all parts need alike may come through
    the SRAM. Raises CompileError where the smallest tile does not fit.
    """
    options = _options(group, machine, cores, mode, along)
    even = NEARLY * min(option.cycles for option in options)
    found: list[_Found] = []
    for option in sorted(options, key=lambda option: (option.cycles > even, option.bytes, option.cycles)):
        if objective != "time" or not any(other.beats(option) for other in found):
            tiling = tile(option.part, option.machine, group.extents, option.staging, objective)
            made = Split(option.cut, tiling, option.staging.slots if option.staging else 2)
            found.append(_Found(made, tiling.cycles, tiling.cost * number(option.cut)))
    bound = min(option.cycles for option in options)
    best = OBJECTIVES[objective].best([made.cycles for made in found], [made.cost for made in found], bound)
    return found[best].split


def floor_cycles(group: Group, machine: Machine, cores: int, mode: str, along: str | None = None) -> float:
    """What no split of a group can beat."""
    return min(option.cycles for option in _options(group, machine, cores, mode, along))


def _options(group: Group, machine: Machine, cores: int, mode: str, along: str | None) -> list[_Option]:
    """The cuts worth a search, each with its weight from DRAM and, if that can be, from the SRAM; where all of them
    wait for the DRAM, also those along two loops that move much less."""
    loops = list(_loops(group, mode)) if cores > 1 else []
    cuts = _cuts(group, machine, cores, mode, loops, along)
    options = [option for cut in cuts for option in _both(group, machine, cut)]
    limit = min(option.cycles for option in options)
    if limit <= NEARLY * min(least_cycles(group, machine, cut) for cut in cuts):
        return options
    more = [
        ((one, min(number, group.extents[one])), (other, min(cores // number, group.extents[other])))
        for one, other in permutations(loops, 2)
        if along in (one, other, None)
        for number in range(2, cores // 2 + 1)
        if cores % number == 0
    ]
    grids = [option for cut in more if cut not in cuts for option in _both(group, machine, cut)]
    grids = [option for option in grids if NEARLY * option.cycles < limit]
    return [*options, *sorted(grids, key=lambda option: option.cycles)[:GRIDS]]


def _both(group: Group, machine: Machine, cut: Cut) -> list[_Option]:
    plain = _option(group, machine, cut)
    return [plain, *_staged(plain, machine)]


def _cuts(group: Group, machine: Machine, cores: int, mode: str, loops: Sequence[str], along: str | None) -> list[Cut]:
    """Along each loop alone; along two where that takes less time; none where that may or must be."""
    single: list[Cut] = [((loop, _parts(group, loop, cores)),) for loop in loops if along in (loop, None)]
    pairs: list[Cut] = [
        ((one, _parts(group, one, number)), (other, _parts(group, other, cores // number)))
        for one, other in combinations(loops, 2)
        if along in (one, None)
        for number in range(2, cores // 2 + 1)
    ]
    least = {cut: least_cycles(group, machine, cut) for cut in dict.fromkeys((*single, *pairs))}
    limit = min((least[cut] for cut in single), default=0)
    grids = sorted((cut for cut in least if len(cut) > 1 and NEARLY * least[cut] < limit), key=lambda cut: least[cut])
    return [*single, *grids[:GRIDS], *([()] if (mode == "auto" and not along) or not single else [])]


def _parts(group: Group, loop: str, most: int) -> int:
    """The fewest parts of a loop that are as short as `most` of them would be: 3 for 5 iterations and 4 cores."""
    extent = group.extents[loop]
    return ceil(extent / ceil(extent / most))


def _loops(group: Group, mode: str) -> Iterator[str]:
    """Those that all nests of the group make their results along, so that no part needs what another makes."""
    first, *rest = group.output.index or (Affine(()),)
    axes = {"data": [first], "model": rest, "auto": [first, *rest]}[mode]
    shared = set.intersection(*(nest.output.loops() for nest in group.nests))
    return (name for axis in axes for name, _ in axis.terms if group.extents[name] > 1 and name in shared)


def least_cycles(group: Group, machine: Machine, cut: Cut) -> float:
    """What no tiling of a cut can beat: the arithmetic of its largest part, or all traffic."""
    return max(arithmetic_cycles(group, machine, cut), group.compulsory_bytes / machine.dram_bytes_per_cycle)


def arithmetic_cycles(group: Group, machine: Machine, cut: Cut) -> float:
    """Those of the largest part, without any overhead."""
    extents = group.extents | {loop: ceil(group.extents[loop] / parts) for loop, parts in cut}
    if group.contracts:
        return _matrix_cycles(group, machine, extents)
    return sum(prod(extents[loop] for loop in nest.extents) for nest in group.nests) / machine.vector.lanes


def _matrix_cycles(group: Group, machine: Machine, extents: dict[str, int]) -> float:
    a, b = contraction_operands(group)
    summed = prod(extents[name] for name, _ in group.main.reduction_loops)
    inside = {name for name, _ in group.main.parallel_loops}
    columns = prod(extents[name] for name in inside & b.loops() - a.loops())
    rows = prod(extents[name] for name in inside) // columns
    return float(machine.matrix.cycles(rows, columns, group.blocks.products(summed), group.tensors[a.tensor].dtype))


def _option(group: Group, machine: Machine, cut: Cut) -> _Option:
    part = _part(group, tuple((loop, *pieces(group.extents[loop], parts)[0]) for loop, parts in cut))
    shared = share(machine, number(cut))
    cycles = max(least_cycles(group, machine, cut), part.compulsory_bytes / shared.dram_bytes_per_cycle)
    return _Option(cut, group, part, shared, cycles, part.compulsory_bytes * number(cut))


def _staged(option: _Option, machine: Machine) -> Iterator[_Option]:
    """The option with its weight from the SRAM, if all cores of a cluster need the same part of it."""
    parts = number(option.cut)
    if machine.sram is None or min(machine.cores, parts) == 1:
        return
    packed = [buffer.access for buffer in plan_buffers(option.part).buffers if buffer.packed]
    if packed and _together(option, machine, packed[0].loops()):
        clusters, once = -(-parts // machine.cores), option.part.touched_bytes[packed[0].tensor]
        waiting = once * clusters / machine.dram_bytes_per_cycle
        slots = 2 if once <= slot_bytes(machine, 2) or waiting > SLACK * option.cycles else 1
        staging = Staging(slot_bytes(machine, slots), clusters / parts, slots)
        saved = once * (parts - clusters)
        moved = option.bytes - saved
        cycles = max(arithmetic_cycles(option.part, machine, ()), moved / machine.dram_bytes_per_cycle)
        yield replace(option, cycles=cycles, bytes=moved, staging=staging)


def _together(option: _Option, machine: Machine, loops: set[str]) -> bool:
    """Whether the cores of each cluster need the same part of a tensor with these loops, and all parts are as large."""
    own = [place for place, (loop, _) in enumerate(option.cut) if loop in loops]
    alike = number(option.cut[own[-1] + 1 :]) if own else machine.cores
    return alike % machine.cores == 0 and all(option.even(*option.cut[place]) for place in own)


def number(cut: Cut) -> int:
    """How many parts there are."""
    return prod(parts for _, parts in cut)


def slot_bytes(machine: Machine, slots: int) -> int:
    """Of the SRAM, in whole elements of any dtype: what a chunk of a weight may take."""
    return machine.sram.capacity_bytes // slots & -ALIGNMENT if machine.sram else 0


def share(machine: Machine, cores: int) -> Machine:
    """The machine as one of several cores sees it that use the DRAM at the same time."""
    bandwidth = machine.dram.bandwidth_bytes_per_second / cores
    return replace(machine, dram=replace(machine.dram, bandwidth_bytes_per_second=bandwidth))
