"""2.6: the slope of the sigmoid, and its value at the origin."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "The sigmoid's derivative, and its slope at the origin"
QUESTION = """
The sigmoid is φ(v) = 1 / (1 + exp(-a v)), with a slope parameter a > 0. Its limits are 0 and 1. Show that its
derivative is a φ(v) (1 - φ(v)). How large is it at the origin?
"""
NOTICE = """
Nobody stated the derivative: only the expression was registered, and the system derived the nest above. It
found the identity too, because 1 / (1 + exp(e)) has a rule of its own, by which the backward pass needs the
output alone: no second exponential, and no overflow where exp(-a v) is too large for a number.

At the origin φ is 1/2, so that the slope is a/4. That is its maximum: each sigmoid on the way back shrinks the
gradient to a quarter of a or less, which is why deep networks of sigmoids learn slowly.
"""

NAME, EXPRESSION, SLOPES = "exercise_2_6", "1 / (1 + exp(-a * v))", (0.5, 1.0, 2.0)


def answer() -> dict[str, Any]:
    """For each a: the nest of the gradient, slopes, and how far they are from the identity and from differences."""
    tw.activation(NAME, EXPRESSION, a=1.0)
    return {"expression": EXPRESSION, "sigmoids": [_read(a) for a in SLOPES]}


def _read(a: float) -> dict[str, Any]:
    import numpy as np

    v = np.linspace(-6, 6, 121)
    builder = tw.GraphBuilder("sigmoid")
    graph = builder.graph(builder.node("y", NAME, builder.input("v", v.shape, "float64"), a=a))
    slope, differences = tw.check_gradient(graph, {"v": v}, wanted=["v"])["v"]
    y = tw.execute(graph, {}, {"v": v})["y"]
    far = tw.execute(graph, {}, {"v": np.where(v < 0, -1e4, 1e4)})["y"]
    backward = tw.gradient(graph, wanted=["v"])
    return {
        "a": a,
        "gradient": str(backward.nests(backward.nodes[-1])[0]),
        "limits": [float(far[0]), float(far[-1])],
        "at_origin": float(y[60]),
        "slope_at_origin": float(slope[60]),
        "from_identity": float(np.abs(slope - a * y * (1 - y)).max()),
        "from_differences": float(np.abs(slope - differences).max()),
        "points": [list(map(float, row)) for row in zip(v, y, slope, strict=True)],
    }


def text(answer: dict[str, Any]) -> str:
    """A line for each a."""
    rows = [
        (
            f"{one['a']:g}",
            " and ".join(f"{limit:g}" for limit in one["limits"]),
            f"{one['at_origin']:g}",
            f"{one['slope_at_origin']:g}",
            f"{one['from_identity']:.0e}",
            f"{one['from_differences']:.0e}",
        )
        for one in answer["sigmoids"]
    ]
    heads = ("a", "limits", "φ(0)", "slope at 0", "from a φ (1 - φ)", "from differences")
    return "\n\n".join(
        (
            f"φ(v) = {answer['expression']}",
            f"Its gradient, as derived, for a = {SLOPES[-1]:g}:\n{answer['sigmoids'][-1]['gradient']}",
            tw.table(heads, rows, left=0),
            "The last two columns are largest distances over v from -6 to 6, in float64.",
        )
    )


def draw(answer: dict[str, Any], path: str) -> None:
    """The functions and their slopes."""
    panels = {
        heading: {f"a = {one['a']:g}": [(row[0], row[place]) for row in one["points"]] for one in answer["sigmoids"]}
        for place, heading in ((1, "φ(v)"), (2, "slope of φ, as derived"))
    }
    tw.draw_curves(panels, path, title=TITLE, x="v", y="value")
