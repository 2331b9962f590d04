"""6.11: tilings of a convolution as nested loops, as pictures, and what each of them moves."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "Three tilings of a convolution, and the best found: code, traffic, pictures"
QUESTION = """
Write a convolution as nested loops. Tile them in at least three ways, and show the code of each and the order in
which the tiles are computed. Which is best?
"""
NOTICE = """
All of them do the same products, and the innermost loops are the same. What differs is the order of the loops over
tiles, and with it what stays on chip. The operand whose loops are outside stays until all is done with it: it moves
once. The loops of the others that are inside bring their tiles again and again.

A stationary output moves each result once, while input and weight come for every tile of filters and of pixels. A
stationary weight or input moves that one once, but leaves partial sums behind: the output goes out and comes back for
each tile of channels, and so counts three times with two of them. Halos cost too: neighbouring tiles of the input
overlap by the kernel's size less one, and every tile brings the whole of its own.

With tiles of one size the three differ by a quarter, and which of them is best depends on the sizes: here there are
few weights and few channels. The best found is none of them. It holds all of the weight and all channels of a tile,
in 2.7 times the memory, and so moves every operand once; the input's halo is all that comes twice. It is stationary
in weight and output alike. What to keep is no matter of principle, but of what fits.
"""

IMAGE, WEIGHT, PADDING = (1, 8, 14, 14), (16, 8, 3, 3), (1, 1)
SIZES = {"k": 8, "p": 5, "q": 7, "c": 4}
MACHINE = "dlp-s"


def _convolution() -> tw.Graph:
    builder = tw.GraphBuilder("convolution")
    image, weight = builder.input("x", IMAGE), builder.weight("w", WEIGHT)
    return builder.graph(builder.node("o", "conv2d", image, weight, padding=PADDING))


def answer() -> dict[str, Any]:
    """The nest, and of each schedule its loops, its code and the bytes that each operand moves."""
    graph = _convolution()
    (nest,) = graph.nests(graph.nodes[0])
    named = (tw.output_stationary, tw.weight_stationary, tw.input_stationary)
    schedules = [schedule(nest, graph.tensors, SIZES) for schedule in named]
    schedules.append(tw.best_schedule(nest, graph.tensors, tw.load_machine(MACHINE)))
    return {
        "nest": str(nest),
        "macs": nest.iterations,
        "tensor_bytes": {name: tensor.size_bytes for name, tensor in graph.tensors.items()},
        "machine": MACHINE,
        "schedules": [_described(schedule) for schedule in schedules],
    }


def _described(schedule: tw.Schedule) -> dict[str, Any]:
    return {
        "name": schedule.name,
        "order": list(schedule.order),
        "sizes": dict(schedule.sizes),
        "levels": list(schedule.levels),
        "steps": schedule.tiles,
        "operands": [
            {
                "tensor": moved.tensor,
                "loads": moved.loads,
                "read_bytes": moved.read_bytes,
                "written_bytes": moved.written_bytes,
                "held_bytes": moved.held_bytes,
            }
            for moved in schedule.traffic()
        ],
        "code": tw.loop_code(schedule),
    }


def text(answer: dict[str, Any]) -> str:
    """The code of each schedule, then all of them in a table."""
    parts = [f"{answer['nest']}\n{answer['macs']:,} multiply-accumulates"]
    parts += [one["code"].rstrip() for one in answer["schedules"]]
    sizes = answer["tensor_bytes"]
    order = ("x", "w", "o")
    head = ("moved bytes", "steps", *(f"{name} ({sizes[name]:,})" for name in order), "together", "least = 1", "held")
    least = sum(sizes.values())
    rows = []
    for one in answer["schedules"]:
        moved = {each["tensor"]: each["read_bytes"] + each["written_bytes"] for each in one["operands"]}
        total, held = sum(moved.values()), sum(each["held_bytes"] for each in one["operands"])
        cells = (f"{moved[name]:,}" for name in order)
        rows.append((one["name"], str(one["steps"]), *cells, f"{total:,}", f"{total / least:.2f}", f"{held:,}"))
    parts.append(tw.table(head, rows))
    parts.append("Least: each tensor moves once. The best found is that of least time, not of least traffic.")
    return "\n\n".join(parts)


def draw(answer: dict[str, Any], path: str) -> None:
    """The tiles in order, and what is held in the first steps."""
    graph = _convolution()
    (nest,) = graph.nests(graph.nodes[0])
    schedules = [
        tw.Schedule(one["name"], nest, graph.tensors, tuple(one["order"]), one["sizes"], tuple(one["levels"]))
        for one in answer["schedules"]
    ]
    tw.draw_tiles(schedules, path, title="The tiles of a convolution, in the order in which they are computed")
