"""What the processor can't compute: at the two ends of a network the host does it.

A node belongs to the host if it is no affine nest or computes with integers. Those that no contraction comes before run
before the program, with everything that they need; the others run after it, with everything that needs them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.errors import CompileError, NetworkError
from tilework.network.execute import execute
from tilework.network.graph import FLOATING_BYTES, INPUT, Graph, Node
from tilework.network.nest import CONTRACTION, Access, Apply, Nest
from tilework.network.weights import Weights

Array = npt.NDArray[Any]

HALVES = ("float16", "bfloat16")
TRUTHS = ("less", "equal", "and", "or", "not")


@dataclass(frozen=True)
class Cut:
    """A network in three: what the host does before the program, what the processor does, what the host does after it.

    `before` and `after` are None where there is nothing to do. Their inputs are inputs of the network and values of
    the parts before them. `operations` names each node of the host, with the reason.
    """

    device: Graph
    before: Graph | None = None
    after: Graph | None = None
    operations: tuple[str, ...] = ()

    def prepare(self, network: Graph, inputs: Mapping[str, Array], weights: Weights) -> dict[str, Array]:
        """The network's inputs and the values that the program or the host need of them.

        Who knows the program's own inputs may give those in place of the network's, if all outputs are the program's.
        Raises NetworkError for other inputs, and where the host has no rule for a value.
        """
        names = [tensor.name for tensor in self.device.inputs]
        if set(names) == set(inputs) and set(network.outputs) <= set(self.device.outputs):
            return dict(inputs)
        own = [tensor.name for tensor in network.inputs]
        if set(own) != set(inputs):
            raise NetworkError(f"the inputs must be {', '.join(own)}, not {', '.join(inputs) or 'none'}")
        if self.before is None:
            return dict(inputs)
        try:
            return {**inputs, **evaluate(self.before, weights, {t.name: inputs[t.name] for t in self.before.inputs})}
        except NetworkError as error:
            raise NetworkError(f"{error}; give the program's own inputs instead: {', '.join(names)}") from None

    def finish(self, values: Mapping[str, Array], outputs: Iterable[str], weights: Weights) -> dict[str, Array]:
        """The network's outputs by name, from all values so far: inputs, the host's and the program's."""
        late = {}
        if self.after is not None:
            late = evaluate(self.after, weights, {t.name: values[t.name] for t in self.after.inputs})
        return {name: late[name] if name in late else values[name] for name in outputs}


def evaluate(graph: Graph, weights: Weights, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The values of a graph's outputs in NumPy, with float32 in place of float16 and bfloat16."""
    wide = {t.name: "float32" if t.dtype in HALVES else t.dtype for t in graph.sources}
    sources = [replace(t, dtype=wide[t.name]) for t in graph.sources]
    nodes = [replace(n, dtype="float32" if n.dtype in HALVES else n.dtype) for n in graph.nodes]
    makers = {name: partial(_fitting, weights, name, wide.get(name)) for name in weights}
    given = {name: np.asarray(values).astype(wide[name], copy=False) for name, values in inputs.items()}
    return execute(graph.replace(sources, nodes, graph.outputs), Weights(makers, weights.origin), given)


def part(graph: Graph, nodes: Iterable[Node], outputs: Iterable[str]) -> Graph:
    """Some nodes of a graph as a graph of its own, whose inputs are what they read from elsewhere."""
    kept = tuple(nodes)
    made = {node.name for node in kept}
    read = {name: None for node in kept for name in node.inputs if name not in made}
    own = {t.name: t for t in graph.sources}
    sources = [t for t in graph.sources if t.name in read]
    sources += [replace(graph.tensors[name], role=INPUT) for name in read if name not in own]
    return graph.replace(sources, kept, outputs)


def cut(graph: Graph) -> Cut:
    """Cut a network at the borders between the host and the processor.

    Raises CompileError where a node of the host has contractions before and behind it, and where all is the host's.
    """
    reasons = {node.name: reason for node in graph.nodes if (reason := _reason(graph, node))}
    if not reasons:
        return Cut(graph)
    late = _late(graph, reasons)
    early = _early(graph, reasons, late)
    device = [node for node in graph.nodes if node.name not in early and node.name not in late]
    if not device:
        node = next(node for node in graph.nodes if node.name in reasons)
        raise CompileError(
            f"network {graph.name} must have a node for the processor to be compiled, not only such as {node.name} "
            f"({node.label}), which {reasons[node.name]}"
        )
    names = {node.name for node in device}
    behind = {name for node in graph.nodes if node.name in late for name in node.inputs} | set(graph.outputs)
    ahead = behind | {name for node in device for name in node.inputs}
    return Cut(
        part(graph, device, [name for name in graph.tensors if name in behind and name in names]),
        _side(graph, early, [name for name in graph.tensors if name in ahead and name in early]),
        _side(graph, late, [name for name in graph.outputs if name in late]),
        tuple(f"{n.label} {n.name}: {(early | late)[n.name]}" for n in graph.nodes if n.name in early | late),
    )


def _fitting(weights: Weights, name: str, dtype: str | None) -> Array:
    values = weights[name]
    return values if dtype is None else values.astype(dtype, copy=False)


def _side(graph: Graph, names: Mapping[str, str], outputs: list[str]) -> Graph | None:
    return part(graph, [node for node in graph.nodes if node.name in names], outputs) if names else None


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
    return None


def _is_truth(graph: Graph, nest: Nest) -> bool:
    """Whether a nest gives 0 or 1 of itself."""
    body = nest.body
    if isinstance(body, Access):
        return graph.tensors[body.tensor].dtype == "bool" and nest.update in ("=", "max=", "min=")
    return isinstance(body, Apply) and body.function in TRUTHS and nest.update == "="


def _late(graph: Graph, reasons: Mapping[str, str]) -> dict[str, str]:
    """The nodes that the host runs after the program, with the reason."""
    contracted: set[str] = set()
    late: dict[str, str] = {}
    causes: dict[str, str] = {}
    for node in graph.nodes:
        contracts = any(nest.kind == CONTRACTION for nest in graph.expansion(node).nests)
        source = next((name for name in node.inputs if name in late), None)
        if node.name in reasons:
            if not contracted.isdisjoint(node.inputs):
                late[node.name], causes[node.name] = reasons[node.name], node.name
        elif source is not None and contracts:
            cause = causes[source]
            raise CompileError(
                f"node {cause} {reasons[cause]} and so must stand at the beginning or the end of the network, "
                f"not between contractions as here, where {node.name} needs it; compile the network in two parts"
            )
        elif source is not None:
            late[node.name], causes[node.name] = f"reads {source}", causes[source]
        if contracts or not contracted.isdisjoint(node.inputs):
            contracted.add(node.name)
    return late


def _early(graph: Graph, reasons: Mapping[str, str], late: Mapping[str, str]) -> dict[str, str]:
    """The nodes that the host runs before the program, with the reason."""
    early: dict[str, str] = {}
    needed: dict[str, str] = {}
    for node in reversed(graph.nodes):
        if node.name in late:
            continue
        if node.name in reasons or node.name in needed:
            early[node.name] = reasons.get(node.name) or f"is read by {needed[node.name]}"
            needed |= dict.fromkeys(node.inputs, node.name)
    return early
