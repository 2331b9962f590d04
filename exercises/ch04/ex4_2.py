"""4.2: the sum of a constant and a placeholder, in graph mode and eagerly."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "A constant and a placeholder, as a graph and at once"
QUESTION = """
Add a constant to a placeholder, a value that is not known when the graph is made, and run the graph for several
values. How is the same said eagerly?
"""
NOTICE = """
A placeholder is an input of the graph: it has a name, a shape and a type, and no value. The graph is made once,
checked once, and every run brings a value for it. One of another shape is refused before anything runs.

Eagerly nothing takes a placeholder's part but the parameter of a function: the sum is made anew for each value,
of whatever shape that comes in. That is the freedom, and why nothing can be planned ahead.
"""
VALUES = ([1.0, 2.0, 3.0], [-2.5, 0.0, 10.0])
ANOTHER_SHAPE = [1.0, 2.0, 3.0, 4.0]


def answer() -> dict[str, Any]:
    """The graph's text, both ways' sums for each value, and what each says to a value of another shape."""
    import numpy as np

    g = tw.GraphBuilder("sum")
    constant = g.node("c", "pointwise", body="2.5", shape=(1,), what="constant")
    graph = g.graph(g.node("y", "add", g.input("x", (3,)), constant))
    engine = tw.Engine(graph, {})

    def at_once(x: Any) -> list[float]:
        total: list[float] = (tw.Variable(np.array(x, np.float32)) + 2.5).value.tolist()
        return total

    try:
        refused = str(engine.run({"x": np.array(ANOTHER_SHAPE, np.float32)}))
    except tw.NetworkError as error:
        refused = str(error)
    return {
        "graph": str(graph),
        "sums": [
            {"x": x, "from_the_graph": engine.run({"x": np.array(x, np.float32)})["y"].tolist(), "at_once": at_once(x)}
            for x in VALUES
        ],
        "another_shape": {"x": ANOTHER_SHAPE, "from_the_graph": refused, "at_once": at_once(ANOTHER_SHAPE)},
    }


def text(answer: dict[str, Any]) -> str:
    """What the graph is, both ways' sums, and a value of another shape."""
    rows = [(str(one["x"]), str(one["from_the_graph"]), str(one["at_once"])) for one in answer["sums"]]
    other = answer["another_shape"]
    return "\n\n".join(
        (
            answer["graph"].rstrip(),
            tw.table(("x", "run", "at once"), rows, left=3),
            f"For {other['x']} the graph says: {other['from_the_graph']}.\nAt once it is {other['at_once']}.",
        )
    )
