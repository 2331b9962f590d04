"""A chain as the compiler's later stages see it: a group of all its nests, and how it is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

from tilework.compiler.buffers import plan_buffers
from tilework.compiler.chain import Chain, assemble
from tilework.compiler.chain_memory import Layout, Strip, whole
from tilework.compiler.chain_strips import strips
from tilework.compiler.group import Group
from tilework.compiler.layout import Frame
from tilework.compiler.split import Part, Work
from tilework.compiler.tile import Tiling
from tilework.network.nest import Affine

CHANNELS, COLUMNS = 1, 3  # axes of N,C,H,W that strips share


class Config(NamedTuple):
    """How a chain is computed: in so many strips along an axis, `height` rows of its output in a turn, so many turns a
    step, and so many buffers for each band. Strips of channels have weights of their own, for which there are `copies`
    places."""

    strips: int
    height: int
    turns: int
    slots: int
    axis: int = COLUMNS
    copies: int = 1

    def __str__(self) -> str:
        rows = f"{self.height} {'row' if self.height == 1 else 'rows'} in each of {self.turns} turns"
        strips = f"{self.strips} {'strip' if self.strips == 1 else 'strips'}{' of channels' * (self.axis == CHANNELS)}"
        return f"{strips} of {rows}, buffers x{self.slots}{f', weights x{self.copies}' * (self.copies > 1)}"


ONE = Config(1, 1, 1, 1)


@dataclass(frozen=True)
class ChainTiling(Tiling):
    """In place of tiles: a chain's configuration."""

    config: Config = ONE
    members: int = 0

    @property
    def choice(self) -> tuple[object, ...]:
        return self.config

    def __str__(self) -> str:
        return f"chain of {self.members} groups | {self.config} | {self.cycles:.0f} cycles"


@dataclass(frozen=True)
class ChainPart(Part):
    """A chain of `groups`, all on one core; `group` has their nests in one."""

    groups: tuple[Group, ...] = ()

    @cached_property
    def stages(self) -> tuple[Part, ...]:
        """Each group in one tile, as its weights are packed; where strips have their own, each strip's groups."""
        assert isinstance(self.tiling, ChainTiling)
        config = self.tiling.config
        cut = strips(self.groups, CHANNELS, config.strips, own=True) if self.own else [self.groups]
        return tuple(Part(group, whole(plan_buffers(group))) for groups in cut for group in groups)

    @property
    def own(self) -> bool:
        """Whether each strip has weights of its own."""
        assert isinstance(self.tiling, ChainTiling)
        return self.tiling.config.axis == CHANNELS

    @property
    def held(self) -> list[Frame]:
        """What the first strip's stages load once, one after another."""
        return [frame for frames in self.layouts[0].resident for frame in frames.values()]

    @cached_property
    def layouts(self) -> list[Layout]:
        """Of each strip, from the beginning of the memories."""
        return self.layouts_at((0, 0))

    def layouts_at(self, origin: tuple[int, int]) -> list[Layout]:
        """Of each strip, from these addresses in NRAM and WRAM."""
        assert isinstance(self.tiling, ChainTiling)
        count, height, turns, slots, axis, copies = self.tiling.config
        cut, found = chains(self.groups, count, axis), list[Layout]()
        alike = shared(cut) if self.own else frozenset()
        for number, chain in enumerate(cut):
            strip = Strip(number, sum(len(layout.steps) for layout in found), alike, origin)
            found.append(Layout(chain, height, turns, slots, copies, strip))
        return found


def pieces_of(part: Part) -> tuple[Part, ...]:
    """The parts whose plans have the buffers of a part: of a chain its stages."""
    return part.stages if isinstance(part, ChainPart) else (part,)


def groups_of(work: Work) -> tuple[Group, ...]:
    """The groups that a work computes: those of a chain, else one, or the one of which it is a step."""
    part = work.parts[0]
    return part.groups if isinstance(part, ChainPart) else (work.whole or work.group,)


def chains(groups: Sequence[Group], count: int, axis: int = COLUMNS, most: int | None = None) -> list[Chain]:
    """The chain of these groups, or those of its strips, or so many of them; none where they make none."""
    parts = strips(groups, axis, count, axis == CHANNELS, most) if count > 1 else [tuple(groups)]
    found = [chain for chain in map(assemble, parts) if chain]
    return found if len(found) == len(parts) else []


def shared(cut: Sequence[Chain]) -> frozenset[str]:
    """What all strips load alike, if they are of one size and the chain is done once: then it is in one place."""
    sizes = {tuple(size for band in chain.bands.values() for _, size in band.box) for chain in cut}
    if len(sizes) > 1 or cut[0].repeats > 1:
        return frozenset()
    loaded = [name for name, band in cut[0].bands.items() if band.made_by is None]
    return frozenset(name for name in loaded if len({chain.bands[name].box for chain in cut}) == 1)


def joined(groups: Sequence[Group]) -> Group:
    """One group with the nests of all; loops get a number in front, since each group has its own."""
    loops: list[tuple[str, int]] = []
    nests = []
    for number, group in enumerate(groups):
        names = {name: f"s{number}_{name}" for name, _ in group.loops}
        values = {name: Affine(((new, 1),)) for name, new in names.items()}
        loops += [(names[name], extent) for name, extent in group.loops]
        for nest in group.nests:
            inside = {name: values[name] for name in nest.extents}
            nests.append(nest.substitute(inside, tuple((names[name], extent) for name, extent in nest.loops)))
    nodes = tuple(dict.fromkeys(node for group in groups for node in group.nodes))
    tensors = {name: tensor for group in groups for name, tensor in group.tensors.items()}
    operation = " > ".join(group.operation for group in groups)
    firsts = accumulate((len(group.nests) for group in groups), initial=0)
    on_lanes = frozenset(first + place for first, g in zip(firsts, groups, strict=False) for place in g.on_lanes)
    return Group(nodes, operation, tuple(loops), tuple(nests), tensors, on_lanes=on_lanes)
