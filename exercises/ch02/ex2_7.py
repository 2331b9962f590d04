"""2.7: the slope of the odd sigmoid v / sqrt(1 + v^2), and its value at the origin."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "The odd sigmoid v / √(1 + v²): its derivative and its slope at the origin"
QUESTION = """
An odd sigmoid function is φ(v) = v / √(1 + v²), with the limits -1 and 1. Show that its derivative is φ(v)³ /
v³. How large is it at the origin?
"""
NOTICE = """
φ³ / v³ is (1 + v²) to the power -3/2. At the origin the formula of the question is 0 / 0; the derived one
isn't, and gives 1: near 0 the function is its input. The sigmoid of 2.6 has 1/4 there, so four times as much of
a gradient passes through this one, and its values are centred around 0.

It saturates more slowly: its slope falls as v to the power -3, the sigmoid's as exp(-v). And it costs a square
root and a division where the sigmoid costs an exponential and a division.
"""

NAME, EXPRESSION = "exercise_2_7", "v / sqrt(1 + v * v)"


def answer() -> dict[str, Any]:
    """The nest of the gradient, slopes, and how far they are from the question's formula and from differences."""
    import numpy as np

    tw.activation(NAME, EXPRESSION)
    v = np.linspace(-6, 6, 121)
    builder = tw.GraphBuilder("odd")
    graph = builder.graph(builder.node("y", NAME, builder.input("v", v.shape, "float64")))
    slope, differences = tw.check_gradient(graph, {"v": v}, wanted=["v"])["v"]
    y = tw.execute(graph, {}, {"v": v})["y"]
    far = tw.execute(graph, {}, {"v": np.where(v < 0, -1e9, 1e9)})["y"]
    backward = tw.gradient(graph, wanted=["v"])
    other = np.abs(v) > 1e-9
    return {
        "expression": EXPRESSION,
        "gradient": str(backward.nests(backward.nodes[-1])[0]),
        "limits": [float(far[0]), float(far[-1])],
        "at_origin": float(y[60]),
        "slope_at_origin": float(slope[60]),
        "from_formula": float(np.abs(slope - (y / np.where(other, v, 1)) ** 3)[other].max()),
        "from_differences": float(np.abs(slope - differences).max()),
        "operations": tw.count(graph).total.other_operations,
        "points": [list(map(float, row)) for row in zip(v, y, slope, strict=True)],
    }


def text(answer: dict[str, Any]) -> str:
    """What was derived, and what it is."""
    each = len(answer["points"])
    work = ", ".join(f"{number // each} {kind}" for kind, number in answer["operations"].items())
    rows = [
        ("limits", " and ".join(f"{limit:g}" for limit in answer["limits"])),
        ("value at the origin", f"{answer['at_origin']:g}"),
        ("slope at the origin", f"{answer['slope_at_origin']:g}"),
        ("largest distance from φ³ / v³", f"{answer['from_formula']:.0e}, where v isn't 0"),
        ("from central differences", f"{answer['from_differences']:.0e}"),
        ("beside products and sums it costs", f"{work} for each value"),
    ]
    return "\n\n".join(
        (
            f"φ(v) = {answer['expression']}",
            f"Its gradient, as derived:\n{answer['gradient']}",
            tw.table(("over v from -6 to 6, in float64", ""), rows, left=2),
        )
    )


def draw(answer: dict[str, Any], path: str) -> None:
    """The function and its slope."""
    curves = {
        name: [(row[0], row[place]) for row in answer["points"]]
        for place, name in ((1, "φ(v) = v / √(1 + v²)"), (2, "its slope, as derived"))
    }
    tw.draw_curves({"": curves}, path, title=TITLE, x="v", y="value")
