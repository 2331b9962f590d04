"""What a rewrite of the graph did: what went, why, and how much need no longer be computed and moved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tilework.network.graph import Graph, Node
from tilework.network.nest import applications


@dataclass(frozen=True)
class Change:
    """A node that went or became less, as a line of a log: `action` is dropped, folded, merged or pruned.

    `operations` are scalar ones, a multiply-accumulate counted as two; `bytes` are the node's operands and its result,
    each once, as if it ran by itself; of a pruned one both are what is saved.
    """

    action: str
    node: str
    why: str
    operations: int
    bytes: int

    def __str__(self) -> str:
        return f"{self.action} {self.node}{self.why}"


def change(graph: Graph, action: str, name: str, why: str, nodes: Iterable[Node]) -> Change:
    """A line of the log for nodes that went together, under the name of one."""
    gone = tuple(nodes)
    return Change(
        action, name, why, sum(_operations(graph, node) for node in gone), sum(_bytes(graph, node) for node in gone)
    )


def _operations(graph: Graph, node: Node) -> int:
    expansion = graph.expansion(node)
    if expansion.work is not None:
        return sum(number for _, number in expansion.work)
    return sum(
        nest.iterations * (len(tuple(applications(nest.body))) + (nest.update != "=")) for nest in expansion.nests
    )


def _bytes(graph: Graph, node: Node) -> int:
    if graph.expansion(node).is_alias:
        return 0
    return sum(graph.tensors[name].size_bytes for name in {node.name, *node.inputs})
