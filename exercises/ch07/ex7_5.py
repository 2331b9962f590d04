"""7.5: out-of-order issue against queues and tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tilework as tw

TITLE = "Out-of-order issue, and a compiler that puts instructions in order"
QUESTION = """
A general-purpose processor finds by itself which of the next instructions may start. A deep learning processor has a
queue for each unit and lets the program say what waits for what. Give both the same programs: what does out-of-order
issue gain, and what does it need for that?
"""
NOTICE = """
A program written without any care, one step after the other, gains from a window: the hardware sees that the next tile
may be loaded while this one is multiplied. But only where that tile has a place of its own. With one buffer the load
would overwrite what is still being read, and a window of any size has to wait: memory on chip is named by its address,
so that nothing can be renamed as registers are.

With tokens and two buffers the queues get all of that without a window. Programs of the compiler gain nearly nothing
from a window of 64 instructions, each of which would have to be compared with all others by the bytes that it touches,
and lose with a small one: a window is taken up by instructions that wait for a long one, while a queue's entries only
wait for those of their own unit. What runs is known when the program is written: there are no cache misses, and next
to no branches that depend on data. So the order can be found once, by the compiler, and not in each cycle by hardware.
"""
MACHINE = "dlp-s"
WINDOWS = (1, 2, 4, 8, 16, 64)
NETWORKS = ("mlp", "lenet5")
DRAM_BYTES = 1 << 16

# A 128 x 32 matrix times a 32 x 16 one, 16 rows at a time; {inputs} and {sums} bytes of buffers for each on chip.
CARELESS = """
load <512> wram 0x0 {{4}} = dram 0x0 {{4}}
loop 8
  load <512> nram 0x0+(2048*i0) mod {inputs} {{4}} = dram 0x800+2048*i0 {{4}}
  sync
  contract <16, 16, 32> nram 0x1000+(1024*i0) mod {sums} {{64, 4, 0}} = nram 0x0+(2048*i0) mod {inputs} {{128, 0, 4}} \
* wram 0x0 {{0, 128, 4}}
  sync
  store <256> dram 0x4800+1024*i0 {{4}} = nram 0x1000+(1024*i0) mod {sums} {{4}}
  sync
endloop
end
"""
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "pipeline.s"  # the same with tokens


def answer() -> dict[str, Any]:
    """Cycles of each program with queues, and within windows."""
    programs = {
        "careless, one buffer": _program(CARELESS.format(inputs=2048, sums=1024)),
        "careless, two buffers": _program(CARELESS.format(inputs=4096, sums=2048)),
        "tokens, two buffers": _program(EXAMPLE.read_text("utf-8")),
        **{f"{name}, compiled": tw.compile(name, MACHINE).program for name in NETWORKS},
    }
    return {
        "machine": MACHINE,
        "programs": [
            {
                "name": name,
                "queue_cycles": tw.simulate(program).cycles,
                "window_cycles": {str(window): tw.out_of_order(program, window).cycles for window in WINDOWS},
            }
            for name, program in programs.items()
        ],
    }


def _program(assembly: str) -> tw.Program:
    instructions = tw.parse_program(assembly)
    return tw.Program("product", tw.load_machine(MACHINE), instructions, dram_bytes=DRAM_BYTES)


def text(answer: dict[str, Any]) -> str:
    """Cycles by program and window."""
    windows = list(answer["programs"][0]["window_cycles"])
    rows = [
        (one["name"], f"{one['queue_cycles']:,}", *(f"{cycles:,}" for cycles in one["window_cycles"].values()))
        for one in answer["programs"]
    ]
    head = ("program", "queues", *(f"window of {window}" for window in windows))
    return f"Cycles on {answer['machine']}:\n\n{tw.table(head, rows)}"
