"""The dtype in which a compiled network's numbers are stored."""

from __future__ import annotations

from dataclasses import replace

from tilework.errors import CompileError
from tilework.machine.machine import Machine
from tilework.network.graph import Graph

INT8 = "int8"
STORED = ("float32", "float16", "bfloat16", INT8)


def stored_dtype(machine: Machine, asked: str | None) -> str:
    """The dtype asked for; without one float32, or the machine's own where its matrix unit has no float32.

    Raises CompileError for a dtype that the matrix unit doesn't multiply, and where int8, which loses accuracy, is all
    that it multiplies and isn't asked for.
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
    floating = [dtype for dtype in multiplied if dtype in usable and dtype != INT8]
    if not asked and not floating:
        raise CompileError(
            f"a network must be quantised for {machine.name}, which multiplies int8 only; "
            "choose the dtype int8 (--dtype int8)"
        )
    return asked or ("float32" if "float32" in usable else floating[0])


def retyped(graph: Graph, dtype: str) -> Graph:
    """The graph with all its tensors of one dtype; for int8, which is chosen tensor by tensor (`quantise`), float32."""
    dtype = "float32" if dtype == INT8 else dtype
    sources = [replace(tensor, dtype=dtype) for tensor in graph.sources]
    nodes = [replace(node, dtype="" if node.inputs else dtype) for node in graph.nodes]
    return graph.replace(sources, nodes, graph.outputs)
