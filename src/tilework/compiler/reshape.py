"""Reshapes: absorbed into the contractions that read them, or copied in row-major order by affine nests."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from tilework.network.graph import Tensor
from tilework.network.nest import CONTRACTION, Access, Affine, Nest, map_accesses
from tilework.network.operations import Shape

Factors = list[list[int]]  # for each axis the numbers of its loops, outermost first


def copies(source: Tensor, target: Tensor) -> tuple[list[Nest], list[Tensor]]:
    """The nests that move a tensor's elements to one of another shape, and the tensors between them.

    One nest where both shapes are products of the same loops, else one to a flat tensor and one from it.
    """
    refined = _refine(source.shape, target.shape)
    if refined is not None:
        loops, left, right = refined
        return [_move(source.name, target.name, loops, left, right)], []
    flat = replace(target, name=f"{target.name}:flat", shape=(source.elements,))
    first, second = copies(source, flat), copies(flat, target)
    return first[0] + second[0], [flat]


def _move(source: str, target: str, loops: list[int], left: Factors, right: Factors) -> Nest:
    named = tuple((f"i{number}", extent) for number, extent in enumerate(loops))
    return Nest(named, Access(target, _index(loops, right)), "=", Access(source, _index(loops, left)))


def _index(loops: list[int], factors: Factors) -> tuple[Affine, ...]:
    return tuple(
        Affine(tuple((f"i{n}", prod(loops[m] for m in numbers[place + 1 :])) for place, n in enumerate(numbers)))
        for numbers in factors
    )


def _refine(source: Shape, target: Shape) -> tuple[list[int], Factors, Factors] | None:
    """Loops of which each axis of either shape is a product, row by row from the innermost, or None."""
    loops: list[int] = []
    factors: tuple[Factors, Factors] = ([[] for _ in source], [[] for _ in target])
    rest = (list(source), list(target))
    while True:
        places = [max((a for a, size in enumerate(sizes) if size > 1), default=-1) for sizes in rest]
        if max(places) < 0:
            break
        sizes = [own[place] for own, place in zip(rest, places, strict=True)]
        step = min(sizes)
        if max(sizes) % step:
            return None
        for own, place, axes in zip(rest, places, factors, strict=True):
            own[place] //= step
            axes[place].insert(0, len(loops))
        loops.append(step)
    last = len(loops) - 1
    turned = tuple([[last - n for n in numbers] for numbers in axes] for axes in factors)
    return loops[::-1] or [1], turned[0], turned[1]


def merged_axes(source: Shape, target: Shape) -> list[list[int]] | None:
    """For each axis of the target the axes of the source that it merges, or None where it does more than merge."""
    axes: list[list[int]] = []
    place = 0
    for size in target:
        taken: list[int] = []
        while place < len(source) and (not taken or prod(source[a] for a in taken) < size):
            taken.append(place)
            place += 1
        if not taken or prod(source[a] for a in taken) != size:
            return None
        axes.append(taken)
    if any(size > 1 for size in source[place:]):
        return None
    axes[-1] += range(place, len(source))
    return axes


def absorbs(nest: Nest, access: Access, source: Shape, target: Shape) -> bool:
    """Whether a contraction can read the source instead: each axis that it reads is a whole loop of its own."""
    whole = all(
        len(axis.terms) == 1 and axis == Affine(((axis.terms[0][0], 1),)) and nest.extents[axis.terms[0][0]] == size
        for axis, size in zip(access.index, target, strict=True)
    )
    return nest.kind == CONTRACTION and whole and merged_axes(source, target) is not None


def absorb(nest: Nest, access: Access, source: Tensor, target: Shape) -> Nest:
    """The nest reading what stands behind a reshape: a loop over a merged axis is split into the source's axes."""
    values: dict[str, Affine] = {}
    loops: list[tuple[str, int]] = []
    names: dict[int, str] = {}
    merged = merged_axes(source.shape, target) or []
    by_loop = {axis.terms[0][0]: taken for axis, taken in zip(access.index, merged, strict=True)}
    for name, extent in nest.loops:
        taken = by_loop.get(name, [])
        if len(taken) < 2:
            names |= dict.fromkeys(taken, name)
            loops.append((name, extent))
            continue
        names |= {axis: f"{name}{axis}" for axis in taken}
        loops += [(names[axis], source.shape[axis]) for axis in taken]
        inner = [(axis, prod(source.shape[b] for b in taken if b > axis)) for axis in taken]
        values[name] = Affine(tuple((names[axis], coefficient) for axis, coefficient in inner))
    split = nest.substitute(values, tuple(loops))
    old = next(a for a in split.reads if a.tensor == access.tensor)
    index = tuple(Affine(((names[axis], 1),)) for axis in range(len(source.shape)))
    body = map_accesses(split.body, {old: Access(source.name, index)})
    return Nest(split.loops, split.output, split.update, body)
