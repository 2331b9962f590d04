"""4.10: linear regression, and k-nearest neighbours on digits."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "Linear regression, and k-nearest neighbours on handwritten digits"
QUESTION = """
Write a linear regression and a classifier by the k nearest neighbours, and try the second on MNIST.
"""
NOTICE = """
Both are graphs like a network's: matrix products and a few operations element by element. So their work is
counted, and they could be compiled, as any network.

Linear regression has a solution in closed form, the normal equations, and gradient descent walks to the same
place: its loss is a quadratic, and each step costs two products with the data where the closed form takes one
with its own transpose and a small system.

Nearest neighbours need no training, and pay for it with each question: the squared distances |t - x|² = |t|² -
2 t.x + |x|² to all examples are one matrix product, here 784 products for each pair, where the perceptron of
2.8 takes 39,024 in all. The sort and the vote are the host's. A small odd k is best; a large one lets the
common shapes outvote the rare ones.
"""

SAMPLES, WEIGHTS, BIAS, NOISE = 200, (2.0, -3.0, 0.5), 1.0, 0.1
STEPS, RATE = 400, 0.1
EXAMPLES, QUESTIONS, NEIGHBOURS = 4000, 500, (1, 3, 5, 9, 25)


def answer() -> dict[str, Any]:
    """The line found in both ways; the accuracy for some numbers of neighbours."""
    return {"regression": _regression(), "neighbours": _neighbours()}


def _regression() -> dict[str, Any]:
    """y = w x + b + noise, from samples: by the normal equations, whose sums are nests, and by gradient descent."""
    import numpy as np

    generator = np.random.default_rng(0)
    x = generator.standard_normal((SAMPLES, len(WEIGHTS)))
    y = x @ np.array(WEIGHTS) + BIAS + NOISE * generator.standard_normal(SAMPLES)
    builder = tw.GraphBuilder("normal")
    data = builder.input("x", (SAMPLES, len(WEIGHTS) + 1), "float64"), builder.input("y", (SAMPLES, 1), "float64")
    gram = builder.node("gram", "matmul", data[0], data[0], transpose_x=True)
    graph = builder.graph(gram, builder.node("moments", "matmul", *data, transpose_x=True))
    sums = tw.execute(graph, {}, {"x": np.column_stack([x, np.ones(SAMPLES)]), "y": y[:, None]})
    closed = np.linalg.solve(sums["gram"], sums["moments"])[:, 0]
    walked, losses, step = _descent(x, y)
    return {
        "x": x.tolist(),
        "y": y.tolist(),
        "closed": closed.tolist(),
        "descent": walked.tolist(),
        "losses": [losses[0], losses[-1]],
        "macs": {"normal equations": tw.count(graph).total.macs, "a step of descent": tw.count(step).total.macs},
    }


def _descent(x: Any, y: Any) -> tuple[Any, list[float], tw.Graph]:
    """Weights and bias after STEPS, the losses on the way, and the graph of a step."""
    import numpy as np

    builder = tw.GraphBuilder("line")
    weights = builder.weight("w", (1, x.shape[1]), dtype="float64"), builder.weight("b", (1,), dtype="float64")
    graph = builder.graph(builder.node("z", "linear", builder.input("x", x.shape, "float64"), *weights))
    step = tw.training_step(graph, "mean_squared_error", RATE)
    found, losses = {"w": np.zeros((1, x.shape[1])), "b": np.zeros(1)}, []
    for _ in range(STEPS):
        made = tw.execute(step, found, {"x": x, "targets": y[:, None]})
        found = {name: made[f"new:{name}"] for name in found}
        losses.append(float(made["loss"]))
    return np.append(found["w"], found["b"]), losses, step


def _distances(questions: int, examples: int, pixels: int) -> tw.Graph:
    """The squared distance of each question from each example, but for the question's own square."""
    builder = tw.GraphBuilder("distances")
    t, x = builder.input("t", (questions, pixels)), builder.input("x", (examples, pixels))
    squares = builder.node("squares", "reduce", builder.node("square", "mul", x, x), axes=(1,))
    products = builder.node("products", "matmul", t, x, transpose_y=True)
    return builder.graph(builder.node("distances", "pointwise", products, squares, body="x1 - 2 * x0"))


def _neighbours() -> dict[str, Any]:
    import numpy as np

    data = tw.digits(fetch=False)
    x, t = (part.images.reshape(len(part), -1) for part in (data.train, data.test))
    x, t, labels, truth = x[:EXAMPLES], t[:QUESTIONS], data.train.labels[:EXAMPLES], data.test.labels[:QUESTIONS]
    graph = _distances(len(t), len(x), x.shape[1])
    order = tw.execute(graph, {}, {"t": t, "x": x})["distances"].argsort(1, kind="stable")[:, : max(NEIGHBOURS)]
    votes = np.eye(10, dtype=int)[labels[order]]
    said = {k: votes[:, :k].sum(1).argmax(1) for k in NEIGHBOURS}
    return {
        "data": data.source,
        "examples": len(x),
        "questions": len(t),
        "accuracy": [{"k": k, "accuracy": float((found == truth).mean())} for k, found in said.items()],
        "labels": {str(k): found.tolist() for k, found in said.items()},
        "macs": tw.count(graph).total.macs // len(t),
    }


def text(answer: dict[str, Any]) -> str:
    """Both results."""
    line, near = answer["regression"], answer["neighbours"]
    columns = {"true": [*WEIGHTS, BIAS], "normal equations": line["closed"], "gradient descent": line["descent"]}
    names = [f"w{place}" for place in range(1, len(WEIGHTS) + 1)] + ["b"]
    rows = [(name, *(f"{column[place]:.6f}" for column in columns.values())) for place, name in enumerate(names)]
    macs = ", ".join(f"{name} {number:,}" for name, number in line["macs"].items())
    votes = [(str(one["k"]), f"{one['accuracy']:.1%}") for one in near["accuracy"]]
    return "\n\n".join(
        (
            f"Linear regression from {SAMPLES} samples with noise of {NOISE}; {STEPS} steps of descent, rate {RATE}.",
            tw.table(("", *columns), rows, left=1),
            f"Products: {macs}.",
            f"Nearest neighbours of {near['questions']:,} digits among {near['examples']:,}. Data: {near['data']}.",
            tw.table(("k", "right"), votes, left=0),
            f"{near['macs']:,} products for a digit.",
        )
    )
