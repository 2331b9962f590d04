"""4.1: a constant, in graph mode and eagerly."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "A constant, as a graph and at once"
QUESTION = """
Make a constant in a framework and print its value: once as a graph that has to be run, once so that the value is
there as soon as the line has run.
"""
NOTICE = """
In graph mode the line that makes the constant computes nothing: it adds a node, and printing it shows the
node. The value comes when the graph is run. An engine that sees that no input decides it computes it once, when
it is built, and never again.

Eagerly the line computes, and there is no graph to look at afterwards, but what the gradient needs.
"""
VALUE = 2.5


def answer() -> dict[str, Any]:
    """The graph's text, the value that running it gives, and the eager value."""
    g = tw.GraphBuilder("constant")
    graph = g.graph(g.node("c", "pointwise", body=repr(VALUE), shape=(2, 3), what="constant"))
    eager = tw.eager.pointwise(body=repr(VALUE), shape=(2, 3))
    return {
        "graph": str(graph),
        "from_the_graph": tw.Engine(graph, {}).run({})["c"].tolist(),
        "at_once": eager.value.tolist(),
    }


def text(answer: dict[str, Any]) -> str:
    """What the graph is, and both values."""
    return "\n".join(
        (
            "As a graph:",
            *(f"    {line}" for line in answer["graph"].splitlines()),
            f"run, it gives  {answer['from_the_graph']}",
            f"at once:       {answer['at_once']}",
        )
    )
