"""What lies in memory when: live activations over the network's order, and what each layer uses of the chip's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tilework.cost.liveness import Storages, forward, live_bytes
from tilework.isa.program import Program
from tilework.machine.machine import Machine
from tilework.report.page.subject import Subject
from tilework.simulator.bounds import reached
from tilework.simulator.plan import ranges

CHIP = ("nram", "wram", "sram")


def memory(subject: Subject) -> dict[str, Any]:
    """Live bytes at each node, beside the weights; by layer the bytes that its instructions touch of each memory."""
    storages = Storages(subject.graph, None)
    moments = list(forward(storages))
    live = live_bytes(moments, storages.sizes, set(storages.read(subject.graph.outputs)))
    total = subject.count.total
    programs = subject.executable.bundle.programs if subject.executable else ()
    touched = [layer for program in programs for layer in touched_bytes(program)]
    return {
        "weights": total.parameter_bytes + total.buffer_bytes,
        "inputs": live[0],
        "live": live[1:],
        "chip": {name: [layer[name] for layer in touched] for name in CHIP},
        "capacity": _capacities(subject.machine) if isinstance(subject.machine, Machine) else {},
    }


def touched_bytes(program: Program) -> list[dict[str, int]]:
    """For each layer the bytes that its instructions touch of each memory on chip; of the core that touches most."""
    found = [dict.fromkeys(CHIP, 0) for _ in program.layers]
    for number, stream in enumerate(program.streams):
        spans = [ranges(layer, len(program.streams))[number] for layer in program.layers]
        owner = {place: layer for layer, (first, last) in enumerate(spans) for place in range(first, last)}
        boxes: dict[tuple[int, str], set[tuple[int, int]]] = {}
        for place, operand, low, high in reached(stream):
            if operand.memory in CHIP and place in owner:
                boxes.setdefault((owner[place], operand.memory), set()).add((low, high))
        for (layer, name), intervals in boxes.items():
            found[layer][name] = max(found[layer][name], _union(intervals))
    return found


def _union(intervals: Iterable[tuple[int, int]]) -> int:
    """The bytes in any of the intervals."""
    total = end = 0
    for low, high in sorted(intervals):
        total += max(0, high - max(low, end))
        end = max(end, high)
    return total


def _capacities(machine: Machine) -> dict[str, int]:
    memories: Sequence[tuple[str, Any]] = tuple(zip(CHIP, (machine.nram, machine.wram, machine.sram), strict=True))
    return {name: memory.capacity_bytes for name, memory in memories if memory}
