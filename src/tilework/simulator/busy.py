"""How long each unit is busy: by kind over all streams, by stream, and by instruction."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from tilework.isa.instruction import QUEUES
from tilework.isa.wellformed import QUEUES_OF
from tilework.machine.machine import Machine
from tilework.simulator.core import Core
from tilework.simulator.engine import Run
from tilework.simulator.plan import Plan

Ranges = Sequence[tuple[int, int]]


def busy_cycles(run: Run, machine: Machine, ranges: Ranges | None = None) -> dict[str, int]:
    """Cycles for which the units, control, the DRAM channel and the SRAM's ports are busy, added over all streams.

    Only with the instructions in the ranges, one for each stream, if there are any. A machine without SRAM has neither
    `cast` nor `sram`.
    """
    units = [unit for unit in QUEUES if machine.sram or unit != "cast"]
    busy = Counter(dict.fromkeys([*units, "control", "channel", *(["sram"] if machine.sram else [])], 0))
    for core, (first, last) in zip(run.cores, ranges or [(0, 1 << 62)] * len(run.cores), strict=True):
        busy.update(_busy(run, core, first, last))
    return dict(busy)


def by_stream(run: Run) -> dict[str, dict[str, int]]:
    """Each stream's busy cycles, of the units that it has and of its control."""
    busy = {core.name: (_busy(run, core, 0, len(core.plan.kind)), core.plan.stream.role) for core in run.cores}
    return {
        name: {unit: cycles[unit] for unit in (*QUEUES_OF[role], "control")} for name, (cycles, role) in busy.items()
    }


def _busy(run: Run, core: Core, first: int, last: int) -> Counter[str]:
    busy, often, examples, stream = Counter[str](), Counter[tuple[int, int, int]](), {}, core.plan
    for place in range(first, min(last, len(stream.kind))):
        same = id(stream.costs[place]), stream.queue[place], stream.kind[place]
        often[same] += stream.flow.executions[place]
        examples[same] = place
    for same, place in examples.items():
        times, cost, queue = often[same], stream.costs[place], stream.queue[place]
        busy["control"] += times * stream.issue_cycles(place)
        if queue >= 0:
            busy[QUEUES[queue]] += times * cost.cycles
        if cost.channel_cycles:
            busy["channel"] += times * cost.channel_cycles
        if cost.sram_cycles:
            busy["sram"] += times * cost.sram_cycles
    for place, taken in run.taken(core.index).items():
        if first <= place < last:
            cost, unit = stream.costs[place], QUEUES[stream.queue[place]]
            busy["channel"] += sum((channel - cost.channel_cycles) * n for (channel, _), n in taken.items())
            busy[unit] += sum((cycles - cost.cycles) * n for (_, cycles), n in taken.items())
    return busy


def busy_shares(busy: dict[str, int], plan: Plan, cycles: int) -> dict[str, float]:
    """Of each kind of unit, the busy cycles by those that all of its kind would have; 0 if the program has none."""
    number = Counter({"channel": 1, "control": len(plan.streams)})
    for stream in plan.streams:
        number.update(QUEUES_OF[stream.stream.role])
    number["sram"] = plan.sram_ports * len({stream.stream.cluster for stream in plan.streams})
    return {unit: taken / max(1, cycles * number[unit]) for unit, taken in busy.items()}


def instruction_cycles(run: Run) -> dict[str, dict[int, int]]:
    """For each mnemonic, how many executions took how many cycles of their unit, waiting for others left out."""
    counts: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for core in run.cores:
        stream, taken = core.plan, run.taken(core.index)
        every = zip(stream.stream.instructions, stream.costs, stream.flow.executions, strict=True)
        for place, (instruction, cost, times) in enumerate(every):
            if place in taken:
                for (_, cycles), n in taken[place].items():
                    counts[instruction.mnemonic][cycles] += n
            elif times:
                counts[instruction.mnemonic][cost.cycles] += times
    return {name: dict(sorted(taken.items())) for name, taken in counts.items()}
