"""4.11: LeNet-5 on MNIST."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "LeNet-5 on MNIST"
QUESTION = """
Train LeNet-5 on MNIST, with all 60,000 images and with 4,000. What does it gain over the multilayer perceptron of
exercise 3.10, and at what cost?
"""
NOTICE = """
LeNet-5 has 61,706 parameters, less than a quarter of the perceptron's, and makes about a third fewer mistakes. Its
convolutions look for the same stroke everywhere, which the perceptron must learn anew for each place.

What it saves in parameters it pays in work: 416,520 multiplications an image, against 266,200.

With 4,000 images the pictures are turned, scaled, sheared and warped at random, so that hardly one is seen twice.
"""
RECIPES = ("lenet5", "lenet5-4000")
SEEDS = 1


def answer(seeds: int = SEEDS, epochs: int | None = None, recipes: tuple[str, ...] = RECIPES) -> dict[str, Any]:
    """The test accuracy of each recipe, by seed, and the data."""
    runs = []
    for recipe in recipes:
        for seed in range(seeds):
            trained = tw.fit(recipe, seed=seed, epochs=epochs)
            runs.append(
                {
                    "recipe": recipe,
                    "data": trained.source,
                    "seed": seed,
                    "epochs": trained.epochs,
                    "accuracy": trained.accuracy,
                }
            )
    return {"runs": runs}


def text(answer: dict[str, Any]) -> str:
    """A line for each run, and the means."""
    rows = [
        (run["recipe"], str(run["seed"]), str(run["epochs"]), f"{100 * run['accuracy']:.2f} %")
        for run in answer["runs"]
    ]
    means = {run["recipe"]: run["data"] for run in answer["runs"]}
    lines = []
    for recipe, data in means.items():
        shares = [run["accuracy"] for run in answer["runs"] if run["recipe"] == recipe]
        seeds = f"{len(shares)} seed{'s' * (len(shares) > 1)}"
        lines.append(f"{recipe}: {100 * sum(shares) / len(shares):.2f} % over {seeds}; {data}")
    return "\n".join((tw.table(("recipe", "seed", "epochs", "test accuracy"), rows), "", *lines))
