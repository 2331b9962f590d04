"""What a few runs say of all runs: means with bootstrap intervals (Efron 1979, percentiles)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tilework.train.parameters import Array

RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure from all runs, and the interval that holds it in 95 % of the resamples."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} ({self.low:.3g} to {self.high:.3g})"


def geometric_mean(values: Sequence[float]) -> Estimate:
    """The geometric mean of positive numbers."""
    found = _bootstrap(np.log(np.asarray(values, float)))
    return Estimate(*map(float, np.exp(found)))


def mean(values: Sequence[float]) -> Estimate:
    """The arithmetic mean."""
    return Estimate(*_bootstrap(np.asarray(values, float)))


def _bootstrap(values: Array) -> tuple[float, float, float]:
    drawn = np.random.default_rng(0).integers(0, len(values), (RESAMPLES, len(values)))
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(values[drawn].mean(axis=1), (tail, 1 - tail))
    return float(values.mean()), float(low), float(high)
