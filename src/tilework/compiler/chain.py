"""Chains: groups one after another that keep what is between them on chip, computed a band of rows at a time.

Which rows of a tensor a group reads for some rows of its own output follows from its index maps, so a chain knows
nothing of windows: a row is any place along the axis that the output's outer loop moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

from tilework.compiler.axes import axis_order, axis_strides
from tilework.compiler.buffers import Buffer, Plan, plan_buffers
from tilework.compiler.group import Group
from tilework.isa.instruction import DTYPES
from tilework.network.graph import Tensor
from tilework.network.nest import Access, Affine


@dataclass(frozen=True)
class Band:
    """An activation of which a chain holds some rows in a memory on chip, or the whole as one row where `axis` is None.

    Stage `made_by` computes it, or it is loaded. `box` has for each axis the lowest place that is read or written and
    how many places there are; what lies outside the tensor holds `pad`. The last stage's result is `stored`. `again`:
    each repetition has its own, at the next place along the first axis.
    """

    tensor: Tensor
    axis: int | None
    made_by: int | None
    box: tuple[tuple[int, int], ...]
    pad: float
    stored: bool
    again: bool
    memory: str = "nram"

    @property
    def rows(self) -> tuple[int, int]:
        """The first row and the one behind the last, padding included."""
        low, size = (0, 1) if self.axis is None else self.box[self.axis]
        return low, low + size

    @property
    def inside(self) -> int:
        """Rows of the tensor itself."""
        return 1 if self.axis is None else self.tensor.shape[self.axis]

    @cached_property
    def row_bytes(self) -> int:
        return DTYPES[self.tensor.dtype] * prod(n for axis, (_, n) in enumerate(self.box) if axis != self.axis)

    @cached_property
    def padded(self) -> bool:
        """Whether part of the box lies outside the tensor."""
        return any(low < 0 or low + n > size for (low, n), size in zip(self.box, self.tensor.shape, strict=True))

    def sizes(self, rows: int) -> tuple[int, ...]:
        """Of the box with so many rows."""
        return tuple(rows if axis == self.axis else n for axis, (_, n) in enumerate(self.box))

    def strides(self, rows: int) -> tuple[int, ...]:
        """Bytes on chip along each axis."""
        return axis_strides(self.sizes(rows), self.tensor.dtype)


@dataclass(frozen=True)
class Stage:
    """A group of a chain, for one repetition: `loop` goes over the rows of its output; without it there is one row."""

    group: Group
    loop: str | None
    plan: Plan

    @property
    def rows(self) -> int:
        return self.group.extents[self.loop] if self.loop else 1

    def reach(self, access: Access, axis: int | None, low: int, high: int) -> tuple[int, int]:
        """The rows [first, last) of a tensor that an access reads for rows [low, high) of the output."""
        if axis is None:
            return 0, 1
        index = access.index[axis]
        c, (first, last) = index.coefficient(self.loop or ""), index.bounds(self.group.extents)
        return first + c * low, last + c * (high - self.rows) + 1

    @property
    def start(self) -> int:
        """The first row of its output's tensor that it computes."""
        return next((i.offset for i in self.group.output.index if self.loop and i.coefficient(self.loop)), 0)

    def part(self, rows: int) -> Group:
        """The group with so many rows."""
        return cut(self.group, self.loop, 0, rows) if self.loop and rows != self.rows else self.group


@dataclass(frozen=True)
class Chain:
    """`stages` in order and the bands of the activations that they read and make; all of it is done `repeats` times,
    once for each place along the first axis of each band where that is more than 1."""

    stages: tuple[Stage, ...]
    bands: dict[str, Band]
    repeats: int

    def stays(self, buffer: Buffer) -> bool:
        """Whether a buffer of a stage is loaded once and stays; if not, a loaded one is a view of a band."""
        return buffer.loaded and not _in_band(buffer, self.bands)


def linked(groups: Sequence[Group], readers: Mapping[str, int]) -> bool:
    """Whether groups make a chain: each result but the last is read by later ones, all of it, and by nothing else.
    `readers` says how many groups and outputs of the graph read each tensor."""
    return all(map(_plain, groups)) and _closed(groups, readers) and _all_read(groups)


def _all_read(groups: Sequence[Group]) -> bool:
    """Whether what lies between is wanted whole; if not, a chain would do less than its groups and beat their bound."""
    for maker in groups[:-1]:
        name = maker.output.tensor
        if max(g.touched_bytes.get(name, 0) for g in groups if g is not maker) < maker.touched_bytes[name]:
            return False
    return True


