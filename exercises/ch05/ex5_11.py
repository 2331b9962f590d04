"""5.11: operator fusion: bytes and time saved, and for which networks it matters most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tilework as tw

TITLE = "Operator fusion: what it saves, and for which networks"
QUESTION = """
Operators that are fused hand their values on inside the chip; those that aren't go through off-chip memory.
Compile several networks both ways. How many bytes and how much time does fusion save, and where most?
"""
NOTICE = """
Fusion saves the value between two operators: written once, read once. So it matters where such values are
many beside the weights. Depthwise blocks hold few weights and large images and save two thirds of their
traffic. A small convolutional network fits on the chip: one chain of layers, of which only the image, the
weights and the answer move. A residual network saves a quarter, at each activation and sum.

Where weights are nearly all of the traffic, as in a perceptron or in AlexNet's fully connected layers,
there is little to save: the activations between the layers are a few thousand numbers.

An attention layer has much between its matrix products, but softmax and normalisation need the sum or
maximum of a whole row first. So a tile has whole rows, and the scores' softmax is done where they are made.
Yet all in all fusion saves time alone there: what is fused takes room on chip, so the tiles of the large
products are smaller and the weights are read again. The compiler fuses for time, and that was well spent.

Time follows the bytes only where the memory is what the processor waits for: where loads run beside the
arithmetic, and the arithmetic takes longer, saved bytes are saved energy alone.
"""
NETWORKS = ("mlp", "lenet5", "alexnet", "vgg11", "resnet18", "depthwise", "encoder")
MACHINE = "dlp-s"


def answer(networks: Sequence[str] = NETWORKS) -> dict[str, Any]:
    """Traffic, cycles and groups of each network with fusion and without, by the share of bytes that it saves."""
    built = {"depthwise": depthwise(), "encoder": encoder()}
    found = [_compared(name, built.get(name, name)) for name in networks]
    return {"machine": MACHINE, "networks": sorted(found, key=lambda one: -one["bytes_saved_share"])}


def _compared(name: str, network: str | tw.Graph) -> dict[str, Any]:
    fused = tw.compile(network, MACHINE, seed=0)
    apart = tw.compile(network, MACHINE, seed=0, fused=False)
    return {
        "network": name,
        "fused": _cost(fused),
        "apart": _cost(apart),
        "weight_bytes": fused.program.weight_bytes,
        "bytes_saved": apart.cost.dram_bytes - fused.cost.dram_bytes,
        "bytes_saved_share": 1 - fused.cost.dram_bytes / apart.cost.dram_bytes,
        "cycles_saved_share": 1 - fused.cost.cycles / apart.cost.cycles,
    }


def _cost(executable: tw.Executable) -> dict[str, int]:
    cost = executable.cost
    return {"groups": len(cost.layers), "dram_bytes": cost.dram_bytes, "cycles": cost.cycles}


def depthwise(channels: int = 64, size: int = 28, blocks: int = 3) -> tw.Graph:
    """Depthwise 3x3 convolutions, each followed by a 1x1 convolution, as in MobileNet."""
    g = tw.GraphBuilder("depthwise")
    x = g.input("x", (1, channels, size, size))
    for n in range(blocks):
        spatial = g.weight(f"b{n}.spatial.weight", (channels, 1, 3, 3))
        pointwise = g.weight(f"b{n}.pointwise.weight", (channels, channels, 1, 1))
        x = g.node(f"b{n}.spatial", "conv2d", x, spatial, groups=channels, padding=[1, 1])
        x = g.node(f"b{n}.relu6", "relu", x)
        x = g.node(f"b{n}.pointwise", "conv2d", x, pointwise)
        x = g.node(f"b{n}.relu", "relu", x)
    return g.graph(x)


def encoder(positions: int = 64, width: int = 256) -> tw.Graph:
    """A transformer's encoder with one head: attention, then two linear layers, each with sum and normalisation."""
    g = tw.GraphBuilder("encoder")
    x = g.input("x", (positions, width))

    def linear(name: str, value: str, rows: int, columns: int) -> str:
        return g.node(name, "linear", value, g.weight(f"{name}.weight", (rows, columns)))

    q, k, v = (linear(name, x, width, width) for name in "qkv")
    scores = g.node("softmax", "softmax", g.node("scores", "matmul", q, k, transpose_y=True), axis=1)
    attended = linear("out", g.node("mixed", "matmul", scores, v), width, width)
    x = g.node("norm1", "layer_norm", g.node("sum1", "add", x, attended))
    hidden = g.node("relu", "relu", linear("up", x, 4 * width, width))
    return g.graph(g.node("norm2", "layer_norm", g.node("sum2", "add", x, linear("down", hidden, width, 4 * width))))


def text(answer: dict[str, Any]) -> str:
    """A line for each network, those that save most first."""
    head = ("network", "groups", "apart", "DRAM bytes", "apart", "saved", "cycles", "apart", "saved")
    rows = []
    for one in answer["networks"]:
        fused, apart = one["fused"], one["apart"]
        row = [one["network"]]
        for key, share in (("groups", ""), ("dram_bytes", "bytes"), ("cycles", "cycles")):
            row += [f"{fused[key]:,}", f"{apart[key]:,}"]
            row += [f"{one[f'{share}_saved_share']:.1%}"] if share else []
        rows.append(tuple(row))
    most = answer["networks"][0]
    return "\n\n".join(
        (
            f"On {answer['machine']}, fused and with each operation apart.",
            tw.table(head, rows),
            f"It matters most for {most['network']}: {most['bytes_saved']:,} bytes of {most['apart']['dram_bytes']:,}.",
        )
    )
