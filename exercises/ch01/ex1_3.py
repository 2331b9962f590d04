"""1.3: what a perceptron of two inputs can learn: AND and OR, and not XOR; two layers can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tilework as tw

TITLE = "A perceptron learns AND and OR, not XOR; two layers do"
QUESTION = """
A perceptron of two inputs says 1 where w1 x1 + w2 x2 + b > 0. Can it learn the logical functions AND, OR and
XOR? Can a perceptron of two layers?
"""
NOTICE = """
The perceptron's line must have the 1s on one side and the 0s on the other. For XOR there is none: (0,1) and
(1,0) want w2 + b > 0 and w1 + b > 0, so w1 + w2 + 2 b > 0, but (0,0) and (1,1) want b <= 0 and w1 + w2 + b <=
0, whose sum says the opposite. A line gets three of the four right at most, and the rule, which never comes to
rest, goes round in a cycle.

Its rule, w += (t - y) x, is a gradient too: that of the sum of (y - t)(w x + b), in which the step from the
weighted sum to y passes none. That is how it is computed here.

Neurons of a hidden layer draw lines of their own, and the output's line lies in the plane of their values,
where the four points can be parted. For that the step must give way to a function with a slope.
"""

POINTS = ((0, 0), (0, 1), (1, 0), (1, 1))
TARGETS = {"AND": (0, 0, 0, 1), "OR": (0, 1, 1, 1), "XOR": (0, 1, 1, 0)}
EPOCHS, RATE = 100, 0.5
HIDDEN, STEPS, HIDDEN_RATE, LOSS, SEEDS = 3, 1000, 0.5, 0.1, 10
GRID = [-0.5 + place / 32 for place in range(65)]


def answer() -> dict[str, Any]:
    """What one neuron finds for each function, and two layers for XOR over several seeds."""
    return {
        "one_layer": {name: _one_layer(targets) for name, targets in TARGETS.items()},
        "two_layers": [_two_layers(seed) for seed in range(SEEDS)],
    }


def _one_layer(targets: tuple[int, ...]) -> dict[str, Any]:
    """The perceptron's rule, point after point from small random weights, until all four are right."""
    import numpy as np

    says, rule = _neuron(4), _rule()
    x, t = np.array(POINTS, np.float32), np.array(targets, np.float32)[:, None]
    start = np.random.default_rng(0).uniform(-0.5, 0.5, 3).astype(np.float32)
    found = {"w": start[None, :2], "b": start[2:]}
    mistakes = []
    for place in range(EPOCHS * len(POINTS)):
        mistakes.append(int((tw.execute(says, found, {"x": x})["says"] != t).sum()))
        if not mistakes[-1]:
            break
        point = slice(place % 4, place % 4 + 1)
        slopes = tw.execute(rule, found, {"x": x[point], "t": t[point]})
        found = {name: value - np.float32(RATE) * slopes[f"d:{name}"] for name, value in found.items()}
    weights = [*map(float, found["w"][0]), float(found["b"][0])]
    return {"weights": weights, "mistakes": mistakes, "learnt": mistakes[-1] == 0}


def _neuron(points: int) -> tw.Graph:
    builder = tw.GraphBuilder("perceptron")
    weights = builder.weight("w", (1, 2)), builder.weight("b", (1,))
    total = builder.node("sum", "linear", builder.input("x", (points, 2)), *weights)
    return builder.graph(builder.node("says", "pointwise", total, body="less(0, x0)"))


def _rule() -> tw.Graph:
    """The gradient of (y - t)(w x + b) for one point."""
    builder = tw.GraphBuilder("rule")
    neuron = _neuron(1)
    builder.sources, builder.nodes = [*neuron.sources], [*neuron.nodes]
    wrong = builder.node("wrong", "sub", "says", builder.input("t", (1, 1)))
    return tw.gradient(builder.graph(builder.node("criterion", "mul", wrong, "sum")))


