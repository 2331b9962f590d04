"""7.8: a small matrix product on one core, written in the tile language."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tilework as tw

TITLE = "Inputs 32 x 256 by weights 256 x 128 on a core: program and time"
QUESTION = """
The core of exercise 7.7 multiplies inputs of 32 x 256 by weights of 256 x 128, float32. Write the program. How
long does it take, and how near can a program come to what no program can beat?
"""
NOTICE = """
All data fits on chip at once (48 KB in NRAM, 128 KB in WRAM), so the serial program needs no tiles: 2560 ns of
loads, 4096 of computation, 256 of stores, one after the other.

The computation alone bounds the time. To hide the loads behind it, it must begin with little: here with 2 of the
256 places that are summed, 20 ns. Each such slice takes 20 ns to load and 32 to compute, so loads run ahead.

Cut like this, all outputs are complete only at the end, and storing them would take 256 ns more. So the last 16
places are computed row by row: when the last row is done, the others have left. Only 20 + 8 ns are not hidden.
"""

WORK = tw.Assignment(32, 256, 128, "dlp-s")  # inputs of rows x summed, weights of summed x columns
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FILES = {"serial": "ex7_8.tl", "overlapped": "ex7_8_fast.tl"}
PEAK_BYTES = {name: {"nram": 32 * 256 * 4 + 32 * 128 * 4, "wram": 256 * 128 * 4} for name in FILES}  # all of it


def answer() -> dict[str, Any]:
    """The programs, and the one that the system finds itself: times with their bound, peak bytes of the memories."""
    programs = {name: (EXAMPLES / file).read_text("utf-8") for name, file in FILES.items()}
    return tw.beside_found(programs, WORK, PEAK_BYTES)


def text(answer: dict[str, Any]) -> str:
    """Each program, then their times beside the bound, and their bytes on chip."""
    sources = {name: f"examples/{file}" for name, file in FILES.items()}
    return tw.beside_found_text(answer, sources, WORK)
