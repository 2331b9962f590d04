"""The instructions of one stream of a random program: blocks of instructions, loops and jumps, tokens between them.

Some registers hold numbers that are known, so that operands may use them: r0 to r3 are set at the beginning, r4 to r9
count the passes of what jumps back. Of the others, r10 to r19 have values that no memory decides, and may decide jumps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from random import Random

from tilework.isa.blocks import BLOCK
from tilework.isa.instruction import (
    DTYPES,
    MAX_LOOPS,
    MAX_REGISTERS,
    MAX_TOKENS,
    Descriptor,
    Immediate,
    Instruction,
    Operand,
)
from tilework.isa.random_operand import Nest, Region, random_operand, random_permutation
from tilework.isa.table import OPCODES, Opcode
from tilework.isa.wellformed import FLOATS, MAX_INTEGER, MIN_INTEGER, QUEUES_OF
from tilework.machine.machine import Machine

DESCRIBED = tuple(name for name, row in OPCODES.items() if "nest" in row.fields)
SCALAR = tuple(name for name, row in OPCODES.items() if "register" in row.fields)
_JUMPS = tuple(name for name, row in OPCODES.items() if "target" in row.fields)
_CONSTANTS = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, float("inf"), float("-inf"))
_NUMBERS = (0, 1, -1, 4, 31, MIN_INTEGER, MAX_INTEGER)
_ADDRESSES, _COUNTERS = range(4), range(4, 10)
_PLAIN, _LOADED = range(10, 20), range(20, MAX_REGISTERS)
_PASSES = 3


@dataclass(frozen=True, slots=True)
class Options:
    """How large the programs may be.

    `instructions` that move, compute or are scalar, at most; loops at most `depth` deep, of 1 to `count` iterations;
    inner nests of at most `elements` iterations; DRAM of `dram_bytes`, half of it weights; only the given `mnemonics`,
    of those that name descriptors, registers or labels, and `dtypes`; at most so many `streams`. A jump depends on what
    `sload` read only if `data` is true.
    """

    instructions: int = 20
    depth: int = 3
    count: int = 4
    elements: int = 256
    dram_bytes: int = 1 << 14
    mnemonics: tuple[str, ...] = (*DESCRIBED, *SCALAR, "jump")
    dtypes: tuple[str, ...] = tuple(DTYPES)
    streams: int = 4
    data: bool = False


@dataclass(frozen=True, slots=True)
class Areas:
    """The regions of a memory that a stream may read and those that it may write."""

    readable: tuple[Region, ...]
    writable: tuple[Region, ...]


@dataclass(frozen=True, slots=True)
class Label:
    """A place among instructions; until they are placed, a jump's target is the label's number."""

    number: int


Item = Instruction | Label


def placed(items: Sequence[Item]) -> tuple[Instruction, ...]:
    """The instructions, their jumps to the places of the labels."""
    places: dict[int, int] = {}
    instructions: list[Instruction] = []
    for item in items:
        if isinstance(item, Label):
            places[item.number] = len(instructions)
        else:
            instructions.append(item)
    return tuple(replace(i, target=places[i.target]) if i.mnemonic in _JUMPS else i for i in instructions)


class Maker:
    """Draws a stream into `items`: `begin`, then for each phase `enter` and a `block`."""

    def __init__(self, random: Random, machine: Machine, options: Options, role: str) -> None:
        self.random, self.options, self.role = random, options, role
        self.tokens = random.sample(range(MAX_TOKENS), MAX_TOKENS)
        self.items: list[Item] = []
        self.areas: dict[str, Areas] = {}
        self.elements = 1
        self._skips = machine.matrix.zero_skipping
        self._multiplied = [d for d in options.dtypes if d in machine.matrix.rates] or [machine.dtype]
        self._known: dict[int, tuple[int, int]] = {}  # the least and the largest value of a register, multiples of 4
        self._labels = 0
        self._units: dict[str, list[str]] = {}

    def begin(self) -> None:
        """Set the registers that operands use."""
        if not self._may("scopy"):
            return
        for register in self.random.sample(_ADDRESSES, self.random.randint(0, len(_ADDRESSES))):
            value = 4 * self.random.randint(-16, 16)
            self.items.append(Instruction("scopy", registers=(register,), constant=value))
            self._known[register] = value, value

    def enter(self, areas: dict[str, Areas]) -> None:
        """Go on in these areas."""
        self.areas = areas
        smallest = min(region.size for area in areas.values() for region in (*area.readable, *area.writable))
        self.elements = max(1, min(self.options.elements, smallest // 8))
        self._units = {}
        for name in self.options.mnemonics:
            if name not in _JUMPS and self._possible(OPCODES[name]):
                self._units.setdefault(OPCODES[name].unit, []).append(name)

    def block(self, counts: tuple[int, ...], budget: int) -> list[Item]:
        """The body of the loops of these counts, of up to `budget` instructions that move or compute."""
        parts: list[list[Item]] = []
        while budget > 0:
            share = 1
            if len(counts) < min(self.options.depth, MAX_LOOPS) and self.random.random() < 0.3:
                share = self.random.randint(1, budget)
                parts.append(self._loop(counts, share))
            elif self.random.random() < 0.05 and self._may("jumpif", "scopy", "ssub") and self._free_counters():
                share = self.random.randint(1, budget)
                parts.append(self._again(counts, share))
            elif self.random.random() < 0.1 or not self._units:
                parts.append([Instruction("sync")])
            else:
                parts.append([self._instruction(counts)])
            budget -= share
        self._skip(parts)
        self._hand_over(parts)
        return [item for part in parts for item in part]

    def _may(self, *mnemonics: str) -> bool:
        return set(mnemonics) <= set(self.options.mnemonics)

    def _possible(self, opcode: Opcode) -> bool:
        """Whether the role has the instruction, and the areas a place for each of its operands."""
        places = opcode.places(self.role)
        if places is None:
            return False
        return all(self._memories(allowed, number == 0) for number, allowed in enumerate(places))

    def _memories(self, allowed: Sequence[str], written: bool) -> list[str]:
        """Those of the places an operand may have that are there."""

        def there(place: str) -> bool:
            area = self.areas.get(place)
            return place in ("#", "r") or (area is not None and bool(area.writable if written else area.readable))

        return [place for place in allowed if there(place)]

    def _loop(self, counts: tuple[int, ...], budget: int) -> list[Item]:
        count = self.random.randint(1, self.options.count)
        body = self.block((*counts, count), budget if self.random.random() < 0.95 else 0)
        loop, endloop = Instruction("loop", count=count), Instruction("endloop")
        pair = self._pair() if self.random.random() < 0.5 else None
        if pair is None:
            return [loop, *body, endloop]
        # A token that goes round with the loop, as free buffers do.
        post, wait = pair
        free = self.random.randint(1, 3)
        return [*[post] * free, loop, wait, *body, post, endloop, *[wait] * free]

    def _free_counters(self) -> list[int]:
        return [register for register in _COUNTERS if register not in self._known]

    def _again(self, counts: tuple[int, ...], budget: int) -> list[Item]:
        """A block that is passed a few times by jumping back to its beginning."""
        counter, most = self._free_counters()[0], 4 * self.random.randint(1, _PASSES)
        label = self._label()
        self._known[counter] = 4, most
        body = self.block(counts, budget)
        del self._known[counter]
        return [
            Instruction("scopy", registers=(counter,), constant=most),
            label,
            *body,
            Instruction("ssub", registers=(counter, counter), constant=4),
            Instruction("jumpif", registers=(counter,), target=label.number),
        ]

    def _skip(self, parts: list[list[Item]]) -> None:
        """Put a jump over some of the parts, none of which leaves a token behind."""
        jumps = [name for name in _JUMPS if self._may(name)]
        if not jumps or not parts or self.random.random() < 0.85:
            return
        first, last = sorted(self.random.choices(range(len(parts) + 1), k=2))
        mnemonic, label = self.random.choice(jumps), self._label()
        pool = (*_PLAIN, *_LOADED) if self.options.data else _PLAIN
        registers = (self.random.choice(pool),) if mnemonic != "jump" else ()
        skipped = [item for part in parts[first:last] for item in part]
        parts[first:last] = [[Instruction(mnemonic, registers=registers, target=label.number), *skipped, label]]

    def _label(self) -> Label:
        self._labels += 1
        return Label(self._labels)

    def _hand_over(self, parts: list[list[Item]]) -> None:
        """Insert a few posts, each with its wait later in the same block."""
        for _ in range(self.random.randint(0, 2)):
            if pair := self._pair():
                first, second = sorted(self.random.choices(range(len(parts) + 1), k=2))
                parts.insert(second, [pair[1]])
                parts.insert(first, [pair[0]])

    def _pair(self) -> tuple[Instruction, Instruction] | None:
        if not self.tokens:
            return None
        token = self.tokens.pop()
        poster, waiter = self.random.choices(QUEUES_OF[self.role], k=2)
        return Instruction("post", unit=poster, token=token), Instruction("wait", unit=waiter, token=token)

    def _instruction(self, counts: tuple[int, ...]) -> Instruction:
        opcode = OPCODES[self.random.choice(self._units[self.random.choice(list(self._units))])]
        if "nest" not in opcode.fields:
            return self._scalar(opcode, counts)
        nest = Nest(self._extents(), counts)
        accumulate = "accumulate" in opcode.fields and self.random.random() < 0.5
        return Instruction(opcode.mnemonic, self._descriptor(opcode, nest), accumulate)

    def _scalar(self, opcode: Opcode, counts: tuple[int, ...]) -> Instruction:
        """An instruction of control, which writes no register that is known."""
        loaded = opcode.form == "sload" or self.random.random() < 0.3
        pool = list(_LOADED if loaded else _PLAIN)
        descriptor, constant, registers = None, None, [self.random.choice(pool)]
        if "element" in opcode.fields:
            area = self.areas["nram"]
            region = self.random.choice(area.readable if opcode.form == "sload" else area.writable)
            dtype = self.random.choice(self.options.dtypes)
            descriptor = Descriptor((1,), self._inside("nram", dtype, region, Nest((1,), counts), (False,), True))
        if "scalars" in opcode.fields:
            sources = (*_PLAIN, *self._known, *(_LOADED if loaded else ()))
            registers += self.random.choices(sources, k=opcode.sources)
            if self.random.random() < 0.4:
                registers.pop()
                constant = self.random.choice((*_NUMBERS, self.random.randint(-100, 100)))
        return Instruction(opcode.mnemonic, descriptor, registers=tuple(registers), constant=constant)

    def _extents(self) -> tuple[int, ...]:
        extents: list[int] = []
        for _ in range(self.random.randint(1, 5)):
            extents.append(self.random.randint(1, max(1, min(8, self.elements // prod(extents)))))
        if self.random.random() < 0.3:
            extents[-1] *= self.random.randint(1, self.elements // prod(extents))
        return tuple(random_permutation(self.random, extents))

    def _descriptor(self, opcode: Opcode, nest: Nest) -> Descriptor:
        masks = _MASKS[opcode.form](self.random, len(nest.extents))
        dtypes = self._dtypes(opcode)
        destination, taken = self._operand(opcode, 0, dtypes[0], nest, masks[0], None)
        assert isinstance(destination, Operand)
        sources = [
            self._operand(opcode, number, dtypes[number], nest, masks[number], (destination.memory, taken))[0]
            for number in range(1, 1 + opcode.sources)
        ]
        if opcode.form == "vector" and self.random.random() < 0.2 and isinstance(sources[0], Operand):
            sources[0] = destination
        return Descriptor(nest.extents, destination, tuple(sources))

    def _dtypes(self, opcode: Opcode) -> list[str]:
        """One for each operand."""
        choices = self.random.choices(self.options.dtypes, k=3)
        if opcode.form == "move":
            return choices[:1] * 2
        if opcode.form != "contract":
            return choices
        a = self.random.choice(self._multiplied)
        floats = [dtype for dtype in self.options.dtypes if dtype in FLOATS] or [a]
        return ["int32" if a == "int8" else self.random.choice(floats), a, a]

    def _operand(
        self,
        opcode: Opcode,
        number: int,
        dtype: str,
        nest: Nest,
        moves: Sequence[bool],
        taken: tuple[str, Region | None] | None,
    ) -> tuple[Operand | Immediate, Region | None]:
        """An operand, the destination if its number is 0, outside of what is `taken`, and the region that it is in."""
        memory = self.random.choice(self._memories((opcode.places(self.role) or ())[number], number == 0))
        if memory == "#":
            return Immediate(self.random.choice((*_CONSTANTS, self.random.gauss(0, 10)))), None
        area = self.areas[memory]
        regions = [r for r in (area.writable if number == 0 else area.readable) if (memory, r) != taken]
        region = self.random.choice(regions)
        kept = self._kept(opcode) if number == opcode.sources else 0
        return self._inside(memory, dtype, region, nest, moves, number == 0, kept), region

    def _kept(self, opcode: Opcode) -> int:
        """What the instruction's last source keeps of a block: mostly all."""
        compressed = opcode.form == "move" or (opcode.form == "contract" and self._skips)
        return self.random.randint(1, BLOCK) if compressed and self.random.random() < 0.3 else 0

    def _inside(
        self, memory: str, dtype: str, region: Region, nest: Nest, moves: Sequence[bool], written: bool, kept: int = 0
    ) -> Operand:
        """An operand in the region, perhaps with a register in its address."""
        register = self._register(region)
        low, high = self._known.get(register, (0, 0)) if register is not None else (0, 0)
        inner = Region(region.start, region.stop - (high - low))
        operand = random_operand(self.random, memory, dtype, inner, nest, moves, written, kept)
        if register is not None and operand.base >= low:
            operand = replace(operand, base=operand.base - low, register=register)
        return operand

    def _register(self, region: Region) -> int | None:
        """One to add to an address in the region, or none."""
        fitting = [r for r, (low, high) in self._known.items() if region.size - (high - low) >= 8 * self.elements]
        return self.random.choice(fitting) if fitting and self.random.random() < 0.3 else None


def _all_move(random: Random, rank: int) -> list[list[bool]]:
    return [[True] * rank] * 2


def _some_broadcast(random: Random, rank: int) -> list[list[bool]]:
    return [[True] * rank, *([random.random() < 0.8 for _ in range(rank)] for _ in range(2))]


def _reduces(random: Random, rank: int) -> list[list[bool]]:
    return [[random.random() < 0.5 for _ in range(rank)], *_some_broadcast(random, rank)[:2]]


def _contracts(random: Random, rank: int) -> list[list[bool]]:
    roles = ((True, True, False), (True, False, True), (False, True, True), (True, True, True))
    return [list(mask) for mask in zip(*random.choices(roles, (3, 3, 4, 1), k=rank), strict=True)]


_MASKS: dict[str, Callable[[Random, int], list[list[bool]]]] = {
    "fill": _all_move,
    "move": _some_broadcast,
    "vector": _some_broadcast,
    "reduce": _reduces,
    "contract": _contracts,
}
