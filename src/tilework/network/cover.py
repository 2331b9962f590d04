"""Which places of a tensor accesses name between them: how many additions it takes to gather a gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from tilework.network.nest import Access, Affine

Shape = tuple[int, ...]
Region = tuple[int, ...] | None  # a set of places along each axis, bit i standing for place i; None: all of the tensor


def region(access: Access, extents: Mapping[str, int], shape: Shape) -> Region:
    """The places inside the tensor that an access names as its loops run; no loop may stand in two axes."""
    axes = tuple(_places(index, extents, size) for index, size in zip(access.index, shape, strict=True))
    return None if all(axis == (1 << size) - 1 for axis, size in zip(axes, shape, strict=True)) else axes


def _places(index: Affine, extents: Mapping[str, int], size: int) -> int:
    bits, low = 1, index.bounds(extents)[0]
    for name, c in index.terms:
        copies, extent = 1, extents[name]
        while copies < extent:
            more = min(copies, extent - copies)
            bits |= bits << abs(c) * more
            copies += more
    return (bits << low if low >= 0 else bits >> -low) & ((1 << size) - 1)


def union_size(regions: Sequence[Region], shape: Shape) -> int:
    """The number of places in one region at least."""
    parts = [part for part in regions if part is not None]
    return prod(shape) if len(parts) < len(regions) else _union(parts)


def region_size(part: Region, shape: Shape) -> int:
    return prod(shape) if part is None else prod(axis.bit_count() for axis in part)


def _union(parts: Sequence[tuple[int, ...]]) -> int:
    """Places of the first axis that lie in the same regions have equally many places behind them."""
    if len(parts) < 2 or not parts[0]:
        return sum(prod(axis.bit_count() for axis in part) for part in parts[:1])
    total, left = 0, [(0, tuple[tuple[int, ...], ...]())]
    whole = 0
    for part in parts:
        whole |= part[0]
    left = [(whole, ())]
    for first, *rest in parts:
        split = [(bits & first, (*members, tuple(rest))) for bits, members in left if bits & first]
        left = split + [(bits & ~first, members) for bits, members in left if bits & ~first]
    for bits, members in left:
        total += bits.bit_count() * _union(list(dict.fromkeys(members)))
    return total
