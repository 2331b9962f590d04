"""2.5: ways against over-fitting, measured."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "Three ways against over-fitting, and two more"
QUESTION = """
Name at least three ways against over-fitting, and measure what each is worth for a network that has far more
parameters than its training set has examples.
"""
NOTICE = """
The network has 266,610 parameters and sees 300 digits, all of which it soon gets right. What it gets wrong are
digits that it hasn't seen, so the gap between the two columns is what there is to win.

Not every way pays everywhere. Dropout, which makes each unit useful without the others, and softened targets, which
don't reward certainty, gain half a point each, hardly more than chance. A penalty on the squares of the weights (L2)
keeps them small, but the gap isn't made by large weights here. Bagging trains several networks, each on as many
examples drawn with replacement, and takes the mean of what they say; but each of them sees only 63 % of so few
examples, and what the mean wins is lost by that.

More data beats them all. Shifting every picture at random by up to two pixels says something about digits that the
network can't find in 300 pictures: that a digit stays the same where it stands.

Each gain comes with its standard error over the seeds: what is less than two of these may be chance.
"""
EXAMPLES, EPOCHS, SEEDS, BAGS = 300, 60, 10, 5
RECIPE = {
    "title": "784-300-100-10 on very few digits",
    "batch": 30,
    "epochs": EPOCHS,
    "network": {"layers": [784, 300, 100, 10]},
    "data": {"kind": "digits"},
    "optimiser": {"method": "momentum", "rate": 0.03},
}
WAYS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "L2 penalty": {"optimiser": {**RECIPE["optimiser"], "decay": 1e-2}},  # type: ignore[dict-item]
    "dropout": {"network": {**RECIPE["network"], "dropout": 0.4}},  # type: ignore[dict-item]
    "softened targets": {"smoothing": 0.2},
    "bagging": {},
    "shifted pictures": {"augment": {"shift": 2}},
}


def answer(seeds: int = SEEDS, epochs: int = EPOCHS) -> dict[str, Any]:
    """Training and test accuracy of each way, by seed; the seed draws weights, order and the examples too."""
    digits = tw.digits(fetch=False)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in WAYS}
    for seed in range(seeds):
        train, _ = digits.train.split(1 - EXAMPLES / len(digits.train), seed)
        for name, change in WAYS.items():
            recipe = {**RECIPE, **change, "epochs": epochs}
            run = _bagged if name == "bagging" else _alone
            runs[name].append(run(recipe, train, digits, seed))
    return {"data": digits.source, "examples": len(train), "epochs": epochs, "bags": BAGS, "runs": runs}


def _alone(recipe: dict[str, Any], train: Any, digits: Any, seed: int) -> dict[str, float]:
    trained = tw.fit(recipe, seed=seed, data=tw.Data(train, digits.test, digits.source))
    return {"training": trained.history[-1].train_accuracy, "test": trained.accuracy}


def _bagged(recipe: dict[str, Any], train: Any, digits: Any, seed: int) -> dict[str, float]:
    """The mean of networks that were each trained on a sample drawn with replacement."""
    import numpy as np

    outputs = []
    for bag in range(BAGS):
        drawn = np.random.default_rng((seed, bag)).integers(0, len(train), len(train))
        data = tw.Data(train.take(drawn), digits.test, digits.source)
        trained = tw.fit(recipe, seed=seed * BAGS + bag, data=data)
        outputs.append([trained.outputs(part.images) for part in (train, digits.test)])
    shares = [
        float((sum(outputs[bag][i] for bag in range(BAGS)).argmax(1) == part.labels).mean())
        for i, part in enumerate((train, digits.test))
    ]
    return {"training": shares[0], "test": shares[1]}


def text(answer: dict[str, Any]) -> str:
    """A line for each way: means over the seeds, and the gain over nothing with its standard error."""
    rows = []
    plain = [run["test"] for run in answer["runs"]["nothing"]]
    for name, runs in answer["runs"].items():
        gains = [100 * (run["test"] - base) for run, base in zip(runs, plain, strict=True)]
        training = sum(run["training"] for run in runs) / len(runs)
        test = sum(run["test"] for run in runs) / len(runs)
        gain = f"{_mean(gains):+.1f} ± {_error(gains):.1f}" if name != "nothing" else ""
        rows.append((name, f"{100 * training:.1f} %", f"{100 * test:.1f} %", gain))
    head = ("way", "training", "test", "gain, points")
    sizes = f"{answer['examples']} of them to train with, {answer['epochs']} epochs, {len(plain)} seeds"
    return f"{answer['data']}\n{sizes}\n\n{tw.table(head, rows)}"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _error(values: list[float]) -> float:
    """The standard error of the mean."""
    spread = sum((value - _mean(values)) ** 2 for value in values) / max(1, len(values) - 1)
    return (spread / len(values)) ** 0.5
