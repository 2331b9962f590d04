"""Learning rates that change with the step: each schedule is a factor between 0 and 1 of the largest rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import cos, isfinite, pi
from typing import Any

from tilework.errors import TrainingError

Factor = Callable[..., float]  # (step from 0, number of all steps, **settings) -> factor


@dataclass(frozen=True)
class Schedule:
    """The factor and the defaults of its settings."""

    factor: Factor
    settings: Mapping[str, Any] = field(default_factory=dict)


def schedule(name: str, rate: float, steps: int, **settings: Any) -> Callable[[int], float]:
    """The learning rate by step, from step 0; `rate` is the largest, `steps` the number of all.

    Raises TrainingError for a schedule or setting that there is not, or a rate that is no positive number.
    """
    if name not in SCHEDULES:
        raise TrainingError(f"the schedule must be one of {', '.join(SCHEDULES)}, not {name!r}")
    if not (isfinite(rate) and rate > 0):
        raise TrainingError(f"the learning rate must be a positive number, not {rate}")
    known = SCHEDULES[name].settings
    for key in settings:
        if key not in known:
            raise TrainingError(f"{name} can be given {', '.join(known) or 'nothing'}, not {key}; leave it out")
    return partial(_scaled, SCHEDULES[name].factor, rate, steps, {**known, **settings})


def _scaled(factor: Factor, rate: float, steps: int, settings: Mapping[str, Any], step: int) -> float:
    return rate * factor(step, steps, **settings)


def _constant(step: int, steps: int) -> float:
    return 1.0


def _staircase(step: int, steps: int, factor: float, every: int) -> float:
    """factor^floor(step / every)."""
    return float(factor ** (step // every))


def _cosine(step: int, steps: int, warm: float, last: float) -> float:
    """Up in a line for the share `warm` of all steps, then down half a cosine to `last` (Loshchilov, Hutter 2017)."""
    return _rising(step, steps, warm, 1 / max(1.0, warm * steps)) or last + (1 - last) * _down(step, steps, warm)


def _one_cycle(step: int, steps: int, warm: float, first: float, last: float) -> float:
    """Up in a line from `first`, then down half a cosine to `last` (Smith and Topin 2018)."""
    return _rising(step, steps, warm, first) or last + (1 - last) * _down(step, steps, warm)


def _linear(step: int, steps: int, warm: float) -> float:
    """Up in a line, then down in a line to 0."""
    left = (steps - step) / max(1.0, steps - warm * steps)
    return _rising(step, steps, warm, 0.0) or max(0.0, min(1.0, left))


def _rising(step: int, steps: int, warm: float, first: float) -> float:
    """The factor while it rises, else 0."""
    share = (step + 1) / (warm * steps) if warm else 1.0
    return first + (1 - first) * share if share < 1 else 0.0


def _down(step: int, steps: int, warm: float) -> float:
    begun = warm * steps
    return (1 + cos(pi * min(1.0, (step - begun) / max(1.0, steps - begun)))) / 2 if step > begun else 1.0


SCHEDULES: dict[str, Schedule] = {
    "constant": Schedule(_constant),
    "staircase": Schedule(_staircase, {"factor": 0.9, "every": 10_000}),
    "cosine": Schedule(_cosine, {"warm": 0.0, "last": 0.0}),
    "one_cycle": Schedule(_one_cycle, {"warm": 0.3, "first": 0.04, "last": 1e-4}),
    "linear": Schedule(_linear, {"warm": 0.1}),
}
