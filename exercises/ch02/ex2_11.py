"""2.11: a multilayer perceptron learns to add."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "A multilayer perceptron learns the 4-bit adder"
QUESTION = """
Train a multilayer perceptron to add: its inputs are the bits of two 4-bit numbers and a carry, its outputs the
four bits of the sum and the carry out. Of the 512 rows it sees 358; the other 154 are held out. How many of the
held-out rows does it get right, all five bits of them, and is that so for every initial weight and every split?
"""
NOTICE = """
The network doesn't store rows, it finds the rule: a bit of the sum depends on the bits below it by way of the
carry, and the rows that it sees show every such case many times.

The activation decides. With tanh, inputs of -1 and 1 and weights drawn by Xavier's rule the layers begin in the
middle of their range, and every split succeeds. With ReLU and nothing else changed, half of the units pass
nothing of a row, and a few rows stay wrong: the training rows are learnt by heart, the rule isn't found.
"""
SEEDS = 20
ACTIVATIONS = ("tanh", "relu")


def answer(seeds: int = SEEDS, epochs: int | None = None) -> dict[str, Any]:
    """For each activation the accuracy on training rows and on rows held out, by seed."""
    recipe = tw.load_recipe("adder").to_dict()
    trained = {
        activation: [
            tw.fit({**recipe, "network": {**recipe["network"], "activation": activation}}, seed=seed, epochs=epochs)
            for seed in range(seeds)
        ]
        for activation in ACTIVATIONS
    }
    first = trained["tanh"][0]
    return {
        "data": first.source,
        "layers": list(recipe["network"]["layers"]),
        "epochs": first.epochs,
        "runs": {activation: [_run(result) for result in results] for activation, results in trained.items()},
    }


def _run(trained: Any) -> dict[str, float]:
    return {"training": trained.history[-1].train_accuracy, "held_out": trained.accuracy}


def text(answer: dict[str, Any]) -> str:
    """A line for each activation, over the seeds."""
    rows = []
    for activation, runs in answer["runs"].items():
        shares = sorted(run["held_out"] for run in runs)
        training = sum(run["training"] for run in runs) / len(runs)
        whole = sum(share == 1 for share in shares)
        middle = shares[len(shares) // 2]
        cells = (f"{100 * share:.1f} %" for share in (training, shares[0], middle, shares[-1]))
        rows.append((activation, *cells, f"{whole} of {len(runs)}"))
    head = ("activation", "training rows", "held out: worst", "median", "best", "splits all right")
    sizes = "-".join(map(str, answer["layers"]))
    return f"{sizes}, {answer['epochs']} epochs; {answer['data']}\n\n{tw.table(head, rows)}"
