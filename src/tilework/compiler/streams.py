"""From the parts of all groups to a stream of instructions for each core, and the layers of the program."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, chain

from tilework.compiler.ahead import Home, ending, homes
from tilework.compiler.array_bound import array_cycles
from tilework.compiler.bounds import ahead_bytes, communication_bytes
from tilework.compiler.footprint import barriers
from tilework.compiler.group import Group
from tilework.compiler.layout import Ring
from tilework.compiler.lower import BARRIER, Code
from tilework.compiler.memory import DramMap
from tilework.compiler.mover import mover, repeat, rings
from tilework.compiler.relocate import Relocator
from tilework.compiler.resident import rest
from tilework.compiler.split import Part, Work, layers
from tilework.isa.instruction import Instruction
from tilework.isa.program import Layer, Stream
from tilework.machine.machine import Machine


def lower_all(works: Sequence[Work], dram: DramMap, machine: Machine) -> tuple[tuple[Stream, ...], tuple[Layer, ...]]:
    """A stream for each core that has something to do, the first cluster's first, then the movers', and the layers.

    A group ends in a sync, or, where a core goes on with what another one has made, in a barrier of all streams; one
    whose weights come from the SRAM begins with a barrier.
    """
    needed = [*barriers(works, dram.apart), False][1:]
    waits = [need and not work.chunks for need, work in zip(needed, [*works[1:], *works[:1]], strict=True)]
    cores = max((len(work.parts) for work in works), default=1)
    codes = _cores(works, waits, cores, dram, rest(machine, dram.resident))
    streams = [divmod(core, machine.cores) for core in range(cores)]
    roles = [Stream((), "core", *place) for place in streams]
    if any(work.chunks for work in works):
        clusters = range(streams[-1][0] + 1)
        roles += [Stream((), "mover", cluster) for cluster in clusters]
        codes += [mover(works, waits, dram, rest(machine, dram.resident), cluster) for cluster in clusters]
    joined = [(*chain.from_iterable(code), Instruction("end")) for code in codes]
    made = tuple(replace(role, instructions=code) for role, code in zip(roles, joined, strict=True))
    return made, _layers(works, codes, machine)


def _cores(
    works: Sequence[Work], waits: Sequence[bool], cores: int, dram: DramMap, machine: Machine
) -> list[list[list[Instruction]]]:
    """The instructions of each core for each group."""
    relocator, packed, whole = Relocator(), _packed(dram), dram.plain | dram.resident
    every = rings(works, machine)
    codes = []
    for core in range(cores):
        parts = [work.parts[core] if core < len(work.parts) else None for work in works]
        lies = homes(works, waits, core, machine)
        made = [
            relocator.code(part, home, whole, packed[place, core], ring) if part else _idle(work, ring)
            for place, (work, part, home, ring) in enumerate(zip(works, parts, lies, every, strict=True))
        ]
        codes.append(_joined(parts, lies, made, waits))
    return codes


def _idle(work: Work, ring: Ring | None) -> Code:
    """What a core does that has no part of a group: it meets the others."""
    return Code(repeat([BARRIER], work.chunks * ring.meetings + ring.late if ring else 0), {})


def _joined(
    parts: Sequence[Part | None], lies: Sequence[Home | None], made: Sequence[Code], waits: Sequence[bool]
) -> list[list[Instruction]]:
    """A core's instructions for each group, with what comes early for the one after it."""
    codes = []
    following = [*zip(lies[1:], made[1:], strict=True), (None, Code([], {}))]
    for part, code, wait, (home, later) in zip(parts, made, waits, following, strict=True):
        last = [BARRIER] * wait if wait or part is None else [Instruction("sync")]
        codes.append([*code.steps, *ending(part, home, later.ahead), *last])
    return codes


def _layers(works: Sequence[Work], codes: list[list[list[Instruction]]], machine: Machine) -> tuple[Layer, ...]:
    every = layers(works)
    groups = [steps[0].whole or steps[0].group for steps in every]
    places = [0, *accumulate(map(len, every))]
    names = _names(groups)
    ends = [[0, *accumulate(map(len, code))] for code in codes]
    bounds: dict[object, tuple[int, int, float]] = {}
    found: list[Layer] = []
    for number, (group, steps) in enumerate(zip(groups, every, strict=True)):
        if group.shape not in bounds:
            array = array_cycles(steps[0], machine)
            bounds[group.shape] = group.compulsory_bytes, communication_bytes(group, machine), array
        first, *others = [(end[places[number]], end[places[number + 1]]) for end in ends]
        once, again, array = bounds[group.shape]
        skipped = group.macs - group.needed_macs if group.blocks.skipped else 0
        ahead = ahead_bytes(group, groups[number - 1]) if number else 0
        found.append(
            Layer(names[number], group.operation, *first, group.macs, once, tuple(others), again, skipped, ahead, array)
        )
    return tuple(found)


def _packed(dram: DramMap) -> dict[tuple[int, int], dict[int, int]]:
    """By group and part: the address of each packed buffer."""
    found: dict[tuple[int, int], dict[int, int]] = defaultdict(dict)
    for (place, core, index), address in dram.packed.items():
        found[place, core][index] = address
    return found


def _names(groups: Sequence[Group]) -> list[str]:
    """The nodes of each group; where a node alone makes several groups, also which of them this is."""
    total, seen, names = Counter(group.nodes for group in groups), Counter[tuple[str, ...]](), []
    for group in groups:
        nodes = group.nodes
        seen[nodes] += 1
        names.append("+".join(nodes) + (f" {seen[nodes]}/{total[nodes]}" if total[nodes] > 1 else ""))
    return names
