"""What single layers reach on this machine: synthetic networks, one chain of layers a kind, timed by ONNX Runtime.

No network of the zoo is timed here, so that predictions for these are predictions. Of each layer the fastest run
counts, which other work on the machine disturbs least.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from tilework.cost.measured import Measured, Part
from tilework.machine.accelerator import Reached
from tilework.network.graph import Graph, GraphBuilder

FUNCTIONS = ("exp", "tanh", "erf", "sqrt", "log", "pow")  # that runtimes take long for, each counted as its category
CATEGORIES = {"pow": "power"}
TINY, LARGE = 16, 1 << 20  # elements of the layers that time an operator and a function
FIRST, LAST = "first", "last"  # layers at the ends of a chain, where a runtime changes layouts


def calibration_graph() -> Graph:
    """The layers that are timed, in chains: the middle ones count, as their operand was just made."""
    build = GraphBuilder("calibration")
    ends = [
        *(_convolutions(build, f"conv{i}", *sizes) for i, sizes in enumerate(CONVOLUTIONS)),
        *(_convolutions(build, f"depthwise{i}", *sizes) for i, sizes in enumerate(DEPTHWISE)),
        *(_convolutions(build, f"pointwise{i}", *sizes) for i, sizes in enumerate(POINTWISE)),
        *(_products(build, f"product{i}", rows, width) for i, (rows, width) in enumerate(PRODUCTS)),
        *(_poolings(build, f"pooling{i}", *sizes) for i, sizes in enumerate(POOLINGS)),
        *(_normalisations(build, f"rows{i}", *sizes) for i, sizes in enumerate(ROWS)),
        *(_each(build, f"each{i}", size, ("add", "mul", "add", "mul")) for i, size in enumerate(EACH)),
        *(_copies(build, f"copies{i}", size) for i, size in enumerate(EACH)),
        _each(build, "tiny", TINY, ("add", "mul") * 6),
        *(_function(build, name) for name in FUNCTIONS),
    ]
    return build.graph(*ends)


CONVOLUTIONS = ((48, 40, 3), (96, 24, 3), (160, 12, 3), (40, 32, 5))  # channels, pixels a side, places of the kernel
DEPTHWISE = ((96, 40, 3), (240, 24, 3), (480, 12, 5))
POINTWISE = ((96, 40, 1), (192, 24, 1), (384, 12, 1))
PRODUCTS = ((96, 640), (200, 1280), (1, 1536), (1, 3072))  # rows, summed places and columns
POOLINGS = ((48, 80), (160, 40))  # channels, pixels a side
ROWS = ((160, 640), (1200, 96))  # rows, and elements in each
EACH = (1 << 17, 1 << 19)  # elements


def _convolutions(build: GraphBuilder, name: str, channels: int, side: int, kernel: int) -> str:
    value, groups = build.input(f"{name}.x", (1, channels, side, side)), channels if name.startswith("depth") else 1
    for place in (FIRST, "0", "1", LAST):
        weight = build.weight(f"{name}.{place}.w", (channels, channels // groups, kernel, kernel))
        pad = (kernel // 2, kernel // 2)
        value = build.node(f"{name}.{place}", "conv2d", value, weight, padding=pad, groups=groups)
    return value


def _products(build: GraphBuilder, name: str, rows: int, width: int) -> str:
    value = build.input(f"{name}.x", (rows, width))
    for place in (FIRST, "0", "1", LAST):
        value = build.node(f"{name}.{place}", "linear", value, build.weight(f"{name}.{place}.w", (width, width)))
    return value


def _poolings(build: GraphBuilder, name: str, channels: int, side: int) -> str:
    value = build.input(f"{name}.x", (1, channels, side, side))
    for place in (FIRST, "0", "1", LAST):
        value = build.node(f"{name}.{place}", "max_pool2d", value, kernel=(3, 3), stride=(1, 1), padding=(1, 1))
    return value


def _normalisations(build: GraphBuilder, name: str, rows: int, size: int) -> str:
    value = build.input(f"{name}.x", (rows, size))
    for place in (FIRST, "0", "1", LAST):
        value = build.node(f"{name}.{place}.softmax", "softmax", value)
        value = build.node(f"{name}.{place}", "layer_norm", value)
    return value


def _each(build: GraphBuilder, name: str, size: int, operations: Sequence[str]) -> str:
    value, other = build.input(f"{name}.x", (size,)), build.input(f"{name}.y", (size,))
    for place, operation in enumerate(operations):
        value = build.node(f"{name}.{place or FIRST}", operation, value, other)
    return value


def _copies(build: GraphBuilder, name: str, size: int) -> str:
    value, other = build.input(f"{name}.x", (size,)), build.input(f"{name}.y", (size,))
    for place in (FIRST, "0", "1", LAST):
        value = build.node(f"{name}.{place}", "concat", value, other, axis=0)
    return value


def _function(build: GraphBuilder, name: str) -> str:
    value = build.input(f"{name}.x", (LARGE,))
    body = "pow(x0, 0.75)" if name == "pow" else f"{name}(x0)"
    return build.node(f"{name}.0", "pointwise", value, what=name, body=body)


def fastest_product(found: Measured) -> float:
    """The highest rate of a product of matrices, in operations per second: no peak is below it."""
    products = [part for part in found.parts if part.layers[0].startswith("product")]
    return max(part.operations / part.fastest_seconds for part in products)


def reached(found: Measured) -> Reached:
    """The overhead, the shares and the rates that the calibration's times give; shares are medians over layers."""
    parts = [part for part in found.parts if not part.layers[0].endswith((FIRST, LAST))]
    overhead = median(part.fastest_seconds for part in parts if part.layers[0].startswith("tiny."))
    shares: dict[str, list[float]] = {}
    for part in parts:
        chain = part.layers[0].partition(".")[0]
        if chain != "tiny" and chain not in FUNCTIONS and part.bound.seconds:
            shares.setdefault(part.kind, []).append(part.bound.seconds / max(part.fastest_seconds - overhead, 1e-9))
    share = {kind: float(f"{median(values):.3g}") for kind, values in sorted(shares.items())}
    named = {part.layers[0].partition(".")[0]: part for part in parts}
    rate = {CATEGORIES.get(name, name): _rate(named[name], overhead, share) for name in FUNCTIONS}
    return Reached(found.runtime, found.threads, float(f"{overhead:.3g}"), share, rate)


def _rate(part: Part, overhead: float, share: dict[str, float]) -> float:
    """Operations a second, what an elementwise layer takes for its bytes left out."""
    rest = part.fastest_seconds - overhead - part.bound.seconds / share[part.kind]
    return float(f"{LARGE / max(rest, part.fastest_seconds / 10):.3g}")
