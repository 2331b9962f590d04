"""The graph: nodes for people, one per operation, each expanding to nests for machines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

from tilework.errors import NetworkError
from tilework.network.activation import ACTIVATIONS
from tilework.network.nest import Nest
from tilework.network.operations import OPERATIONS, Expansion, Shape, expand

FLOATING_BYTES: dict[str, int] = {
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "float64": 8,
    "float8_e4m3fn": 1,
    "float8_e5m2": 1,
}
DTYPE_BYTES: dict[str, int] = FLOATING_BYTES | {
    "int8": 1,
    "int32": 4,
    "int64": 8,
    "int16": 2,
    "uint8": 1,
    "uint16": 2,
    "uint32": 4,
    "uint64": 8,
    "bool": 1,
    "complex64": 8,
    "complex128": 16,
}

INPUT, PARAMETER, FROZEN, BUFFER = "input", "parameter", "frozen", "buffer"
ROLES = (INPUT, PARAMETER, FROZEN, BUFFER)


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named array; `role`: input, parameter, frozen (a parameter that is kept from training), buffer (a weight that
    is none) or a node's value."""

    name: str
    shape: Shape
    dtype: str = "float32"
    role: str = "value"

    def __post_init__(self) -> None:
        if self.dtype not in DTYPE_BYTES:
            raise NetworkError(
                f"tensor {self.name}: the dtype must be one of {', '.join(DTYPE_BYTES)}, not {self.dtype!r}"
            )
        if any(size < 1 for size in self.shape):
            raise NetworkError(f"tensor {self.name}: every size must be at least 1, not {list(self.shape)}")

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def size_bytes(self) -> int:
        return self.elements * DTYPE_BYTES[self.dtype]

    @property
    def is_weight(self) -> bool:
        return self.role in (PARAMETER, FROZEN, BUFFER)


@dataclass(frozen=True, slots=True)
class Node:
    """One operation applied to named tensors; its value has the node's own name. `module` is its place in the tree.

    `dtype` is the value's, where it isn't that of the first input. A registered activation is the `pointwise` node of
    its expression. Raises NetworkError for inputs or attributes that it doesn't take.
    """

    name: str
    operation: str
    inputs: tuple[str, ...]
    attributes: tuple[tuple[str, Any], ...] = ()
    module: str = ""
    dtype: str = ""

    def __post_init__(self) -> None:
        fixed = tuple((key, tuple(value) if isinstance(value, list) else value) for key, value in self.attributes)
        if known := ACTIVATIONS.get(self.operation):
            fixed = known.attributes(fixed, len(self.inputs))
            object.__setattr__(self, "operation", "pointwise")
        object.__setattr__(self, "attributes", fixed)

    @property
    def label(self) -> str:
        """What tables call its operation: the attribute `what` of a general operation, else the operation's name."""
        return next((value for key, value in self.attributes if key == "what" and value), self.operation)


