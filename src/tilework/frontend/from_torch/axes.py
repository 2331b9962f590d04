"""Axes under a transposition and a reshape: which of the two may come first."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

Sizes = tuple[int, ...]


@lru_cache(maxsize=4096)
def moved(base: Sizes, order: Sizes, shape: Sizes) -> tuple[Sizes, Sizes] | None:
    """The shape and order with which a reshaped base, transposed, is the transposed base reshaped; None without one."""
    axes = [axis for axis in order if base[axis] != 1]
    blocks = _runs([base[axis] for axis in axes], [size for size in shape if size != 1])
    pieces = [(axes[first:last], sizes) for first, last, sizes in blocks]
    for members, _ in pieces:
        solid = [axis for axis in range(members[0], members[-1] + 1) if base[axis] != 1]
        if members != solid:
            return None
    laid = sorted(range(len(pieces)), key=lambda piece: pieces[piece][0][0])
    starts, sizes = {}, list[int]()
    for piece in laid:
        starts[piece] = len(sizes)
        sizes += pieces[piece][1]
    places = iter([starts[piece] + i for piece in range(len(pieces)) for i in range(len(pieces[piece][1]))])
    ones = iter(range(len(sizes), len(shape)))
    return (*sizes, *(1 for size in shape if size == 1)), tuple(next(ones if size == 1 else places) for size in shape)


def _runs(old: list[int], new: list[int]) -> Iterable[tuple[int, int, list[int]]]:
    """The fewest neighbouring axes of `old`, from first to last, that hold as many elements as some of `new`."""
    first = start = 0
    while first < len(old):
        last, end, have, want = first + 1, start + 1, old[first], new[start]
        while have != want:
            if have < want:
                have, last = have * old[last], last + 1
            else:
                want, end = want * new[end], end + 1
        yield first, last, new[start:end]
        first, start = last, end
