"""Runs against plain lists."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tilework.compiler.map_runs import Runs, alike, divided, joined, spread, total, zipped


def members(runs: Runs[Any]) -> list[Any]:
    return [value for count, value in runs for _ in range(count)]


RUNS = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3)), min_size=1, max_size=5)


@given(st.integers(0, 50), st.integers(1, 20))
def test_spread(amount: int, count: int) -> None:
    parts = members(spread(amount, count))
    assert (len(parts), sum(parts), total(spread(amount, count))) == (count, amount, amount)
    assert parts == sorted(parts, reverse=True)
    assert parts[0] - parts[-1] <= 1


@given(RUNS, st.integers(0, 25))
def test_divided(runs: Runs[int], place: int) -> None:
    first, rest = divided(runs, place)
    assert (members(first), members(rest)) == (members(runs)[:place], members(runs)[place:])


@given(RUNS, st.integers(0, 3))
def test_zipped_and_joined(runs: Runs[int], value: int) -> None:
    other = [(len(members(runs)), value)]
    assert members(zipped(runs, other)) == [(member, value) for member in members(runs)]
    assert members(joined(runs)) == members(runs)
    assert all(a[1] != b[1] for a, b in zip(joined(runs), joined(runs)[1:], strict=False))


@given(st.integers(0, 40), st.integers(1, 12))
def test_alike_parts_have_equal_neighbours(size: int, parts: int) -> None:
    sizes = [None, *members(spread(size, parts)), None]
    runs = alike(size, parts)
    assert [place for _, place in runs] == [sum(count for count, _ in runs[:n]) for n in range(len(runs))]
    assert sum(count for count, _ in runs) == parts
    for count, first in runs:
        around = {(*sizes[place : place + 3], place >= parts - 2) for place in range(first, first + count)}
        assert len(around) == 1
