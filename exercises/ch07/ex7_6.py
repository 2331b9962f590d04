"""7.6: DMA at work: a descriptor, its bursts, and transfers under the computation."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "DMA at work: descriptors, bursts, and transfers under the computation"
QUESTION = """
What does the transfer unit of a deep learning processor get, and what does it make of it? Move the first 64 columns of
a matrix of 256 x 256 float32, tile by tile of 32 lines, multiply each tile by 64 x 32 weights, and send the result
back. What do descriptors save, and how much of the transfers disappears under the computation?
"""
NOTICE = """
A descriptor says it all in one instruction: how often, from where, to where, with which strides. The tile's 32 runs of
256 bytes are gathered to lie one behind the other, at the channel's full width, and control is free in the next cycle.
A load for each line takes the channel as long, and 32 issues. A load for each word fetches a burst of 64 bytes for 4,
so that the channel is at work 16 times as long.

One after another (serial), a tile takes what its load, its product and its store take together, and two of the three
units always wait. With two places for the tile and two for the result, handed over by tokens, all three work at once:
load on the next tile, store on the last result. All that is left to see of the transfers are the weights, the first
tile and the last result; the product determines the rest. The channel moves the same bytes as before.

On a DRAM with rows the same program hides less. A tile's 32 lines lie in 4 rows, so that its load has the channel for
240 cycles in place of 128; with the store that is more than the product's 264, and now all wait for the channel. Stored
tile by tile, a tile is a single run in a single row, and the time is nearly that of the ideal DRAM again. The
descriptor makes any layout possible; which one is good is for the DRAM to say (7.3).
"""

MACHINE, TILES = "dlp-s-ddr4", 8
WEIGHTS = "load <2048> wram 0x0 {4} = dram 0x50000 {4}"
TILE = "load <32, 64> nram 0x0 {256, 4} = dram 0x0+32768*i0 {1024, 4}"
PRODUCT = "contract <32, 32, 64> nram 0x4000 {128, 4, 0} = nram 0x0 {256, 0, 4} * wram 0x0 {0, 256, 4}"
RESULT = "store <1024> dram 0x40000+4096*i0 {4} = nram 0x4000 {4}"
SERIAL = f"{WEIGHTS}\nsync\nloop {TILES}\n{TILE}\nsync\n{PRODUCT}\nsync\n{RESULT}\nsync\nendloop\nend"
# Tokens: 0 a free place for a tile, 1 a tile, 2 the weights, 3 a free place for a result, 4 a result.
OVERLAPPED = f"""
{WEIGHTS}
post load 2
wait matrix 2
post matrix 0
post matrix 0
post store 3
post store 3
loop {TILES}
wait load 0
{TILE.replace("nram 0x0", "nram 0x0+(8192*i0) mod 16384")}
post load 1
wait matrix 1
wait matrix 3
{PRODUCT.replace("nram 0x4000", "nram 0x4000+(4096*i0) mod 8192").replace("nram 0x0 ", "nram 0x0+(8192*i0) mod 16384 ")}
post matrix 0
post matrix 4
wait store 4
{RESULT.replace("nram 0x4000", "nram 0x4000+(4096*i0) mod 8192")}
post store 3
endloop
wait load 0
wait load 0
wait matrix 3
wait matrix 3
end
"""
BY_TILES = OVERLAPPED.replace("<32, 64> nram", "<2048> nram").replace(
    "{256, 4} = dram 0x0+32768*i0 {1024, 4}", "{4} = dram 0x0+8192*i0 {4}"
)
WAYS = {  # of moving one tile
    "one descriptor": TILE.replace("+32768*i0", "") + "\nend",
    "a load for each line": "loop 32\nload <64> nram 0x0+256*i0 {4} = dram 0x0+1024*i0 {4}\nendloop\nend",
    "a load for each word": "loop 32\nloop 64\nload <1> nram 0x0+256*i0+4*i1 {4} = dram 0x0+1024*i0+4*i1 {4}\n"
    "endloop\nendloop\nend",
}
UNITS = ("load", "matrix", "store")


def answer() -> dict[str, Any]:
    """The descriptors, ways to move a tile, and the programs' times and timelines, on an ideal DRAM but for its bursts
    where rows aren't named."""
    machine = tw.load_machine(MACHINE)
    ideal = machine.with_ideal_dram()
    runs = {
        "serial": (SERIAL, ideal),
        "overlapped": (OVERLAPPED, ideal),
        "rows": (OVERLAPPED, machine),
        "rows, tiled": (BY_TILES, machine),
    }
    return {
        "machine": MACHINE,
        "burst_bytes": machine.dram.burst_bytes,
        "descriptors": [_descriptor(code, ideal) for code in (WEIGHTS, TILE, RESULT)],
        "ways": [{"way": way, **_moved(code, ideal)} for way, code in WAYS.items()],
        "programs": [{"program": name, **_run(_program(code, on))} for name, (code, on) in runs.items()],
    }


