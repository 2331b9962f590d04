"""What a group keeps on chip: one buffer per operand that comes in, is made, or goes out, and who touches it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import gcd, prod
from typing import Any

from tilework.compiler.axes import axis_strides
from tilework.compiler.body import scratch_count
from tilework.compiler.group import Group
from tilework.errors import CompileError
from tilework.isa.blocks import BLOCK
from tilework.isa.instruction import DTYPES, ELEMENT_BYTES, MAX_TOKENS
from tilework.network.graph import FLOATING_BYTES
from tilework.network.nest import CONTRACTION, COPY, ELEMENTWISE, Access, Nest


@dataclass(frozen=True)
class Buffer:
    """A place on chip for tiles of one operand.

    `access` gives the part of the tensor that a tile touches. `loaded` and `stored` say whether its tiles come from
    and go to DRAM; `packed` that it is a constant laid out tile by tile, in the order in which it is loaded. `users`
    are the places of the nests that touch it, `units` the chain of units that hand a tile on, in order. `dtype` is that
    of its elements, or of others that are as large.
    """

    name: str
    access: Access
    memory: str
    loaded: bool
    stored: bool
    packed: bool
    users: tuple[int, ...]
    units: tuple[str, ...]
    dtype: str
    copies: int = 1


@dataclass(frozen=True)
class Plan:
    """The buffers of a group: `reads[(nest, access)]` and `writes[nest]` give the buffer's place in `buffers`.

    Where the sums of a tile are `parked` in a buffer of the WRAM, that of the main nest's result has pieces of them.
    """

    buffers: tuple[Buffer, ...]
    reads: dict[tuple[int, Access], int]
    writes: dict[int, int]
    scratch: dict[int, int]
    parked: int | None = None

    def filled_inside(self, index: int) -> bool:
        """Whether a buffer's tiles are filled inside the loops along which the main nest reduces: what is loaded, and
        the temporaries of the main nest's body."""
        return self.buffers[index].loaded or self.scratch.get(0) == index

    @cached_property
    def late(self) -> frozenset[int]:
        """The buffers that the main nest does not touch."""
        return frozenset(index for index, buffer in enumerate(self.buffers) if 0 not in buffer.users)

    def made_late(self, index: int) -> bool:
        """Whether a buffer's tiles are complete in the last step of a reduction only, wherever they are filled."""
        return index in self.late or (self.parked is not None and index == self.writes[0])

    @property
    def tokens(self) -> tuple[range, ...]:
        """For each buffer a token per unit that hands it on: unit j waits for token j and posts the next. A last one of
        pieces of sums says that they are to be parked."""
        ranges: list[range] = []
        for index, buffer in enumerate(self.buffers):
            first = ranges[-1].stop if ranges else 0
            number = len(buffer.units) + (self.parked is not None and index == self.writes[0])
            ranges.append(range(first, first + (number if len(buffer.units) > 1 else 0)))
        return tuple(ranges)

    def check(self, name: str) -> None:
        """Raises CompileError for a group, of this name, that needs more tokens than there are, or that runs backwards
        through a tensor that isn't packed in the order in which it is read."""
        for (_, access), place in self.reads.items():
            if not self.buffers[place].packed and any(c < 0 for axis in access.index for _, c in axis.terms):
                raise CompileError(
                    f"an index of {name} must grow with its loops, not run backwards in {access.tensor}; "
                    "read the tensor forwards"
                )
        if self.tokens[-1].stop > MAX_TOKENS:
            raise CompileError(f"{name} must need at most {MAX_TOKENS} tokens, not {self.tokens[-1].stop}; fuse less")


