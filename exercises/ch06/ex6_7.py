"""6.7: are the loads of the instructions balanced? A first instruction set, an improved one, and the difference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import tilework as tw

TITLE = "The load of instructions: a layer in one instruction against a tile in one"
QUESTION = """
Is the load of your instructions balanced? Count how many cycles each executed instruction of a network takes.
Improve the instruction set until they are alike, and write the network again.
"""
NOTICE = """
In the first set an instruction moves or computes a whole layer, as a programmer would like it best. The
network is 500 instructions, but they take from one cycle to millions: while one of them runs the other units
have nothing to do, since whatever follows needs all of its result. And the memories on chip must hold whole
layers, hundreds of times what a core has.

In the improved set an instruction does a tile: the same mnemonics, cut by loops around them, so that what
they work on fits on chip twice. The longest instruction is now more than a hundred times shorter and the slowest
unit never waits long for the others. It is faster, although it executes forty times as many instructions and
works in a four-hundredth of the memory: loads run beside the arithmetic instead of before it.

Evenness is no end in itself. Instructions as short as a cycle would be balanced best and be the worst: control
issues one a cycle, a matrix instruction has to fill and drain its pipeline, and each needs an entry of a queue.
"""
NETWORK = "alexnet"
WHOLE_LAYERS = 10**6  # cycles of latency for which no compiler would cut a layer in two


def answer() -> dict[str, Any]:
    """The network in both sets: cycles of its instructions, their histogram, the time and the memory it needs."""
    core = tw.load_machine("dlp-s")
    roomy = replace(
        core,
        nram=replace(core.nram, capacity_bytes=1 << 30),
        wram=replace(core.wram, capacity_bytes=1 << 30),
    )
    slow = replace(roomy, dram=replace(roomy.dram, latency_cycles=WHOLE_LAYERS))
    layers = replace(tw.compile(NETWORK, slow, seed=0, fused=False).program, machine=roomy)
    tiles = tw.compile(NETWORK, core, seed=0).program
    return {
        "network": NETWORK,
        "sets": [_measured("a layer each", layers), _measured("a tile each", tiles)],
        "bound_cycles": tw.simulate(tiles).bound_cycles,
    }


def _measured(name: str, program: tw.Program) -> dict[str, Any]:
    cost = tw.simulate(program)
    taken = [(cycles, times) for per in cost.instruction_cycles.values() for cycles, times in per.items() if cycles]
    number = sum(times for _, times in taken)
    mean = sum(cycles * times for cycles, times in taken) / number
    spread = sum(times * (cycles - mean) ** 2 for cycles, times in taken) / number
    histogram: dict[str, int] = {}
    for cycles, times in sorted(taken):
        decade = str(10 ** (len(str(cycles)) - 1))
        histogram[decade] = histogram.get(decade, 0) + times
    return {
        "set": name,
        "cycles": cost.cycles,
        "instructions": cost.instructions,
        "instructions_that_take_time": number,
        "longest_cycles": max(cycles for cycles, _ in taken),
        "mean_cycles": mean,
        "deviation_cycles": spread**0.5,
        "histogram": histogram,
        "on_chip_bytes": _on_chip(program),
        "busy": {unit: cost.busy_cycles[unit] / cost.cycles for unit in ("load", "matrix", "vector")},
    }


def _on_chip(program: tw.Program) -> int:
    """Bytes of NRAM and WRAM up to the highest that an instruction writes there."""
    top = {"nram": 0, "wram": 0}
    for instruction in program.instructions:
        if instruction.descriptor is not None and instruction.descriptor.destination.memory in top:
            place = instruction.descriptor.destination
            reach = sum(s * (n - 1) for s, n in zip(place.strides, instruction.descriptor.extents, strict=True))
            top[place.memory] = max(top[place.memory], place.base + max(place.wrap, reach + 4))
    return sum(top.values())


def text(answer: dict[str, Any]) -> str:
    """Both sets side by side, then their histograms."""
    first, better = answer["sets"]
    rows = [
        ("cycles", *(f"{s['cycles']:,}" for s in (first, better))),
        ("of the bound", *(f"{s['cycles'] / answer['bound_cycles']:.3f}" for s in (first, better))),
        ("instructions executed", *(f"{s['instructions']:,}" for s in (first, better))),
        ("longest, cycles", *(f"{s['longest_cycles']:,}" for s in (first, better))),
        ("mean, cycles", *(f"{s['mean_cycles']:,.0f}" for s in (first, better))),
        ("deviation / mean", *(f"{s['deviation_cycles'] / s['mean_cycles']:.1f}" for s in (first, better))),
        ("bytes on chip", *(f"{s['on_chip_bytes']:,}" for s in (first, better))),
        *((f"{unit} busy", *(f"{s['busy'][unit]:.0%}" for s in (first, better))) for unit in first["busy"]),
    ]
    head = (answer["network"], first["set"], better["set"])
    return "\n\n".join((tw.table(head, rows), _histogram(first), _histogram(better)))


def _histogram(measured: dict[str, Any]) -> str:
    most = max(measured["histogram"].values())
    lines = [f"{measured['set']}: executed instructions by the cycles that they take"]
    for decade, times in measured["histogram"].items():
        low = int(decade)
        lines.append(f"{f'{low:,} to {10 * low - 1:,}':>22}  {times:>7,}  {'█' * max(1, round(50 * times / most))}")
    return "\n".join(lines)
