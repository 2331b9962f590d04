"""7.10: a matrix product with compressed operands, written in the tile language, for units that skip zeros or not."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import tilework as tw

TITLE = "Exercise 7.9 with weights compressed to 1/4 and inputs to 1/2: program and time"
QUESTION = """
As in exercise 7.9 a core multiplies inputs of 1024 x 256 by weights of 256 x 128, float32, but the weights are
compressed to 1/4 and the inputs to 1/2 of their volume. How long does it take, if the multipliers skip zeros of
neither, of the weights, of the inputs or of both?
"""
NOTICE = """
Assumed is: operands are compressed by leaving out zeros, and the volume is that of what is left, positions included, so
that 1/4 of the weights and 1/2 of the inputs are taken for other than 0. They stay compressed in DRAM, NRAM and WRAM
and are expanded at the multipliers at no cost. Outputs are stored dense. Zeros are spread evenly and independently, so
that 1/8 of the products have two factors other than 0, and a unit that skips keeps all its multipliers busy.

Compression alone gains almost nothing: 7.9 is bound by its computation, and a unit that multiplies zeros has as much
of it as before. The time of the serial program shrinks by the loads that are saved, that of the overlapped not at all.

Skipping the zeros of the weights makes it almost 4 times faster, of the inputs twice. With both it would be 8 times,
but then the transfers are the bound, and of these the outputs, 512 KB stored dense, are half. Skipping pays off as long
as what is left to compute takes longer than what is left to move: 131,072 / 16,896 = 7.8 times at most.

What compression gives in any case is room: half the inputs, and a quarter of the weights, in NRAM and WRAM.
"""

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FILES = {"serial": "ex7_10.tl", "overlapped": "ex7_10_fast.tl"}
CASES = {"none": 1, "inputs": 2, "weights": 4, "both": 8}  # whose zeros are skipped: one in how many MACs is done
WORK = tw.Assignment(1024, 256, 128, "dlp-s", Fraction(1, 2), Fraction(1, 4), tuple(CASES))
PEAK_BYTES = {
    "serial": {"nram": 128 * 256 * 2 + 128 * 128 * 4, "wram": 256 * 128},  # a tile of 128 rows
    "overlapped": {"nram": 2 * (16 * 256 * 2 + 16 * 128 * 4), "wram": 256 * 128},  # two of 16
}


def answer() -> dict[str, Any]:
    """The programs; for each case and program the time with its bound; the bytes taken of NRAM and WRAM at the peak.

    `found` has the programs that the system finds itself, one for each case.
    """
    programs = {name: (EXAMPLES / file).read_text("utf-8") for name, file in FILES.items()}
    machine = tw.load_machine(WORK.machine)
    cases = {
        case: {
            name: tw.simulate_tiles(tw.parse_tiles(skipping(text, divisor)), machine).to_dict()
            for name, text in programs.items()
        }
        for case, divisor in CASES.items()
    }
    found = {case: best(case) for case in CASES}
    return {"machine": machine.name, "programs": programs, "cases": cases, "peak_bytes": PEAK_BYTES, "found": found}


def best(case: str) -> dict[str, Any]:
    """The program found for a case, with its time and its bytes on chip."""
    mapped = WORK.mapped(case)
    return {"program": mapped.program, "time": mapped.time.to_dict(), "peak_bytes": mapped.found.peak_bytes}


def skipping(program: str, divisor: int) -> str:
    """The program with one of so many multiply-accumulates, which must divide all its counts."""
    return re.sub(r"(?<=compute fp32 )\d+", lambda count: str(int(count[0]) // divisor), program)


def text(answer: dict[str, Any]) -> str:
    """The programs that skip nothing, then all times beside their bounds, and the bytes on chip."""
    found = answer["found"]
    programs = [f"{name}, examples/{FILES[name]}:\n\n{text.strip()}" for name, text in answer["programs"].items()]
    programs.append(f"found, `{WORK.command}`:\n\n{found['none']['program'].strip()}")
    cases = {case: {**both, "found": found[case]["time"]} for case, both in answer["cases"].items()}
    times = {f"{case}, {name}": time for case, three in cases.items() for name, time in three.items()}
    all_peaks = {**answer["peak_bytes"], **{f"found, {case}": one["peak_bytes"] for case, one in found.items()}}
    rows = [(name, f"{peak['nram']:,}", f"{peak['wram']:,}") for name, peak in all_peaks.items()]
    heading = (
        f"On {answer['machine']}, by whose zeros are skipped (in the first two programs NUM is divided by 1, 2, 4, 8):"
    )
    peaks = tw.table(("peak bytes", "nram", "wram"), rows)
    return "\n\n".join((*programs, heading, tw.tile_table(times), peaks))
