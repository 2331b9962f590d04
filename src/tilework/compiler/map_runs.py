"""Sequences kept as runs of equal members, and blocks: runs of members and of further blocks, like nested loops."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, TypeVar

T = TypeVar("T")
U = TypeVar("U")
Runs = list[tuple[int, T]]


def spread(total: int, count: int) -> Runs[int]:
    """`count` whole numbers with that total, as equal as can be, the larger ones first."""
    least, more = divmod(total, count)
    return [(times, value) for times, value in ((more, least + 1), (count - more, least)) if times]


def mapped(runs: Runs[T], function: Callable[[T], U]) -> Runs[U]:
    return [(count, function(value)) for count, value in runs]


def divided(runs: Runs[T], place: int) -> tuple[Runs[T], Runs[T]]:
    """The first `place` members, and the others."""
    first: Runs[T] = []
    rest: Runs[T] = []
    for count, value in runs:
        taken = min(count, max(0, place))
        place -= count
        first += [(taken, value)] if taken else []
        rest += [(count - taken, value)] if count > taken else []
    return first, rest


def total(runs: Runs[int]) -> int:
    return sum(count * value for count, value in runs)


def zipped(*sequences: Runs[Any]) -> Runs[tuple[Any, ...]]:
    """Runs of the members at the same place of sequences of one length."""
    places = [0] * len(sequences)
    left = [runs[0][0] for runs in sequences]
    result: Runs[tuple[Any, ...]] = []
    while True:
        step = min(left)
        result.append((step, tuple(runs[place][1] for runs, place in zip(sequences, places, strict=True))))
        for number, runs in enumerate(sequences):
            left[number] -= step
            if not left[number]:
                places[number] += 1
                if places[number] == len(runs):
                    return result
                left[number] = runs[places[number]][0]


def alike(size: int, parts: int) -> Runs[int]:
    """Parts as `spread` has them, as runs of those with equal parts before and after them, each by its first place.

    The first and the last one, and the neighbours of the last one, are by themselves.
    """
    larger = size % parts
    cuts = sorted({0, 1, larger - 1, larger, larger + 1, parts - 2, parts - 1, parts})
    cuts = [cut for cut in cuts if 0 <= cut <= parts]
    return [(after - before, before) for before, after in pairwise(cuts)]


def joined(members: Iterable[tuple[int, T]]) -> Runs[T]:
    """Runs without neighbours of equal value."""
    result: Runs[T] = []
    for count, value in members:
        if result and result[-1][1] == value:
            result[-1] = (result[-1][0] + count, value)
        else:
            result.append((count, value))
    return result
