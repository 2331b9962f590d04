"""Nodes of nests: a node of several nests taken apart into nodes that make one tensor each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from tilework.network.graph import Graph, Node, Tensor
from tilework.network.nest import Nest


def apart(graph: Graph, node: Node) -> Iterator[Node]:
    """A node as a node for each tensor that its nests make; those inside it keep their names, `node:t`."""
    tensors = graph.tensors | {tensor.name: tensor for tensor in graph.temporaries(node)}
    made: dict[str, list[Nest]] = defaultdict(list)
    for nest in graph.nests(node):
        made[nest.output.tensor] = [*made.pop(nest.output.tensor, []), nest]
    for name, nests in made.items():
        yield nest_node(tensors[name], nests, tensors, node.label, node.module)


def nest_node(tensor: Tensor, nests: Iterable[Nest], tensors: Mapping[str, Tensor], what: str, module: str) -> Node:
    """The node that makes a tensor by nests over the names of others."""
    made = tuple(nests)
    inputs = tuple(dict.fromkeys(access.tensor for nest in made for access in nest.reads))
    names = {name: f"x{place}" for place, name in enumerate(inputs)} | {tensor.name: "o"}
    body = "; ".join(str(nest.rename(names)) for nest in made)
    attributes = (("body", body), ("shape", tensor.shape), ("what", what))
    same = bool(inputs) and tensors[inputs[0]].dtype == tensor.dtype
    return Node(tensor.name, "nests", inputs, attributes, module, "" if same else tensor.dtype)
