"""Activations that stay in the SRAM between the groups that make and read them, and so never go to DRAM."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import NamedTuple

from tilework.compiler.group import Group
from tilework.compiler.memory import ALIGNMENT, align, lifetimes, place_activations
from tilework.machine.machine import Machine
from tilework.network.graph import Graph

SHARE = 8  # one part in so many of the SRAM, at least, is left for the movers' weights
WORTH = 0.1  # of all traffic, at least, must be saved; else the movers have the whole SRAM


class Gap(NamedTuple):
    """A part of the SRAM."""

    address: int
    size_bytes: int


def settle(graph: Graph, groups: Sequence[Group], machine: Machine, cores: int) -> dict[str, int]:
    """The address in SRAM of each activation that stays there, the largest first as far as lifetimes leave any room.

    All cores that work must share the SRAM. Inputs and outputs of the network are in DRAM. The SRAM's beginning is left
    free (see `rest`).
    """
    if machine.sram is None or cores > machine.cores:
        return {}
    size = machine.sram.capacity_bytes & -ALIGNMENT
    ports = {tensor.name for tensor in graph.inputs} | set(graph.outputs)
    lives = [life for life in lifetimes(graph, groups) if life.tensor.name not in ports]
    found = place_activations(lives, size // SHARE & -ALIGNMENT, size)
    if not _worth(found, groups):
        return {}
    end = max(found[life.tensor.name] + align(life.tensor.size_bytes) for life in lives if life.tensor.name in found)
    return {name: address + size - end for name, address in found.items()}


def _worth(names: Iterable[str], groups: Sequence[Group]) -> bool:
    found = set(names)
    moved = [(name, size) for group in groups for name, size in group.touched_bytes.items()]
    return sum(size for name, size in moved if name in found) > WORTH * sum(size for _, size in moved)


def gaps(graph: Graph, groups: Sequence[Group], machine: Machine, resident: Mapping[str, int]) -> list[Gap]:
    """For each group the largest part of the SRAM behind the movers' that nothing resident takes while it runs."""
    if machine.sram is None or not resident:
        return [Gap(0, 0)] * len(groups)
    taken: list[list[tuple[int, int]]] = [[] for _ in groups]
    for life in lifetimes(graph, groups):
        name, size = life.tensor.name, align(life.tensor.size_bytes)
        for place in range(life.first, life.last + 1) if name in resident else ():
            taken[place].append((resident[name], resident[name] + size))
    start, end = min(resident.values()), machine.sram.capacity_bytes & -ALIGNMENT
    return [largest_gap(sorted(each), start, end) for each in taken]


def largest_gap(taken: Sequence[tuple[int, int]], start: int, end: int) -> Gap:
    """The largest part, of equal ones the first, between addresses that none of the taken ranges, in order, covers."""
    lows = [start, *accumulate((high for _, high in taken), max)]
    highs = [*(low for low, _ in taken), end]
    return max((Gap(low, high - low) for low, high in zip(lows, highs, strict=True)), key=lambda gap: gap.size_bytes)


def settled(group: Group, resident: Mapping[str, int]) -> Group:
    """The group, told which of its tensors stay in the SRAM."""
    found = frozenset(group.names) & resident.keys()
    return replace(group, resident=found) if found else group


def rest(machine: Machine, resident: Mapping[str, int]) -> Machine:
    """The machine with the SRAM that is left for the movers."""
    if machine.sram is None or not resident:
        return machine
    return replace(machine, sram=replace(machine.sram, capacity_bytes=min(resident.values())))
