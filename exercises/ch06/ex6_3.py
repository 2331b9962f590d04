"""6.3: what a memory of 12.8 GB/s allows a deep learning processor beside one ALU."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import tilework as tw

TITLE = "12.8 GB/s against one ALU: the speed-up of a fully connected layer"
QUESTION = """
A deep learning processor reads its weights over DDR3 or PCIe at 12.8 GB/s. How many times as fast as a processor with
one ALU can it be at a fully connected layer, with weights of 4, 2 and 1 bytes? And what does a batch change?
"""
NOTICE = """
A fully connected layer uses each weight once for an input. However many multipliers there are, no more weights
arrive than 12.8 GB/s brings: 3.2, 6.4 or 12.8 billion a second. An ALU at 1 GHz that makes a multiply-accumulate a
cycle takes 1 billion of them, so that the speed-up is 3.2, 6.4 or 12.8, less what inputs and outputs take. If it needs
a cycle each for the product and the sum, the speed-up is twice that.

So halving a weight's bytes doubles the speed, as more multipliers would not. A batch does it too: a weight that has
arrived serves all its inputs. The speed-up grows with the batch until the multipliers are the bound: 256 of them, at
float32 from a batch of 80 on, and the narrower the weights the sooner.
"""
NETWORK, LAYERS = "alexnet", ("fc6", "fc7", "fc8")
BANDWIDTH, CLOCK, MULTIPLIERS = 12.8e9, 1e9, 256
DTYPES = {"float32": 4, "float16": 2, "int8": 1}
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def answer() -> dict[str, Any]:
    """The least time of each layer on both, for each dtype and batch."""
    many, one = _machine("dlp", MULTIPLIERS), _machine("alu", 1)
    rows = []
    for dtype, size in DTYPES.items():
        for batch in BATCHES:
            fast, slow = (tw.roofline(NETWORK, machine, batch=batch, dtype=dtype) for machine in (many, one))
            for quick, alone in zip(fast.layers, slow.layers, strict=True):
                if quick.name in LAYERS:
                    rows.append(_row(dtype, size, batch, quick, alone))
    return {"bandwidth_bytes_per_second": BANDWIDTH, "clock_hz": CLOCK, "multipliers": MULTIPLIERS, "layers": rows}


def _machine(name: str, multipliers: int) -> tw.Accelerator:
    """So many multiply-accumulates a cycle in any dtype, and the memory of the question."""
    known = tw.load_accelerator("dlp-s")
    memory = replace(known.memory, bandwidth_bytes_per_second=BANDWIDTH)
    return replace(known, name=name, peak=dict.fromkeys(DTYPES, 2 * multipliers * CLOCK), memory=memory)


def _row(dtype: str, size: int, batch: int, quick: Any, alone: Any) -> dict[str, Any]:
    return {
        "layer": quick.name,
        "dtype": dtype,
        "weight_bytes": size,
        "batch": batch,
        "alu_seconds": alone.seconds,
        "dlp_seconds": quick.seconds,
        "bound_by": quick.bound_by,
        "speed_up": alone.seconds / quick.seconds,
        "speed_up_two_cycles": (alone.compute_seconds * 2) / quick.seconds,
    }


def draw(answer: dict[str, Any], path: str) -> None:
    """The speed-up against the batch, of each layer."""
    rows = answer["layers"]
    panels = {
        layer: {
            f"{size} B": [(row["batch"], row["speed_up"]) for row in rows if (row["layer"], row["weight_bytes"]) == key]
            for size in DTYPES.values()
            for key in [(layer, size)]
        }
        for layer in LAYERS
    }
    tw.draw_curves(panels, path, title="256 multipliers and 12.8 GB/s against one ALU", x="batch", y="speed-up")


def text(answer: dict[str, Any]) -> str:
    """One input, and then batches of the first layer."""
    rows = answer["layers"]
    single = [
        (
            f"{row['layer']}, {row['weight_bytes']} B",
            f"{1e3 * row['alu_seconds']:.2f}",
            f"{1e3 * row['dlp_seconds']:.2f}",
            f"{row['speed_up']:.2f}",
            f"{row['speed_up_two_cycles']:.2f}",
        )
        for row in rows
        if row["batch"] == 1
    ]
    first = [row for row in rows if row["layer"] == LAYERS[0]]
    batches = [
        (f"{batch}", *(_cell(row) for row in first if row["batch"] == batch))
        for batch in dict.fromkeys(row["batch"] for row in first)
    ]
    head = ("one input", "ALU, ms", "DLP, ms", "times as fast", "with 2 cycles a MAC")
    return "\n\n".join(
        (
            tw.table(head, single),
            tw.table((f"{LAYERS[0]}, batch", *(f"{size} B" for size in DTYPES.values())), batches),
            "m: bound by memory; c: by the multipliers. The ALU is never slower for want of weights.",
        )
    )


def _cell(row: dict[str, Any]) -> str:
    return f"{row['speed_up']:.1f} {row['bound_by'][0]}"
