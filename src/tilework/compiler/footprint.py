"""What the cores touch in DRAM, and where they must therefore wait for each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tilework.compiler.group import Group
from tilework.compiler.split import Work
from tilework.network.graph import Tensor
from tilework.network.nest import Access

Box = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Touch:
    """A core reads or writes the part of a tensor in a box: its first and last place along each axis."""

    core: int
    tensor: str
    box: Box
    writes: bool

    def collides(self, other: Touch) -> bool:
        """Whether the order of two touches of common bytes matters, which the cores don't keep by themselves."""
        if self.core == other.core or not (self.writes or other.writes):
            return False
        pairs = zip(self.box, other.box, strict=True) if self.tensor == other.tensor else ()
        return all(low <= high_too and low_too <= high for (low, high), (low_too, high_too) in pairs)


def barriers(works: Sequence[Work], addresses: Mapping[str, int]) -> list[bool]:
    """For each group, whether all cores must have finished those before it: some core reads or writes in it what
    another has written, or writes what another has read, since they last waited for each other. They also wait for
    weights that the movers bring."""
    if all(len(work.parts) == 1 for work in works):
        return [False] * len(works)
    ranges = _ranges(works, addresses)
    since: dict[str, list[Touch]] = defaultdict(list)
    needed = []
    for work in works:
        touches = list(_touches(work))
        met = [(touch, name) for touch in touches for name in since if _meet(ranges[touch.tensor], ranges[name])]
        needed.append(any(touch.collides(old) for touch, name in met for old in since[name]))
        if needed[-1]:
            since.clear()
        for touch in touches:
            since[touch.tensor].append(touch)
    return needed


def _touches(work: Work) -> Iterator[Touch]:
    for core, part in enumerate(work.parts):
        group = part.group
        for access in dict.fromkeys(access for _, access in group.external_reads):
            if not group.tensors[access.tensor].is_weight:
                yield Touch(core, access.tensor, _box(access, group), writes=False)
        yield Touch(core, group.output.tensor, _box(group.output, group), writes=True)


def _box(access: Access, group: Group) -> Box:
    bounds = (axis.bounds(group.extents) for axis in access.index)
    return tuple(
        (max(low, 0), min(high, size - 1))
        for (low, high), size in zip(bounds, group.tensors[access.tensor].shape, strict=True)
    )


def _ranges(works: Sequence[Work], addresses: Mapping[str, int]) -> dict[str, range]:
    """The addresses of each activation in DRAM."""
    tensors: dict[str, Tensor] = {}
    for work in works:
        names = [access.tensor for _, access in work.group.external_reads] + [work.group.output.tensor]
        tensors |= {name: work.group.tensors[name] for name in names if not work.group.tensors[name].is_weight}
    return {name: range(addresses[name], addresses[name] + tensor.size_bytes) for name, tensor in tensors.items()}


def _meet(one: range, other: range) -> bool:
    return one.start < other.stop and other.start < one.stop
