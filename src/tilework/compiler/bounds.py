"""What a group must move to and from DRAM at least, for the memory on chip. docs/bounds.md has formulas and sources.

The convolution bound of Chen, Demmel, Dinh et al. (arXiv 2204.08279) has further terms; only the one that is derived in
docs/bounds.md is used here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import ceil, prod, sqrt

import numpy as np

from tilework.compiler.group import Group
from tilework.machine.machine import Machine
from tilework.network.extent import iterations_inside
from tilework.network.graph import DTYPE_BYTES
from tilework.network.nest import CONTRACTION, Access, Nest
from tilework.network.views import distinct


def dram_bytes_bound(group: Group, machine: Machine) -> int:
    """Bytes that every program moves which computes this group by itself: the compulsory ones, or, if more, what the
    memories of all cores and clusters together force it to read again."""
    return max(group.compulsory_bytes, communication_bytes(group, machine))


def ahead_bytes(group: Group, before: Group) -> int:
    """What a group reads, once, that the group before it doesn't make."""
    made = {group.output.tensor, before.output.tensor}
    return sum(size for name, size in group.touched_bytes.items() if name not in made)


def communication_bytes(group: Group, machine: Machine) -> int:
    """What the memories on chip force a program to move which computes this group by itself; 0 if that isn't known.

    Operands and partial sums read, every other tensor of the group once. A sum needn't be read to begin with, so the
    sums are taken off again.
    """
    main, times = group.main, reuse(group.main)
    if times is None:
        return 0
    operands = {access.tensor for access in main.reads}
    if operands & group.resident:
        return 0
    word = min(DTYPE_BYTES[group.tensors[name].dtype] for name in (*operands, main.output.tensor))
    inside = iterations_inside(main, {name: group.tensors[name].shape for name in (*operands, main.output.tensor)})
    _, summed = group.rows(main.extents)
    needed = inside * group.blocks.left(summed) // summed
    sums = prod(extent for _, extent in main.parallel_loops)
    read = product_words(needed, machine.on_chip_bytes // word, times) - sums
    return max(0, ceil(word * read) + sum(size for name, size in group.touched_bytes.items() if name not in operands))


def product_words(macs: int, memory_words: int, reuse: int = 1) -> float:
    """2 G / sqrt(R S) - 2 S: words that a product of G multiply-accumulates reads of its operands and sums, a sum's
    beginning counted as a read, with S words of memory.

    R = 1 is a matrix product (Smith et al., arXiv 1702.02017); in general it is the `reuse` of docs/bounds.md.
    """
    return 2 * macs / sqrt(reuse * memory_words) - 2 * memory_words


def reuse(nest: Nest) -> int | None:
    """In how many places of the matrices of an equal matrix product an element of the operands and the result stands
    at most, multiplied; None where the nest is no product of two tensors or no matrix product is equal to it.

    That is 1 for a matrix product, and for a convolution the places of its window that can lie on one pixel.
    """
    places = (nest.output, *nest.reads)
    if nest.kind != CONTRACTION or len({access.tensor for access in places}) != 3 or len(places) != 3:
        return None
    if any(sum(name in access.loops() for access in places) < 2 for name, extent in nest.loops if extent > 1):
        return None
    found = [most_places(access, nest) for access in places]
    return prod(number for number in found if number) if None not in found else None


def most_places(access: Access, nest: Nest) -> int | None:
    """How many iterations of an access's own loops name one element at most; None where axes share a loop."""
    loops = [(name, extent) for name, extent in nest.loops if name in access.loops()]
    if distinct(access, loops):
        return 1
    if sum(len(axis.terms) for axis in access.index) > len(loops):
        return None
    extents = nest.extents
    return prod(_most(tuple((abs(c), extents[name]) for name, c in axis.terms)) for axis in access.index)


@lru_cache(maxsize=1024)
def _most(terms: Sequence[tuple[int, int]]) -> int:
    """How often the sum of c*l over 0 <= l < extent takes its most frequent value."""
    ways = np.ones(1, np.int64)
    for c, extent in terms:
        steps = np.zeros(c * (extent - 1) + 1, np.int64)
        steps[::c] = 1
        ways = np.convolve(ways, steps)
    return int(ways.max())
