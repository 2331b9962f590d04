"""A chain cut into strips: each computes a part of the last group's output, and of the others what it reads."""

from __future__ import annotations

from collections.abc import Sequence

from tilework.compiler.buffers import contraction_operands
from tilework.compiler.chain import axis_of, cut, cut_loop
from tilework.compiler.group import Group
from tilework.compiler.split import pieces


def strips(
    groups: Sequence[Group], axis: int, parts: int, own: bool = False, most: int | None = None
) -> list[tuple[Group, ...]]:
    """A chain's groups cut into parts along an axis of the last one's output. A part's groups compute whatever the next
    ones read, so that parts need nothing of each other. No parts where a group needs all of another's result, or none
    of it, or, unless parts have their `own` weights, where these are not the same for all. With `most` only so many of
    the parts."""
    output = groups[-1].output.index
    loop = cut_loop(groups[-1], axis) if axis < len(output) else None
    if loop is None or groups[-1].extents[loop] < parts:
        return []
    found = [_strip(groups, loop, *piece, own) for piece in pieces(groups[-1].extents[loop], parts)[:most]]
    return [part for part in found if part] if all(found) else []


def _strip(groups: Sequence[Group], loop: str, start: int, size: int, own: bool) -> tuple[Group, ...] | None:
    if not own and _weighs(groups[-1], loop):
        return None
    parts = [cut(groups[-1], loop, start, size)]
    loops = [loop]
    for group in reversed(groups[:-1]):
        name = group.output.tensor
        reads = [(g, a, axis_of(a, loop)) for g, loop in zip(parts, loops, strict=True) for _, a in g.external_reads]
        found = [
            (axis, a.index[axis].bounds(g.extents)) for g, a, axis in reads if a.tensor == name and axis is not None
        ]
        axes = {axis for axis, _ in found}
        inner = cut_loop(group, min(axes)) if len(axes) == 1 else None
        if inner is None or len(found) < sum(a.tensor == name for _, a, _ in reads):
            return None
        low = max(0, min(low for _, (low, _) in found))
        size = min(max(high for _, (_, high) in found) + 1, group.extents[inner]) - low
        if size < 1 or (not own and _weighs(group, inner)):
            return None
        parts.insert(0, cut(group, inner, low, size))
        loops.insert(0, inner)
    return tuple(parts)


def _weighs(group: Group, loop: str) -> bool:
    """Whether what a group loads once is not the same for all iterations of a loop."""
    weights = [a for _, a in group.external_reads if group.tensors[a.tensor].is_weight]
    held = contraction_operands(group)[1:] if group.contracts and not group.swapped else ()
    return any(loop in access.loops() for access in (*weights, *held))
