"""7.9: a matrix product whose inputs are larger than NRAM, written in the tile language."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tilework as tw

TITLE = "Inputs 1024 x 256 by weights 256 x 128 on a core: program and time"
QUESTION = """
The core of exercise 7.7 multiplies inputs of 1024 x 256 by weights of 256 x 128, float32. The inputs, 1 MB, don't
fit into its NRAM. Write the program. How long does it take?
"""
NOTICE = """
The weights fit and are moved once; inputs and outputs pass through NRAM in tiles of rows. Serially, tiles of 64
rows: 64 KB of inputs, 32 KB of outputs.

To load a tile while another is computed and a third is stored, two of each must fit: double buffering costs half
the tile's size, 32 rows. That is no loss here, since a tile's computation (4096 ns) is five times its transfers.

In the steady state the computation never waits. What remains are the first load and the last store, and both are
made small: the first tile begins with 2 of its 256 places, the last ends row by row. 28 ns of 131,100 are left.
"""

WORK = tw.Assignment(1024, 256, 128, "dlp-s")  # inputs of rows x summed, weights of summed x columns
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FILES = {"serial": "ex7_9.tl", "overlapped": "ex7_9_fast.tl"}
PEAK_BYTES = {
    "serial": {"nram": 64 * 256 * 4 + 64 * 128 * 4, "wram": 256 * 128 * 4},  # a tile of 64 rows
    "overlapped": {"nram": 2 * (32 * 256 * 4 + 32 * 128 * 4), "wram": 256 * 128 * 4},  # two of 32
}


def answer() -> dict[str, Any]:
    """The programs, and the one that the system finds itself: times with their bound, peak bytes of the memories."""
    programs = {name: (EXAMPLES / file).read_text("utf-8") for name, file in FILES.items()}
    return tw.beside_found(programs, WORK, PEAK_BYTES)


def text(answer: dict[str, Any]) -> str:
    """Each program, then their times beside the bound, and their bytes on chip."""
    sources = {name: f"examples/{file}" for name, file in FILES.items()}
    return tw.beside_found_text(answer, sources, WORK)
