"""Where names of an ONNX file mean values: the model itself, a subgraph, a function's body."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from tilework.frontend.from_onnx import messages

if TYPE_CHECKING:
    from tilework.frontend.from_onnx.importer import Importer
    from tilework.frontend.from_onnx.site import Site


@dataclass
class Scope:
    """Where names of the file mean values: the model itself, a subgraph or a function's body."""

    importer: Importer
    names: ChainMap[str, str]
    opsets: Mapping[str, int]
    prefix: str = ""
    module: str = ""
    attributes: Mapping[str, messages.Attribute] | None = None  # a function's
    depth: int = 0
    read: frozenset[str] = frozenset()  # names that anything here reads
    absent: frozenset[str] = frozenset()  # a function's inputs that its caller leaves out
    declared: Mapping[str, tuple[int | str, ...]] = field(default_factory=dict)  # shapes that the file tells

    def new(self, name: str) -> str:
        """The value that a node shall make; "" where nothing reads it."""
        if name not in self.read:
            return ""
        self.names[name] = self.importer.new(self.prefix + name) if self.depth else name
        return self.names[name]

    def find(self, name: str, site: Site) -> str:
        """The value that a name means; raises NetworkError where nothing has made it yet."""
        value = self.names.get(name, "")
        if name and name not in self.absent and not self.importer.has(value):
            site.fail(
                f"what it reads must be an input, a weight or the first output of a node before it, unlike {name}"
            )
        return value

    def resolved(self, attributes: Iterable[messages.Attribute]) -> Iterator[messages.Attribute]:
        """A node's attributes, those of a function's parameters replaced by what its caller says."""
        for attribute in attributes:
            if not attribute.ref_attr_name:
                yield attribute
            elif self.attributes and attribute.ref_attr_name in self.attributes:
                renamed = copy(self.attributes[attribute.ref_attr_name])
                renamed.name = attribute.name
                yield renamed


def live(nodes: Sequence[messages.Node], outputs: Iterable[str]) -> tuple[list[messages.Node], frozenset[str]]:
    """The nodes that an output depends on, in the file's order, and all names that these read."""
    needed = {*outputs} - {""}
    found = []
    for node in reversed(nodes):
        if any(output in needed for output in node.output if output):
            needed.update(node.input)
            needed.update(captured(node))
            found.append(node)
    return found[::-1], frozenset(needed - {""})


def captured(node: messages.Node) -> Iterator[str]:
    """The names that a node's subgraphs read, their own and those around them."""
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            if graph is not None:
                yield from (info.name for info in graph.output)
                for inner in graph.node:
                    yield from inner.input
                    yield from captured(inner)


def declared(body: messages.Graph) -> dict[str, tuple[int | str, ...]]:
    """The shapes that the file tells of a graph's values."""
    infos = chain(body.value_info, body.output)
    return {info.name: sizes(info.tensor.shape) for info in infos if info.tensor and info.tensor.shape}


def sizes(shape: messages.Dimensions) -> tuple[int | str, ...]:
    """Sizes: numbers, names, and "" for one that has neither; 0 is what some exporters write for an open one."""
    return tuple(dim.value or dim.name for dim in shape.dim)