@dataclass(frozen=True)
class Graph:
    """A network: tensors that come from outside, nodes in an order in which they can run, and the outputs' names.

    Raises NetworkError, naming the node, where a name is used twice or before it is defined, where an operation is
    unknown, or where shapes don't fit. A `Graph` holds no values; see `network.weights`.
    """

    name: str
    sources: tuple[Tensor, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    tensors: dict[str, Tensor] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tensors", {})
        for tensor in self.sources:
            if tensor.role not in ROLES:
                raise NetworkError(f"tensor {tensor.name} must be one of {', '.join(ROLES)}, not {tensor.role!r}")
            self._define(tensor, f"tensor {tensor.name}")
        for node in self.nodes:
            self._infer(node)
        for node in self.nodes:
            for tensor in self.temporaries(node):
                if tensor.name in self.tensors:
                    raise NetworkError(f"no tensor may be called {tensor.name}, as node {node.name} has one inside")
        if not self.outputs:
            raise NetworkError(f"network {self.name} must have at least one output")
        for name in self.outputs:
            if name not in self.tensors:
                raise NetworkError(f"output {name} of network {self.name} is not defined by any node or input")

    def _define(self, tensor: Tensor, what: str) -> None:
        if not tensor.name or tensor.name in self.tensors:
            raise NetworkError(f"{what}: each tensor must have a name of its own, not {tensor.name!r} again")
        self.tensors[tensor.name] = tensor

    def _infer(self, node: Node) -> None:
        for name in node.inputs:
            if name not in self.tensors:
                raise NetworkError(f"node {node.name} reads {name}, which nothing before it defines")
        try:
            expansion = self.expansion(node)
        except NetworkError as error:
            raise NetworkError(f"node {node.name}: {error}") from None
        dtype = node.dtype or (self.tensors[node.inputs[0]].dtype if node.inputs else "float32")
        self._define(Tensor(node.name, expansion.shape, dtype), f"node {node.name}")

    def expansion(self, node: Node) -> Expansion:
        """The node's operation over placeholder names."""
        shapes = tuple(self.tensors[name].shape for name in node.inputs)
        return expand(node.operation, shapes, node.attributes)

    def nests(self, node: Node) -> tuple[Nest, ...]:
        """The node's nests over the graph's own tensor names; temporaries are called `node:t`."""
        known = self._nests.get(node.name)
        if known is None or known[0] is not node:
            known = self._nests[node.name] = node, self._renamed(node)
        return known[1]

    @cached_property
    def _nests(self) -> dict[str, tuple[Node, tuple[Nest, ...]]]:
        return {}

    def _renamed(self, node: Node) -> tuple[Nest, ...]:
        expansion = self.expansion(node)
        names = dict(zip(OPERATIONS[node.operation].placeholders(len(node.inputs)), node.inputs, strict=True))
        names["o"] = node.name
        names |= {t: f"{node.name}:{t}" for t, _ in expansion.temporaries}
        return tuple(nest.rename(names) for nest in expansion.nests)

    def temporaries(self, node: Node) -> tuple[Tensor, ...]:
        """The tensors between the node's own nests."""
        dtype = self.tensors[node.name].dtype
        return tuple(Tensor(f"{node.name}:{t}", shape, dtype) for t, shape in self.expansion(node).temporaries)

    @cached_property
    def inputs(self) -> tuple[Tensor, ...]:
        return tuple(t for t in self.sources if t.role == INPUT)

    @cached_property
    def weights(self) -> tuple[Tensor, ...]:
        return tuple(t for t in self.sources if t.is_weight)

    def weights_of(self, node: Node) -> tuple[Tensor, ...]:
        return tuple(self.tensors[n] for n in node.inputs if self.tensors[n].is_weight)

    def replace(self, sources: Iterable[Tensor], nodes: Iterable[Node], outputs: Iterable[str]) -> Graph:
        return Graph(self.name, tuple(sources), tuple(nodes), tuple(outputs))

    def __str__(self) -> str:
        from tilework.network.graph_text import print_graph

        return print_graph(self)


class GraphBuilder:
    """Collects sources and nodes of a graph, one call each, and returns the names."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sources: list[Tensor] = []
        self.nodes: list[Node] = []

    def input(self, name: str, shape: Shape, dtype: str = "float32") -> str:
        self.sources.append(Tensor(name, shape, dtype, INPUT))
        return name

    def weight(self, name: str, shape: Shape, trainable: bool = True, dtype: str = "float32") -> str:
        self.sources.append(Tensor(name, shape, dtype, PARAMETER if trainable else BUFFER))
        return name

    def node(
        self, name: str, operation: str, *inputs: str, module: str | None = None, dtype: str = "", **attributes: Any
    ) -> str:
        """Append a node; its module is what stands before the last dot of its name unless said otherwise."""
        place = name.rpartition(".")[0] if module is None else module
        self.nodes.append(Node(name, operation, inputs, tuple(sorted(attributes.items())), place, dtype))
        return name

    def graph(self, *outputs: str) -> Graph:
        return Graph(self.name, tuple(self.sources), tuple(self.nodes), outputs)
