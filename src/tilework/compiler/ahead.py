"""What a core loads before a group begins, while it still computes the last tiles of the group before.

That is the first tile of each operand that doesn't depend on the group before: of weights and constants, and of
activations that were made earlier. It needs a place on chip that is free by then: one that the group before doesn't
use, or a slot from which it has read its last tile. So the buffers of a group are put where, after the group before,
most can come early.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import NamedTuple

from tilework.compiler.buffers import whole_words
from tilework.compiler.chain_part import ChainPart
from tilework.compiler.layout import Frame
from tilework.compiler.split import Part, Work, share
from tilework.isa.instruction import ELEMENT_BYTES, Instruction
from tilework.machine.machine import Machine

MEMORIES = ("nram", "wram")
WORTH = 0.001  # of a group's cycles: what a first tile must take that its loops are cut for

Waits = tuple[tuple[int, int], ...]  # buffers of the group before, and how many of their slots must be free


@dataclass(frozen=True)
class Home:
    """Where the buffers of a part lie on chip: each one's base, and the slot that its first tile takes; of a chain, the
    bases of all that it has in NRAM and in WRAM. What it loads once is then numbered as buffers are.

    The first tiles of the buffers in `early` come before the group begins, in this order, each when the group before
    has freed the slots that it `waits` for.
    """

    bases: tuple[int, ...]
    turns: tuple[int, ...]
    early: tuple[int, ...] = ()
    waits: tuple[Waits, ...] = ()

    @property
    def choice(self) -> tuple[object, ...]:
        """What the code depends on."""
        return self.bases, self.turns, frozenset(self.early)

    def frames(self, part: Part) -> list[Frame]:
        """The part's buffers in their places."""
        places = enumerate(zip(self.bases, self.turns, strict=True))
        return [Frame(part.group, part.tiling, index, base, turn=turn) for index, (base, turn) in places]


class _Size(NamedTuple):
    """A buffer's memory, and the bytes of each of its slots."""

    memory: str
    slot_bytes: int
    slots: int


class _Taken(NamedTuple):
    """Bytes [low, high) of a memory that hold tiles of the buffer numbered `owner`, free after so many of the load
    unit's last waits for its slots; None if only at the group's end."""

    memory: str
    low: int
    high: int
    owner: int
    waits: int | None


def plain_home(part: Part) -> Home:
    """All buffers in a row from the beginning of their memories."""
    if isinstance(part, ChainPart):
        return Home((0, 0), ())
    sizes = _sizes(part)
    return Home(_bases(sizes, range(len(sizes))), (0,) * len(sizes))


def homes(works: Sequence[Work], waits: Sequence[bool], core: int, machine: Machine) -> list[Home | None]:
    """For each group the home of a core's part; None where the core has none.

    `waits` says after which groups all cores meet.
    """
    found: list[Home | None] = []
    last: Part | None = None
    rooms = machine.nram.capacity_bytes, machine.wram.capacity_bytes
    for place, (work, names) in enumerate(zip(works, _before(works, waits), strict=True)):
        part = work.parts[core] if core < len(work.parts) else None
        home = found[-1] if found else None
        taken = tuple(_taken(last, home)) if last and home else ()
        if part is None:
            found.append(None)
        elif place == 0:
            found.append(plain_home(part))
        elif isinstance(part, ChainPart):
            found.append(_chain_home(part, names, taken, rooms))
        else:
            seen = share(machine, len(work.parts))
            found.append(_best(_sizes(part), _able(part, names, bool(work.chunks), seen), taken, rooms))
        last = part
    return found


def _before(works: Sequence[Work], waits: Sequence[bool]) -> Iterator[set[str]]:
    """For each group the tensors that it may read before the group before it has ended."""
    alone = all(len(work.parts) == 1 for work in works)
    made: dict[str, int] = {}
    for place, work in enumerate(works):
        names = {access.tensor for _, access in work.group.external_reads}
        writers = {name: made.get(name, -1) for name in names}
        yield {
            name
            for name, writer in writers.items()
            if writer < 0 or (writer < place - 1 and (alone or any(waits[writer : place - 1])))
        }
        made[work.group.output.tensor] = place


def _able(part: Part, names: set[str], staged: bool, machine: Machine) -> tuple[int, ...]:
    """The buffers whose first tile may come early, those in loops only if that is worth a first iteration apart."""
    tiling = part.tiling
    able = [
        index
        for index, (buffer, tokens) in enumerate(zip(tiling.plan.buffers, tiling.plan.tokens, strict=True))
        if buffer.loaded
        and tokens
        and buffer.access.tensor in names
        and not (staged and buffer.packed)
        and not (tiling.pieces and index in tiling.plan.late)
    ]
    least = (WORTH * tiling.cycles - machine.dram.latency_cycles) * machine.dram_bytes_per_cycle
    depth = max((tiling.levels[i] for i in able if Frame(part.group, tiling, i).tile_bytes >= least), default=0)
    return tuple(index for index in able if tiling.levels[index] <= depth)


def _sizes(part: Part) -> tuple[_Size, ...]:
    frames = (Frame(part.group, part.tiling, index) for index in range(len(part.tiling.plan.buffers)))
    return tuple(_Size(frame.buffer.memory, frame.slot_bytes, frame.slots) for frame in frames)


