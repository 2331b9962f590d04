"""Copies to the WRAM within a chain: what a swapped group reads of another one's result.

All units write to the NRAM; there such a group's activation is made, and the load unit takes it over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tilework.compiler.buffers import contraction_operands
from tilework.compiler.group import Group
from tilework.network.graph import Tensor
from tilework.network.nest import Access, Affine, Nest

MARK = "@wram"  # behind the name of a tensor that another one is copied to


def with_copies(groups: Sequence[Group]) -> tuple[Group, ...]:
    """A chain's groups with a copy before each swapped one, unless that reads what it alone loads."""
    made = {group.output.tensor for group in groups}
    found: list[Group] = []
    for group in groups:
        name = _moving(group)
        near = [g for g in groups if any(a.tensor == name and not _far(g, a) for _, a in g.external_reads)]
        if name is not None and (name in made or near):
            if not any(other.output.tensor == name + MARK for other in found):
                found.append(_copy(group, name))
            group = _reading_copy(group, name)
        found.append(group)
    return tuple(found)


def _moving(group: Group) -> str | None:
    """The activation that a swapped group has in the WRAM."""
    if not (group.swapped and group.contracts):
        return None
    name = contraction_operands(group)[1].tensor
    return None if group.tensors[name].is_weight else name


def _far(group: Group, access: Access) -> bool:
    return access.tensor == _moving(group) and access in group.main.reads


def _copy(group: Group, name: str) -> Group:
    tensor = group.tensors[name]
    loops = tuple((f"i{axis}", size) for axis, size in enumerate(tensor.shape))
    index = tuple(Affine(((loop, 1),)) for loop, _ in loops)
    nest = Nest(loops, Access(name + MARK, index), "=", Access(name, index))
    return Group(group.nodes, "copy", loops, (nest,), {name: tensor, name + MARK: _copied(tensor)}, sends=True)


def _reading_copy(group: Group, name: str) -> Group:
    main, *others = group.nests
    tensors = group.tensors | {name + MARK: _copied(group.tensors[name])}
    return replace(group, nests=(main.rename({name: name + MARK}), *others), tensors=tensors)


def _copied(tensor: Tensor) -> Tensor:
    return replace(tensor, name=tensor.name + MARK, role="value")
