"""3.11: training that is faster than plain back-propagation."""

from __future__ import annotations

from typing import Any

import tilework as tw

TITLE = "Faster than standard back-propagation, at equal accuracy"
QUESTION = """
Train a multilayer perceptron on MNIST faster than standard back-propagation does, to the same accuracy. How many times
faster is it, and how sure is that?
"""
NOTICE = """
Every method starts from the same weights, sees the same images in the same order, seed by seed, and had the same number
of trials to find its learning rate, batch and length, with seeds of its own. Only then is a ratio one of methods, and
not of rates: plain gradient descent at a textbook's rate of 0.01 doesn't get there in 12 epochs, and at its best rate
needs less than half of the time.

Two things pay. A learning rate that rises and then falls to nothing (one cycle) ends where a constant one only wanders
around. And after one epoch most images are right with next to no loss, so that their gradients move nothing: going on
with the hardest ones alone spends the steps where there is something to learn.

Both are set to a length before they start, and a short one sometimes ends just below the target. Such a run has to be
done again, and counts so. Momentum alone is no faster than a rate that was tuned without it, and Adam takes longer.
"""


def answer(study: str = "mnist") -> dict[str, Any]:
    """What `tilework speedup` finds: seconds, epochs and speed-up of each method, with intervals."""
    return tw.speedup(study).to_dict()


def text(answer: dict[str, Any]) -> str:
    """The table, and the two figures that matter: against the tuned baseline, and against an untuned one."""
    methods = {method["name"]: method for method in answer["methods"]}
    best, untuned = methods[answer["best"]], methods.get("SGD, a textbook's rate")
    low, high = best["interval"]
    lines = [
        tw.comparison_text(answer),
        "",
        f"{best['name']}: {best['speedup']:.2f} times as fast as the tuned baseline (95 %: {low:.2f} to {high:.2f}), "
        f"test accuracy {100 * best['test_difference']['value']:+.2f} points.",
    ]
    if untuned is not None:
        ratio = best["speedup"] / untuned["speedup"]
        lines.append(f"Against a rate of 0.01, which nobody tuned, it is {ratio:.1f} times or more.")
    return "\n".join(lines)


def draw(answer: dict[str, Any], path: str) -> None:
    """The runs: wrong answers on the validation images over seconds."""
    tw.draw_races(answer, path)