def assemble(groups: Sequence[Group]) -> Chain | None:
    """The chain of these groups, which are linked or a strip of such, or None where their bands can't be."""
    repeats = _repeats(groups)
    once = tuple(map(_first, groups)) if repeats > 1 else tuple(groups)
    loops = _row_loops(once)
    stages = tuple(Stage(g, loop, plan_buffers(g)) for g, loop in zip(once, loops, strict=True))
    moving = {_batch_loop(g) for g in groups} if repeats > 1 else set()
    bands = _bands(stages, _moving(groups) if repeats > 1 else set())
    if bands is None or not _resident(stages, bands, moving):
        return None
    return Chain(stages, bands, repeats)


def cut(group: Group, loop: str, start: int, size: int) -> Group:
    """The group with `size` iterations of a loop, from `start` on."""
    loops = tuple((n, size if n == loop else extent) for n, extent in group.loops)
    return _with_loops(group, loops, {loop: Affine(((loop, 1),), start)})


def _plain(group: Group) -> bool:
    """Whether indices grow with their loops, the output is written whole, place by place, and a contraction needs no
    tiles: each of its loops moves two operands."""
    accesses = [a for nest in group.nests for a in (nest.output, *nest.reads)]
    if any(c < 0 for a in accesses for axis in a.index for _, c in axis.terms):
        return False
    main = group.main
    moves = [sum(name in a.loops() for a in (main.output, *main.reads)) for name, extent in main.loops if extent > 1]
    if group.contracts and min(moves, default=2) < 2:
        return False
    shape, last = group.tensors[group.output.tensor].shape, group.nests[-1]
    whole = all(axis.bounds(group.extents) == (0, n - 1) for axis, n in zip(group.output.index, shape, strict=True))
    return whole and prod(n for _, n in last.parallel_loops) == prod(shape)


def _closed(groups: Sequence[Group], readers: Mapping[str, int]) -> bool:
    """Whether each result but the last is read, and only by later groups."""
    made = {group.output.tensor for group in groups}
    if len(made) < len(groups):
        return False
    for place, group in enumerate(groups[:-1]):
        name = group.output.tensor
        inside = sum(any(a.tensor == name for _, a in later.external_reads) for later in groups[place + 1 :])
        if not inside or inside != readers.get(name, 0):
            return False
    return not any(groups[-1].output.tensor == a.tensor for group in groups for _, a in group.external_reads)


def _batch_loop(group: Group) -> str | None:
    return cut_loop(group, 0) if len(group.output.index) > 2 else None


def cut_loop(group: Group, axis: int) -> str | None:
    """The loop along an axis of a group's output in steps of 1, if the group can do some of its iterations without the
    others; beside it only loops of one iteration."""
    terms = group.output.index[axis].terms
    moving = [term for term in terms if group.extents[term[0]] > 1] or terms[:1]
    loop = moving[0][0] if len(moving) == 1 and moving[0][1] == 1 else None
    return loop if all(loop in nest.output.loops() for nest in group.nests if loop in nest.extents) else None


def _repeats(groups: Sequence[Group]) -> int:
    """How often the chain is done: the length of the first axis, if every group goes through it place by place."""
    sizes = set()
    for group in groups:
        loop = _batch_loop(group)
        if loop is None:
            return 1
        moved = [a for _, a in group.external_reads if loop in a.loops()]
        still = {a.tensor for _, a in group.external_reads if loop not in a.loops()}
        if any(a.tensor in still or not _along_first(a, loop, group) for a in moved):
            return 1
        sizes.add(group.extents[loop])
    return sizes.pop() if len(sizes) == 1 else 1


def _along_first(access: Access, loop: str, group: Group) -> bool:
    """Whether an access goes along its first axis as the group's output does, and never leaves the tensor there."""
    first, *others = access.index
    inside = first.bounds(group.extents)[1] < group.tensors[access.tensor].shape[0]
    return inside and first == group.output.index[0] and not any(axis.coefficient(loop) for axis in others)


def _moving(groups: Sequence[Group]) -> set[str]:
    """The tensors that are accessed along the first axis."""
    accesses = [(a, _batch_loop(group)) for group in groups for nest in group.nests for a in (nest.output, *nest.reads)]
    return {access.tensor for access, loop in accesses if loop in access.loops()}


def _first(group: Group) -> Group:
    """The group at the first place of the first axis."""
    batch = _batch_loop(group)
    return _with_loops(group, tuple((n, 1 if n == batch else extent) for n, extent in group.loops), {})


def _with_loops(group: Group, loops: tuple[tuple[str, int], ...], values: Mapping[str, Affine]) -> Group:
    extents, nests = dict(loops), []
    for nest in group.nests:
        inside = {n: value for n, value in values.items() if n in nest.extents}
        nests.append(nest.substitute(inside, tuple((n, extents[n]) for n, _ in nest.loops)))
    return replace(group, loops=loops, nests=tuple(nests))


