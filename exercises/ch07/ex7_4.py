"""7.4: what decoding costs, by how much work an instruction stands for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import tilework as tw

TITLE = "What decoding costs, by how much work an instruction stands for"
QUESTION = """
A core decodes one instruction in a cycle. How much work must an instruction stand for, so that its units never wait
for control? Give the same matrix product to the same core as one instruction, and cut into smaller and smaller ones,
in hardware loops and in loops of jumps.
"""
NOTICE = """
One instruction for the whole product, or eight, make no difference: control has long run ahead. What is lost first, as
they get smaller, is the pipeline, which each instruction fills and empties anew. Without it an instruction of two
cycles in a hardware loop still keeps the matrix unit busy. One of a single cycle doesn't: control issues one
instruction in a cycle, and whatever else it has to issue, a loop's beginning or a token, is missing then.

A loop of jumps needs two additions, a comparison and a jump each time around, so that five instructions are decoded
for each product: as soon as that takes less than five cycles, the unit waits. A hardware loop, whose counters are part
of the addresses, costs a cycle at its beginning and no more.

A general-purpose processor is at the bottom of this table: an instruction of 16 multiplications there stands for a
sixteenth of what this core does in a cycle. It would have to decode 16 of them in each.
"""
MACHINE, DRAM_BYTES = "dlp-s", 1 << 16
ROWS, COLUMNS, SUMMED = 128, 16, 32
PIECES = (128, 16, 4, 2, 1, 0.5)  # rows that an instruction stands for; half of one is half of its sums

LOADED = """
load <512> wram 0x0 {4} = dram 0x0 {4}
load <4096> nram 0x0 {4} = dram 0x800 {4}
fill <2048> nram 0x4000 {4} = #0
sync
"""
PIECE = (
    "contract <{rows}, 16, {summed}> nram {sums} {{64, 4, 0}} += "
    "nram {inputs} {{128, 0, 4}} * wram {weights} {{0, 128, 4}}"
)


def answer() -> dict[str, Any]:
    """For each size of an instruction its multiplications, and the cycles of the product in each kind of loop."""
    machine = tw.load_machine(MACHINE)
    return {
        "machine": machine.name,
        "macs": ROWS * COLUMNS * SUMMED,
        "macs_per_cycle": machine.macs_per_cycle(),
        "pieces": [
            {"rows": rows, "macs": int(rows * COLUMNS * SUMMED)}
            | {
                name: _costs(loop(rows), machine)
                for name, loop in (("hardware loop", _hardware_loop), ("loop of jumps", _loop_of_jumps))
            }
            for rows in PIECES
        ],
    }


def _hardware_loop(rows: float) -> str:
    """Counters in the addresses: the inner loop is over halves of a sum, if there are any."""
    halves = 2 if rows < 1 else 1
    whole = max(1, int(rows))
    piece = PIECE.format(
        rows=whole,
        summed=SUMMED // halves,
        sums=f"0x4000+{64 * whole}*i0",
        inputs=f"0x0+{128 * whole}*i0+64*i1",
        weights="0x0+64*i1",
    )
    return f"loop {ROWS // whole}\nloop {halves}\n{piece}\nendloop\nendloop"


def _loop_of_jumps(rows: float) -> str:
    """Addresses in registers, with the same instructions in the same order."""
    halves, whole = (2, 1) if rows < 1 else (1, int(rows))
    pieces = [
        PIECE.format(rows=whole, summed=SUMMED // halves, sums="0x4000+r2", inputs=f"{64 * half}+r1", weights=64 * half)
        for half in range(halves)
    ]
    steps = [f"sadd r1 = r1, #{128 * whole}", f"sadd r2 = r2, #{64 * whole}", f"sless r3 = r1, #{128 * ROWS}"]
    return "\n".join(("again:", *pieces, *steps, "jumpif r3, again"))


def _costs(loop: str, machine: tw.Machine) -> dict[str, int]:
    """What the product takes after everything is loaded, with the matrix unit's pipeline and without."""
    eager = replace(machine, matrix=replace(machine.matrix, pipeline_cycles=0))
    costs = {}
    for name, on in (("cycles", machine), ("cycles_without_pipeline", eager)):
        loaded, whole = (tw.simulate(_program(text, on)) for text in (LOADED, LOADED + loop))
        costs[name] = whole.cycles - loaded.cycles
        costs["instructions"] = whole.instructions - loaded.instructions
    return costs


def _program(assembly: str, machine: tw.Machine) -> tw.Program:
    return tw.Program("product", machine, tw.parse_program(f"{assembly}\nend"), dram_bytes=DRAM_BYTES)


def text(answer: dict[str, Any]) -> str:
    """A line for each size."""
    rows = []
    for one in answer["pieces"]:
        loops = (one["hardware loop"], one["loop of jumps"])
        cells = (f"{loop[key]:,}" for loop in loops for key in ("instructions", "cycles", "cycles_without_pipeline"))
        rows.append((f"{one['rows']:g}", f"{one['macs']:,}", *cells))
    head = ("rows", "MACs", *("hardware loop", "cycles", "no pipeline"), *("jumps", "cycles", "no pipeline"))
    return (
        f"{answer['macs']:,} products on {answer['machine']}, which does {answer['macs_per_cycle']} in a cycle, "
        "by the rows that\nan instruction stands for. Instructions executed, cycles, and cycles if the matrix unit "
        f"had no pipeline,\nin hardware loops and in loops of jumps:\n\n{tw.table(head, rows, left=0)}"
    )
