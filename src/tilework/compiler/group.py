"""Groups: the nests that one tile computes before its result leaves the chip, all stated over one set of loops."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from tilework.network.extent import outputs_inside
from tilework.network.graph import DTYPE_BYTES, Tensor
from tilework.network.nest import CONTRACTION, Access, Nest


@dataclass(frozen=True)
class Group:
    """Nests over common `loops`, in order; the first is the main one and sets how the loops are tiled.

    `tensors` has every tensor that the nests touch; those in `external` live in DRAM, the others only on chip.
    """

    nodes: tuple[str, ...]
    operation: str
    loops: tuple[tuple[str, int], ...]
    nests: tuple[Nest, ...]
    tensors: dict[str, Tensor]

    @property
    def name(self) -> str:
        return self.nodes[0]

    @property
    def main(self) -> Nest:
        return self.nests[0]

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
        """Each distinct access of a nest (by its place) to a tensor in DRAM."""
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
        tensors = tuple((self.tensors[n].shape, self.tensors[n].dtype, self.tensors[n].is_weight) for n in self.names)
        return self.loops, tuple(nest.rename(numbers) for nest in self.nests), tensors

    @property
    def macs(self) -> int:
        return sum(nest.iterations for nest in self.nests if nest.kind == CONTRACTION)

    @property
    def compulsory_bytes(self) -> int:
        """What the group touches of its tensors in DRAM, once."""
        return sum(self.touched_bytes.values())

    @cached_property
    def touched_bytes(self) -> dict[str, int]:
        """What the group touches of each tensor in DRAM (of the accesses to one tensor, the largest)."""
        touched: dict[str, int] = {}
        for access in (self.output, *(a for _, a in self.external_reads)):
            touched[access.tensor] = max(touched.get(access.tensor, 0), self._elements(access))
        return {name: count * DTYPE_BYTES[self.tensors[name].dtype] for name, count in touched.items()}

    def _elements(self, access: Access) -> int:
        """The number of elements inside its tensor that an access names."""
        nest = Nest(restrict(self.loops, access.loops()), access, "+=", access)
        return outputs_inside(nest, {access.tensor: self.tensors[access.tensor].shape})

    def __str__(self) -> str:
        return f"group {self.name} ({self.operation})\n" + "".join(f"  {nest}\n" for nest in self.nests)


def restrict(loops: Iterable[tuple[str, int]], nest_loops: set[str]) -> tuple[tuple[str, int], ...]:
    """The loops that are in the set, in order."""
    return tuple(loop for loop in loops if loop[0] in nest_loops)