def _hidden(points: int) -> tw.Graph:
    builder = tw.GraphBuilder("two_layers")
    weights = [builder.weight(f"{name}1", shape) for name, shape in (("w", (HIDDEN, 2)), ("b", (HIDDEN,)))]
    hidden = builder.node("h", "tanh", builder.node("v", "linear", builder.input("x", (points, 2)), *weights))
    weights = [builder.weight(f"{name}2", shape) for name, shape in (("w", (1, HIDDEN)), ("b", (1,)))]
    return builder.graph(builder.node("z", "linear", hidden, *weights))


def _two_layers(seed: int) -> dict[str, Any]:
    """Gradient descent on the binary cross-entropy until its mean is small, which only happens with all four right."""
    import numpy as np

    graph = _hidden(4)
    step = tw.training_step(graph, "binary_cross_entropy", HIDDEN_RATE)
    given = {"x": np.array(POINTS, np.float32), "targets": np.array(TARGETS["XOR"], np.float32)[:, None]}
    weights = tw.initial_weights(graph, "xavier", seed)
    steps = 0
    while steps < STEPS and (found := tw.execute(step, weights, given))["loss"] > LOSS:
        weights = {name: found[f"new:{name}"] for name in weights}
        steps += 1
    right = (tw.execute(graph, weights, {"x": given["x"]})["z"] > 0) == given["targets"]
    kept = {name: value.tolist() for name, value in weights.items()}
    return {"seed": seed, "steps": steps, "right": int(right.sum()), "weights": kept}


def text(answer: dict[str, Any]) -> str:
    """Lines found, or not."""
    rows = []
    for name, one in answer["one_layer"].items():
        w1, w2, b = one["weights"]
        least = min(one["mistakes"])
        steps = len(one["mistakes"]) - 1
        after = f"after {steps} steps" if one["learnt"] else f"not in {steps}, {least} wrong at best"
        rows.append((name, "yes" if one["learnt"] else "no", after, f"{w1:.2f} x1 {w2:+.2f} x2 {b:+.2f} > 0"))
    right = [one for one in answer["two_layers"] if one["right"] == 4]
    steps = sorted(one["steps"] for one in right)
    return "\n\n".join(
        (
            tw.table(("function", "learnt", "", "the neuron's line in the end"), rows, left=4),
            f"XOR with {HIDDEN} hidden neurons (tanh) and one output: learnt from {len(right)} of "
            f"{len(answer['two_layers'])} starts, in {steps[0]} to {steps[-1]} steps.",
        )
    )


def draw(answer: dict[str, Any], path: str) -> None:
    """The four points of each function and where the line lies."""
    panels = {}
    for name, one in answer["one_layer"].items():
        w1, w2, b = one["weights"]
        panels[f"{name}, one neuron"] = _panel(name, lambda x, y, w=(w1, w2, b): w[0] * x + w[1] * y + w[2])
    best = next((one for one in answer["two_layers"] if one["right"] == 4), answer["two_layers"][0])
    panels["XOR, two layers"] = (_points("XOR"), (GRID, GRID, _heights(best["weights"])))
    tw.draw_separation(panels, path, title=TITLE, classes=("0", "1"), x="x1", y="x2")


def _points(name: str) -> list[tuple[float, float, bool]]:
    return [(x, y, bool(target)) for (x, y), target in zip(POINTS, TARGETS[name], strict=True)]


def _panel(name: str, height: Callable[[float, float], float]) -> Any:
    return _points(name), (GRID, GRID, [[height(x, y) for x in GRID] for y in GRID])


def _heights(weights: dict[str, Any]) -> Any:
    import numpy as np

    x = np.array([(u, v) for v in GRID for u in GRID], np.float32)
    arrays = {name: np.array(value, np.float32) for name, value in weights.items()}
    return tw.execute(_hidden(len(x)), arrays, {"x": x})["z"].reshape(len(GRID), len(GRID)).tolist()
