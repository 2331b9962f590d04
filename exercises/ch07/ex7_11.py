"""7.11: a small matrix product on four cores with an SRAM, written in the tile language."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tilework as tw

TITLE = "Inputs 32 x 256 by weights 256 x 128 on four cores: program and time"
QUESTION = """
Four cores like that of exercise 7.7 share an SRAM of 2 MB, with 1 TB/s to each core, and 128 GB/s to memory off
chip. They multiply inputs of 32 x 256 by weights of 256 x 128, float32. Write the programs of the cores and of the
mover that serves the SRAM. How long do they take?
"""
NOTICE = """
Four cores compute four times as fast as one, but only twice as many bytes come: the product that was bound by
computation in exercise 7.8 (4096 ns against 2816) is now bound by its transfers (1024 against 1408).

Each core computes 8 rows. All need all weights; without the SRAM these would cross the channel four times, 4096 ns.
They cross it once and are cast to the four cores from SRAM, which takes 131 ns at 1 TB/s.

So a good program keeps the channel busy all the time. It cuts along the 256 places that are summed: a slice's
weights are loaded into SRAM while those of the slice before are cast and the one before that is computed. The
outputs are complete only with the last slice, so its computation on both sides of the last barrier, 2 x 8 ns, is
all that the channel waits for.

`barrier` makes the handover: the mover may not cast what isn't in SRAM yet, nor a core compute what isn't cast.
"""

WORK = tw.Assignment(32, 256, 128, "dlp-m4")  # inputs of rows x summed, weights of summed x columns
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FILES = {"serial": "ex7_11.tl", "overlapped": "ex7_11_fast.tl"}
PEAK_BYTES = {name: {"nram": 8 * 256 * 4 + 8 * 128 * 4, "wram": 256 * 128 * 4} for name in FILES}  # of each core
PEAK_BYTES["serial"]["sram"] = (32 + 128) * 256 * 4  # inputs and weights
PEAK_BYTES["overlapped"]["sram"] = 128 * 256 * 4  # weights; nothing is overwritten, though slices could be


def answer() -> dict[str, Any]:
    """The programs, and the one that the system finds itself: times with their bound, peak bytes of the memories."""
    programs = {name: (EXAMPLES / file).read_text("utf-8") for name, file in FILES.items()}
    return tw.beside_found(programs, WORK, PEAK_BYTES)


def text(answer: dict[str, Any]) -> str:
    """Each program, then their times beside the bound, and their bytes on chip."""
    sources = {name: f"examples/{file}" for name, file in FILES.items()}
    return tw.beside_found_text(answer, sources, WORK)
