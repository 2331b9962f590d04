"""7.2: memory that the program manages, against a cache."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "Memory that the program manages, against a cache"
QUESTION = """
A deep learning processor keeps data in memories that its program fills and empties itself. A general-purpose processor
has a cache. Give both the same work in the same order: what does each fetch from DRAM, and how long does it take?
"""
NOTICE = """
The program is the one that was compiled for memories of 384 KiB. Without its loads and stores it runs with a cache:
each instruction reads and writes the addresses in DRAM that it is about in the end.

A cache of the same size with 8 ways fetches about as much as the program loads, and so does one of half the size for
the matrix product. That is no merit of the cache: the tiles were chosen so that what is used again is near. A cache
with a single way loses lines that share their place with others, although there would be room elsewhere.

With less room than a tile's data it doesn't get worse little by little. Least recently used means: when data is gone
through in a circle that doesn't fit, each line leaves just before it is wanted again. Then a cache that is worse in
theory, with fewer ways, fetches less. A program would have been given smaller tiles.

The time is lost elsewhere. The cache learns what is wanted when it is wanted, so that the core waits for each line.
Only a perfect guess of what comes next ("least") gets to what the program has for nothing: it knows, and its loads run
while the matrix unit is busy. And a cache keeps an address with every line, and compares it with each access.
"""
MACHINE = "dlp-s"
SIZES, WAYS, LINE = (384, 192, 96), (1, 8), 64
KIB = 1024


def answer() -> dict[str, Any]:
    """For each layer, bytes and cycles of the program, one after another and with its queues, and of each cache."""
    return {"machine": MACHINE, "layers": [_layer(name, build()) for name, build in LAYERS.items()]}


def _layer(name: str, graph: tw.Graph) -> dict[str, Any]:
    program = tw.compile(graph, MACHINE).program
    managed = tw.simulate(program)
    return {
        "layer": name,
        "program": {
            "dram_bytes": managed.dram_bytes,
            "cycles": managed.cycles,
            "serial_cycles": tw.out_of_order(program, 1).cycles,
        },
        "caches": [
            {"kib": size, "ways": ways, **tw.with_cache(program, tw.Cache(size * KIB, LINE, ways)).to_dict()}
            for size in SIZES
            for ways in WAYS
        ],
    }


def _product() -> tw.Graph:
    builder = tw.GraphBuilder("product")
    x, w = builder.input("x", (1024, 256)), builder.weight("w", (128, 256))
    return builder.graph(builder.node("y", "linear", x, w))


def _convolution() -> tw.Graph:
    builder = tw.GraphBuilder("convolution")
    x, w = builder.input("x", (1, 64, 56, 56)), builder.weight("w", (64, 64, 3, 3))
    return builder.graph(builder.node("y", "conv2d", x, w, padding=(1, 1)))


LAYERS = {"1024 x 256 by 256 x 128": _product, "3x3, 64 to 64 channels, 56 x 56": _convolution}


def text(answer: dict[str, Any]) -> str:
    """A table for each layer."""
    return "\n\n".join(_table(layer) for layer in answer["layers"])


def _table(layer: dict[str, Any]) -> str:
    program = layer["program"]
    rows = [
        ("its own loads and stores", "", f"{program['dram_bytes']:,}", f"{program['cycles']:,}", ""),
        ("  one after another", "", f"{program['dram_bytes']:,}", f"{program['serial_cycles']:,}", ""),
    ]
    for one in layer["caches"]:
        name = f"cache of {one['kib']} KiB, {one['ways']} way{'s' * (one['ways'] > 1)}"
        figures = (f"{one[key]:,}" for key in ("dram_bytes", "cycles", "least_cycles"))
        rows.append((name, f"{100 * one['hit_rate']:.0f} %", *figures))
    return f"{layer['layer']}:\n" + tw.table(("memory", "hits", "DRAM bytes", "cycles", "least"), rows)
