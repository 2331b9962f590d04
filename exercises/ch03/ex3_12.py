"""3.12: the faster training of exercise 3.11 on natural images."""

from __future__ import annotations

import os
from typing import Any

import tilework as tw

TITLE = "The faster training on natural images, and what it costs in accuracy"
QUESTION = """
Take what made training faster in exercise 3.11 to natural images that lie in folders as ImageNet's do. Is it faster
there too, and is the accuracy on the test images still the same?
"""
NOTICE = """
The accuracies of two methods never agree to the last image. What can be asked is whether their difference, seed by
seed, could be chance: whether its interval holds 0. Here it lies above 0: the faster training ends at least as well.

A rate that doesn't fall makes the validation accuracy jump by several points from one look to the next, and a run is
over with the first that reaches the target, which suits the slower method. One cycle is quiet at its end.

The pictures are small and so is the network, so that ten seeds of each take minutes. Training on the hardest examples
is left out: it pays where most examples are right already, and here nearly half of them never are.

For `tilework exercise 3.12 --full` the environment variable TILEWORK_IMAGES names the folder or tar file.
"""
FOLDER = "TILEWORK_IMAGES"


def answer(study: str = "images", data: str | None = None) -> dict[str, Any]:
    """What `tilework speedup images` finds: seconds, epochs and speed-up of each method, with intervals."""
    return tw.speedup(study, data or os.environ.get(FOLDER)).to_dict()


def text(answer: dict[str, Any]) -> str:
    """The table, and speed and accuracy of the best method beside the tuned baseline."""
    best = next(method for method in answer["methods"] if method["name"] == answer["best"])
    low, high = best["interval"]
    away = {key: 100 * value for key, value in best["test_difference"].items()}
    return (
        f"{tw.comparison_text(answer)}\n\n{best['name']}: {best['speedup']:.2f} times as fast as the tuned baseline "
        f"(95 %: {low:.2f} to {high:.2f}); test accuracy {away['value']:+.2f} points ({away['low']:+.2f} to "
        f"{away['high']:+.2f})."
    )


def draw(answer: dict[str, Any], path: str) -> None:
    """The runs: wrong answers on the validation images over seconds."""
    tw.draw_races(answer, path)
