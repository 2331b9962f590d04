"""Where tensors lie in DRAM: packed constants first, then activations, whose space is used again when they are dead."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from tilework.compiler.buffers import Buffer
from tilework.compiler.group import Group
from tilework.compiler.split import Part, Work
from tilework.isa.instruction import DTYPES
from tilework.network.graph import Graph, Tensor

ALIGNMENT = 64


def align(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class Constant:
    """A weight in the program's image at `address`: whole (`part` is None), or packed for a buffer of a part."""

    tensor: Tensor
    address: int
    part: Part | None = None
    buffer: int = 0

    @property
    def size_bytes(self) -> int:
        if self.part is None:
            return self.tensor.size_bytes
        loops = self.part.tiling.plan.buffers[self.buffer].access.loops()
        return DTYPES[self.tensor.dtype] * prod(self.part.group.extents[name] for name in loops)


@dataclass(frozen=True)
class DramMap:
    """`plain` gives the address of each tensor stored whole, `packed` that of (group, part, buffer)."""

    constants: tuple[Constant, ...]
    plain: dict[str, int]
    packed: dict[tuple[int, int, int], int]
    weight_bytes: int
    total_bytes: int


def map_dram(graph: Graph, works: Sequence[Work], reuse: bool = True) -> DramMap:
    """Addresses for everything that the groups read from and write to DRAM.

    Parts that pack the same weights share them. `reuse`: activations take the space of those that are dead.
    """
    constants: list[Constant] = []
    plain: dict[str, int] = {}
    packed: dict[tuple[int, int, int], int] = {}
    top = 0
    for (place, number, index), part, buffer in _constant_buffers(works):
        tensor = part.group.tensors[buffer.access.tensor]
        if not buffer.packed and tensor.name in plain:
            continue
        if buffer.packed and number and works[place].loop not in buffer.access.loops():
            packed[place, number, index] = packed[place, 0, index]
            continue
        if buffer.packed:
            packed[place, number, index] = top
            constants.append(Constant(tensor, top, part, index))
        else:
            plain[tensor.name] = top
            constants.append(Constant(tensor, top))
        top += align(constants[-1].size_bytes)
    total = _place_activations(graph, [work.group for work in works], plain, top, reuse)
    return DramMap(tuple(constants), plain, packed, top, total)


def _constant_buffers(works: Sequence[Work]) -> Iterator[tuple[tuple[int, int, int], Part, Buffer]]:
    """The buffers that weights are loaded to, each with the numbers of its group, its part and its own."""
    for place, work in enumerate(works):
        for number, part in enumerate(work.parts):
            for index, buffer in enumerate(part.tiling.plan.buffers):
                if buffer.loaded and part.group.tensors[buffer.access.tensor].is_weight:
                    yield (place, number, index), part, buffer


def _lifetimes(graph: Graph, groups: Sequence[Group]) -> dict[str, tuple[Tensor, int, int]]:
    """For each activation in DRAM the first group that writes it and the last that reads it."""
    lives: dict[str, tuple[Tensor, int, int]] = {t.name: (t, -1, -1) for t in graph.inputs}
    for place, group in enumerate(groups):
        for name in [a.tensor for _, a in group.external_reads] + [group.output.tensor]:
            tensor = group.tensors[name]
            if not tensor.is_weight:
                first = lives.get(name, (tensor, place, place))[1]
                lives[name] = (tensor, first, place)
    for name in graph.outputs:
        tensor, first, _ = lives[name]
        lives[name] = (tensor, first, len(groups))
    return lives


def _place_activations(graph: Graph, groups: Sequence[Group], plain: dict[str, int], start: int, reuse: bool) -> int:
    """Give each activation the lowest free place for its lifetime, the largest first; returns the end of all."""
    busy: dict[int, list[tuple[int, int]]] = defaultdict(list)  # by group: the ranges of those alive in it
    end = start
    lives = _lifetimes(graph, groups)
    for tensor, first, last in sorted(lives.values(), key=lambda life: (-life[0].size_bytes, life[0].name)):
        address, size = start if reuse else end, align(tensor.size_bytes)
        alive = range(first, last + 1) if reuse else range(0)
        for low, high in sorted({taken for group in alive for taken in busy[group]}):
            if address < high and low < address + size:
                address = high
        for group in alive:
            busy[group].append((address, address + size))
        plain[tensor.name] = address
        end = max(end, address + size)
    return end
