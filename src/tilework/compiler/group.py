"""Groups: the nests that one tile computes before its result leaves the chip, all stated over one set of loops."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import prod

from tilework.compiler.prune_blocks import DENSE, Blocks
from tilework.network.extent import outputs_inside
from tilework.network.graph import DTYPE_BYTES, Tensor
from tilework.network.nest import CONTRACTION, Access, Nest

Box = list[tuple[int, int]]  # the first and the last place along each axis


@dataclass(frozen=True)
class Group:
    """Nests over common `loops`, in order; the first is the main one and sets how the loops are tiled.

    `tensors` has every tensor that the nests touch. Those that are `local` live on a core only, the others in DRAM or,
    if they are `resident`, in the SRAM. `blocks` say how the main contraction's weight is stored; `swapped` that its
    operands change places: the weight's tiles go to the NRAM and the input's to the WRAM. `on_lanes` are the places of
    contractions that the vector unit computes, both operands in the NRAM. One that `sends` is a copy to the WRAM, by
    the load unit.
    """

    nodes: tuple[str, ...]
    operation: str
    loops: tuple[tuple[str, int], ...]
    nests: tuple[Nest, ...]
    tensors: dict[str, Tensor]
    resident: frozenset[str] = frozenset()
    blocks: Blocks = DENSE
    swapped: bool = False
    on_lanes: frozenset[int] = frozenset()
    sends: bool = False

    @property
    def name(self) -> str:
        return self.nodes[0]

    @property
    def main(self) -> Nest:
        return self.nests[0]

    @property
    def contracts(self) -> bool:
        """Whether the main nest is one for the matrix unit."""
        return self.main.kind == CONTRACTION and 0 not in self.on_lanes

    @property
    def output(self) -> Access:
        return self.nests[-1].output

    @cached_property
    def extents(self) -> dict[str, int]:
        return dict(self.loops)

    @cached_property
    def local(self) -> set[str]:
        """Tensors that never leave the chip."""
        return {nest.output.tensor for nest in self.nests} - {self.output.tensor}

    @cached_property
    def external_reads(self) -> tuple[tuple[int, Access], ...]:
        """Each distinct access of a nest (by its place) to a tensor that the group doesn't make."""
        found = {(i, a): None for i, nest in enumerate(self.nests) for a in nest.reads if a.tensor not in self.local}
        return tuple(found)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The tensors in the order in which the nests name them."""
        return tuple(dict.fromkeys(a.tensor for nest in self.nests for a in (nest.output, *nest.reads)))

    @cached_property
    def shape(self) -> tuple[object, ...]:
        """What groups have in common that differ only in the names of their tensors."""
        numbers = {name: f"t{number}" for number, name in enumerate(self.names)}
        tensors = tuple(
            (self.tensors[n].shape, self.tensors[n].dtype, self.tensors[n].is_weight, n in self.resident)
            for n in self.names
        )
        return (
            self.loops,
            tuple(nest.rename(numbers) for nest in self.nests),
            tensors,
            self.blocks,
            self.swapped,
            self.on_lanes,
            self.sends,
        )

    @property
    def macs(self) -> int:
        """The multiply-accumulates of the matrix unit."""
        contractions = {place: nest for place, nest in enumerate(self.nests) if nest.kind == CONTRACTION}
        return sum(nest.iterations for place, nest in contractions.items() if place not in self.on_lanes)

    @property
    def needed_macs(self) -> int:
        """Those with weights that are not pruned."""
        _, summed = self.rows(self.main.extents)
        return self.macs * self.blocks.left(summed) // summed

    def rows(self, sizes: Mapping[str, int]) -> tuple[int, int]:
        """How many sums there are in so many iterations of some of the main nest's loops, and how long each is."""
        reduced = dict(self.main.reduction_loops)
        summed = prod(size for name, size in sizes.items() if name in reduced)
        return prod(sizes.values()) // summed, summed

    def tied(self, extents: Mapping[str, int]) -> set[str]:
        """The loops that share with another one an axis along which the main nest may leave a tensor, where the loops
        have these extents: what is padded depends on all of them, and so tiles may cut but one, a parallel one."""
        return {
            name
            for access in self.main.reads
            for axis, size in zip(access.index, self.tensors[access.tensor].shape, strict=True)
            if access.pad is not None and len(axis.terms) > 1 and not axis.within(extents, size)
            for name, _ in axis.terms
        }

    @property
    def compulsory_bytes(self) -> int:
        """What the group touches of its tensors in DRAM, once."""
        return sum(self.touched_bytes.values())

    @cached_property
    def touched_bytes(self) -> dict[str, int]:
        """What the group touches of each tensor in DRAM: of accesses that may overlap the largest, others added."""
        touched: dict[str, int] = {}
        boxes: dict[str, list[tuple[Box, int]]] = {}
        for access in dict.fromkeys((self.output, *(a for _, a in self.external_reads))):
            if access.tensor not in self.resident:
                box = [axis.bounds(self.extents) for axis in access.index]
                boxes.setdefault(access.tensor, []).append((box, self._elements(access)))
        for name, parts in boxes.items():
            apart = all(not _meet(one, other) for (one, _), (other, _) in combinations(parts, 2))
            touched[name] = (sum if apart else max)(elements for _, elements in parts)
        return {name: count * DTYPE_BYTES[self.tensors[name].dtype] for name, count in touched.items()}

    def _elements(self, access: Access) -> int:
        """The number of elements inside its tensor that an access names, or that blocks store of it."""
        tensor = self.tensors[access.tensor]
        if self.blocks.kept and tensor.is_weight and access in self.main.reads:
            sizes = dict(restrict(self.loops, access.loops()))
            return int(self.blocks.stored(*self.rows(sizes), DTYPE_BYTES[tensor.dtype]))
        nest = Nest(restrict(self.loops, access.loops()), access, "+=", access)
        return outputs_inside(nest, {access.tensor: tensor.shape})

    def __str__(self) -> str:
        return f"group {self.name} ({self.operation})\n" + "".join(f"  {nest}\n" for nest in self.nests)


def _meet(one: Box, other: Box) -> bool:
    """Whether two boxes have a common place."""
    return all(low <= high_too and low_too <= high for (low, high), (low_too, high_too) in zip(one, other, strict=True))


def restrict(loops: Iterable[tuple[str, int]], nest_loops: set[str]) -> tuple[tuple[str, int], ...]:
    """The loops that are in the set, in order."""
    return tuple(loop for loop in loops if loop[0] in nest_loops)
