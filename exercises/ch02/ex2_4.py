"""2.4: five activation functions in one picture, and the ranges of their values."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "Five activation functions in one picture, and their ranges"
QUESTION = """
Draw five different activation functions into one coordinate system and compare the ranges of their values.
"""
NOTICE = """
Sigmoid and tanh are bounded on both sides, so a deep stack of them squeezes what passes: their slope is at most
1/4 and 1, and almost 0 for large inputs of either sign. ReLU, PReLU and ELU are not bounded above, and pass
positive values as they are, with slope 1.

Sigmoid and ReLU give no negative value, so the next layer's inputs are never centred; tanh, PReLU and ELU do.
ELU stops at -alpha, PReLU at nothing.

Alpha must be positive for both to make sense: with 0 they are ReLU, with a negative alpha larger inputs may
give smaller values (they are not monotonic), and a value no longer tells its input.
"""

FUNCTIONS = {
    "sigmoid": "1 / (1 + exp(-x))",
    "tanh": "tanh(x)",
    "ReLU": "max(x, 0)",
    "PReLU": "max(x, 0) + alpha * min(x, 0)",
    "ELU": "select(less(0, x), x, alpha * (exp(min(x, 0)) - 1))",
}
ALPHAS = {"PReLU": 0.25, "ELU": 1.0}
OTHERS = (-0.5, 0.0, 0.25, 1.0)  # alphas to compare
NEAR, DRAWN, FAR = 10.0, 4.0, 1e12


def answer() -> dict[str, Any]:
    """For each function points of its curve, its range, its value at the origin and its largest slope."""
    functions = [{"name": name, "expression": FUNCTIONS[name], **_read(name, ALPHAS.get(name))} for name in FUNCTIONS]
    others = [{"name": name, "alpha": alpha, **_read(name, alpha)} for name in ALPHAS for alpha in OTHERS]
    kept = ("name", "alpha", "range", "monotonic")
    return {"functions": functions, "other_alphas": [{key: other[key] for key in kept} for other in others]}


def _read(name: str, alpha: float | None) -> dict[str, Any]:
    """What the values and slopes from -NEAR to NEAR, and those at +-FAR, say about a function."""
    import numpy as np

    graph = _graph(name, alpha, points=4001)
    x = np.linspace(-NEAR, NEAR, 4001)
    found = tw.execute(tw.gradient(graph, wanted=["x"]), {}, {"x": x})
    ends = tw.execute(_graph(name, alpha, points=2), {}, {"x": np.array([-FAR, FAR])})["y"]
    drawn = np.abs(x) <= DRAWN
    return {
        "alpha": alpha,
        "range": [_bound(found["y"], ends, least) for least in (True, False)],
        "at_zero": float(found["y"][2000]),
        "largest_slope": float(found["d:x"].max()),
        "monotonic": bool(np.all(np.diff([ends[0], *found["y"], ends[1]]) >= 0)),
        "curve": [[float(u), float(v)] for u, v in zip(x[drawn][::20], found["y"][drawn][::20], strict=True)],
    }


def _graph(name: str, alpha: float | None, points: int) -> tw.Graph:
    own = f"exercise_2_4_{name}"
    tw.activation(own, FUNCTIONS[name], **({} if alpha is None else {"alpha": ALPHAS[name]}))
    builder = tw.GraphBuilder(name)
    x = builder.input("x", (points,), "float64")
    return builder.graph(builder.node("y", own, x, **({} if alpha is None else {"alpha": alpha})))


def _bound(near: Any, ends: Any, least: bool) -> dict[str, Any]:
    """The least or the largest value; none where it goes on beyond any; `reached` by an input that isn't far away."""
    value = (min(near.min(), ends.min()) if least else max(near.max(), ends.max())) + 0.0  # -0.0 is 0
    bounded = bool(abs(value) < FAR / 100)
    return {"value": float(value) if bounded else None, "reached": bounded and bool((near == value).any())}


def _interval(bounds: list[dict[str, Any]]) -> str:
    low, high = bounds
    left = "(-∞" if low["value"] is None else f"{'[' if low['reached'] else '('}{low['value']:g}"
    right = "∞)" if high["value"] is None else f"{high['value']:g}{']' if high['reached'] else ')'}"
    return f"{left}, {right}"


def _label(entry: dict[str, Any]) -> str:
    return entry["name"] if entry["alpha"] is None else f"{entry['name']}, α = {entry['alpha']:g}"


def text(answer: dict[str, Any]) -> str:
    """A table of the functions, and one of other alphas."""
    rows = [
        (_label(one), one["expression"], _interval(one["range"]), f"{one['at_zero']:g}", f"{one['largest_slope']:g}")
        for one in answer["functions"]
    ]
    others = [
        (one["name"], f"{one['alpha']:g}", _interval(one["range"]), "yes" if one["monotonic"] else "no")
        for one in answer["other_alphas"]
    ]
    return "\n\n".join(
        (
            tw.table(("function", "expression", "range", "at 0", "largest slope"), rows, left=3),
            "With other α:",
            tw.table(("function", "α", "range", "monotonic"), others, left=1),
        )
    )


def draw(answer: dict[str, Any], path: str) -> None:
    """All five in one coordinate system."""
    curves = {f"{_label(one)}: {_interval(one['range'])}": one["curve"] for one in answer["functions"]}
    tw.draw_curves({"": curves}, path, title=TITLE, x="input x", y="activation")
