"""5.1: a matrix product, in graph mode and eagerly."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "A matrix product, as a graph and at once"
QUESTION = """
Multiply a matrix of 2 x 3 by one of 3 x 2, as a graph and at once. What does a framework know of the product
before it has a value?
"""
NOTICE = """
Before any value is there the graph knows the result's shape, the number of multiplications and additions, and
the loops: the product is one nest, and everything else is read off it. It can be counted, compiled to a program
for a processor, and run there; the values are the same everywhere.

Eagerly the same nest runs as soon as the line is reached, and only the values are left.
"""
LEFT, RIGHT = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [[1.0, 0.0], [0.0, 1.0], [2.0, -1.0]]


def answer() -> dict[str, Any]:
    """What the graph knows, and the product by an engine, on the simulated processor, and eagerly."""
    import numpy as np

    g = tw.GraphBuilder("product")
    graph = g.graph(g.node("y", "matmul", g.input("a", (2, 3)), g.input("b", (3, 2))))
    total = tw.count(graph).total
    a, b = np.array(LEFT, np.float32), np.array(RIGHT, np.float32)
    return {
        "graph": str(graph),
        "nest": str(graph.nests(graph.nodes[0])[0]),
        "shape": list(graph.tensors["y"].shape),
        "multiplications": total.multiplications,
        "additions": total.additions,
        "from_the_graph": tw.Engine(graph, {}).run({"a": a, "b": b})["y"].tolist(),
        "on_the_processor": tw.compile(graph, "dlp-s").run(a, b)["y"].tolist(),
        "at_once": (tw.Variable(a) @ b).value.tolist(),
    }


def text(answer: dict[str, Any]) -> str:
    """The graph and its nest, then the values."""
    return "\n".join(
        (
            answer["graph"],
            f"y is the nest    {answer['nest']}",
            f"its shape is     {answer['shape']}",
            f"it takes         {answer['multiplications']} multiplications, {answer['additions']} additions",
            "",
            f"an engine gives  {answer['from_the_graph']}",
            f"the processor    {answer['on_the_processor']}",
            f"at once          {answer['at_once']}",
        )
    )
