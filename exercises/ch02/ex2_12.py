"""2.12: the adder learnt with NumPy alone."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import tilework as tw

TITLE = "The 4-bit adder, learnt without a framework"
QUESTION = """
Write the training of exercise 2.11 without any framework: forward pass, loss, back-propagation and update in plain
array arithmetic. A published attempt in C++ stops near 70 %. What does it take to reach 100 % of the rows held out,
and which choice stops a training at 70 %?
"""
NOTICE = """
Forty lines are enough. Going forward, each layer keeps what it gave; going back, the error of a layer is the next
one's error times the transposed weights times the slope of the activation, which can be told from what was kept.
With a sigmoid and a cross-entropy per bit the slope of the two together is simply output minus target.

Sigmoid units in the hidden layers stop it: their outputs are all positive and their slope is at most a quarter, so
that two layers of them pass back a sixteenth of the error at most. In the same number of epochs they still get about
seven bits in ten right, which is what one gets by knowing little more than how often each bit is 1, and hardly a row.

ReLU learns the training rows by heart, and misses some of the others. Inputs of 0 and 1 instead of -1 and 1 cost a
row now and then. The loss makes no difference here.
"""
BITS, HELD_OUT, SIZES = 4, 154, (9, 64, 64, 5)
EPOCHS, BATCH, RATE, SEEDS = 200, 32, 0.5, 5
BASE = {"hidden": "tanh", "inputs": "-1 and 1", "loss": "cross-entropy"}
VARIANTS = {
    "as in 2.11": BASE,
    "inputs 0 and 1": {**BASE, "inputs": "0 and 1"},
    "squared error": {**BASE, "loss": "squared error"},
    "ReLU": {**BASE, "hidden": "relu"},
    "sigmoid": {**BASE, "hidden": "sigmoid"},
}


def rows(inputs: str) -> tuple[Any, Any]:
    """All 512 rows: a, b and the carry bit by bit, and the bits of their sum."""
    import numpy as np

    numbers = np.arange(2 ** (2 * BITS + 1))
    x = (numbers[:, None] >> np.arange(2 * BITS + 1)) & 1
    sums = (numbers & 15) + (numbers >> BITS & 15) + (numbers >> 2 * BITS)
    y = (sums[:, None] >> np.arange(BITS + 1)) & 1
    return (2.0 * x - 1 if inputs == "-1 and 1" else 1.0 * x), 1.0 * y


class Network:
    """Fully connected layers with their weights drawn by Xavier's rule, and sigmoids at the end."""

    def __init__(self, hidden: str, loss: str, generator: Any) -> None:
        import numpy as np

        self.np, self.hidden, self.loss = np, hidden, loss
        pairs = list(pairwise(SIZES))
        self.weights = [generator.uniform(-1, 1, pair) * np.sqrt(6 / sum(pair)) for pair in pairs]
        self.biases = [np.zeros(given) for _, given in pairs]

    def forward(self, x: Any) -> list[Any]:
        """The input and what each layer gives."""
        np, values = self.np, [x]
        for weight, bias in zip(self.weights, self.biases, strict=True):
            z = values[-1] @ weight + bias
            kind = "sigmoid" if len(values) == len(self.weights) else self.hidden
            values.append(
                np.tanh(z) if kind == "tanh" else np.maximum(z, 0) if kind == "relu" else 1 / (1 + np.exp(-z))
            )
        return values

    def gradients(self, x: Any, y: Any) -> list[tuple[Any, Any]]:
        """Of the mean loss, with respect to each layer's weights and biases."""
        values = self.forward(x)
        out = values[-1]
        error = (out - y) / y.size * (1 if self.loss == "cross-entropy" else 2 * out * (1 - out))
        found = []
        for weight, value in zip(self.weights[::-1], values[-2::-1], strict=True):
            found.append((value.T @ error, error.sum(0)))
            slope = {"tanh": 1 - value**2, "sigmoid": value * (1 - value), "relu": value > 0}[self.hidden]
            error = error @ weight.T * slope
        return found[::-1]

    def step(self, x: Any, y: Any) -> None:
        """Gradient descent on one batch."""
        for weight, bias, (of_weight, of_bias) in zip(self.weights, self.biases, self.gradients(x, y), strict=True):
            weight -= RATE * of_weight
            bias -= RATE * of_bias

    def right(self, x: Any, y: Any) -> tuple[float, float]:
        """The shares of rows and of bits that are right."""
        bits = (self.forward(x)[-1] > 0.5) == (y > 0.5)
        return float(bits.all(1).mean()), float(bits.mean())


def train(hidden: str, inputs: str, loss: str, seed: int) -> dict[str, float]:
    """Shares of training rows, held-out rows and held-out bits that are right after the last epoch."""
    import numpy as np

    generator = np.random.default_rng(seed)
    x, y = rows(inputs)
    order = generator.permutation(len(x))
    held_out, seen = order[:HELD_OUT], order[HELD_OUT:]
    network = Network(hidden, loss, generator)
    for _ in range(EPOCHS):
        shuffled = generator.permutation(seen)
        for start in range(0, len(seen) - BATCH + 1, BATCH):
            batch = shuffled[start : start + BATCH]
            network.step(x[batch], y[batch])
    share, bits = network.right(x[held_out], y[held_out])
    return {"training": network.right(x[seen], y[seen])[0], "held_out": share, "held_out_bits": bits}


def answer() -> dict[str, Any]:
    """The runs of each variant, a seed each."""
    runs = {name: [train(**variant, seed=seed) for seed in range(SEEDS)] for name, variant in VARIANTS.items()}
    return {"layers": list(SIZES), "epochs": EPOCHS, "held_out": HELD_OUT, "runs": runs}


def text(answer: dict[str, Any]) -> str:
    """A line for each variant: means over the seeds."""
    table = []
    for name, runs in answer["runs"].items():
        means = (sum(run[key] for run in runs) / len(runs) for key in ("training", "held_out", "held_out_bits"))
        whole = sum(run["held_out"] == 1 for run in runs)
        table.append((name, *(f"{100 * mean:.1f} %" for mean in means), f"{whole} of {len(runs)}"))
    head = ("", "training rows", "held-out rows", "held-out bits", "all right")
    sizes = "-".join(map(str, answer["layers"]))
    return f"{sizes}, {answer['epochs']} epochs, {answer['held_out']} rows held out\n\n{tw.table(head, table)}"