def whole_words(size: Any) -> Any:
    """Bytes rounded up to the largest element's, so that the next buffer may hold any dtype."""
    return -(-size // ELEMENT_BYTES) * ELEMENT_BYTES


def contraction_operands(group: Group) -> tuple[Access, Access]:
    """The main contraction's operands: the one for NRAM, then the one for WRAM, which is the weight, if just one is;
    in a swapped group the other way round."""
    left, right = group.main.reads
    first = group.tensors[left.tensor].is_weight and not group.tensors[right.tensor].is_weight
    return (right, left) if first != group.swapped else (left, right)


def packed_loops(group: Group, weight: Access) -> tuple[str, ...]:
    """The loops of a packed constant, outermost first: outputs, then what is summed, nearest in the input last."""
    loops = weight.loops()
    inputs = next(a for a in group.main.reads if a != weight)
    tensor = group.tensors[inputs.tensor]
    strides = axis_strides(tensor.shape, tensor.dtype)
    near = {name: abs(c) * stride for axis, stride in zip(inputs.index, strides, strict=True) for name, c in axis.terms}
    parallel = [n for n, _ in group.main.parallel_loops if n in loops]
    summed = [n for n, _ in group.main.reduction_loops if n in loops]
    return (*parallel, *sorted(summed, key=lambda n: -near.get(n, 0)))


def grain(group: Group, loop: str) -> int:
    """Of how many iterations tiles of a loop must be, so that a tile of the weight begins and ends with a block.

    1 where all do; the loop's extent where no smaller tiles can be.
    """
    if not group.blocks.kept or loop not in dict(group.main.reduction_loops):
        return 1
    order = [n for n in packed_loops(group, contraction_operands(group)[1]) if n in dict(group.main.reduction_loops)]
    extent, nearer = group.extents[loop], prod(group.extents[n] for n in order[order.index(loop) + 1 :])
    whole = loop == order[0] or extent * nearer % BLOCK == 0
    return BLOCK // gcd(BLOCK, nearer) if whole else extent


def unit_of(group: Group, place: int) -> str:
    """The unit that computes a group's nest at a place."""
    if group.sends:
        return "load"
    return "matrix" if place == 0 and group.contracts else "vector"


def plan_buffers(group: Group, parked: bool = False) -> Plan:
    """Decide which operands share a buffer: an elementwise nest works in place on what the group has just made.

    With `parked` a contraction's sums stay in WRAM; the load unit brings pieces of them to NRAM and takes them back.
    """
    writes: dict[int, int] = {}
    local: dict[str, int] = {}
    drafts: list[tuple[str, Access, bool, list[int]]] = []
    reads: dict[tuple[int, Access], int] = {}
    shared: dict[Access, int] = {}
    for place, access in group.external_reads:
        if access in shared:
            drafts[shared[access]][3].append(place)
        else:
            drafts.append((access.tensor, access, True, [place]))
        reads[place, access] = shared.get(access, len(drafts) - 1)
        if unit_of(group, place) == "vector":
            shared[access] = reads[place, access]
    for place, nest in enumerate(group.nests):
        for access in nest.reads:
            if access.tensor in local:
                reads[place, access] = local[access.tensor]
                drafts[local[access.tensor]][3].append(place)
        later = {access.tensor for other in group.nests[place + 1 :] for access in other.reads}
        free = {name: number for name, number in local.items() if name not in later}
        writes[place] = local[nest.output.tensor] = _target(group, place, free, drafts)
    main = contraction_operands(group) if group.main.kind == CONTRACTION else ()
    last = writes[len(group.nests) - 1]
    buffers = [_buffer(group, draft, main, index == last) for index, draft in enumerate(drafts)]
    scratch = _add_scratch(group, buffers)
    if not parked:
        return Plan(tuple(buffers), reads, writes, scratch)
    sums = buffers[writes[0]]
    buffers[writes[0]] = replace(sums, units=("load", *sums.units))
    whole = replace(sums, name=f"{sums.name}:parked", memory="wram", stored=False, users=(0,), units=("load",))
    return Plan((*buffers, whole), reads, writes, scratch, len(buffers))


def _target(group: Group, place: int, local: dict[str, int], drafts: list[tuple[str, Access, bool, list[int]]]) -> int:
    nest = group.nests[place]
    size = DTYPES[group.tensors[nest.output.tensor].dtype]
    if nest.kind in (ELEMENTWISE, COPY):
        for access in nest.reads:
            as_large = DTYPES[group.tensors[access.tensor].dtype] == size
            if access.tensor in local and _same_place(access, nest.output) and as_large:
                return local[access.tensor]
    drafts.append((nest.output.tensor, nest.output, False, [place]))
    return len(drafts) - 1


def _same_place(access: Access, output: Access) -> bool:
    """Whether a nest reads each element where it writes one, in tensors that may begin elsewhere."""
    pairs = zip(access.index, output.index, strict=False)
    return len(access.index) == len(output.index) and all(a.terms == b.terms for a, b in pairs)


def _buffer(group: Group, draft: tuple[str, Access, bool, list[int]], main: tuple[Access, ...], stored: bool) -> Buffer:
    name, access, loaded, users = draft
    access = group.output if stored else access
    far = main[1:] if loaded and users[0] == 0 and group.contracts else ()
    constant = group.tensors[access.tensor].is_weight and access.pad is None
    packed = loaded and constant and access in (main[:1] if group.swapped else main[1:])
    memory = "wram" if access in far or (stored and group.sends) else "nram"
    chain = ["load"] if loaded else []
    for user in users:
        unit = unit_of(group, user)
        if not chain or chain[-1] != unit:
            chain.append(unit)
    units = (*chain, "store") if stored else tuple(chain)
    dtype = group.tensors[access.tensor].dtype
    return Buffer(name, access, memory, loaded, stored, packed, tuple(users), units, dtype)


def scratch_dtype(group: Group, nest: Nest) -> str:
    """That of what a body computes on the way: its result's, but no whole number."""
    dtype = group.tensors[nest.output.tensor].dtype
    return dtype if dtype in FLOATING_BYTES else "float32"


def _add_scratch(group: Group, buffers: list[Buffer]) -> dict[int, int]:
    """A buffer for the temporaries that a nest's body needs, as many tiles as are alive at once."""
    scratch: dict[int, int] = {}
    for place, nest in enumerate(group.nests):
        if copies := scratch_count(nest):
            shape = nest.reads[0] if nest.update != "=" else nest.output
            scratch[place] = len(buffers)
            name, dtype = f"{nest.output.tensor}:scratch", scratch_dtype(group, nest)
            buffers.append(Buffer(name, shape, "nram", False, False, False, (place,), ("vector",), dtype, copies))
    return scratch
