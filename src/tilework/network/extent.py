"""How much of its tensors a nest touches, and how much of a nest lies inside its tensors: exact, in integers.

Axes and bounds that share no loop are independent, so each question splits into groups whose answers multiply.
A convolution with padding is then a few hundred points (output row, kernel row), whatever its channels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import product
from math import gcd, prod
from operator import mul
from typing import TypeVar

from tilework.network.nest import Access, Affine, Nest

Shape = tuple[int, ...]
Terms = tuple[tuple[int, int], ...]  # (coefficient, extent) of each loop; coefficients positive and ascending
Row = tuple[tuple[int, ...], int, int]  # coefficients of a group's loops, and the bounds on their sum, both included
Item = TypeVar("Item")


def image_size(access: Access, extents: Mapping[str, int]) -> int:
    """The number of distinct places that an access names as its loops run; where the tensor ends is ignored."""
    groups = _groups(access.index, lambda axis: axis)
    return prod(_values(_terms(_combine(axes, extents), extents)) for axes in groups)


def iterations_inside(nest: Nest, shapes: Mapping[str, Shape]) -> int:
    """The number of iterations in which every read and the write lie inside their tensors."""
    bounds = _bounds(nest, shapes)
    bounded = {name for axis, _ in bounds for name, _ in axis.terms}
    inside = prod(extent for name, extent in nest.loops if name not in bounded)
    for group in _groups(bounds, lambda bound: bound[0]):
        loops = _loops((axis for axis, _ in group), nest.extents)
        inside *= _points(tuple(nest.extents[n] for n in loops), tuple(_row(*bound, loops) for bound in group))
    return inside


def outputs_inside(nest: Nest, shapes: Mapping[str, Shape]) -> int:
    """The number of distinct places that the iterations counted by `iterations_inside` write."""
    items: list[tuple[Affine, int | None]] = [*_bounds(nest, shapes), *((axis, None) for axis in nest.output.index)]
    places = 1
    for group in _groups(items, lambda item: item[0]):
        output = _combine([axis for axis, size in group if size is None], nest.extents)
        bounds = [(axis, size) for axis, size in group if size is not None]
        if bounds:
            loops = _loops((axis for axis, _ in group), nest.extents)
            rows = tuple(_row(*bound, loops) for bound in bounds)
            places *= _places(tuple(nest.extents[n] for n in loops), rows, _row(output, 1, loops)[0])
        else:
            places *= _values(_terms(output, nest.extents))
    return places


def sums_inside(nest: Nest, shapes: Mapping[str, Shape]) -> dict[int, int]:
    """How many sums a reducing nest makes, by how many iterations of each count for `iterations_inside`.

    Sums of which no iteration does are counted under 0.
    """
    bounds, parallel = _bounds(nest, shapes), nest.output.loops()
    bounded = {name for axis, _ in bounds for name, _ in axis.terms}
    free = [(name in parallel, extent) for name, extent in nest.loops if name not in bounded]
    found = {prod(n for outer, n in free if not outer): prod(n for outer, n in free if outer)}
    for group in _groups(bounds, lambda bound: bound[0]):
        counts = _counts(group, nest.extents, parallel)
        before, found = found, {}
        for (a, m), (b, n) in product(before.items(), counts.items()):
            found[a * b] = found.get(a * b, 0) + m * n
    return found


def _counts(bounds: list[tuple[Affine, int]], extents: Mapping[str, int], parallel: set[str]) -> Counter[int]:
    """Of how many points of a group's parallel loops how many of its others lie inside the bounds."""
    loops = _loops((axis for axis, _ in bounds), extents)
    outer, inner = [n for n in loops if n in parallel], [n for n in loops if n not in parallel]
    ranges = [
        [dict(zip(names, at, strict=True)) for at in product(*(range(extents[n]) for n in names))]
        for names in (outer, inner)
    ]
    return Counter(
        sum(all(0 <= axis.at(point | other) < size for axis, size in bounds) for other in ranges[1])
        for point in ranges[0]
    )


def _groups(items: Iterable[Item], index: Callable[[Item], Affine]) -> Iterator[list[Item]]:
    """The items in the fewest groups of which no two share a loop."""
    groups: list[tuple[set[str], list[Item]]] = []
    for item in items:
        loops, members = {name for name, _ in index(item).terms}, [item]
        apart = []
        for others, group in groups:
            if loops.isdisjoint(others):
                apart.append((others, group))
            else:
                loops, members = loops | others, group + members
        groups = [*apart, (loops, members)]
    return (members for _, members in groups)


