"""What one node of a graph becomes in ONNX: a few ONNX nodes and small constants, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from tilework.network.graph import Graph, Node
from tilework.network.operations import Shape
from tilework.network.weights import Array


@dataclass(frozen=True)
class OnnxNode:
    """An ONNX operator that writes `output`; a Cast has the attribute `dtype`, by its name."""

    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any] = field(default_factory=dict)


class Exporter:
    """Collects the ONNX nodes and constants of one graph node.

    ONNX wants operands of one dtype: `inputs` are the node's in the `working` one, which holds all of them, and the
    result is cast to its own in the end.
    """

    def __init__(self, graph: Graph, node: Node) -> None:
        tensors = [graph.tensors[name] for name in node.inputs]
        self.node = node
        self.expansion = graph.expansion(node)
        self.shapes: list[Shape] = [tensor.shape for tensor in tensors]
        self.dtypes = [tensor.dtype for tensor in tensors]
        self.output: Shape = graph.tensors[node.name].shape
        self.dtype = graph.tensors[node.name].dtype
        self.working = str(np.result_type(self.dtype, *self.dtypes))
        self.nodes: list[OnnxNode] = []
        self.constants: list[tuple[str, Array]] = []

    @cached_property
    def inputs(self) -> list[str]:
        """The inputs' names, each after a cast where that is needed."""
        pairs = enumerate(zip(self.node.inputs, self.dtypes, strict=True))
        return [self.cast(name, dtype, self.working, f"input{i}") for i, (name, dtype) in pairs]

    def emit(self, operator: str, *inputs: str, to: str = "", **attributes: Any) -> str:
        """Append an ONNX node that writes `node:to`, or the graph node's own value; returns that name."""
        if to or self.working == self.dtype:
            return self.append(operator, *inputs, to=to, **attributes)
        return self.cast(self.append(operator, *inputs, to="wide", **attributes), self.working, self.dtype)

    def append(self, operator: str, *inputs: str, to: str = "", **attributes: Any) -> str:
        """The same without a cast of the result."""
        output = f"{self.node.name}:{to}" if to else self.node.name
        self.nodes.append(OnnxNode(operator, inputs, output, attributes))
        return output

    def cast(self, name: str, dtype: str, wanted: str, to: str = "") -> str:
        """The tensor, or a copy of it in another dtype, called as `emit` says."""
        return name if dtype == wanted else self.append("Cast", name, to=to, dtype=wanted)

    def constant(self, name: str, values: Sequence[float], dtype: Any = np.int64, scalar: bool = False) -> str:
        """A small constant tensor `node:name`, a scalar or a vector."""
        return self.array(name, np.array(values[0] if scalar else values, dtype))

    def array(self, name: str, values: Array) -> str:
        """A constant tensor `node:name`."""
        self.constants.append((f"{self.node.name}:{name}", values))
        return f"{self.node.name}:{name}"

    def number(self, name: str, value: float) -> str:
        """A scalar of the working dtype."""
        return self.constant(name, [value], self.working, scalar=True)
