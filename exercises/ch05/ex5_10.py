"""5.10: pruning of a data-flow graph: what is removed and why, as a log."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "Pruning a data-flow graph: what goes, and why"
QUESTION = """
Before a network is compiled its data-flow graph can be made smaller without changing its result. Find what can
go from a graph, remove it, and keep a log: what was removed, why, and what that saves.
"""
NOTICE = """
Five reasons suffice. Nobody reads a value; weights and constants alone decide it, so that it is computed once
and not at every inference; it is its input again, as dropout at inference and a cast to the same type are; an
equal node has computed it before; or it is a batch normalisation, which scales and shifts what a convolution just
scaled, so that the convolution's weights can do both.

The order matters. Dropping what is unread first lets a normalisation be folded that an unread node also read.
Merging comes after the identities: two nodes may be equal only once the copies before them are gone. A last
round drops weights that nobody reads any more.

None of them touches a value: the pruned graph gives the same numbers, up to the rounding of a folded scale.
"""
GRAPH = """graph pruned
input x float32[1,3,16,16]
parameter w float32[8,3,3,3]
parameter gamma float32[8]
parameter beta float32[8]
buffer mean float32[8]
buffer variance float32[8]
parameter scale float32[8,1,1]
probe = conv2d(x, w, padding=[1,1])
same = pointwise(x, body="x0", what="cast")
conv = conv2d(same, w, padding=[1,1])
norm = batch_norm(conv, gamma, beta, mean, variance)
unread = sigmoid(conv)
quiet = dropout(norm)
left = relu(quiet)
right = relu(norm)
both = add(left, right)
doubled = add(scale, scale)
y = mul(both, doubled)
output y
"""


def answer() -> dict[str, Any]:
    """The log of the compiler's first stage, the graph before and after, and how far their results differ."""
    import numpy as np

    graph = tw.parse_graph(GRAPH)
    weights = tw.find_weights(graph, "", seed=0)
    made = tw.compile(graph, "dlp-s", weights).compilation
    assert made is not None
    values = np.random.default_rng(0).standard_normal((1, 3, 16, 16)).astype(np.float32)
    before, after = (tw.execute(g, w, {"x": values})["y"] for g, w in ((graph, weights), (made.graph, made.weights)))
    return {
        "before": GRAPH,
        "after": str(made.graph),
        "log": [
            {
                "what": change.node,
                "action": change.action,
                "why": change.why.lstrip(": "),
                "operations_saved": change.operations,
                "bytes_saved": change.bytes,
            }
            for change in made.changes
        ],
        "nodes_before": len(graph.nodes),
        "nodes_after": len(made.graph.nodes),
        "largest_output": float(np.abs(before).max()),
        "largest_difference": float(np.abs(before - after).max()),
    }


def text(answer: dict[str, Any]) -> str:
    """The graph, the log, what is left."""
    rows = [
        (one["action"], one["what"], one["why"], f"{one['operations_saved']:,}", f"{one['bytes_saved']:,}")
        for one in answer["log"]
    ]
    return "\n\n".join(
        (
            answer["before"].rstrip(),
            tw.table(("", "node", "why", "operations", "bytes"), rows, left=3),
            "Bytes are the node's operands and result, each once, as if it ran by itself.",
            answer["after"].rstrip(),
            f"{answer['nodes_before']} nodes, {answer['nodes_after']} left. The results, up to "
            f"{answer['largest_output']:.3g}, differ by {answer['largest_difference']:.2g} at most.",
        )
    )
