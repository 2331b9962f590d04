"""6.13: a cycle-accurate simulator, four kinds of network on it, and where they stand under the roofline."""

from __future__ import annotations

from collections.abc import Sequence
from math import log10
from typing import Any

import tilework as tw

TITLE = "A cycle-accurate simulator, and four kinds of network under its roofline"
QUESTION = """
Build a simulator of a deep learning processor that is exact to the cycle. Run at least three different kinds
of network on it, and draw where each stands under the processor's roofline.
"""
NOTICE = """
A point's place from left to right is what the program moved, not what it had to: operations per byte of
off-chip traffic. Its height is what came out in the simulated time. Where the matrix unit does all products, no point
can lie above the roof.

Convolutional networks use each weight for many pixels, so they stand right of the bend and near the peak. A
perceptron uses each weight once per image: 1 MAC, 2 operations, for 4 bytes. It stands at half an operation
per byte, however many multipliers the processor has; only a batch moves it to the right.

AlexNet is both, one after the other. Nearly every layer of it reaches its own roof, the convolutions that of
the multipliers and the fully connected layers that of the memory, but the point of the whole lies a third
below: the roof takes for granted that both are at work all the time.

A depthwise convolution gives an inner-product array one filter at a time. With pixels instead of filters in its
columns there is work for all of its neurons, and the vector unit multiplies and adds 64 pairs a cycle beside it. So
the separable network stands at the roof, or a little above, for the roof is that of the matrix unit alone.

An encoder's layer at 64 positions uses each weight 64 times. What keeps it from the roof is what the vector
unit does between the matrix products: softmax and normalisation.
"""
NETWORKS = ("mlp", "resnet18", "alexnet", "depthwise", "encoder")
KINDS = {
    "mlp": "fully connected",
    "resnet18": "convolutional, residual",
    "alexnet": "convolutional, as published",
    "depthwise": "separable convolutions",
    "encoder": "a transformer's layer",
}
WIDTH, HEIGHT = 72, 16  # of the picture, in characters


def answer(networks: Sequence[str] = NETWORKS) -> dict[str, Any]:
    """For each network, its simulated time and traffic, and what they make of it under the roofline."""
    machine = tw.load_machine("dlp-s")
    peak = 2 * machine.macs_per_cycle() * machine.clock_hz
    bandwidth = machine.dram.bandwidth_bytes_per_second
    return {
        "machine": machine.name,
        "peak_operations_per_second": peak,
        "bandwidth_bytes_per_second": bandwidth,
        "networks": [_point(name, machine, peak, bandwidth) for name in networks],
    }


def _point(name: str, machine: tw.Machine, peak: float, bandwidth: float) -> dict[str, Any]:
    built = {"depthwise": depthwise, "encoder": encoder}
    network = built[name]() if name in built else name
    cost, macs = tw.compile(network, machine, seed=0).cost, tw.count(network).total.macs
    intensity = 2 * macs / cost.dram_bytes
    return {
        "network": name,
        "kind": KINDS.get(name, ""),
        "cycles": cost.cycles,
        "macs": macs,
        "dram_bytes": cost.dram_bytes,
        "operations_per_byte": intensity,
        "operations_per_second": 2 * macs / cost.seconds,
        "roof_operations_per_second": min(peak, intensity * bandwidth),
    }


def depthwise(channels: int = 64, size: int = 28, blocks: int = 3) -> tw.Graph:
    """Depthwise 3x3 convolutions, each followed by a 1x1 convolution, as in MobileNet."""
    g = tw.GraphBuilder("depthwise")
    x = g.input("x", (1, channels, size, size))
    for n in range(blocks):
        spatial = g.weight(f"b{n}.spatial.weight", (channels, 1, 3, 3))
        pointwise = g.weight(f"b{n}.pointwise.weight", (channels, channels, 1, 1))
        x = g.node(f"b{n}.spatial", "conv2d", x, spatial, groups=channels, padding=[1, 1])
        x = g.node(f"b{n}.relu", "relu", x)
        x = g.node(f"b{n}.pointwise", "conv2d", x, pointwise)
    return g.graph(x)


