"""Splitting: how the cores of a chip share a group. Each computes a part of the group's output, with tiles of its own.

Nests are affine, so a part of a group is the same group with one loop cut short and its indices moved. The loop is a
parallel one: parts write different places, and together all of them. What two parts read alike both load.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf
from operator import attrgetter

from tilework.compiler.buffers import plan_buffers
from tilework.compiler.group import Group
from tilework.compiler.tile import Tiling, tile
from tilework.compiler.volume import Staging
from tilework.machine.machine import Machine
from tilework.network.nest import Affine, Nest

STAGING_GAIN = 0.98  # of the time without it: barriers also take some, which is not in the estimate
ALIGNMENT = 64


@dataclass(frozen=True)
class Part:
    """What one core does of a group, and how it is tiled."""

    group: Group
    tiling: Tiling


@dataclass(frozen=True)
class Work:
    """A group on the cores: part k is for core k, cut along `loop`, or one part that is the whole group."""

    group: Group
    loop: str | None
    parts: tuple[Part, ...]

    @property
    def chunks(self) -> int:
        """In how many chunks its weight comes through the SRAM; 0 if it does not."""
        return self.parts[0].tiling.chunks

    def __str__(self) -> str:
        cut = f"{len(self.parts)} parts of {self.loop} | " if self.loop else ""
        through = f"weight through SRAM in {self.chunks} | " if self.chunks else ""
        return f"{self.group.name}: {cut}{through}{self.parts[0].tiling}\n"


@dataclass(frozen=True)
class Split:
    """The loop that a group is cut along, if any, and the tiling of its first part."""

    loop: str | None
    tiling: Tiling

    def apply(self, group: Group, cores: int) -> Work:
        """The parts of a group, all tiled like the first, so that they pack the weights that they share alike."""
        groups = split(group, self.loop, cores) if self.loop else (group,)
        return Work(group, self.loop, tuple(Part(part, self._tiling(part)) for part in groups))

    def _tiling(self, part: Group) -> Tiling:
        tiles = {loop: min(size, part.extents[loop]) for loop, size in self.tiling.tiles.items()}
        return replace(self.tiling, tiles=tiles, plan=plan_buffers(part))


def split(group: Group, loop: str, parts: int) -> tuple[Group, ...]:
    """At most `parts` parts of a group along one of its output's loops: equal ones, but the last may be smaller.

    There are fewer where the loop is short: 5 iterations for 4 cores make parts of 2, 2 and 1.
    """
    extent, size = group.extents[loop], _size(group, loop, parts)
    return tuple(_part(group, loop, start, min(size, extent - start)) for start in range(0, extent, size))


def _size(group: Group, loop: str, parts: int) -> int:
    return -(-group.extents[loop] // parts)


def _part(group: Group, loop: str, start: int, size: int) -> Group:
    moved = {loop: Affine(((loop, 1),), start)}

    def cut(nest: Nest) -> Nest:
        return nest.substitute(moved, shorter(nest.loops)) if loop in nest.extents else nest

    def shorter(loops: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
        return tuple((name, size if name == loop else extent) for name, extent in loops)

    return replace(group, loops=shorter(group.loops), nests=tuple(map(cut, group.nests)))


@dataclass(frozen=True)
class _Option:
    """A loop to cut, how many parts that makes, the first, the machine as its core sees it, and what no tiling of it
    can beat."""

    loop: str | None
    parts: int
    part: Group
    machine: Machine
    bound: float
    staging: Staging | None = None


def best_split(group: Group, machine: Machine, cores: int, mode: str) -> Split:
    """The cut of least estimated time: that of its first part, whose core has an equal share of the DRAM's bandwidth.

    `mode` says which loops may be cut: "data" those of the output's first axis, the batch, "model" those of its other
    axes (output channels, rows of pixels, heads), "auto" any of them, or none. Where there is no such loop, the group
    stays whole and runs on one core while the others wait. Weights that all parts need alike come through the SRAM
    where that gains enough for its barriers. Raises CompileError where the smallest tile does not fit.
    """
    loops: list[str | None] = list(_loops(group, mode)) if cores > 1 else []
    if mode == "auto" or not loops:
        loops.append(None)
    plain = sorted((_option(group, machine, cores, loop) for loop in loops), key=attrgetter("bound"))
    staged = [more for option in plain for more in _staged(option, machine)]
    best: Split | None = None
    for option in (*plain, *staged):
        limit = best.tiling.cycles * (STAGING_GAIN if option.staging else 1) if best else inf
        if option.bound < limit:
            tiling = tile(option.part, option.machine, group.extents, option.staging)
            best = Split(option.loop, tiling) if tiling.cycles < limit else best
    assert best is not None
    return best


def _loops(group: Group, mode: str) -> Iterator[str]:
    first, *rest = group.output.index or (Affine(()),)
    axes = {"data": [first], "model": rest, "auto": [first, *rest]}[mode]
    return (name for axis in axes for name, _ in axis.terms if group.extents[name] > 1)


def _option(group: Group, machine: Machine, cores: int, loop: str | None) -> _Option:
    parts, part = 1, group
    if loop:
        part = _part(group, loop, 0, _size(group, loop, cores))
        parts = -(-group.extents[loop] // part.extents[loop])
    shared = share(machine, parts)
    bound = max(part.macs / shared.macs_per_cycle(), part.compulsory_bytes / shared.dram_bytes_per_cycle)
    return _Option(loop, parts, part, shared, bound)


def _staged(option: _Option, machine: Machine) -> Iterator[_Option]:
    """The option with its weight from the SRAM, if several cores of a cluster need the whole of it."""
    if machine.sram is None or min(machine.cores, option.parts) == 1:
        return
    packed = [buffer.access.loops() for buffer in plan_buffers(option.part).buffers if buffer.packed]
    if packed and option.loop not in packed[0]:
        staging = Staging(half_bytes(machine), -(-option.parts // machine.cores) / option.parts)
        yield replace(option, bound=option.part.macs / option.machine.macs_per_cycle(), staging=staging)


def half_bytes(machine: Machine) -> int:
    """Of the SRAM, in whole elements of any dtype: what a chunk of a weight may take."""
    return machine.sram.capacity_bytes // 2 & -ALIGNMENT if machine.sram else 0


def share(machine: Machine, cores: int) -> Machine:
    """The machine as one of several cores sees it that use the DRAM at the same time."""
    bandwidth = machine.dram.bandwidth_bytes_per_second / cores
    return replace(machine, dram=replace(machine.dram, bandwidth_bytes_per_second=bandwidth))
