"""Schedules against torch's, the textbook's staircase by hand, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from tilework.errors import TrainingError
from tilework.train.schedules import SCHEDULES, schedule


def torchs(name: str, steps: int, **settings: Any) -> list[float]:
    torch = pytest.importorskip("torch")
    optimiser = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    found, scheduler = [], getattr(torch.optim.lr_scheduler, name)(optimiser, **settings)
    for _ in range(steps):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return found


def ours(name: str, steps: int, **settings: Any) -> list[float]:
    rate = schedule(name, 0.5, steps, **settings)
    return [rate(step) for step in range(steps)]


def test_cosine_is_torchs() -> None:
    assert ours("cosine", 50) == pytest.approx(torchs("CosineAnnealingLR", 50, T_max=50), abs=1e-9)


def test_staircase_is_torchs_and_the_textbooks() -> None:
    assert ours("staircase", 40, every=7) == pytest.approx(torchs("StepLR", 40, step_size=7, gamma=0.9))
    rate = schedule("staircase", 0.1, 100_000)
    assert [rate(step) for step in (0, 9_999, 10_000, 25_000)] == pytest.approx([0.1, 0.1, 0.09, 0.081])


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 7, 100])
def test_every_rate_lies_between_nought_and_the_largest(name: str, steps: int) -> None:
    rates = ours(name, steps)
    assert all(0 < rate <= 0.5 + 1e-12 for rate in rates)
    assert max(rates) > 0.3


def test_one_cycle_rises_in_a_line_and_falls_along_a_cosine() -> None:
    rates = ours("one_cycle", 100, warm=0.4, first=0.1, last=0.01)
    rising = [0.5 * (0.1 + 0.9 * (step + 1) / 40) for step in range(39)]
    assert rates[:39] == pytest.approx(rising)
    assert rates[39:41] == pytest.approx([0.5, 0.5])
    assert rates[70] == pytest.approx(0.5 * (0.01 + 0.99 / 2))
    assert rates[40:] == sorted(rates[40:], reverse=True)


def test_linear_ends_at_nought() -> None:
    assert ours("linear", 10, warm=0.2) == pytest.approx([0.25, 0.5, *(0.5 * left / 8 for left in range(8, 0, -1))])


MISTAKES = [
    (
        ("square", 0.1, 5),
        {},
        "the schedule must be one of constant, staircase, cosine, one_cycle, linear, not 'square'",
    ),
    (("constant", -1.0, 5), {}, "the learning rate must be a positive number, not -1.0"),
    (("constant", 0.1, 5), {"warm": 1}, "constant can be given nothing, not warm; leave it out"),
]


@pytest.mark.parametrize(("given", "settings", "message"), MISTAKES)
def test_mistakes_are_told(given: Any, settings: Any, message: str) -> None:
    with pytest.raises(TrainingError) as raised:
        schedule(*given, **settings)
    assert str(raised.value) == message
