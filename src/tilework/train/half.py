"""Mixed precision: layers in 16-bit floats, weights and what is delicate in float32, and a loss that is scaled.

A product takes values that are rounded to 16 bits, is summed in float32 and rounded again, as matrix units do it
(Micikevicius et al. 2018, arXiv:1710.03740).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from tilework.network.graph import Graph, Node
from tilework.network.halves import add_bfloat16
from tilework.network.nest import CONTRACTION
from tilework.train.parameters import Array

FLOAT32 = "float32"
WIDE = ("softmax", "log_softmax", "dropout")  # stay in float32, as do normalisations
GREATEST_SCALE = 2.0**24


def mixed(graph: Graph, dtype: str) -> Graph:
    """The graph computed in float16 or bfloat16, with the same float32 inputs, weights and outputs.

    Nodes named `float16:x` and `float32:x` round and widen x where a node of the other kind reads it. Softmax,
    normalisations, the host's nodes, and a last one that isn't a product stay in float32. As rounding is a node too,
    the gradient of the graph comes back in the same precisions, and that of a weight in float32.
    """
    nodes: list[Node] = []
    made: dict[str, str] = {}  # dtypes by name

    def read(name: str, wanted: str) -> str:
        """The tensor in that dtype."""
        if graph.tensors[name].dtype != FLOAT32 or made.get(name, FLOAT32) == wanted:
            return name
        cast = f"{wanted}:{name}"
        if cast not in made:
            nodes.append(_cast(cast, name, wanted))
            made[cast] = wanted
        return cast

    for node in graph.nodes:
        own = FLOAT32 if _is_wide(graph, node) else dtype
        inputs = tuple(read(name, own) for name in node.inputs)
        nodes.append(replace(node, inputs=inputs, dtype=own if node.dtype == FLOAT32 else node.dtype))
        if graph.tensors[node.name].dtype == FLOAT32:
            made[node.name] = own
    outputs = tuple(read(name, FLOAT32) for name in graph.outputs)
    return graph.replace(graph.sources, nodes, outputs)


def _cast(name: str, source: str, dtype: str) -> Node:
    return Node(name, "pointwise", (source,), (("body", "x0"), ("what", "cast")), "", dtype)


def _is_wide(graph: Graph, node: Node) -> bool:
    if any(nest.kind == CONTRACTION for nest in graph.nests(node)):
        return False
    delicate = node.operation in WIDE or node.operation.endswith("_norm")
    return delicate or graph.expansion(node).on_host or node.name in graph.outputs


def rounding(dtype: str) -> Callable[[Array], None]:
    """Rounds float32 values in place to the nearest of a 16-bit dtype, ties to even."""
    if dtype == "bfloat16":
        add_bfloat16()
    half = np.dtype(dtype)

    def rounded(values: Array) -> None:
        with np.errstate(over="ignore"):
            values[...] = values.astype(half)

    return rounded


@dataclass
class LossScale:
    """What the loss is multiplied by before its gradient is taken, so that small gradients don't become 0.

    It halves when a gradient overflows, and that step is left out; it doubles after `every` steps without, or stays as
    it is if `every` is 0.
    """

    scale: float
    every: int
    good: int = 0

    def unscaled(self, gradients: Array) -> bool:
        """Divide gradients by the scale, in place, and adapt it: whether they may be used.

        Those that are not finite are left as they are where no smaller scale would help.
        """
        if not np.isfinite(gradients).all():
            if self.every == 0 or self.scale <= 1:
                return True
            self.scale, self.good = self.scale / 2, 0
            return False
        np.divide(gradients, np.float32(self.scale), out=gradients)
        self.good += 1
        if self.good == self.every:
            self.scale, self.good = min(2 * self.scale, GREATEST_SCALE), 0
        return True

    def state(self) -> dict[str, float]:
        """What a continuation needs."""
        return {"scale": self.scale, "good": self.good}

    def restore(self, state: Mapping[str, float]) -> None:
        """Go on from what `state` gave."""
        self.scale, self.good = float(state["scale"]), int(state["good"])