def encoder(positions: int = 64, width: int = 256, heads: int = 4) -> tw.Graph:
    """A layer of a transformer's encoder: attention, then two linear layers, each with its sum and normalisation."""
    g = tw.GraphBuilder("encoder")
    x = g.input("x", (positions, width))

    def linear(name: str, value: str, rows: int, columns: int) -> str:
        return g.node(name, "linear", value, g.weight(f"{name}.weight", (rows, columns)))

    def by_head(name: str) -> str:
        split = g.node(
            f"{name}.split", "reshape", linear(name, x, width, width), shape=[positions, heads, width // heads]
        )
        return g.node(f"{name}.heads", "transpose", split, order=[1, 0, 2])

    q, k, v = by_head("q"), by_head("k"), by_head("v")
    scores = g.node("softmax", "softmax", g.node("scores", "matmul", q, k, transpose_y=True), axis=2)
    joined = g.node("joined", "transpose", g.node("mixed", "matmul", scores, v), order=[1, 0, 2])
    attended = linear("out", g.node("flat", "reshape", joined, shape=[positions, width]), width, width)
    x = g.node("norm1", "layer_norm", g.node("sum1", "add", x, attended))
    hidden = g.node("relu", "relu", linear("up", x, 4 * width, width))
    return g.graph(g.node("norm2", "layer_norm", g.node("sum2", "add", x, linear("down", hidden, width, 4 * width))))


def text(answer: dict[str, Any]) -> str:
    """The table, then the roofline as a picture in characters."""
    head = ("network", "kind", "cycles", "MACs", "DRAM bytes", "FLOP/byte", "GFLOP/s", "of the roof")
    rows = [
        (
            point["network"],
            point["kind"],
            f"{point['cycles']:,}",
            f"{point['macs']:,}",
            f"{point['dram_bytes']:,}",
            f"{point['operations_per_byte']:.2f}",
            f"{point['operations_per_second'] / 1e9:.1f}",
            f"{point['operations_per_second'] / point['roof_operations_per_second']:.0%}",
        )
        for point in answer["networks"]
    ]
    peak, bandwidth = answer["peak_operations_per_second"], answer["bandwidth_bytes_per_second"]
    roof = (
        f"{answer['machine']}: {peak / 1e9:g} GFLOP/s, {bandwidth / 1e9:g} GB/s; the roof bends at "
        f"{peak / bandwidth:g} FLOP per byte. A MAC is two operations. Both axes are logarithmic."
    )
    return "\n\n".join((tw.table(head, rows, left=2), roof, _picture(answer)))


def _picture(answer: dict[str, Any]) -> str:
    """The roof as `_` and `/`, the networks by number."""
    peak, bandwidth = answer["peak_operations_per_second"], answer["bandwidth_bytes_per_second"]
    points = answer["networks"]
    least = min(0.25, *(point["operations_per_byte"] for point in points))
    most = max(256.0, *(2 * point["operations_per_byte"] for point in points))
    floor = min(bandwidth * least, *(point["operations_per_second"] for point in points)) / 2
    lines = [[" "] * WIDTH for _ in range(HEIGHT)]

    def row(value: float) -> int:
        return round((HEIGHT - 1) * (1 - log10(value / floor) / log10(peak / floor)))

    for column in range(WIDTH):
        intensity = least * (most / least) ** (column / (WIDTH - 1))
        bent = intensity * bandwidth < peak
        lines[row(min(peak, intensity * bandwidth))][column] = "/" if bent else "_"
    for number, point in enumerate(points, 1):
        column = round((WIDTH - 1) * log10(point["operations_per_byte"] / least) / log10(most / least))
        lines[row(point["operations_per_second"])][column] = str(number)
    drawn = "\n".join(f"|{''.join(line)}".rstrip() for line in lines)
    axis = f"+{'-' * WIDTH}\n {least:<8.3g}{'FLOP per byte':^{WIDTH - 16}}{most:>8.4g}"
    return f"{drawn}\n{axis}\n" + "   ".join(f"{n} {point['network']}" for n, point in enumerate(points, 1))
