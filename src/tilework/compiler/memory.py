"""Where tensors lie in DRAM: packed constants first, then activations, whose space is used again when they are dead."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tilework.compiler.chain_part import pieces_of
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
        group, size = self.part.group, DTYPES[self.tensor.dtype]
        loops = self.part.tiling.plan.buffers[self.buffer].access.loops()
        return size * int(group.blocks.stored(*group.rows({name: group.extents[name] for name in loops}), size))


@dataclass(frozen=True)
class DramMap:
    """`plain` gives the address of each tensor stored whole, `packed` that of (group, part, buffer).

    `resident` gives the addresses in SRAM of those that stay there.
    """

    constants: tuple[Constant, ...]
    plain: dict[str, int]
    packed: dict[tuple[int, int, int], int]
    weight_bytes: int
    total_bytes: int
    resident: dict[str, int] = field(default_factory=dict)

    @property
    def apart(self) -> dict[str, int]:
        """The address of each tensor, those in SRAM behind those in DRAM."""
        return self.plain | {name: self.total_bytes + address for name, address in self.resident.items()}


def map_dram(
    graph: Graph, works: Sequence[Work], reuse: bool = True, resident: Mapping[str, int] | None = None
) -> DramMap:
    """Addresses for everything that the groups read from and write to DRAM.

    Parts that pack the same weights share them. `reuse`: activations take the space of those that are dead. Those that
    are `resident` need none.
    """
    resident = resident or {}
    constants: list[Constant] = []
    plain: dict[str, int] = {}
    packed: dict[tuple[int, int, int], int] = {}
    top = 0
    for (place, number, index), part, own in _constant_buffers(works):
        buffer = part.tiling.plan.buffers[own]
        tensor = part.group.tensors[buffer.access.tensor]
        if not buffer.packed and tensor.name in plain:
            continue
        twin = works[place].twin(number, buffer.access.loops())
        if buffer.packed and twin < number:
            packed[place, number, index] = packed[place, twin, index]
            continue
        if buffer.packed:
            packed[place, number, index] = top
            constants.append(Constant(tensor, top, part, own))
        else:
            plain[tensor.name] = top
            constants.append(Constant(tensor, top))
        top += align(constants[-1].size_bytes)
    every = lifetimes(graph, [work.group for work in works])
    lives = [life for life in every if life.tensor.name not in resident]
    plain |= (place_activations if reuse else _apart)(lives, top)
    end = max((plain[life.tensor.name] + align(life.tensor.size_bytes) for life in lives), default=top)
    return DramMap(tuple(constants), plain, packed, top, end, dict(resident))


def _constant_buffers(works: Sequence[Work]) -> Iterator[tuple[tuple[int, int, int], Part, int]]:
    """The buffers that weights are loaded to: the numbers of the group, the part and the buffer, and then the part, or
    the stage of a chain, in whose plan it is, and its number there."""
    for place, work in enumerate(works):
        for number, part in enumerate(work.parts):
            owners = [(piece, own) for piece in pieces_of(part) for own in range(len(piece.tiling.plan.buffers))]
            for index, (piece, own) in enumerate(owners):
                buffer = piece.tiling.plan.buffers[own]
                if buffer.loaded and piece.group.tensors[buffer.access.tensor].is_weight:
                    yield (place, number, index), piece, own


@dataclass(frozen=True)
class Life:
    """An activation, the group that writes it first (-1 for an input) and the last one that reads it."""

    tensor: Tensor
    first: int
    last: int


def lifetimes(graph: Graph, groups: Sequence[Group]) -> list[Life]:
    """That of each activation between groups, the largest first; outputs live on behind the last group."""
    lives = {t.name: Life(t, -1, -1) for t in graph.inputs}
    for place, group in enumerate(groups):
        for name in [a.tensor for _, a in group.external_reads] + [group.output.tensor]:
            if not group.tensors[name].is_weight:
                lives[name] = replace(lives.get(name, Life(group.tensors[name], place, place)), last=place)
    lives |= {name: replace(lives[name], last=len(groups)) for name in graph.outputs}
    return sorted(lives.values(), key=lambda life: (-life.tensor.size_bytes, life.tensor.name))


def place_activations(lives: Iterable[Life], start: int = 0, end: int | None = None) -> dict[str, int]:
    """Give each activation the lowest free address for its lifetime, if there is one before the end."""
    busy: dict[int, list[tuple[int, int]]] = defaultdict(list)  # by group: the ranges of those alive in it
    found = {}
    for life in lives:
        address, size, alive = start, align(life.tensor.size_bytes), range(life.first, life.last + 1)
        for low, high in sorted({taken for group in alive for taken in busy[group]}):
            if address < high and low < address + size:
                address = high
        if end is None or address + size <= end:
            found[life.tensor.name] = address
            for group in alive:
                busy[group].append((address, address + size))
    return found


def _apart(lives: Iterable[Life], start: int) -> dict[str, int]:
    """An address of its own for each activation."""
    found = {}
    for life in lives:
        found[life.tensor.name] = start
        start += align(life.tensor.size_bytes)
    return found
