"""2.9: momentum between 0 and 1, and between -1 and 0."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "Momentum in [0, 1] and in [-1, 0]: the paths of a search"
QUESTION = """
With momentum a step is v = m v - rate * gradient, w = w + v. The constant m is usually taken from [0, 1]. What
changes with m, and what happens if it lies in [-1, 0]?
"""
NOTICE = """
Where the gradient keeps its direction the steps add up to rate / (1 - m): with m = 0.9 ten times as far, with m
= -0.9 hardly more than half as far. Where it changes sign at every step, as across a narrow valley, a positive
m averages that away and a negative one swings along with it.

On a quadratic with the curvature c the error shrinks by the larger root of z² - (1 + m - rate c) z + m per
step, and the slowest direction decides. The table holds the steps that were taken against those that the root
predicts. The best of these momenta is positive; too much of it overshoots and winds around the minimum.

A negative m is worse twice: flat directions take longer, and steep ones become unstable sooner, since a search
is stable for rate * c < 2 (1 + m) alone. The real loss, a neuron that tells 1s from other digits by their ink,
is no quadratic, and shows the same.
"""

MOMENTA = {"momentum in [0, 1]": (0.0, 0.5, 0.9), "momentum in [-1, 0]": (0.0, -0.5, -0.9)}
CURVATURES, START, QUADRATIC_RATE, MOST = (1.0, 12.0), (-4.0, 1.6), 0.01, 3000
FALL = 1e-6  # the share of its first value at which a quadratic counts as minimised
LOSS_START, LOSS_RATE, LOSS_STEPS = (0.0, 0.0), 2.0, 150
DRAWN, PLACES = {"quadratic": 120, "real": 40}, 61


def _quadratic() -> tw.Graph:
    builder = tw.GraphBuilder("quadratic")
    w = builder.weight("w", (2,), dtype="float64")
    half = f"0.5 * {CURVATURES[0]}", f"0.5 * {CURVATURES[1]}"
    body = f": o[] = {half[0]} * x0[0] * x0[0] + {half[1]} * x0[1] * x0[1]"
    return tw.gradient(builder.graph(builder.node("loss", "nests", w, body=body, shape=())))


def _neuron(inks: Any, targets: Any) -> tw.Graph:
    """The binary cross-entropy of a neuron w0 ink + w1 over all digits."""
    builder = tw.GraphBuilder("neuron")
    ink = builder.input("ink", (len(inks), 2), "float64")
    w = builder.weight("w", (1, 2), dtype="float64")
    return tw.gradient(builder.graph(builder.node("z", "linear", ink, w)), "binary_cross_entropy")


def _search(graph: tw.Graph, given: Any, start: Any, rate: float, momentum: float, steps: int, enough: float) -> Any:
    """The places of a search and the loss at each, until it is small enough."""
    import numpy as np

    w = np.array(start).reshape(graph.tensors["w"].shape)
    speed, path, losses = np.zeros_like(w), [], []
    for _ in range(steps + 1):
        loss, slope = tw.execute(graph, {"w": w}, given).values()
        path.append([float(value) for value in w.flat])
        losses.append(float(loss))
        if loss < enough:
            break
        speed = momentum * speed - rate * slope
        w = w + speed
    return path, losses


def answer() -> dict[str, Any]:
    """For each momentum and loss the path, and how many steps it took or how far it got."""
    data = _digits()
    return {
        "quadratic": [_on_quadratic(m) for m in sorted({m for ms in MOMENTA.values() for m in ms})],
        "data": data["source"],
        "inks": data["inks"],
        "targets": data["targets"],
        "real": [_on_digits(data, m) for m in sorted({m for ms in MOMENTA.values() for m in ms})],
    }


def _digits() -> dict[str, Any]:
    """Of 400 digits the ink, moved and scaled to mean 0 and variance 1, and whether each is a 1."""
    found = tw.digits(fetch=False)
    images, labels = found.train.images[:400], found.train.labels[:400]
    ink = images.reshape(len(images), -1).mean(1, dtype="float64")
    ink = (ink - ink.mean()) / ink.std()
    return {"source": found.source, "inks": ink.tolist(), "targets": (labels == 1).astype(float).tolist()}


def _on_quadratic(momentum: float) -> dict[str, Any]:
    import numpy as np

    first = sum(c * w * w / 2 for c, w in zip(CURVATURES, START, strict=True))
    path, losses = _search(_quadratic(), {}, START, QUADRATIC_RATE, momentum, MOST, FALL * first)
    roots = [np.roots([1, -(1 + momentum - QUADRATIC_RATE * c), momentum]) for c in CURVATURES]
    slowest = float(max(np.abs(pair).max() for pair in roots))
    return {
        "momentum": momentum,
        "steps": len(losses) - 1,
        "per_step": slowest,
        "predicted": float(np.log(FALL) / 2 / np.log(slowest)),
        "largest_stable_rate": 2 * (1 + momentum) / max(CURVATURES),
        "path": path[: DRAWN["quadratic"]],
    }


def _on_digits(data: dict[str, Any], momentum: float) -> dict[str, Any]:
    import numpy as np

    ink = np.stack([data["inks"], np.ones(len(data["inks"]))], 1)
    given = {"ink": ink, "targets": np.array(data["targets"])[:, None]}
    path, losses = _search(_neuron(ink, ink), given, LOSS_START, LOSS_RATE, momentum, LOSS_STEPS, 0.0)
    return {"momentum": momentum, "losses": losses, "path": path[: DRAWN["real"]]}


def text(answer: dict[str, Any]) -> str:
    """Steps on the quadratic, losses on the digits."""
    rows = [
        (
            *(f"{one['momentum']:g}", f"{one['steps']:,}", f"{one['predicted']:,.0f}", f"{one['per_step']:.4f}"),
            *(f"{1 / (1 - one['momentum']):.2f}", f"{one['largest_stable_rate']:.3f}"),
        )
        for one in answer["quadratic"]
    ]
    shown = (0, 1, 5, 20, LOSS_STEPS)
    real = [(f"{one['momentum']:g}", *(f"{one['losses'][step]:.4f}" for step in shown)) for one in answer["real"]]
    heads = ("momentum", "steps", "predicted", "error per step", "steps add up to", "stable below rate")
    return "\n\n".join(
        (
            f"Quadratic with curvatures {CURVATURES[0]:g} and {CURVATURES[1]:g}, rate {QUADRATIC_RATE}: steps until a "
            f"millionth is left.",
            tw.table(heads, rows, left=0),
            f"A neuron that tells 1s by their ink, rate {LOSS_RATE:g}: its loss after some steps. Data: "
            f"{answer['data']}, 400 of them.",
            tw.table(("momentum", *(f"step {step}" for step in shown)), real, left=0),
        )
    )


def draw(answer: dict[str, Any], path: str) -> None:
    """The paths over both losses, positive and negative momentum apart."""
    import numpy as np

    xs, ys = np.linspace(-4.6, 3.2, PLACES), np.linspace(-2.2, 2.2, PLACES)
    u, v = np.meshgrid(xs, ys)
    quadratic = xs, ys, (CURVATURES[0] * u * u + CURVATURES[1] * v * v) / 2
    ends = np.array([place for one in answer["real"] for place in one["path"]])
    low, high = ends.min(0) - 0.4, ends.max(0) + 0.4
    xs, ys = np.linspace(low[0], high[0], PLACES), np.linspace(low[1], high[1], PLACES)
    z = xs[None, :, None] * np.array(answer["inks"]) + ys[:, None, None]
    losses = (np.logaddexp(0, z) - z * np.array(answer["targets"])).mean(2)
    least = min(min(one["losses"]) for one in answer["real"])
    real = xs, ys, np.maximum(losses - least, 1e-9)
    panels = {}
    for surface, name, key in ((quadratic, "quadratic", "quadratic"), (real, "digits", "real")):
        for heading, momenta in MOMENTA.items():
            kept = {f"m = {one['momentum']:g}": one["path"] for one in answer[key] if one["momentum"] in momenta}
            order = sorted(kept, key=lambda label: abs(float(label[4:])))
            panels[f"{name}, first {DRAWN[key]} steps, {heading}"] = surface, {label: kept[label] for label in order}
    tw.draw_paths(panels, path, title=TITLE, x="first weight", y="second weight")
