"""Where tensors lie in DRAM: packed constants first, then activations, whose space is used again when they are dead."""

from __future__ import annotations

from dataclasses import dataclass

from tilework.compiler.group import Group
from tilework.compiler.tile import Tiling
from tilework.isa.instruction import ELEMENT_BYTES
from tilework.network.graph import Graph, Tensor
from tilework.network.nest import Access

ALIGNMENT = 64


def align(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def axis_order(rank: int) -> tuple[int, ...]:
    """The axes of a tensor in DRAM, outermost first: channels last for N,C,H,W, which contractions sum over."""
    return (0, 2, 3, 1) if rank == 4 else tuple(range(rank))


def axis_strides(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Bytes from one place to the next along each axis of a dense array with its axes in `axis_order`."""
    strides = [0] * len(sizes)
    stride = ELEMENT_BYTES
    for axis in reversed(axis_order(len(sizes))):
        strides[axis] = stride
        stride *= sizes[axis]
    return tuple(strides)


@dataclass(frozen=True)
class Constant:
    """A weight in the program's image at `address`: whole (`group` is None), or packed for an access of a group."""

    tensor: Tensor
    address: int
    group: int | None = None
    access: Access | None = None


@dataclass(frozen=True)
class DramMap:
    """`plain` gives the address of each tensor stored whole, `packed` that of (group, buffer)."""

    constants: tuple[Constant, ...]
    plain: dict[str, int]
    packed: dict[tuple[int, int], int]
    weight_bytes: int
    total_bytes: int


def map_dram(graph: Graph, groups: tuple[Group, ...], tilings: tuple[Tiling, ...]) -> DramMap:
    """Addresses for everything that the groups read from and write to DRAM."""
    constants: list[Constant] = []
    plain: dict[str, int] = {}
    packed: dict[tuple[int, int], int] = {}
    top = 0
    for place, (group, tiling) in enumerate(zip(groups, tilings, strict=True)):
        for index, buffer in enumerate(tiling.plan.buffers):
            tensor = group.tensors.get(buffer.access.tensor)
            if not buffer.loaded or tensor is None or not tensor.is_weight:
                continue
            if buffer.packed:
                packed[place, index] = top
                constants.append(Constant(tensor, top, place, buffer.access))
            elif tensor.name not in plain:
                plain[tensor.name] = top
                constants.append(Constant(tensor, top))
            else:
                continue
            top += align(tensor.size_bytes)
    total = _place_activations(graph, groups, plain, top)
    return DramMap(tuple(constants), plain, packed, top, total)


def _lifetimes(graph: Graph, groups: tuple[Group, ...]) -> dict[str, tuple[Tensor, int, int]]:
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


def _place_activations(graph: Graph, groups: tuple[Group, ...], plain: dict[str, int], start: int) -> int:
    """Give each activation the lowest free place for its lifetime, the largest first; returns the end of all."""
    taken: list[tuple[int, int, int, int]] = []
    end = start
    lives = _lifetimes(graph, groups)
    for tensor, first, last in sorted(lives.values(), key=lambda life: (-life[0].size_bytes, life[0].name)):
        address, size = start, align(tensor.size_bytes)
        for low, high, born, dead in sorted(taken):
            if born <= last and first <= dead and address < high and low < address + size:
                address = high
        taken.append((address, address + size, first, last))
        plain[tensor.name] = address
        end = max(end, address + size)
    return end