def _bounds(nest: Nest, shapes: Mapping[str, Shape]) -> list[tuple[Affine, int]]:
    """Each index that some iteration takes outside its tensor, with the tensor's size there."""
    bounds: dict[tuple[Affine, int], None] = {}
    for access in (nest.output, *nest.reads):
        for axis, size in zip(access.index, shapes[access.tensor], strict=True):
            low, high = axis.bounds(nest.extents)
            if low < 0 or high >= size:
                bounds[axis, size] = None
    return list(bounds)


def _loops(axes: Iterable[Affine], extents: Mapping[str, int]) -> list[str]:
    """The loops of a group, the longest last: that one is counted in closed form."""
    names = {name: None for axis in axes for name, _ in axis.terms}
    return sorted(names, key=lambda name: extents[name])


def _row(axis: Affine, size: int, loops: Sequence[str]) -> Row:
    return tuple(axis.coefficient(name) for name in loops), -axis.offset, size - 1 - axis.offset


def _combine(axes: Iterable[Affine], extents: Mapping[str, int]) -> Affine:
    """One index that takes a different value wherever the axes together do: each axis becomes a digit."""
    total: dict[str, int] = {}
    radix = 1
    for axis in axes:
        for name, c in axis.terms:
            total[name] = total.get(name, 0) + radix * c
        low, high = axis.bounds(extents)
        radix *= high - low + 1
    return Affine(tuple((name, c) for name, c in total.items() if c))


def _terms(index: Affine, extents: Mapping[str, int]) -> Terms:
    """A loop that runs backwards takes the same number of values, so the signs go."""
    return tuple(sorted((abs(c), extents[name]) for name, c in index.terms if extents[name] > 1))


@lru_cache(maxsize=4096)
def _values(terms: Terms) -> int:
    """How many values the sum of c*l over 0 <= l < extent takes."""
    if len(terms) < 2:
        return terms[0][1] if terms else 1
    span = 0
    for k, (c, extent) in enumerate(terms):
        # Coarse steps longer than all that the finer loops span never meet: the numbers of values multiply.
        if k and gcd(*(d for d, _ in terms[k:])) > span:
            return _values(terms[:k]) * _values(terms[k:])
        span += c * (extent - 1)
    return _union(terms)


def _union(terms: Terms) -> int:
    """The same for loops that meet: bit v of `bits` says that the value v is taken."""
    unit = gcd(*(c for c, _ in terms))
    bits = 1
    for c, extent in terms:
        copies = 1
        while copies < extent:
            step = min(copies, extent - copies)
            bits |= bits << (c // unit * step)
            copies += step
    return bits.bit_count()


def _inside(extents: Shape, rows: tuple[Row, ...]) -> Iterator[tuple[tuple[int, ...], int, int]]:
    """The points within the bounds: those of all loops but the last, and the last one's first and last value."""
    *outer, last = extents or (1,)
    for point in product(*map(range, outer)):
        first, end = 0, last - 1
        for coefficients, low, high in rows:
            base = sum(map(mul, coefficients, point))
            c = coefficients[-1] if coefficients else 0
            if c == 0:
                end = end if low <= base <= high else -1
                continue
            a, b = (low - base, high - base) if c > 0 else (base - high, base - low)
            first, end = max(first, -(-a // abs(c))), min(end, b // abs(c))
        if first <= end:
            yield point, first, end


@lru_cache(maxsize=4096)
def _points(extents: Shape, rows: tuple[Row, ...]) -> int:
    return sum(end - first + 1 for _, first, end in _inside(extents, rows))


@lru_cache(maxsize=4096)
def _places(extents: Shape, rows: tuple[Row, ...], output: tuple[int, ...]) -> int:
    """How many values an index with the coefficients `output` takes on the points within the bounds."""
    places: set[int] = set()
    for point, first, end in _inside(extents, rows):
        base, c = sum(map(mul, output, point)), output[-1] if output else 0
        places.update(range(base + c * first, base + c * end + 1, c) if c > 0 else ())
        if c == 0:
            places.add(base)
        elif c < 0:
            places.update(range(base + c * first, base + c * end - 1, c))
    return len(places)
