"""The dtype in which a compiled network's numbers are stored."""

from __future__ import annotations

from dataclasses import replace

from tilework.errors import CompileError
from tilework.machine.machine import Machine
from tilework.network.graph import Graph

STORED = ("float32", "float16", "bfloat16")


def stored_dtype(machine: Machine, asked: str | None) -> str:
    """The dtype asked for; without one float32, or the machine's own where its matrix unit has no float32.

    Raises CompileError for a dtype that the matrix unit doesn't multiply, and for a machine without floating dtypes.
    """
    multiplied = machine.matrix.rates
    usable = [dtype for dtype in STORED if dtype in multiplied]
    if not usable:
        raise CompileError(
            f"the matrix unit of {machine.name} must multiply one of {', '.join(STORED)} to run a compiled network, "
            f"not only {', '.join(multiplied)}; use another machine"
        )
    if asked is not None and asked not in usable:
        raise CompileError(
            f"the dtype for {machine.name} must be one of {', '.join(usable)}, which its matrix unit multiplies, "
            f"not {asked}"
        )
    return asked or ("float32" if "float32" in usable else next(d for d in multiplied if d in usable))


def retyped(graph: Graph, dtype: str) -> Graph:
    """The graph with all its tensors of one dtype."""
    sources = [replace(tensor, dtype=dtype) for tensor in graph.sources]
    nodes = [replace(node, dtype="" if node.inputs else dtype) for node in graph.nodes]
    return graph.replace(sources, nodes, graph.outputs)
