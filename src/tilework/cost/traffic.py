"""The elements that each node of a graph must move: those its nests touch of what it reads, and what it writes, once.

What only renames elements moves none, and what is read through it counts as the tensor behind it: keys that several
heads share are read once. A cache of earlier tokens, an input of the network to which one node appends, grows where it
lies: neither read nor written again. Of what has no nests (a lookup, a sort) at most as many elements of each input
count as the output has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tilework.network.extent import outputs_inside
from tilework.network.graph import DTYPE_BYTES, FLOATING_BYTES, Graph, Node, Tensor
from tilework.network.nest import COPY, Access, Nest
from tilework.network.operations import OPERATIONS, Shape, expand

BYTES = {  # of an element in a dtype that a peak may be of
    **dict.fromkeys(("float64",), 8.0),
    **dict.fromkeys(("float32", "tfloat32"), 4.0),
    **dict.fromkeys(("float16", "bfloat16", "int16"), 2.0),
    **dict.fromkeys(("float8", "int8"), 1.0),
    **dict.fromkeys(("float4", "int4"), 0.5),
}


def element_bytes(tensor: Tensor, dtype: str) -> float:
    """Of an element where floating-point numbers are stored in a dtype of BYTES; others keep theirs."""
    return BYTES[dtype] if tensor.dtype in FLOATING_BYTES else DTYPE_BYTES[tensor.dtype]


def bytes_of(graph: Graph, elements: Mapping[str, float], dtype: str) -> dict[str, float]:
    """Of so many elements of each tensor."""
    return {name: number * element_bytes(graph.tensors[name], dtype) for name, number in elements.items()}


@dataclass(frozen=True)
class Moved:
    """Elements by the tensor that holds them, views resolved; `written` are of the node's own value."""

    read: Mapping[str, float]
    written: float


class Traffic:
    """What the nodes of a graph move. `base` is the tensor behind each view, `grown` the input to which a node appends
    in place, as nothing else reads it."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.base: dict[str, str] = {}
        readers: dict[str, int] = {}
        for node in graph.nodes:
            if node.inputs and _is_view(graph, node):
                self.base[node.name] = self.base.get(node.inputs[0], node.inputs[0])
            for name in set(node.inputs):
                readers[name] = readers.get(name, 0) + 1
        alone = {t.name for t in graph.inputs if readers.get(t.name) == 1}
        self.grown = {
            node.name: node.inputs[0] for node in graph.nodes if alone & set(node.inputs[:1]) and self._appends(node)
        }

    def of(self, node: Node, shares: Sequence[float] | None = None, written: float = 1.0) -> Moved:
        """What a device moves that reads these shares of the node's inputs and writes that of its value."""
        tensors = self.graph.tensors
        shapes = tuple(tensors[name].shape for name in node.inputs)
        *touched, made = _touched(node.operation, shapes, node.attributes)
        kept = self.grown.get(node.name)
        views: dict[str, float] = {}
        most: dict[str, float] = {}
        for name, elements, share in zip(node.inputs, touched, shares or [1.0] * len(touched), strict=True):
            if name != kept:
                views[name] = max(elements * share, views.get(name, 0))
                base = self.base.get(name, name)
                most[base] = max(most.get(base, 0), tensors[base].elements * share)
        read = dict.fromkeys(most, 0.0)
        for name, count in views.items():
            base = self.base.get(name, name)
            read[base] = min(read[base] + count, most[base])
        return Moved(read, (made - (tensors[kept].elements if kept else 0)) * written)

    def _appends(self, node: Node) -> bool:
        shapes = tuple(self.graph.tensors[name].shape for name in node.inputs)
        return _appends(node.operation, shapes, node.attributes)

    def sources(self, read: Mapping[str, float]) -> dict[str, float]:
        """The elements among those read that the network's sources hold, also where they have grown."""
        tensors, found = self.graph.tensors, dict[str, float]()
        for name, elements in read.items():
            source = tensors[self.grown.get(name, name)]
            if source.role != "value":
                part = elements * source.elements / tensors[name].elements
                found[source.name] = max(part, found.get(source.name, 0.0))
        return found


def _is_view(graph: Graph, node: Node) -> bool:
    return OPERATIONS[node.operation].view or graph.expansion(node).is_alias


@lru_cache(maxsize=4096)
def _appends(operation: str, shapes: tuple[Shape, ...], attributes: tuple[tuple[str, Any], ...]) -> bool:
    """Whether an operation copies its first input to the same places of its output, and others behind it."""
    nests = expand(operation, shapes, attributes).nests
    if len(nests) < 2 or any(nest.kind != COPY for nest in nests):
        return False
    first = next((a for a in nests[0].reads if a.tensor == OPERATIONS[operation].placeholders(len(shapes))[0]), None)
    return first is not None and first.index == nests[0].output.index


@lru_cache(maxsize=4096)
def _touched(operation: str, shapes: tuple[Shape, ...], attributes: tuple[tuple[str, Any], ...]) -> tuple[int, ...]:
    """The elements that an operation reads of each input, and those it writes, each once."""
    row, expansion = OPERATIONS[operation], expand(operation, shapes, attributes)
    if row.view or expansion.is_alias:
        return (0,) * (len(shapes) + 1)
    output = Tensor("o", expansion.shape).elements
    if expansion.work is not None:
        return (*(min(Tensor("x", shape).elements, output) for shape in shapes), output)
    inputs = dict(zip(row.placeholders(len(shapes)), shapes, strict=True))
    touched = touched_by(expansion.nests, inputs)
    return (*(touched.get(name, 0) for name in inputs), output)


def touched_by(nests: Sequence[Nest], shapes: Mapping[str, Shape]) -> dict[str, int]:
    """The elements of each tensor of these shapes that nests read, by the one that reads most."""
    most: dict[str, int] = {}
    for nest in nests:
        for access in nest.reads:
            if access.tensor in shapes:
                most[access.tensor] = max(most.get(access.tensor, 0), _inside(nest, access, shapes[access.tensor]))
    return most


def _inside(nest: Nest, access: Access, shape: Shape) -> int:
    """The elements of its tensor that an access names."""
    loops = tuple(loop for loop in nest.loops if loop[0] in access.loops())
    return outputs_inside(Nest(loops, access, "+=", access), {access.tensor: shape})
