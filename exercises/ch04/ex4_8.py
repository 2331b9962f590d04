"""4.8: a learning rate that falls in steps."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import tilework as tw

TITLE = "A learning rate of 0.1 that falls to 0.9 of it every 10,000 steps"
QUESTION = """
Let the learning rate begin at 0.1 and be multiplied by 0.9 after every 10,000 steps of training. Draw it over
the steps.
"""
NOTICE = """
In a staircase the exponent is the whole number of intervals gone by: the rate stays the same for 10,000 steps,
then drops at once. Without the stairs it falls a little at every step, and is equal only where a stair begins;
half an interval later it is 5 % lower.

The rate halves about every 66,000 steps (log 1/2 / log 0.9 = 6.6 intervals). The area under the stairs is the
way that training can go; all of it, for ever, is 0.1 * 10,000 / (1 - 0.9) = 10,000, and the first 70,000 steps
have 52 % of that.
"""

RATE, FACTOR, EVERY, STEPS = 0.1, 0.9, 10_000, 100_000
SHOWN = (0, 1, 9_999, 10_000, 10_001, 20_000, 50_000, 99_999, 100_000)


def answer() -> dict[str, Any]:
    """The rate at steps around the stairs, beside the one without stairs, and the curve of each."""
    rate = tw.schedule("staircase", RATE, STEPS, factor=FACTOR, every=EVERY)
    smooth = [[step, RATE * FACTOR ** (step / EVERY)] for step in range(0, STEPS + 1, 1000)]
    return {
        "rates": [{"step": step, "staircase": rate(step), "smooth": RATE * FACTOR ** (step / EVERY)} for step in SHOWN],
        "staircase": [[step, rate(step)] for step in range(0, STEPS + 1, EVERY)],
        "smooth": smooth,
        "sum": sum(rate(step) for step in range(STEPS)),
    }


def text(answer: dict[str, Any]) -> str:
    """The rates at some steps."""
    rows = [(f"{one['step']:,}", f"{one['staircase']:.6f}", f"{one['smooth']:.6f}") for one in answer["rates"]]
    return "\n\n".join(
        (
            tw.table(("step", "staircase", "without stairs"), rows, left=0),
            f"The rates of all {STEPS:,} steps add up to {answer['sum']:,.0f}.",
        )
    )


def draw(answer: dict[str, Any], path: str) -> None:
    """Both over the steps."""
    stairs = [point for (x, y), (right, _) in pairwise(answer["staircase"]) for point in ((x, y), (right, y))]
    curves = {"staircase": [*stairs, tuple(answer["staircase"][-1])], "without stairs": answer["smooth"]}
    tw.draw_curves({"": curves}, path, title=TITLE, x="step of training", y="learning rate")
