"""The tilings worth a choice: of those that cost as much none is faster, of those as fast none costs less."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.compiler.volume import Numbers

SLACK = 0.02
NEAR = 1.01  # times the bound: nothing is gained by being quicker


@dataclass(frozen=True)
class Objective:
    """What is least: of tilings with these cycles and this `cost`, bytes to and from DRAM or joules.

    `value` is what is to be least; among those within `slack` of its least, the one of least cost is taken.
    """

    joules: bool
    value: Callable[[Any, Any], Any]
    slack: float = 0.0

    def limit(self, least: float, doubt: float = 0.0) -> float:
        """The largest value with which a tiling may be taken, if values may be wrong by a part of `doubt`."""
        return least * (1 + self.slack) * (1 + doubt)

    def best(self, cycles: Sequence[float] | Numbers, cost: Sequence[float] | Numbers, bound: float = 0.0) -> int:
        """The place of the one that is taken; with slack, cycles within `NEAR` times the bound count as that many."""
        time, price = np.asarray(cycles, np.float64), np.asarray(cost, np.float64)
        value = np.asarray(self.value(time, price))
        within = np.flatnonzero(value <= self.limit(max(float(value.min()), NEAR * bound * (self.slack > 0))))
        return int(within[np.lexsort((time[within], price[within]))[0]])


OBJECTIVES = {
    "time": Objective(False, lambda cycles, cost: cycles, SLACK),
    "traffic": Objective(False, lambda cycles, cost: cost),
    "energy": Objective(True, lambda cycles, cost: cost),
    "edp": Objective(True, lambda cycles, cost: cycles * cost),
}


class Front:
    """Tilings by growing cycles and falling cost; what another one beats in both is dropped."""

    def __init__(self, objective: Objective, doubt: float) -> None:
        self.objective, self.doubt = objective, doubt
        self.cycles: Numbers = np.zeros(0)
        self.cost: Numbers = np.zeros(0)
        self.names: npt.NDArray[np.intp] = np.zeros((0, 2), np.intp)

    def open(self, cycles: Numbers, cost: Numbers) -> npt.NDArray[np.bool_]:
        """Which of them might still be taken, if they have at least so many cycles and cost this."""
        if not len(self.cycles):
            return np.isfinite(cycles)
        value, own = self.objective.value(cycles, cost), self.objective.value(self.cycles, self.cost)
        before = np.searchsorted(self.cycles, cycles, side="right") - 1
        beaten = (before >= 0) & (self.cost[before] <= cost)
        found: npt.NDArray[np.bool_] = ~beaten & (value <= self.objective.limit(float(own.min()), self.doubt))
        return found

    def best(self) -> int:
        """The place of the one that is taken, if the estimates are right."""
        return self.objective.best(self.cycles, self.cost)

    def add(self, cycles: Numbers, cost: Numbers, names: npt.NDArray[np.intp]) -> None:
        """Take more in, each with a pair of numbers as its name."""
        cycles, cost = np.concatenate([self.cycles, cycles]), np.concatenate([self.cost, cost])
        names = np.concatenate([self.names, names])
        order = np.lexsort((cost, cycles))
        falling = np.minimum.accumulate(cost[order])
        kept = order[np.concatenate([[True], falling[1:] < falling[:-1]])]
        value = self.objective.value(cycles[kept], cost[kept])
        kept = kept[value <= self.objective.limit(float(value.min()), self.doubt)]
        self.cycles, self.cost, self.names = cycles[kept], cost[kept], names[kept]
