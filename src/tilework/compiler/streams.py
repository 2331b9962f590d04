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
from tilework.compiler.stock_plan import Planner, Stocks
from tilework.isa.instruction import Instruction
from tilework.isa.program import Layer, Stream
from tilework.machine.machine import Machine


def lower_all(
    works: Sequence[Work], dram: DramMap, machine: Machine, hurry: bool = True
) -> tuple[tuple[Stream, ...], tuple[Layer, ...]]:
    """A stream for each core that has something to do, the first cluster's first, then the movers', and the layers.

    In a `hurry` the movers lay in weights of later groups, which takes no more time, but energy of the SRAM.
    """
    streams, codes = lower_streams(works, dram, machine, hurry)
    return streams, _layers(works, codes, machine)


def lower_streams(
    works: Sequence[Work], dram: DramMap, machine: Machine, hurry: bool = True
) -> tuple[tuple[Stream, ...], list[list[list[Instruction]]]]:
    """The streams, and the instructions of each for each group.

    A group ends in a sync, or, where a core goes on with what another one has made, in a barrier of all streams; one
    whose weights come from the SRAM begins with a barrier.
    """
    needed = [*barriers(works, dram.apart), False][1:]
    waits = [need and not work.chunks for need, work in zip(needed, [*works[1:], *works[:1]], strict=True)]
    cores = max((len(work.parts) for work in works), default=1)
    free = rest(machine, dram.resident)
    every, lies = rings(works, free), [homes(works, waits, core, machine) for core in range(cores)]
    alone = machine.sram is not None and machine.clusters == 1  # the movers of several would take the cores' turns
    stocks = Planner(works, waits, every, dram, machine).plan(lies) if alone and hurry else Stocks()
    codes = _cores(works, waits, lies, every, dram, stocks)
    streams = [divmod(core, machine.cores) for core in range(cores)]
    roles = [Stream((), "core", *place) for place in streams]
    if stocks.loads or any(work.chunks for work in works):
        for cluster in range(streams[-1][0] + 1):
            loads = [stocks.loads.get((cluster, place), []) for place in range(len(works))]
            roles.append(Stream((), "mover", cluster))
            codes.append(mover(works, waits, dram, free, cluster, loads))
    joined = [(*chain.from_iterable(code), Instruction("end")) for code in codes]
    made = tuple(replace(role, instructions=code) for role, code in zip(roles, joined, strict=True))
    return made, codes


def _cores(
    works: Sequence[Work],
    waits: Sequence[bool],
    lies: Sequence[Sequence[Home | None]],
    every: Sequence[Ring | None],
    dram: DramMap,
    stocks: Stocks,
) -> list[list[list[Instruction]]]:
    """The instructions of each core for each group, given where its buffers lie."""
    relocator, packed, whole = Relocator(), _packed(dram), dram.plain | dram.resident
    codes = []
    for core, ours in enumerate(lies):
        parts = [work.parts[core] if core < len(work.parts) else None for work in works]
        made = []
        for place, (work, part, home, ring) in enumerate(zip(works, parts, ours, every, strict=True)):
            here, laid_in = packed[place, core], stocks.parts.get((place, core), ())
            made.append(relocator.code(part, home, whole, here, ring, laid_in) if part else _idle(work, ring))
        codes.append(_joined(parts, ours, made, waits))
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
        codes.append([*code.steps, *ending(part, home, later.ahead), *code.last, *last])
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
