"""7.3: the same bytes of DRAM in other orders, and stored in another."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "The same matrix read in other orders, and stored in another: bursts, rows and cycles"
QUESTION = """
A DRAM hands out bursts of 64 bytes, from rows of 8 KiB of which each bank has one open. A matrix of 512 x 512 float32
lies in it row by row. Read it row by row, in blocks, burst by burst in no order, and column by column. How many bursts
and rows does each order cost, and how long does it take? What is gained if it is stored in another order?
"""
NOTICE = """
Each order needs the same mebibyte. Row by row costs the least that there can be: every byte of every burst is wanted,
and each of the 128 rows is opened once.

In blocks of 64 x 64 a run is 256 bytes, which is four whole bursts, so nothing is moved in vain. And a block's 64 lines
lie in 16 rows, one in each bank: they stay open for the next block beside it, but for those that a refresh closes in
between. Blocks of 128 lines have two rows for each bank, which throw each other out: 2,048 misses in place of 144, for
blocks of the same size. What matters is not how far a program jumps but how many rows it keeps coming back to.

In no order a burst rarely meets the row that it needs. On the ideal DRAM control is what takes the time there: it
computes an address in three cycles and issues the load in a fourth.

A column has 4 wanted bytes in each burst: 16 times the traffic. And each fourth line lies in another row, so that one
burst in four waits for a row. That is what a compiler is up against when two layers want a matrix in different orders.

So the layout is chosen before the first access: stored by columns, columns are read as quickly as rows were. If the
matrix is there already, turning it over in blocks costs less than a twentieth of reading it by columns once.

Nothing is opened ahead here. A controller that looks further opens a row in one bank while another still sends: with
16 banks that hides most misses of any order that goes round the banks, a column's too. Its 16 times as many bursts
nobody hides.
"""

MACHINE = "dlp-s-ddr4"
LINES, ELEMENT = 512, 4
ORDERS = {  # what is moved by each load, and the program
    "row by row": ("32 lines", "loop 16\nload <16384> nram 0x0 {4} = dram 0x0+65536*i0 {4}\nendloop\nend"),
    "blocks of 64 x 64": (
        "64 lines of 256 B",
        "loop 8\nloop 8\nload <64, 64> nram 0x0 {256, 4} = dram 0x0+131072*i0+256*i1 {2048, 4}\nendloop\nendloop\nend",
    ),
    "blocks of 128 x 32": (
        "128 lines of 128 B",
        "loop 4\nloop 16\nload <128, 32> nram 0x0 {128, 4} = dram 0x0+262144*i0+128*i1 {2048, 4}\n"
        "endloop\nendloop\nend",
    ),
    # A linear congruential generator: r1 goes through all multiples of 64 below a mebibyte in what looks like no order.
    "bursts in no order": (
        "64 B",
        "loop 16384\nsmul r1 = r1, #5701\nsadd r1 = r1, #228544\nsand r1 = r1, #1048575\n"
        "load <16> nram 0x0 {4} = dram 0x0+r1 {4}\nendloop\nend",
    ),
    "column by column": (
        "512 elements of 4 B",
        "loop 512\nload <512> nram 0x0 {4} = dram 0x0+4*i0 {2048}\nendloop\nend",
    ),
}
# Block by block into the mebibyte above: lines become columns on the way into NRAM. Two blocks take turns there.
TRANSPOSE = """
post store 1
post store 1
loop 8
loop 8
wait load 1
load <64, 64> nram 0x0+(16384*i1) mod 32768 {4, 256} = dram 0x0+131072*i0+256*i1 {2048, 4}
post load 0
wait store 0
store <64, 64> dram 0x100000+256*i0+131072*i1 {2048, 4} = nram 0x0+(16384*i1) mod 32768 {256, 4}
post store 1
endloop
endloop
wait load 1
wait load 1
end
"""


def answer() -> dict[str, Any]:
    """For each order, and for turning the matrix over, what it costs on the same machine, and on an ideal DRAM."""
    machine = tw.load_machine(MACHINE)
    orders = [{"order": name, "load": load, **_cost(code, machine)} for name, (load, code) in ORDERS.items()]
    cycles = {one["order"]: one["cycles"] for one in orders}
    turned = _cost(TRANSPOSE, machine)
    return {
        "machine": MACHINE,
        "matrix_bytes": LINES * LINES * ELEMENT,
        "orders": orders,
        "transpose": turned,
        "columns": {
            "stored_by_rows": cycles["column by column"],
            "stored_by_columns": cycles["row by row"],
            "turned_over_first": turned["cycles"] + cycles["row by row"],
        },
    }


def _cost(code: str, machine: tw.Machine) -> dict[str, Any]:
    program = _program(code, machine)
    cost = tw.simulate(program)
    time = cost.dram_time
    assert time is not None
    return {
        "dram_bytes": cost.dram_bytes,
        "bursts": time.row_hits + time.row_misses,
        "row_misses": time.row_misses,
        "row_hits": time.row_hits,
        "refresh_cycles": time.refresh_cycles,
        "cycles": cost.cycles,
        "ideal_cycles": tw.simulate(_program(code, machine.with_ideal_dram())).cycles,
    }


def _program(code: str, machine: tw.Machine) -> tw.Program:
    return tw.Program("access pattern", machine, tw.parse_program(code), dram_bytes=2 * LINES * LINES * ELEMENT)


def text(answer: dict[str, Any]) -> str:
    """A table of the orders, then what the layout saves."""
    heads = ("order", "each load", "bursts", "hits", "misses", "refresh", "cycles", "ideal DRAM", "bandwidth used")
    keys = ("bursts", "row_hits", "row_misses", "refresh_cycles", "cycles", "ideal_cycles")
    size, orders = answer["matrix_bytes"], answer["orders"]
    peak = size / 64
    rows = [
        (one["order"], one["load"], *(f"{one[key]:,}" for key in keys), f"{peak / one['cycles']:.1%}") for one in orders
    ]
    columns, turned = answer["columns"], answer["transpose"]
    layouts = [
        ("stored by rows", f"{columns['stored_by_rows']:,}"),
        ("stored by columns", f"{columns['stored_by_columns']:,}"),
        ("stored by rows, turned over first", f"{columns['turned_over_first']:,}"),
    ]
    return "\n\n".join(
        (
            f"{size:,} bytes on {answer['machine']}, which at the whole bandwidth take {peak:,.0f} cycles:",
            tw.table(heads, rows, left=2),
            f"Turning it over: {turned['row_misses']:,} of {turned['bursts']:,} bursts open a row, "
            f"{turned['cycles']:,} cycles.",
            tw.table(("columns of the matrix", "cycles"), layouts),
        )
    )
