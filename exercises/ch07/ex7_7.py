"""7.7: one sum of 256 products on one core, written in the tile language."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tilework as tw

TITLE = "One neuron of 256 inputs on a core: program and time"
QUESTION = """
A core has a WRAM of 256 KB, an NRAM of 128 KB, 256 float32 multiply-accumulates per cycle at 1 GHz and 64 GB/s
to memory off chip; computation and transfers run at 100 % of these. Write the product of inputs 1 x 256 and
weights 256 x 1 in `move`, `compute`, `loop ... endloop` and `sync`. How long does it take?
"""
NOTICE = """
Of 33.0625 ns the transfers take 32.0625: eight bytes come for each multiply-accumulate, and in their time the core
could do 32. No program can be faster than its transfers.

So all that a better program can hide is the computation, 1 ns. In pieces of 16 products it begins when the first
piece is there, and after the last only a sixteenth of it is left.

The sum itself, 4 bytes, can't leave before it is complete: 1/16 ns that nothing hides.
"""

WORK = tw.Assignment(1, 256, 1, "dlp-s")  # inputs of rows x summed, weights of summed x columns
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FILES = {"serial": "ex7_7.tl", "overlapped": "ex7_7_fast.tl"}
PEAK_BYTES = {name: {"nram": 256 * 4 + 4, "wram": 256 * 4} for name in FILES}  # inputs and the sum; weights


def answer() -> dict[str, Any]:
    """The programs, and the one that the system finds itself: times with their bound, peak bytes of the memories."""
    programs = {name: (EXAMPLES / file).read_text("utf-8") for name, file in FILES.items()}
    return tw.beside_found(programs, WORK, PEAK_BYTES)


def text(answer: dict[str, Any]) -> str:
    """Each program, then their times beside the bound, and their bytes on chip."""
    sources = {name: f"examples/{file}" for name, file in FILES.items()}
    return tw.beside_found_text(answer, sources, WORK)
