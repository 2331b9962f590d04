"""7.12: a matrix product whose weights are larger than all WRAMs, written in the tile language."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tilework as tw

TITLE = "Inputs 1024 x 256 by weights 256 x 2048 on four cores: program and time"
QUESTION = """
The four cores of exercise 7.11 multiply inputs of 1024 x 256 by weights of 256 x 2048, float32. Write the programs of
the cores and of the mover. How long do they take? Mind that a core's share of the weights is larger than its WRAM.
"""
NOTICE = """
Each core takes 512 of the 2048 columns: 256 x 512 x 4 bytes = 512 KB of weights, twice its WRAM of 256 KB. So the
columns come in passes, and every pass needs all inputs again. They fit into SRAM, 1 MB of 2, cross the channel once
and are cast to the cores in each pass; 4 passes cost 4194 ns on ports that have nothing else to do.

Serially two passes suffice, whose weights just fill the WRAM. To load the next pass's weights beside the
computation, two passes must fit: four passes of 128 columns, 128 KB each.

The computation bounds the time: 2^29 MACs on 4 x 256 a cycle are 524,288 ns, the channel's 11 MB are 90,112. What
isn't hidden are loads of the first tile, 1280 ns, and stores of the last, 512 ns: 0.3 % together.

To share the rows instead, 256 for each core, makes every core use all weights, 2 MB: these would be cast, in 16 passes
of 128 KB.
"""

WORK = tw.Assignment(1024, 256, 2048, "dlp-m4")  # inputs of rows x summed, weights of summed x columns
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FILES = {"serial": "ex7_12.tl", "overlapped": "ex7_12_fast.tl"}
PEAK_BYTES = {  # of each core, and the inputs in SRAM
    "serial": {"nram": 64 * 256 * 4 + 64 * 256 * 4, "wram": 256 * 256 * 4, "sram": 1024 * 256 * 4},
    "overlapped": {"nram": 2 * (32 * 256 * 4 + 32 * 128 * 4), "wram": 2 * 256 * 128 * 4, "sram": 1024 * 256 * 4},
}


def answer() -> dict[str, Any]:
    """The programs, and the one that the system finds itself: times with their bound, peak bytes of the memories."""
    programs = {name: (EXAMPLES / file).read_text("utf-8") for name, file in FILES.items()}
    return tw.beside_found(programs, WORK, PEAK_BYTES)


def text(answer: dict[str, Any]) -> str:
    """Each program, then their times beside the bound, and their bytes on chip."""
    sources = {name: f"examples/{file}" for name, file in FILES.items()}
    return tw.beside_found_text(answer, sources, WORK)
