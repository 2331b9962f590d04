"""What a graph must have to be compiled, and what in it may be a mistake."""

from __future__ import annotations

from collections.abc import Iterator

from tilework.errors import CompileError
from tilework.network.graph import Graph


def check_whole(graph: Graph) -> None:
    """Raises CompileError for a graph without nodes, and for one that gives a weight back."""
    if not graph.nodes:
        raise CompileError(f"network {graph.name} must have a node to be compiled, not none; add one")
    for name in graph.outputs:
        if graph.tensors[name].is_weight:
            raise CompileError(
                f"output {name} must be a node's value or an input to be compiled, not a weight; leave it out"
            )


def oddities(graph: Graph) -> Iterator[str]:
    """A sentence for each input that nothing reads or that is an output, and for each node whose value goes nowhere."""
    read = {name for node in graph.nodes for name in node.inputs}
    for tensor in graph.inputs:
        if tensor.name in graph.outputs:
            yield f"the output {tensor.name} is an input, which comes back as it is"
        elif tensor.name not in read:
            yield f"the input {tensor.name} is read by no node; it must be given all the same"
    for node in graph.nodes:
        if node.name not in read and node.name not in graph.outputs:
            yield f"what {node.name} ({node.label}) makes is neither read nor an output, and isn't computed"
