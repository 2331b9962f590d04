"""What the processor can't compute, the host does: a network is cut into segments, for one and the other in turn.

A node belongs to the host if it is no affine nest, if it computes with integers, or if a nest of it is none that the
processor runs. The cut has as few segments as the graph allows; a segment of the processor without any contraction
goes to the host too, which works before and after it anyway.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy.typing as npt

from tilework.compiler.runnable import why_not
from tilework.errors import CompileError
from tilework.network.execute import execute
from tilework.network.graph import FLOATING_BYTES, INPUT, Graph, Node
from tilework.network.halves import HALVES
from tilework.network.nest import CONTRACTION, Access, Apply, Nest
from tilework.network.weights import Weights

Array = npt.NDArray[Any]

TRUTHS = ("less", "equal", "and", "or", "not")
ALONE = "stands between nodes of the host without a contraction"


@dataclass(frozen=True)
class Segment:
    """Nodes that run on one side as a graph of their own: its inputs are the network's and values of earlier segments.

    `operations` names each node of the host, with the reason; it is empty for the processor's segments.
    """

    graph: Graph
    on_host: bool = False
    operations: tuple[str, ...] = ()


def evaluate(graph: Graph, weights: Weights, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The values of a graph's outputs in NumPy, with float32 in place of float16 and bfloat16."""
    wide, values = widened(graph, weights)
    return execute(wide, values, inputs)


def widened(graph: Graph, weights: Weights) -> tuple[Graph, Weights]:
    """The graph with float32 in place of float16 and bfloat16, and its weights in its dtypes."""
    sources = [replace(t, dtype=_wide(t.dtype)) for t in graph.sources]
    nodes = [replace(node, dtype=_wide(node.dtype)) for node in graph.nodes]
    dtypes = {t.name: t.dtype for t in sources}
    makers = {name: partial(_fitting, weights, name, dtypes.get(name)) for name in weights}
    return graph.replace(sources, nodes, graph.outputs), Weights(makers, weights.origin)


def _wide(dtype: str) -> str:
    return "float32" if dtype in HALVES else dtype


def _fitting(weights: Weights, name: str, dtype: str | None) -> Array:
    values = weights[name]
    return values if dtype is None else values.astype(dtype, copy=False)


def part(graph: Graph, nodes: Iterable[Node], outputs: Iterable[str]) -> Graph:
    """Some nodes of a graph as a graph of its own, whose inputs are what they read from elsewhere."""
    kept = tuple(nodes)
    made = {node.name for node in kept}
    read = {name: None for node in kept for name in node.inputs if name not in made}
    own = {t.name: t for t in graph.sources}
    sources = [t for t in graph.sources if t.name in read]
    sources += [replace(graph.tensors[name], role=INPUT) for name in read if name not in own]
    return graph.replace(sources, kept, outputs)


def cut(graph: Graph) -> tuple[Segment, ...]:
    """The segments of a network in the order in which they run.

    Raises CompileError where nothing is left for the processor.
    """
    reasons = {node.name: reason for node in graph.nodes if (reason := _reason(graph, node))}
    if not reasons:
        return (Segment(graph),)
    steps = _steps(graph, reasons)
    while alone := _alone(graph, steps, reasons):
        reasons |= dict.fromkeys(alone, ALONE)
        steps = _steps(graph, reasons)
    if all(node.name in reasons for node in graph.nodes):
        node = graph.nodes[0]
        raise CompileError(
            f"network {graph.name} must have a node for the processor to be compiled, not only such as {node.name} "
            f"({node.label}), which {reasons[node.name]}"
        )
    return tuple(_segment(graph, step, reasons) for step in steps)


def _segment(graph: Graph, nodes: list[Node], reasons: Mapping[str, str]) -> Segment:
    names = {node.name for node in nodes}
    read = {name for node in graph.nodes if node.name not in names for name in node.inputs} | set(graph.outputs)
    on_host = nodes[0].name in reasons
    return Segment(
        part(graph, nodes, [name for name in graph.tensors if name in names and name in read]),
        on_host,
        tuple(f"{node.label} {node.name}: {reasons[node.name]}" for node in nodes) if on_host else (),
    )


def _steps(graph: Graph, hosts: Collection[str]) -> list[list[Node]]:
    """The nodes in groups of one side each, as few as there can be: the last is whichever side's gives fewer."""
    return min((_steps_to(graph, hosts, last) for last in (False, True)), key=len)


def _steps_to(graph: Graph, hosts: Collection[str], last: bool) -> list[list[Node]]:
    """Each node runs as late as its readers allow: in as many switches before the end as lie on its longest way."""
    switches: dict[str, int] = {}
    readers: dict[str, list[str]] = defaultdict(list)
    for node in reversed(graph.nodes):
        side = node.name in hosts
        ways = [switches[reader] + (side != (reader in hosts)) for reader in readers[node.name]]
        switches[node.name] = max(ways, default=int(side != last))
        for name in node.inputs:
            readers[name].append(node.name)
    steps: dict[int, list[Node]] = defaultdict(list)
    for node in graph.nodes:
        steps[switches[node.name]].append(node)
    return [steps[number] for number in sorted(steps, reverse=True)]


def _alone(graph: Graph, steps: list[list[Node]], hosts: Collection[str]) -> list[str]:
    """The nodes of the processor's steps that have no contraction, as long as another step of it has one."""
    ours = [step for step in steps if step[0].name not in hosts]
    without = [step for step in ours if not any(_contracts(graph, node) for node in step)]
    return [node.name for step in without for node in step] if len(without) < len(ours) else []


def _contracts(graph: Graph, node: Node) -> bool:
    return any(nest.kind == CONTRACTION for nest in graph.expansion(node).nests)


def _reason(graph: Graph, node: Node) -> str | None:
    """Why a node is the host's, None if the processor can do it."""
    if graph.expansion(node).on_host:
        return "is not affine"
    read = [graph.tensors[name] for name in node.inputs if not graph.tensors[name].is_weight]
    for tensor in (graph.tensors[node.name], *read):
        if tensor.dtype not in FLOATING_BYTES and tensor.dtype != "bool":
            return f"computes with {tensor.dtype}"
    if graph.tensors[node.name].dtype == "bool" and not all(_is_truth(graph, nest) for nest in graph.nests(node)):
        return "makes a truth value of a number"
    return why_not(graph, node)


def _is_truth(graph: Graph, nest: Nest) -> bool:
    """Whether a nest gives 0 or 1 of itself."""
    body = nest.body
    if isinstance(body, Access):
        return graph.tensors[body.tensor].dtype == "bool" and nest.update in ("=", "max=", "min=")
    return isinstance(body, Apply) and body.function in TRUTHS and nest.update == "="
