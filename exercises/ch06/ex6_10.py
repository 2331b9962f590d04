"""6.10: the roofline of the deep learning processor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tilework as tw

TITLE = "The roofline of the deep learning processor"
QUESTION = """
What is the roofline of the deep learning processor: its peak, its bandwidth, and the operations for each byte at
which it bends? On which side of the bend do matrix products, and the layers of a network, stand?
"""
NOTICE = """
Left of the bend the time is that of the bytes, right of it that of the operations. A product of square matrices has n/6
operations for each float32 byte, so that small ones are bound by memory and large ones by the multipliers. A narrower
dtype halves the bytes and doubles the rate: the bend moves to the right as fast again as each product does, no further.

Convolutions stand far to the right, since each weight meets every pixel. A fully connected layer uses a weight once for
each input of the batch, and crosses the bend with a batch a little above the bend times half of an element's bytes: 16
in float32.

These are bounds: a program can be slower, not faster. Exercise 6.13 shows what the simulated processor reaches.
"""
MACHINE, NETWORK = "dlp-s", "alexnet"
SIZES = (8, 16, 32, 48, 64, 128, 256, 512)
BATCHES = (1, 4, 16, 32, 64)


def answer(networks: Sequence[str] = (NETWORK,)) -> dict[str, Any]:
    """The roof in each dtype, square products under it, and each network's layers and batches."""
    machine = tw.load_accelerator(MACHINE)
    return {
        "machine": MACHINE,
        "bandwidth_bytes_per_second": machine.memory.bandwidth_bytes_per_second,
        "roofs": [
            {"dtype": dtype, "peak_operations_per_second": peak, "bend_operations_per_byte": machine.intensity(dtype)}
            for dtype, peak in machine.peak.items()
        ],
        "products": [_product(size) for size in SIZES],
        "networks": [
            {
                "network": network,
                "layers": [one for one in tw.roofline(network, MACHINE).to_dict()["layers"] if one["operations"]],
                "batches": [_batch(network, batch) for batch in BATCHES],
            }
            for network in networks
        ],
    }


def _product(size: int) -> dict[str, Any]:
    build = tw.GraphBuilder(f"product of {size}")
    product = build.node("product", "matmul", build.input("a", (size, size)), build.input("b", (size, size)))
    (layer,) = tw.roofline(build.graph(product), MACHINE).layers
    return {"size": size, **layer.to_dict()}


def _batch(network: str, batch: int) -> dict[str, Any]:
    found = tw.roofline(network, MACHINE, batch=batch)
    return {
        "batch": batch,
        "seconds": found.seconds,
        "memory_share": found.seconds_by["memory"] / found.seconds,
        "fused_seconds": found.fused.seconds,
        "bound": {layer.name: layer.bound_by for layer in found.layers if layer.operations},
    }


def draw(answer: dict[str, Any], path: str) -> None:
    """The first network's layers under the roof."""
    tw.draw_roofline([tw.roofline(answer["networks"][0]["network"], MACHINE)], path)


def text(answer: dict[str, Any]) -> str:
    """The roof, products, layers and batches."""
    roofs = [
        (one["dtype"], f"{one['peak_operations_per_second'] / 1e9:,.0f}", f"{one['bend_operations_per_byte']:g}")
        for one in answer["roofs"]
    ]
    products = [
        (f"{one['size']}", f"{one['operations_per_byte']:.3g}", f"{one['seconds'] * 1e6:.4g}", one["bound_by"])
        for one in answer["products"]
    ]
    parts = [
        f"{answer['machine']}: {answer['bandwidth_bytes_per_second'] / 1e9:g} GB/s",
        tw.table(("dtype", "peak, G operations/s", "bend, operations/byte"), roofs),
        tw.table(("n of n x n by n x n, float32", "operations/byte", "us, at least", "bound by"), products),
    ]
    for one in answer["networks"]:
        layers = [
            (layer["name"], f"{layer['operations_per_byte']:.3g}", f"{layer['seconds'] * 1e6:,.0f}", layer["bound_by"])
            for layer in one["layers"]
        ]
        batches = [
            (
                f"{row['batch']}",
                f"{row['seconds'] / row['batch'] * 1e3:.3f}",
                f"{100 * row['memory_share']:.0f} %",
                ", ".join(name for name, bound in row["bound"].items() if bound == "memory") or "none",
            )
            for row in one["batches"]
        ]
        head = ("batch", "ms an input, at least", "time bound by memory", "multiplying layers that memory bounds")
        parts += [
            tw.table((one["network"], "operations/byte", "us, at least", "bound by"), layers),
            tw.table(head, batches),
        ]
    return "\n\n".join(parts)