def _program(code: str, machine: tw.Machine) -> tw.Program:
    return tw.Program("DMA at work", machine, tw.parse_program(code), dram_bytes=1 << 19)


def _descriptor(code: str, machine: tw.Machine) -> dict[str, Any]:
    """What the unit is told, and what it makes of it in the loop's first iteration."""
    once = _program(f"loop 1\n{code}\nendloop\nend", machine)
    instruction, cost = once.instructions[1], tw.simulate(once)
    descriptor: Any = instruction.descriptor
    memories = {operand.memory: operand for operand in descriptor.operands}
    run, count = 4, 1
    for stride, extent in zip(memories["dram"].strides[::-1], descriptor.extents[::-1], strict=True):
        run, count = (run * extent, count) if stride == run else (run, count * extent)
    return {
        "instruction": instruction.mnemonic,
        "extents": list(descriptor.extents),
        "strides": {memory: list(operand.strides) for memory, operand in memories.items()},
        "runs": count,
        "run_bytes": run,
        "bursts": cost.dram_bytes // machine.dram.burst_bytes,
        "channel_cycles": cost.busy_cycles["channel"],
    }


def _moved(code: str, machine: tw.Machine) -> dict[str, int]:
    cost = tw.simulate(_program(code, machine))
    loads = cost.instruction_counts["load"]
    return {"loads": loads, "dram_bytes": cost.dram_bytes, "cycles": cost.cycles}


def _run(program: tw.Program) -> dict[str, Any]:
    """Cycles in all and of each unit; how long transfers are at work while the matrix unit is; when units work."""
    cost, events = tw.simulate(program), tw.events(program)
    work = {unit: [[e.start, e.end] for e in events if e.unit == unit and e.end > e.start] for unit in UNITS}
    computing = {cycle for start, end in work["matrix"] for cycle in range(start, end)}
    moving = {cycle for unit in ("load", "store") for start, end in work[unit] for cycle in range(start, end)}
    return {
        "cycles": cost.cycles,
        "busy_cycles": {unit: cost.busy_cycles[unit] for unit in UNITS},
        "moving_cycles": len(moving),
        "hidden_cycles": len(moving & computing),
        "conflicts": len(tw.find_races(program)),
        "work": work,
        "timeline": tw.gantt(events, 96),
    }


def text(answer: dict[str, Any]) -> str:
    """The descriptors, the ways, the programs, and their timelines."""
    rows = [
        (
            one["instruction"],
            " x ".join(map(str, one["extents"])),
            *(_strides(one["strides"].get(memory)) for memory in ("dram", "nram", "wram")),
            f"{one['runs']} of {one['run_bytes']:,} B",
            *(f"{one[key]:,}" for key in ("bursts", "channel_cycles")),
        )
        for one in answer["descriptors"]
    ]
    heads = ("descriptor", "extents", "DRAM strides", "NRAM", "WRAM", "runs", "bursts", "cycles")
    ways = [(one["way"], *(f"{one[key]:,}" for key in ("loads", "dram_bytes", "cycles"))) for one in answer["ways"]]
    programs = [
        (
            one["program"],
            *(f"{one['busy_cycles'][unit]:,}" for unit in UNITS),
            f"{one['hidden_cycles']:,} of {one['moving_cycles']:,}",
            f"{one['cycles']:,}",
        )
        for one in answer["programs"]
    ]
    return "\n\n".join(
        (
            tw.table(heads, rows, left=6),
            tw.table(("a tile by", "loads", "DRAM bytes", "cycles"), ways),
            tw.table((f"{TILES} tiles", *UNITS, "transfers hidden", "cycles"), programs),
            "rows: overlapped on a DRAM with rows and refreshes; rows, tiled: with the matrix stored tile by tile.",
            "When units work; a digit is the last one of an instruction's place:",
            *(f"{one['program']}\n{one['timeline']}" for one in answer["programs"]),
        )
    )


def _strides(strides: list[int] | None) -> str:
    return ", ".join(map(str, strides)) if strides else "-"


def draw(answer: dict[str, Any], path: str) -> None:
    """The programs' timelines one below the other, in one scale."""
    bars = [
        tw.Bar(one["program"], unit, start, end, unit, "")
        for one in answer["programs"]
        for unit in UNITS
        for start, end in one["work"][unit]
    ]
    tw.draw_timeline(bars, path, TITLE)
