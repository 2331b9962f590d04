"""Which layers of a graph each operator of ONNX Runtime's optimised model computes.

The runtime folds, fuses and reorders what `to_onnx` wrote, and says in names alone what became of it: an operator, or
the value that it writes, bears the name of one of the layers that it computes. That layer is its *anchor*. Where the
others are follows from what each operator reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tilework.network.graph import Graph, Node
from tilework.network.nest import CONTRACTION

MADE = re.compile(r"^fused ")  # what the runtime puts before a name; what it puts behind begins with one of BEHIND
BEHIND = ":/_ "
LAYOUT = "ReorderOutput"  # gives a value its usual layout, and its name


@dataclass(frozen=True)
class Operator:
    """An operator of the optimised model, with the values that it reads and writes."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """Operators, by their places, that compute some layers together."""

    layers: tuple[str, ...]
    operators: tuple[int, ...]


def parts(graph: Graph, operators: Sequence[Operator]) -> tuple[list[Part], tuple[str, ...]]:
    """The parts in the order in which they begin, and the layers that no operator computes: what is constant, and
    what the runtime left out.

    A layer without an operator of its own belongs to that which makes its operand, if that writes a value of no
    layer's name and reads whatever else the layer reads; a contraction, and what doesn't fit there, to that which
    reads it. An operator that no layer gave its name, such as a change of layout, belongs to its reader.
    """
    return _Attribution(graph, operators).parts()


class _Attribution:
    def __init__(self, graph: Graph, operators: Sequence[Operator]) -> None:
        self.graph, self.operators = graph, operators
        self.nodes = {node.name: node for node in graph.nodes}
        self.longest = max(map(len, self.nodes), default=0)
        self.makers = {value: place for place, one in enumerate(operators) for value in one.outputs}
        self.leads: dict[str, str] = {}  # from a layer to another of its part, at last to one that leads to itself
        self.varies = self._varying()
        self.readers: dict[str, list[Node]] = {}
        for node in graph.nodes:
            for name in node.inputs:
                self.readers.setdefault(name, []).append(node)

    def parts(self) -> tuple[list[Part], tuple[str, ...]]:
        self.of = self._operators()
        self._connect()
        for node in self.graph.nodes:
            if node.name not in self.leads and node.name in self.varies:
                self._place(node)
        layers: dict[str, list[str]] = {}
        for node in self.graph.nodes:
            if node.name in self.leads:
                layers.setdefault(self._part(node.name), []).append(node.name)
        places: dict[str, list[int]] = {}
        for place, anchor in enumerate(self.of):
            if anchor is not None:
                places.setdefault(self._part(anchor), []).append(place)
        left = tuple(node.name for node in self.graph.nodes if node.name not in self.leads)
        return [Part(tuple(layers[part]), tuple(own)) for part, own in places.items()], left

    def _varying(self) -> set[str]:
        """The values that depend on an input."""
        found = {tensor.name for tensor in self.graph.inputs}
        for node in self.graph.nodes:
            if found.intersection(node.inputs):
                found.add(node.name)
        return found

    def _operators(self) -> list[str | None]:
        """An anchor for each operator, those that have none of their own by their reader, else by what they read."""
        found: list[str | None] = []
        for one in self.operators:
            anchors = self._anchors(one, found)
            for anchor in anchors:
                self.leads.setdefault(anchor, anchor)
                self.leads[self._part(anchor)] = self._part(anchors[0])
            found.append(anchors[0] if anchors else None)
        reader = {name: place for place, one in reversed(list(enumerate(self.operators))) for name in one.inputs}
        for place, one in reversed(list(enumerate(self.operators))):
            if found[place] is None:
                found[place] = next((found[reader[name]] for name in one.outputs if name in reader), None)
        for place, one in enumerate(self.operators):
            if found[place] is None:
                found[place] = next((found[self.makers[name]] for name in one.inputs if name in self.makers), None)
        return found

    def _anchors(self, one: Operator, before: Sequence[str | None]) -> list[str]:
        """The layers whose names an operator bears; of a change of layout first that of what it reads."""
        if one.kind == LAYOUT and (maker := self.makers.get(one.inputs[0])) is not None and before[maker]:
            return [str(before[maker]), *filter(self.nodes.__contains__, one.outputs)]
        texts = (*one.outputs, MADE.sub("", one.name))
        return list(dict.fromkeys(layer for text in texts if (layer := self._layer(text))))

    def _layer(self, text: str) -> str | None:
        """The layer with the longest name with which a text begins."""
        for end in range(min(len(text), self.longest), 0, -1):
            if text[:end] in self.nodes and (end == len(text) or text[end] in BEHIND):
                return text[:end]
        return None

    def _part(self, layer: str) -> str:
        while self.leads[layer] != layer:
            layer = self.leads[layer]
        return layer

    def _connect(self) -> None:
        """What each part reads of which other parts, and whether the last value that it writes has no layer's name."""
        self.sources: dict[str, set[str]] = {}
        self.hidden: dict[str, bool] = {}
        for place, one in enumerate(self.operators):
            anchor = self.of[place]
            if anchor is not None:
                part = self._part(anchor)
                made = (self.of[self.makers[name]] for name in one.inputs if name in self.makers)
                self.sources.setdefault(part, set()).update(self._part(other) for other in made if other)
                if one.kind != LAYOUT:
                    self.hidden[part] = not any(name in self.nodes for name in one.outputs)

    def _place(self, node: Node) -> None:
        contracts = any(nest.kind == CONTRACTION for nest in self.graph.expansion(node).nests)
        maker = None if contracts else self._maker(node)
        reader = None if maker else self._reader(node.name)
        if part := maker or reader:
            self.leads[node.name] = self._part(part)

    def _maker(self, node: Node) -> str | None:
        """The part that makes the layer's operands and may go on with it."""
        read = {self._part(name) for name in node.inputs if name in self.leads}
        fitting = [part for part in read if self.hidden.get(part) and read <= self.sources[part] | {part}]
        return fitting[0] if fitting else None

    def _reader(self, name: str) -> str | None:
        """The first layer behind it that an operator bears the name of."""
        waiting: Iterable[str] = [name]
        while waiting:
            behind = [node.name for value in waiting for node in self.readers.get(value, ())]
            if found := next((layer for layer in behind if layer in self.leads), None):
                return found
            waiting = dict.fromkeys(behind)
        return None
