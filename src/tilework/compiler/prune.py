"""Magnitude pruning: of each 16 weights that are summed next to each other, only the largest are kept.

That so many of each 16 go makes what is left as short everywhere, so that neither a tile's size nor its time depends on
values (balanced pruning: Yao et al., AAAI 2019; Zhou et al., Cambricon-S, MICRO 2018; N:M sparsity: Mishra et al.,
arXiv 2104.08378). Weights are pruned group by group, in the order in which a group packs them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.compiler.buffers import packed_loops, plan_buffers
from tilework.compiler.change import Change
from tilework.compiler.group import Group
from tilework.compiler.options import EVERY
from tilework.compiler.prune_blocks import Blocks
from tilework.compiler.simplify import Simplified
from tilework.errors import CompileError
from tilework.isa.blocks import BLOCK, kept_of, largest
from tilework.network.graph import DTYPE_BYTES
from tilework.network.nest import Access
from tilework.network.views import distinct
from tilework.network.weights import Weights

Array = npt.NDArray[Any]
ELEMENTS = 1 << 20  # that are compared at a time, about


def check_names(graphs: Iterable[Sequence[Group]], shares: Mapping[str, float]) -> None:
    """Raises CompileError for a name that none of the groups' nodes with weights to prune has."""
    known = [node for groups in graphs for group in groups if _weight(group) for node in group.nodes]
    for name in shares.keys() - {EVERY}:
        if name not in known:
            near = get_close_matches(name, known, 1)
            advice = f"did you mean {near[0]}?" if near else "look at the names of its layers"
            raise CompileError(f"a layer to prune must be one with weights of the network, not {name!r}; {advice}")


def shares_text(shares: Mapping[str, float]) -> str:
    """The shares, as the command line takes them."""
    return " ".join(f"{share:g}" if name == EVERY else f"{name}={share:g}" for name, share in shares.items())


def prune(
    simple: Simplified, groups: Sequence[Group], shares: Mapping[str, float], skipped: bool
) -> tuple[Simplified, tuple[Group, ...]]:
    """The network with smaller weights, and its groups, which know how these are stored.

    `shares` says by a node's name, or for all others by EVERY, what share of its weights goes; `skipped` that the
    machine skips them. Weights stay lazy. One that several groups read in different orders is pruned for the first.
    """
    seen: dict[str, _Rows] = {}
    makers, changes, found = dict(simple.weights.makers), list(simple.changes), []
    for group in groups:
        kept, access = kept_of(_share(group, shares)), _weight(group)
        if access is None or kept == BLOCK:
            found.append(group)
            continue
        rows, first = _Rows.of(group, access, kept), access.tensor not in seen
        if first:
            seen[access.tensor] = rows
            makers[access.tensor] = partial(_pruned, makers[access.tensor], rows)
        blocks = Blocks(kept, skipped)
        group = replace(group, blocks=blocks) if seen[access.tensor] == rows and _smaller(group, blocks) else group
        found.append(group)
        if first:
            changes.append(_change(group, access, rows))
    weights = Weights(makers, simple.weights.origin)
    return replace(simple, weights=weights, changes=tuple(changes)), tuple(found)


def _share(group: Group, shares: Mapping[str, float]) -> float:
    return next((shares[node] for node in group.nodes if node in shares), shares.get(EVERY, 0.0))


def _weight(group: Group) -> Access | None:
    """The weight that the group packs, if it reads no element of it twice."""
    packed = [buffer.access for buffer in plan_buffers(group).buffers if buffer.packed]
    loops = [(name, extent) for name, extent in group.main.loops if packed and name in packed[0].loops()]
    return packed[0] if packed and distinct(packed[0], loops) else None


def _smaller(group: Group, blocks: Blocks) -> bool:
    """Whether blocks take less room than all weights."""
    return replace(group, blocks=blocks).compulsory_bytes < group.compulsory_bytes


@dataclass(frozen=True)
class _Rows:
    """Where rows of weights that are summed lie in a weight: extents and steps of loops, `outputs` of them outside."""

    shape: tuple[int, ...]
    steps: tuple[int, ...]
    offset: int
    outputs: int
    kept: int

    @classmethod
    def of(cls, group: Group, access: Access, kept: int) -> _Rows:
        loops, shape = packed_loops(group, access), group.tensors[access.tensor].shape
        strides = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
        both = list(zip(access.index, strides, strict=True))
        steps = tuple(sum(index.coefficient(name) * stride for index, stride in both) for name in loops)
        outputs = sum(name in dict(group.main.parallel_loops) for name in loops)
        offset = sum(index.offset * stride for index, stride in both)
        return cls(tuple(group.extents[name] for name in loops), steps, offset, outputs, kept)

    @property
    def removed(self) -> int:
        """How many weights go."""
        outputs, summed = prod(self.shape[: self.outputs]), prod(self.shape[self.outputs :])
        return outputs * (summed - Blocks(self.kept).left(summed))


def _pruned(make: Callable[[], Array], rows: _Rows) -> Array:
    values = np.array(make(), order="C")
    strides = [step * values.itemsize for step in rows.steps]
    view: Array = np.ndarray(rows.shape, values.dtype, values, rows.offset * values.itemsize, strides)
    flat = view.reshape(prod(rows.shape[: rows.outputs]), -1)
    count = max(1, ELEMENTS // flat.shape[1])
    for first in range(0, len(flat), count):
        part = flat[first : first + count]
        part[~largest(part, rows.kept)] = 0
    view[...] = flat.reshape(rows.shape)
    return values


def _change(group: Group, access: Access, rows: _Rows) -> Change:
    total = prod(rows.shape)
    why = f" to {rows.kept} of each {BLOCK} weights: {rows.removed:,} of {total:,} are left out"
    skipped = group.macs * rows.removed // total if group.blocks.skipped else 0
    size = DTYPE_BYTES[group.tensors[access.tensor].dtype]
    return Change("pruned", group.name, why, 2 * skipped, size * total - group.touched_bytes[access.tensor])
