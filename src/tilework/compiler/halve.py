"""Fusing less: a group cut in two, for where it needs more of a machine than there is."""

from __future__ import annotations

from tilework.compiler.group import Group, restrict
from tilework.compiler.prune_blocks import DENSE
from tilework.network.nest import Nest


def halves(group: Group) -> tuple[Group, ...]:
    """Groups of about half of a group's nests each, cut where only one tensor goes on; if nowhere, one for each nest.

    What a group makes nobody else reads but for its output, so the parts read from DRAM what those before them make.
    """
    cuts = [cut for cut in range(1, len(group.nests)) if _goes_on(group, cut)]
    if not cuts:
        return tuple(_some(group, (nest,)) for nest in group.nests)
    middle = min(cuts, key=lambda cut: abs(2 * cut - len(group.nests)))
    return _some(group, group.nests[:middle]), _some(group, group.nests[middle:])


def _goes_on(group: Group, cut: int) -> bool:
    """Whether nests from a cut on read nothing of those before it but what the last makes."""
    made = {nest.output.tensor for nest in group.nests[:cut]} - {group.nests[cut - 1].output.tensor}
    return not any(access.tensor in made for nest in group.nests[cut:] for access in nest.reads)


def _some(group: Group, nests: tuple[Nest, ...]) -> Group:
    labels = group.operation.split("+")
    named = list(zip(group.nodes, labels, strict=True))
    ours = [(node, label) for node, label in named if _has_part(node, nests)] or named  # what is written may be a view
    used = {name for nest in nests for name in nest.extents}
    touched = {access.tensor for nest in nests for access in (nest.output, *nest.reads)}
    return Group(
        tuple(node for node, _ in ours),
        "+".join(label for _, label in ours),
        restrict(group.loops, used),
        nests,
        {name: tensor for name, tensor in group.tensors.items() if name in touched},
        group.resident & touched,
        blocks=group.blocks if nests[0] == group.main else DENSE,
    )


def _has_part(node: str, nests: tuple[Nest, ...]) -> bool:
    return any(nest.output.tensor == node or nest.output.tensor.startswith(f"{node}:") for nest in nests)