def _taken(part: Part, home: Home) -> Iterator[_Taken]:
    """What a part holds on chip when its last tile is being computed; of a chain all that it ever does."""
    if isinstance(part, ChainPart):
        for memory, base, top in zip(MEMORIES, home.bases, _tops(part), strict=True):
            yield _Taken(memory, base, base + top, 0, None)
        return
    plan = part.tiling.plan
    for index, (size, base) in enumerate(zip(_sizes(part), home.bases, strict=True)):
        last = (part.tiling.fills(part.group, index) - 1 + home.turns[index]) % size.slots
        for slot in range(size.slots):
            low = base + slot * size.slot_bytes
            ours = plan.buffers[index].loaded and plan.tokens[index]
            free = size.slots - (last - slot) % size.slots if ours else None
            yield _Taken(size.memory, low, low + size.slot_bytes, index, free)


@lru_cache(maxsize=1024)
def _best(sizes: tuple[_Size, ...], able: tuple[int, ...], taken: tuple[_Taken, ...], rooms: tuple[int, int]) -> Home:
    """The home in which most bytes come early, those sooner that are worth most."""
    every = range(len(sizes))
    orders = dict.fromkeys((tuple(every), (*able, *(i for i in every if i not in able))))
    options = [_bases(sizes, order, ends) for order, ends in product(orders, (None, rooms))]
    filled = [_filled(sizes, bases, able, taken) for bases in options]
    return max(filled, key=lambda each: each[0])[1]


def _chain_home(part: ChainPart, names: set[str], taken: tuple[_Taken, ...], rooms: tuple[int, int]) -> Home:
    """That at the beginning or the end of the memories, to which more of what the chain's first stage loads once comes
    early; what later stages load comes while that one computes."""
    tops, held = _tops(part), part.held
    sizes = [_Size(frame.buffer.memory, frame.total_bytes, 1) for frame in held]
    first = held[0].group if held else None
    able = [n for n, frame in enumerate(held) if frame.buffer.access.tensor in names and frame.group is first]
    options = []
    for ends in product((False, True), repeat=len(MEMORIES)):
        free = (room - top for room, top in zip(rooms, tops, strict=True))
        origin = tuple(size // ELEMENT_BYTES * ELEMENT_BYTES * end for size, end in zip(free, ends, strict=True))
        bases = tuple(frame.base + origin[MEMORIES.index(frame.buffer.memory)] for frame in held)
        worth, home = _filled(sizes, bases, able, taken)
        options.append((worth, Home(origin, (), home.early, home.waits)))
    return max(options, key=lambda each: each[0])[1]


def _tops(part: ChainPart) -> list[int]:
    """What a chain needs of NRAM and WRAM."""
    return [max(layout.top[memory] for layout in part.layouts) for memory in MEMORIES]


def _bases(sizes: Sequence[_Size], order: Iterable[int], ends: tuple[int, int] | None = None) -> tuple[int, ...]:
    """Buffers in a row from the beginning of their memories, or from the ends of NRAM and WRAM downwards."""
    tops = {memory: end // ELEMENT_BYTES * ELEMENT_BYTES for memory, end in zip(MEMORIES, ends or (0, 0), strict=True)}
    bases = [0] * len(sizes)
    for index in order:
        memory, size, slots = sizes[index]
        taken = whole_words(size * slots)
        bases[index] = tops[memory] - taken if ends else tops[memory]
        tops[memory] += -taken if ends else taken
    return tuple(bases)


def _filled(
    sizes: Sequence[_Size], bases: tuple[int, ...], able: Sequence[int], taken: Sequence[_Taken]
) -> tuple[float, Home]:
    """What comes early to these places, and how much that is worth: its bytes, less if they come later."""
    turns, found = [0] * len(sizes), []
    for index in able:
        size = sizes[index]
        options = [(turn, _waits(size, bases[index] + turn * size.slot_bytes, taken)) for turn in range(size.slots)]
        known = [(sum(n for _, n in waits), turn, waits) for turn, waits in options if waits is not None]
        if known:
            late, turns[index], waits = min(known)
            found.append((late, index, waits))
    found.sort()
    worth = sum(sizes[index].slot_bytes / (1 + late) for late, index, _ in found)
    early, waits_of = tuple(index for _, index, _ in found), tuple(waits for *_, waits in found)
    return worth, Home(bases, tuple(turns), early, waits_of)


def _waits(size: _Size, low: int, taken: Sequence[_Taken]) -> Waits | None:
    """What must be waited for before a tile can come to a place; None if that can't be."""
    found: dict[int, int] = {}
    for other in taken:
        if other.memory == size.memory and other.low < low + size.slot_bytes and low < other.high:
            if other.waits is None:
                return None
            found[other.owner] = max(other.waits, found.get(other.owner, 0))
    return tuple(found.items())


def ending(part: Part | None, after: Home | None, ahead: dict[int, list[Instruction]]) -> list[Instruction]:
    """The end of a part's code, but for the last sync or barrier: its units wait for all slots, and in between the load
    unit brings what comes early for the group after it."""
    code: list[Instruction] = []
    left: dict[int, list[Instruction]] = {}
    if part is not None and not isinstance(part, ChainPart):
        left = {i: list(waits) for i, waits in enumerate(_last_waits(part))}
    for index, waits in zip(after.early, after.waits, strict=True) if after else ():
        for owner, number in waits:
            done = part.tiling.slots[owner] - len(left[owner]) if part else 0
            code += [left[owner].pop() for _ in range(number - done)]
        code += ahead[index]
    return [*code, *(wait for waits in left.values() for wait in waits)]


def _last_waits(part: Part) -> Iterator[list[Instruction]]:
    """For each buffer the waits for its slots, after which all of them are free."""
    plan = part.tiling.plan
    for index, (buffer, tokens) in enumerate(zip(plan.buffers, plan.tokens, strict=True)):
        slots = part.tiling.slots[index] * part.tiling.shares(part.group, index)
        yield [Instruction("wait", unit=buffer.units[0], token=tokens[0])] * slots if tokens else []
