"""What a core loads before a group begins, while it still computes the last tiles of the group before.

That is the first tile of each operand that doesn't depend on the group before: of weights and constants, and of
activations that were made earlier. It needs a place on chip that is free by then: one that the group before doesn't
use, or a slot from which it has read its last tile. So the buffers of a group are put where, after the group before,
most can come early.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

from tilework.compiler.buffers import whole_words
from tilework.compiler.chain_part import ChainPart
from tilework.compiler.layout import Frame
from tilework.compiler.split import Part, Work
from tilework.isa.instruction import ELEMENT_BYTES, Instruction
from tilework.machine.machine import Machine

Waits = tuple[tuple[int, int], ...]  # buffers of the group before, and how many of their slots must be free


@dataclass(frozen=True)
class Home:
    """Where the buffers of a part lie on chip: each one's base, and the slot that its first tile takes.

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


@dataclass(frozen=True)
class _Taken:
    """Bytes [low, high) of a memory that hold tiles of the buffer numbered `owner`, free after so many of the load
    unit's last waits for its slots; None if only at the group's end."""

    memory: str
    low: int
    high: int
    owner: int
    waits: int | None


def plain_home(part: Part) -> Home:
    """All buffers in a row from the beginning of their memories."""
    return _stacked(part, range(len(part.tiling.plan.buffers)), None)


def homes(works: Sequence[Work], waits: Sequence[bool], core: int, machine: Machine) -> list[Home | None]:
    """For each group the home of a core's part; None where the core has none, or one of a chain.

    `waits` says after which groups all cores meet.
    """
    found: list[Home | None] = []
    before = _before(works, waits)
    for place, (work, names) in enumerate(zip(works, before, strict=True)):
        part = work.parts[core] if core < len(work.parts) else None
        if part is None or isinstance(part, ChainPart):
            found.append(None)
            continue
        last = works[place - 1].parts[core] if place and core < len(works[place - 1].parts) else None
        home = found[place - 1] if place else None
        if place == 0 or isinstance(last, ChainPart):
            found.append(plain_home(part))
        else:
            taken = list(_taken(last, home)) if last and home else []
            able = [i for i, buffer in enumerate(part.tiling.plan.buffers) if buffer.access.tensor in names]
            able = [i for i in able if _comes_early(part, i, bool(work.chunks))]
            found.append(_best(part, able, taken, machine))
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


def _comes_early(part: Part, index: int, staged: bool) -> bool:
    buffer = part.tiling.plan.buffers[index]
    return buffer.loaded and bool(part.tiling.plan.tokens[index]) and not (staged and buffer.packed)


def _taken(part: Part, home: Home) -> Iterator[_Taken]:
    """What a part holds on chip when its last tile is being computed."""
    for index, frame in enumerate(home.frames(part)):
        ours = frame.buffer.loaded and part.tiling.plan.tokens[index]
        last = (_fills(part, index) - 1 + frame.turn) % frame.slots
        for slot in range(frame.slots):
            low = frame.base + slot * frame.slot_bytes
            free = (frame.slots if slot == last else 1) if ours else None
            yield _Taken(frame.buffer.memory, low, low + frame.slot_bytes, index, free)


def _fills(part: Part, index: int) -> int:
    """How often a buffer is filled."""
    return prod(part.tiling.count(part.group, depth) for depth in range(part.tiling.levels[index]))


def _best(part: Part, able: Sequence[int], taken: Sequence[_Taken], machine: Machine) -> Home:
    """The home in which most bytes come early, those sooner that are worth most."""
    every = range(len(part.tiling.plan.buffers))
    orders = dict.fromkeys((tuple(every), (*able, *(i for i in every if i not in able))))
    options = [_stacked(part, order, top) for order, top in product(orders, (None, machine))]
    filled = [_filled(part, home, able, taken) for home in options]
    return max(filled, key=lambda each: each[0])[1]


def _stacked(part: Part, order: Iterable[int], top: Machine | None) -> Home:
    """Buffers in a row from the beginning of their memories, or from the end of those of the machine `top`."""
    ends = {"nram": top.nram.capacity_bytes, "wram": top.wram.capacity_bytes} if top else {"nram": 0, "wram": 0}
    ends = {name: end // ELEMENT_BYTES * ELEMENT_BYTES for name, end in ends.items()}
    bases = [0] * len(part.tiling.plan.buffers)
    for index in order:
        frame = Frame(part.group, part.tiling, index)
        memory, size = frame.buffer.memory, whole_words(frame.total_bytes)
        bases[index] = ends[memory] - size if top else ends[memory]
        ends[memory] += -size if top else size
    return Home(tuple(bases), (0,) * len(bases))


def _filled(part: Part, home: Home, able: Sequence[int], taken: Sequence[_Taken]) -> tuple[float, Home]:
    """What comes early in a home, and how much it is worth: its bytes, less if they come later."""
    turns, found = list(home.turns), []
    for index in able:
        frame = home.frames(part)[index]
        options = [(turn, _waits(replace(frame, turn=turn), taken)) for turn in range(frame.slots)]
        known = [(sum(n for _, n in waits), turn, waits) for turn, waits in options if waits is not None]
        if known:
            late, turns[index], waits = min(known)
            found.append((late, index, waits, frame.tile_bytes))
    found.sort()
    early, waits_of = tuple(each[1] for each in found), tuple(each[2] for each in found)
    worth = sum(size / (1 + late) for late, _, _, size in found)
    return worth, Home(home.bases, tuple(turns), early, waits_of)


def _waits(frame: Frame, taken: Sequence[_Taken]) -> Waits | None:
    """What must be waited for before a buffer's first tile can come; None if that can't be."""
    low = frame.base + frame.turn * frame.slot_bytes
    found: dict[int, int] = {}
    for other in taken:
        if other.memory == frame.buffer.memory and other.low < low + frame.slot_bytes and low < other.high:
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
    for buffer, tokens, slots in zip(plan.buffers, plan.tokens, part.tiling.slots, strict=True):
        yield [Instruction("wait", unit=buffer.units[0], token=tokens[0])] * slots if tokens else []
