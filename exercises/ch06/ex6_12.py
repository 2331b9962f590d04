"""6.12: a representation of a layer that suits a DLP better than nested loops: the nest, and its readings."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "One statement instead of nested loops: the nest, and all that is read off it"
QUESTION = """
Nested loops fix an order and hide what is parallel. Which representation of a layer's computation suits a deep
learning processor better?
"""
NOTICE = """
A nest says what is computed and leaves open in which order: loops with their extents, and one statement with an
affine index for each axis of each tensor. Loops in the output's index are parallel, the others are sums. A read
outside a tensor gives the number behind the bar, so that padding is no special case.

All that a processor and its compiler need follows from that line: what shape the output has, how many products there
are, which part of the input a tile of the output needs, halo included, what the gradient is, what a tiling moves,
what code a tile is. From nested loops one would have to find it again: in 6.11 each tiling is a function of its own,
with borders and guards, where the nest stays as it is and a tiling is a few numbers beside it.

It suits the machine too. Both levels of a tiled nest are nests: the tile loops become the processor's loops, and
what is inside a tile is one instruction, whose descriptor has extents and an affine address for each operand. The
notation's limit is the affine index: a sort or a lookup by value can't be said, and remains the host's.
"""

IMAGE, WEIGHT, STRIDE, PADDING = (1, 16, 30, 30), (32, 16, 3, 3), (2, 2), (1, 1)
SIZES = {"k": 16, "p": 4, "q": 5}
MACHINE = "dlp-s"


def _convolution() -> tw.Graph:
    builder = tw.GraphBuilder("convolution")
    image, weight = builder.input("x", IMAGE), builder.weight("w", WEIGHT)
    return builder.graph(builder.node("o", "conv2d", image, weight, stride=STRIDE, padding=PADDING))


def answer() -> dict[str, Any]:
    """One nest, and each reading of it."""
    graph = _convolution()
    (nest,) = graph.nests(graph.nodes[0])
    return {
        "nest": str(nest),
        "parses_back": tw.parse_nest(str(nest)) == nest,
        "parallel": [name for name, _ in nest.parallel_loops],
        "summed": [name for name, _ in nest.reduction_loops],
        "shape": [axis.bounds(nest.extents)[1] + 1 for axis in nest.output.index],
        "macs": nest.iterations,
        "macs_without_padding": tw.count(graph, padding_zeros=False).total.macs,
        "tile": _tile(tw.output_stationary(nest, graph.tensors, SIZES)),
        "gradient": _gradient(graph),
        **_compiled(graph),
    }


def _gradient(graph: tw.Graph) -> list[str]:
    """The nests that make the gradients of both operands."""
    both = tw.gradient(graph, wanted=["x", "w"])
    return [str(nest) for node in both.nodes if node.name in ("d:x", "d:w") for nest in both.nests(node)]


def _tile(schedule: tw.Schedule) -> dict[str, Any]:
    """The second tile in each direction: one that no border cuts."""
    step = dict(schedule.sizes)
    return {
        "sizes": step,
        "boxes": {access.tensor: [list(span) for span in schedule.part(access, step)] for access in schedule.operands},
        "lines_of_code": len(tw.loop_code(schedule).splitlines()),
    }


def _compiled(graph: tw.Graph) -> dict[str, Any]:
    """The program, what it moves, and how far its values are from the nest's own, executed as it stands."""
    import numpy as np

    compiled: Any = tw.compile(graph, MACHINE, seed=0)
    image = np.random.default_rng(0).standard_normal(IMAGE, dtype="float32")
    wanted = tw.execute(graph, compiled.source[1], {"x": image})["o"]
    best = tw.best_schedule(graph.nests(graph.nodes[0])[0], graph.tensors, compiled.program.machine)
    code = compiled.compilation.text("lower").splitlines()
    return {
        "machine": MACHINE,
        "tiling": str(best),
        "best_moved_bytes": sum(one.moved_bytes for one in best.traffic()),
        "program_moved_bytes": compiled.cost.dram_bytes,
        "instructions": len(compiled.program.instructions),
        "cycles": compiled.cost.cycles,
        "tile_instruction": next(line.strip() for line in code if line.strip().startswith("contract")),
        "difference": float(np.abs(compiled.run(image)["o"] - wanted).max()),
        "largest": float(np.abs(wanted).max()),
    }


def text(answer: dict[str, Any]) -> str:
    """A line or a few for each reading."""
    tile = answer["tile"]
    rows = [
        ("parallel loops", " ".join(answer["parallel"])),
        ("summed loops", " ".join(answer["summed"])),
        ("shape of the output", " x ".join(map(str, answer["shape"]))),
        ("products", f"{answer['macs']:,}, {answer['macs_without_padding']:,} of them not with padding"),
        *((f"gradient {number}", one) for number, one in enumerate(answer["gradient"], 1)),
        ("a tile", f"{' '.join(f'{loop}:{size}' for loop, size in tile['sizes'].items())}, the second each way"),
        *((f"  its part of {name}", _slice(name, box)) for name, box in tile["boxes"].items()),
        ("  as Python", f"{tile['lines_of_code']} lines of nested loops"),
        (f"tiling on {answer['machine']}", answer["tiling"]),
        ("  bytes by the nest", f"{answer['best_moved_bytes']:,}"),
        ("  bytes by simulation", f"{answer['program_moved_bytes']:,}"),
        ("program", f"{answer['instructions']} instructions, {answer['cycles']:,} cycles"),
        ("  a tile in it", answer["tile_instruction"]),
        ("values", f"at most {answer['difference']:.0e} from the nest's own, which reach {answer['largest']:.0f}"),
    ]
    width = max(len(name) for name, _ in rows)
    return f"{answer['nest']}\n\n" + "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _slice(name: str, box: list[list[int]]) -> str:
    return f"{name}[{', '.join(f'{first}:{last + 1}' for first, last in box)}]"