def _row_loops(groups: Sequence[Group]) -> list[str | None]:
    """For each group the loop over its output's rows; a group has none of which some reader needs all at once."""
    loops: list[str | None] = [None] * len(groups)
    last = groups[-1].output.index
    if last:
        loops[-1] = cut_loop(groups[-1], axis_order(len(last))[len(last) > 2])
    for place in reversed(range(len(groups) - 1)):
        name = groups[place].output.tensor
        later = range(place + 1, len(groups))
        axes = {axis_of(a, loops[i]) for i in later for _, a in groups[i].external_reads if a.tensor == name}
        axis = axes.pop() if len(axes) == 1 else None
        loops[place] = None if axis is None else cut_loop(groups[place], axis)
    return loops


def axis_of(access: Access, loop: str | None) -> int | None:
    """The axis of a tensor that a loop moves, if it is one."""
    axes = [place for place, axis in enumerate(access.index) if loop and axis.coefficient(loop)]
    return axes[0] if len(axes) == 1 else None


def _bands(stages: Sequence[Stage], moving: set[str]) -> dict[str, Band] | None:
    """The bands, or None where a tensor is padded with different values or its rows are not one behind another."""
    makers = {stage.group.output.tensor: i for i, stage in enumerate(stages)}
    uses: dict[str, list[tuple[Stage, Buffer]]] = {}
    for stage in stages:
        uses[stage.group.output.tensor] = [(stage, buffer) for buffer in stage.plan.buffers if buffer.stored]
    for stage in stages:
        for buffer in stage.plan.buffers:
            access = buffer.access
            still = stage.group.tensors[access.tensor].is_weight and not (stage.loop and stage.loop in access.loops())
            if buffer.loaded and (buffer.memory == "nram" or stage.group.swapped) and not still:
                uses.setdefault(access.tensor, []).append((stage, buffer))
    bands = {name: _band(name, stages, makers.get(name), found, name in moving) for name, found in uses.items()}
    if any(band is None for band in bands.values()):
        return None
    return {name: band for name, band in bands.items() if band is not None}


def _band(
    name: str, stages: Sequence[Stage], maker: int | None, users: list[tuple[Stage, Buffer]], again: bool
) -> Band | None:
    memories = {buffer.memory for _, buffer in users}
    uses = [(stage, buffer.access) for stage, buffer in users]
    axes = {axis_of(access, stage.loop) for stage, access in uses}
    axis = axes.pop() if len(axes) == 1 else None
    tensor = uses[0][0].group.tensors[name]
    bounds = [[index.bounds(stage.group.extents) for index in access.index] for stage, access in uses]
    lows = [min(low for low, _ in along) for along in zip(*bounds, strict=True)]
    sizes = [
        max(high for _, high in along) + 1 - low for along, low in zip(zip(*bounds, strict=True), lows, strict=True)
    ]
    pads = {a.pad for (_, a), box in zip(uses, bounds, strict=True) if _leaves(box, tensor.shape)}
    outside = [n for place, n in enumerate(sizes) if axis is not None and _outer(place, axis, len(sizes))]
    if len(pads) > 1 or prod(outside) > 1 or len(memories) > 1:
        return None
    pad, box = pads.pop() if pads else None, tuple(zip(lows, sizes, strict=True))
    return Band(tensor, axis, maker, box, pad or 0.0, maker == len(stages) - 1, again, memories.pop())


def _leaves(box: Sequence[tuple[int, int]], shape: tuple[int, ...]) -> bool:
    return any(low < 0 or high >= size for (low, high), size in zip(box, shape, strict=True))


def _outer(place: int, axis: int, rank: int) -> bool:
    order = axis_order(rank)
    return order.index(place) < order.index(axis)


def _resident(stages: Sequence[Stage], bands: Mapping[str, Band], moving: set[str | None]) -> bool:
    """Whether what is loaded once stays the same for all rows and repetitions, and what is in WRAM is not made here."""
    made = {stage.group.output.tensor for stage in stages}
    for stage in stages:
        for buffer in stage.plan.buffers:
            stays = buffer.loaded and not _in_band(buffer, bands)
            if stays and (buffer.access.tensor in made or buffer.access.loops() & ({stage.loop} | moving)):
                return False
    return True


def _in_band(buffer: Buffer, bands: Mapping[str, Band]) -> bool:
    """Whether a buffer is a view of a band, and not a place of its own for what is loaded once."""
    name = buffer.access.tensor
    return name in bands and bands[name].memory == buffer.memory
