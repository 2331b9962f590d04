"""What a group keeps on chip: one buffer per operand that comes in, is made, or goes out, and who touches it."""

from __future__ import annotations

from dataclasses import dataclass

from tilework.compiler.body import scratch_count
from tilework.compiler.group import Group
from tilework.network.nest import CONTRACTION, COPY, ELEMENTWISE, Access, Nest


@dataclass(frozen=True)
class Buffer:
    """A place on chip for tiles of one operand.

    `access` gives the part of the tensor that a tile touches. `loaded` and `stored` say whether its tiles come from
    and go to DRAM; `packed` that it is a constant laid out tile by tile, in the order in which it is loaded. `users`
    are the places of the nests that touch it, `units` the chain of units that hand a tile on, in order.
    """

    name: str
    access: Access
    memory: str
    loaded: bool
    stored: bool
    packed: bool
    users: tuple[int, ...]
    units: tuple[str, ...]
    copies: int = 1


@dataclass(frozen=True)
class Plan:
    """The buffers of a group: `reads[(nest, access)]` and `writes[nest]` give the buffer's place in `buffers`."""

    buffers: tuple[Buffer, ...]
    reads: dict[tuple[int, Access], int]
    writes: dict[int, int]
    scratch: dict[int, int]


def contraction_operands(group: Group) -> tuple[Access, Access]:
    """The main contraction's operands: the one for NRAM, then the one for WRAM (the weight, if just one is)."""
    left, right = group.main.reads
    if group.tensors[left.tensor].is_weight and not group.tensors[right.tensor].is_weight:
        left, right = right, left
    return left, right


def unit_of(nest: Nest) -> str:
    return "matrix" if nest.kind == CONTRACTION else "vector"


def plan_buffers(group: Group) -> Plan:
    """Decide which operands share a buffer: an elementwise nest works in place on what the group has just made."""
    writes: dict[int, int] = {}
    local: dict[str, int] = {}
    drafts: list[tuple[str, Access, bool, list[int]]] = []
    reads: dict[tuple[int, Access], int] = {}
    for place, access in group.external_reads:
        reads[place, access] = len(drafts)
        drafts.append((access.tensor, access, True, [place]))
    for place, nest in enumerate(group.nests):
        for access in nest.reads:
            if access.tensor in local:
                reads[place, access] = local[access.tensor]
                drafts[local[access.tensor]][3].append(place)
        writes[place] = local[nest.output.tensor] = _target(place, nest, local, drafts)
    weight = contraction_operands(group)[1] if group.main.kind == CONTRACTION else None
    last = writes[len(group.nests) - 1]
    buffers = [_buffer(group, draft, weight, index == last) for index, draft in enumerate(drafts)]
    scratch = _add_scratch(group, buffers)
    return Plan(tuple(buffers), reads, writes, scratch)


def _target(place: int, nest: Nest, local: dict[str, int], drafts: list[tuple[str, Access, bool, list[int]]]) -> int:
    if nest.kind in (ELEMENTWISE, COPY):
        for access in nest.reads:
            if access.tensor in local and access.index == nest.output.index:
                return local[access.tensor]
    drafts.append((nest.output.tensor, nest.output, False, [place]))
    return len(drafts) - 1


def _buffer(group: Group, draft: tuple[str, Access, bool, list[int]], weight: Access | None, stored: bool) -> Buffer:
    name, access, loaded, users = draft
    access = group.output if stored else access
    packed = loaded and access == weight and group.tensors[access.tensor].is_weight and access.pad is None
    memory = "wram" if loaded and users[0] == 0 and access == weight else "nram"
    chain = ["load"] if loaded else []
    for user in users:
        unit = unit_of(group.nests[user])
        if not chain or chain[-1] != unit:
            chain.append(unit)
    units = (*chain, "store") if stored else tuple(chain)
    return Buffer(name, access, memory, loaded, stored, packed, tuple(users), units)


def _add_scratch(group: Group, buffers: list[Buffer]) -> dict[int, int]:
    """A buffer for the temporaries that a nest's body needs, as many tiles as are alive at once."""
    scratch: dict[int, int] = {}
    for place, nest in enumerate(group.nests):
        if copies := scratch_count(nest):
            shape = nest.reads[0] if nest.update != "=" else nest.output
            scratch[place] = len(buffers)
            name = f"{nest.output.tensor}:scratch"
            buffers.append(Buffer(name, shape, "nram", False, False, False, (place,), ("vector",), copies))
    return scratch
