"""A network as blocks, of which some stand for many: what a reader of large models makes before a graph.

A block holds the parts that arose in one call of a module, the blocks within it, and copies: places where an earlier
block comes again with other inputs and weights. Counting takes a block once and multiplies; `Blocks.graph` is the
flat network.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from tilework.network.graph import INPUT, Graph, Node, Tensor
from tilework.network.operation import Shape


@dataclass(slots=True)
class Part:
    """A node to be. Tensors are numbers; `module` is its place in the tree."""

    operation: str
    inputs: tuple[int, ...]
    shapes: tuple[Shape, ...]
    attributes: tuple[tuple[str, Any], ...]
    result: int
    shape: Shape
    dtype: str
    module: str

    @property
    def kind(self) -> Kind:
        return Kind(self.operation, self.shapes, self.attributes, self.shape, self.dtype)


class Kind(NamedTuple):
    """What parts that cost the same have in common."""

    operation: str
    shapes: tuple[Shape, ...]
    attributes: tuple[tuple[str, Any], ...]
    shape: Shape
    dtype: str


@dataclass(slots=True)
class Block:
    """What one call of a module does, in order. `leaf` where the module has none within."""

    path: str
    leaf: bool = False
    parts: list[Part | Block | Copy] = field(default_factory=list)


class Copy(NamedTuple):
    """A block again, for the module `path`.

    `outside` says for each number that the block has from outside which it is here, `outputs` for each number that
    arises here which it is in the block.
    """

    block: Block
    path: str
    outside: dict[int, int]
    outputs: dict[int, int]


@dataclass(frozen=True)
class Blocks:
    """A network: its sources by number, the outermost block, other numbers of the same tensor, and the outputs."""

    name: str
    sources: dict[int, Tensor]
    root: Block
    aliases: dict[int, int]
    outputs: tuple[int, ...]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        return tuple(tensor for tensor in self.sources.values() if tensor.role == INPUT)

    @property
    def weights(self) -> tuple[Tensor, ...]:
        return tuple(tensor for tensor in self.sources.values() if tensor.is_weight)

    @cached_property
    def kinds(self) -> Counter[Kind]:
        """How often a part of each kind stands in the network."""
        return _kinds(self.root, {})

    @cached_property
    def _graph(self) -> Graph:
        return _Flat(self).graph()

    def graph(self) -> Graph:
        """The flat network, every copy written out; always the same object."""
        return self._graph


def flat(network: Graph | Blocks) -> Graph:
    """The graph itself, or the flat one of blocks."""
    return network.graph() if isinstance(network, Blocks) else network


def _kinds(block: Block, known: dict[int, Counter[Kind]]) -> Counter[Kind]:
    if id(block) not in known:
        kinds: Counter[Kind] = Counter()
        for part in block.parts:
            if isinstance(part, Part):
                kinds[part.kind] += 1
            else:
                kinds.update(_kinds(part if isinstance(part, Block) else part.block, known))
        known[id(block)] = kinds
    return known[id(block)]


class _Flat:
    """Writes blocks out: names for numbers, nodes for parts."""

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        self.nodes: list[Node] = []
        self.taken = {tensor.name for tensor in blocks.sources.values()}
        self.dtypes = {tensor.name: tensor.dtype for tensor in blocks.sources.values()}
        self.again: dict[str, int] = {}

    def graph(self) -> Graph:
        blocks = self.blocks
        names: dict[int, str] = {}
        self.write(blocks.root, names, ())
        outputs = dict.fromkeys(self.find(number, names) for number in blocks.outputs)
        return Graph(blocks.name, tuple(blocks.sources.values()), tuple(self.nodes), tuple(outputs))

    def find(self, number: int, names: dict[int, str]) -> str:
        sources = self.blocks.sources
        while number not in names:
            if number in sources:
                return sources[number].name
            number = self.blocks.aliases[number]
        return names[number]

    def write(self, block: Block, names: dict[int, str], moves: tuple[tuple[str, str], ...]) -> None:
        """Add a block's nodes; `moves` are the paths of the copies it lies in, innermost first: (of block, here)."""
        alone = block.leaf and len(block.parts) == 1
        for part in block.parts:
            if isinstance(part, Part):
                names[part.result] = self.node(part, alone, names, moves)
            elif isinstance(part, Block):
                self.write(part, names, moves)
            else:
                self.copy(part, names, moves)

    def copy(self, copy: Copy, names: dict[int, str], moves: tuple[tuple[str, str], ...]) -> None:
        inner = {number: self.find(here, names) for number, here in copy.outside.items()}
        self.write(copy.block, inner, ((copy.block.path, copy.path), *moves))
        for here, number in copy.outputs.items():
            names[here] = self.find(number, inner)

    def node(self, part: Part, alone: bool, names: dict[int, str], moves: tuple[tuple[str, str], ...]) -> str:
        module = part.module
        for old, new in moves:
            if module == old or module.startswith(f"{old}."):
                module = new + module[len(old) :]
        inputs = tuple(self.find(number, names) for number in part.inputs)
        first = self.dtypes[inputs[0]] if inputs else "float32"
        node = Node("", part.operation, inputs, part.attributes, "", "" if part.dtype == first else part.dtype)
        if alone and module:
            name, module = self.unique(module), module.rpartition(".")[0]
        else:
            name = self.unique(f"{module}.{node.label}" if module else node.label)
        self.nodes.append(Node(name, node.operation, inputs, node.attributes, module, node.dtype))
        self.dtypes[name] = part.dtype
        return name

    def unique(self, name: str) -> str:
        """The name, or with the first number behind it that makes it new."""
        if name in self.taken:
            number = self.again.get(name, 1)
            while f"{name}_{number}" in self.taken:
                number += 1
            self.again[name] = number + 1
            name = f"{name}_{number}"
        self.taken.add(name)
        return name
