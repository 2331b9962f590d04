"""2.8: how a trained perceptron with two hidden layers labels a sample."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import tilework as tw

TITLE = "How a trained perceptron with two hidden layers labels a sample"
QUESTION = """
A multilayer perceptron with two hidden layers has been trained. How does it find the label of a sample that it
has not seen?
"""
NOTICE = """
Only the forward pass is needed: three matrix products with a bias each, an activation after the first two, and
the place of the largest of the last values. The weights stay as training left them.

No softmax is computed, because it keeps the order of its inputs; it would only say how sure the network is,
which the last column shows. Nor are there labels or gradients, so a sample costs half of what it costs in
training (the first layer, by far the largest, needs no gradient of its input there), and nothing has to be
kept.

Each product is a row of a matrix against the values before it. For one sample every weight is used once: the
time is that of reading the weights, which is why samples are labelled in batches.
"""

SIZES, BATCH, EPOCHS, RATE = (784, 48, 24, 10), 50, 5, 0.2
TRAINED, SHADES = 2000, " .:-=+*#%@"


def _network(batch: int) -> tw.Graph:
    builder = tw.GraphBuilder("two_hidden")
    value = builder.input("x", (batch, SIZES[0]))
    for layer, (inputs, outputs) in enumerate(pairwise(SIZES), 1):
        weights = builder.weight(f"w{layer}", (outputs, inputs)), builder.weight(f"b{layer}", (outputs,))
        value = builder.node(f"z{layer}", "linear", value, *weights)
        value = builder.node(f"y{layer}", "relu", value) if layer < 3 else value
    return builder.graph(value)


def _trained(data: Any) -> dict[str, Any]:
    """Weights after a few passes over some digits, in batches, by plain gradient descent."""
    import numpy as np

    step = tw.training_step(_network(BATCH), "cross_entropy", RATE)
    weights = tw.initial_weights(_network(BATCH), "he", seed=0)
    generator = np.random.default_rng(0)
    for _ in range(EPOCHS):
        for places in generator.permutation(TRAINED).reshape(-1, BATCH):
            targets = np.eye(10, dtype=np.float32)[data.labels[places]]
            images = data.images[places].reshape(BATCH, -1)
            found = tw.execute(step, weights, {"x": images, "targets": targets})
            weights = {name: found[f"new:{name}"] for name in weights}
    return weights


def answer() -> dict[str, Any]:
    """A network trained now, and the way of the first test sample through it, layer by layer."""
    import numpy as np

    data = tw.digits(fetch=False)
    weights = _trained(data.train)
    test = data.test.images.reshape(len(data.test), -1)
    scores = tw.execute(_network(len(test)), weights, {"x": test})["z3"]
    values, layers = test[0], []
    for layer in (1, 2, 3):
        sums = weights[f"w{layer}"] @ values + weights[f"b{layer}"]
        values = np.maximum(sums, 0) if layer < 3 else sums
        layers.append(
            {
                "weights": list(weights[f"w{layer}"].shape),
                "macs": weights[f"w{layer}"].size,
                "positive": int((values > 0).sum()),
                "values": values.astype(float).round(4).tolist(),
            }
        )
    shares = np.exp(values - values.max())
    return {
        "data": data.source,
        "trained_on": TRAINED,
        "sample": data.test.images[0, 0].astype(float).round(3).tolist(),
        "layers": layers,
        "softmax": (shares / shares.sum()).astype(float).round(4).tolist(),
        "label": int(values.argmax()),
        "truth": int(data.test.labels[0]),
        "from_graph": float(np.abs(scores[0] - values).max()),
        "accuracy": float((scores.argmax(1) == data.test.labels).mean()),
        "macs": tw.count(_network(1)).total.macs,
        "training_macs": tw.count(tw.training_step(_network(1), "cross_entropy", RATE)).total.macs,
    }


def text(answer: dict[str, Any]) -> str:
    """The sample, the layers, the scores."""
    picture = "\n".join("".join(SHADES[int(ink * 9)] * 2 for ink in row[2:26]) for row in answer["sample"][3:25])
    layers = [
        (
            f"z{place} = W{place} {'x' if place == 1 else f'y{place - 1}'} + b{place}",
            " x ".join(map(str, one["weights"])),
            f"{one['macs']:,}",
            f"y{place} = max(z{place}, 0): {one['positive']} of {one['weights'][0]} positive"
            if place < 3
            else f"label = argmax z3 = {answer['label']}",
        )
        for place, one in enumerate(answer["layers"], 1)
    ]
    scores = zip(answer["layers"][2]["values"], answer["softmax"], strict=True)
    rows = [(str(digit), f"{score:.2f}", f"{share:.1%}") for digit, (score, share) in enumerate(scores)]
    return "\n\n".join(
        (
            f"Data: {answer['data']}; {answer['trained_on']:,} of them trained the network, {EPOCHS} times each.",
            picture,
            tw.table(("layer", "weights", "products", "then"), layers, left=1),
            tw.table(("class", "z3", "softmax"), rows, left=0),
            f"The label is {answer['label']}, and the truth {answer['truth']}. Of all test samples "
            f"{answer['accuracy']:.1%} get the right one.",
            f"{answer['macs']:,} products for a sample; a step of training takes {answer['training_macs']:,}.",
        )
    )
