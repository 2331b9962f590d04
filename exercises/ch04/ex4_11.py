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
SEEDS = 5


def answer(seeds: int = SEEDS, epochs: int | None = None, recipes: tuple[str, ...] = RECIPES) -> dict[str, Any]:
    """The test accuracy of each recipe, by seed, and the data."""
    return tw.fit_seeds(recipes, seeds, epochs=epochs)


def text(answer: dict[str, Any]) -> str:
    """A line for each recipe, with the mean over the seeds."""
    return tw.seeds_text(answer)
