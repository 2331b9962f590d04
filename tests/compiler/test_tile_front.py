"""Objectives and the front of tilings worth a choice, against all of the points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.compiler.options import OBJECTIVES as NAMES
from tilework.compiler.options import Options
from tilework.compiler.tile_front import OBJECTIVES, SLACK, Front
from tilework.errors import CompileError
from tilework.machine.load import load_machine

Points = list[tuple[int, int]]
POINTS = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=40)


def by_hand(points: Points, name: str) -> tuple[int, int]:
    """Cycles and cost of the best point, looked for one by one."""
    if name == "time":
        most = (1 + SLACK) * min(cycles for cycles, _ in points)
        return min((p for p in points if p[0] <= most), key=lambda p: (p[1], p[0]))
    if name == "edp":
        return min(points, key=lambda p: (p[0] * p[1], p[1]))
    return min(points, key=lambda p: (p[1], p[0]))


def test_the_names_of_the_objectives() -> None:
    assert tuple(OBJECTIVES) == NAMES


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, derandomize=True, deadline=None)
@given(points=POINTS)
def test_the_best_of_the_front_is_the_best_of_all(name: str, points: Points) -> None:
    """Added in chunks, of which only what is open is taken in."""
    front = Front(OBJECTIVES[name], 0.1)
    for start in range(0, len(points), 7):
        cycles, cost = np.array(points[start : start + 7], np.float64).T
        chosen = np.flatnonzero(front.open(cycles, cost))
        if len(chosen):
            front.add(cycles[chosen], cost[chosen], np.zeros((len(chosen), 2), np.intp))
    best = front.best()
    assert (front.cycles[best], front.cost[best]) == by_hand(points, name)
    assert (np.diff(front.cycles) > 0).all()
    assert (np.diff(front.cost) < 0).all()
    assert OBJECTIVES[name].best(*zip(*points, strict=True)) == points.index(by_hand(points, name))


def test_an_unknown_objective() -> None:
    with pytest.raises(CompileError) as caught:
        Options(objective="speed").check(load_machine("dlp-s"))
    assert str(caught.value) == "objective must be one of time, traffic, energy, edp, not 'speed'; correct it"


def test_near_the_bound_bytes_decide() -> None:
    """1 % above the bound counts as the bound: 1.025 is within 2 % of 1.01, not of 1.0."""
    cycles, cost = (1000.0, 1025.0, 1031.0), (9.0, 5.0, 1.0)
    assert OBJECTIVES["time"].best(cycles, cost) == 0
    assert OBJECTIVES["time"].best(cycles, cost, 1000.0) == 1
    assert OBJECTIVES["time"].best(cycles, cost, 900.0) == 0
    assert OBJECTIVES["edp"].best(cycles, cost, 1000.0) == 2
