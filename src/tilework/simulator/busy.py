"""How long each unit is busy: by kind over all streams, by stream, and by instruction."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from tilework.isa.instruction import QUEUES
from tilework.isa.wellformed import QUEUES_OF
from tilework.machine.machine import Machine
from tilework.simulator.plan import Plan, StreamPlan

Ranges = Sequence[tuple[int, int]]


def busy_cycles(plan: Plan, machine: Machine, ranges: Ranges | None = None) -> dict[str, int]:
    """Cycles for which the units, control, the DRAM channel and the SRAM's ports are busy, added over all streams.

    Only with the instructions in the ranges, one for each stream, if there are any. A machine without SRAM has neither
    `cast` nor `sram`.
    """
    units = [unit for unit in QUEUES if machine.sram or unit != "cast"]
    busy = Counter(dict.fromkeys([*units, "control", "channel", *(["sram"] if machine.sram else [])], 0))
    for stream, (first, last) in zip(plan.streams, ranges or [(0, 1 << 62)] * len(plan.streams), strict=True):
        busy.update(_busy(stream, first, last))
    return dict(busy)


def by_stream(plan: Plan) -> dict[str, dict[str, int]]:
    """Each stream's busy cycles, of the units that it has and of its control."""
    busy = {stream.stream.name: (_busy(stream, 0, len(stream.kind)), stream.stream.role) for stream in plan.streams}
    return {
        name: {unit: cycles[unit] for unit in (*QUEUES_OF[role], "control")} for name, (cycles, role) in busy.items()
    }


def _busy(stream: StreamPlan, first: int, last: int) -> Counter[str]:
    busy, often, examples = Counter[str](), Counter[tuple[int, int, int]](), {}
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
    return busy


def busy_shares(busy: dict[str, int], plan: Plan, cycles: int) -> dict[str, float]:
    """Of each kind of unit, the busy cycles by those that all of its kind would have; 0 if the program has none."""
    number = Counter({"channel": 1, "control": len(plan.streams)})
    for stream in plan.streams:
        number.update(QUEUES_OF[stream.stream.role])
    number["sram"] = plan.sram_ports * len({stream.stream.cluster for stream in plan.streams})
    return {unit: taken / max(1, cycles * number[unit]) for unit, taken in busy.items()}


def instruction_cycles(plan: Plan) -> dict[str, dict[int, int]]:
    """For each mnemonic, how many executions took how many cycles of their unit, waiting for others left out."""
    counts: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for stream in plan.streams:
        for instruction, cost, times in zip(
            stream.stream.instructions, stream.costs, stream.flow.executions, strict=True
        ):
            if times:
                counts[instruction.mnemonic][cost.cycles] += times
    return {name: dict(sorted(taken.items())) for name, taken in counts.items()}
