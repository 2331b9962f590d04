"""Partial sums: a group computed in two steps, parts of each of its sums side by side, and then the sums of the parts.

A loop that the main nest sums over becomes two, of which the outer one is parallel in the first step; so both steps are
groups like others, and cores can share the first along that loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod

from tilework.compiler.axes import axis_order
from tilework.compiler.group import Group, restrict
from tilework.compiler.on_vector import EXACT_PRODUCTS
from tilework.compiler.prune_blocks import DENSE
from tilework.network.graph import FLOATING_BYTES, Tensor
from tilework.network.nest import CONTRACTION, REDUCTION, Access, Affine, Nest

OUTER = "_part"  # behind a loop's name: which part of it


def outer_of(loop: str) -> str:
    """The name of the loop over the parts of a loop."""
    return loop + OUTER


def ways(group: Group, most: int) -> Iterator[tuple[str, int]]:
    """The loops of the main nest's sums that can be cut, each with the numbers of equal parts, at most so many.

    Only the main nest may go over them, no other loop along an axis that is padded, and float32 must hold the parts of
    whole numbers exactly.
    """
    main = group.main
    fixed = group.tied(group.extents) | {name for nest in group.nests[1:] for name in nest.extents}
    plain = group.blocks == DENSE and group.on_lanes <= {0} and main.kind in (CONTRACTION, REDUCTION)
    if not plain or not _exact(group):
        return
    for loop, extent in main.reduction_loops:
        if loop not in fixed and outer_of(loop) not in group.extents:
            yield from ((loop, parts) for parts in range(min(most, extent), 1, -1) if extent % parts == 0)


def _exact(group: Group) -> bool:
    main = group.main
    dtype = group.tensors[main.output.tensor].dtype
    few = prod(extent for _, extent in main.reduction_loops) <= EXACT_PRODUCTS
    return dtype in FLOATING_BYTES or main.update != "+=" or (main.kind == CONTRACTION and few)


def in_parts(group: Group, loop: str, parts: int, name: str) -> tuple[Group, Group]:
    """The two steps, with the parts of the sums in a tensor of this name: along its first axis the parts, then the
    axes of what the main nest makes as they lie in DRAM.

    Parts of sums of 16-bit numbers are float32, others have the dtype of the sums.
    """
    main, outer = group.main, outer_of(loop)
    whole = group.tensors[main.output.tensor]
    order = axis_order(len(whole.shape))
    size = group.extents[loop] // parts
    cut = {loop: Affine(((outer, size), (loop, 1)))}
    loops = ((outer, parts), *((n, size if n == loop else extent) for n, extent in main.loops))
    place = Access(name, (Affine(((outer, 1),)), *(main.output.index[axis] for axis in order)))
    made = replace(main.substitute(cut, loops), output=place)
    joined = Nest((*main.parallel_loops, (outer, parts)), main.output, main.update, place)
    wide = "float32" if whole.dtype in FLOATING_BYTES and main.update == "+=" else whole.dtype
    partial = Tensor(name, (parts, *(whole.shape[axis] for axis in order)), wide)
    rest = (joined, *group.nests[1:])
    used = {name for nest in rest for name in nest.extents}
    first = _step(group, loops, (made,), partial)
    then = _step(group, (*restrict(group.loops, used), (outer, parts)), rest, partial)
    return first, replace(then, swapped=False, on_lanes=frozenset())


def _step(group: Group, loops: tuple[tuple[str, int], ...], nests: tuple[Nest, ...], partial: Tensor) -> Group:
    touched = {access.tensor for nest in nests for access in (nest.output, *nest.reads)}
    tensors = {name: tensor for name, tensor in group.tensors.items() if name in touched} | {partial.name: partial}
    return replace(group, loops=loops, nests=nests, tensors=tensors, resident=group.resident & touched)


def cut_along(loop: str, whole: Group | None) -> str:
    """How people call a loop that cores share: one that stands for parts of a sum by that sum."""
    return f"the sum over {loop.removesuffix(OUTER)}" if whole and loop not in whole.extents else loop
