"""Random programs, made from the instruction table: well formed, inside the machine's memories, and free of deadlock.

Every token is posted by one unit and waited for by one, and every wait has its post before it in program order: so the
oldest instruction that is not done can always go on, whatever the depth of the queues. Instructions that share bytes
are not ordered on purpose, except by `sync` here and there. No instruction writes what it reads elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from random import Random

import numpy as np
import numpy.typing as npt

from tilework.isa.instruction import (
    ELEMENT_BYTES,
    MAX_LOOPS,
    MAX_TOKENS,
    QUEUES,
    Descriptor,
    Immediate,
    Instruction,
    Operand,
)
from tilework.isa.program import Port, Program
from tilework.isa.random_operand import Region, random_operand, random_permutation
from tilework.isa.table import OPCODES, Opcode
from tilework.isa.validate import allowed_places
from tilework.machine.machine import Machine

DESCRIBED = tuple(name for name, row in OPCODES.items() if row.has_descriptor)
_CONSTANTS = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, float("inf"), float("-inf"))


@dataclass(frozen=True, slots=True)
class Options:
    """How large the programs may be.

    `instructions` that move or compute, at most; loops at most `depth` deep, of 1 to `count` iterations; inner nests of
    at most `elements` iterations; DRAM of `dram_bytes`, half of it weights; only the given `mnemonics`.
    """

    instructions: int = 20
    depth: int = 3
    count: int = 4
    elements: int = 256
    dram_bytes: int = 1 << 14
    mnemonics: tuple[str, ...] = DESCRIBED


def random_program(seed: int, machine: Machine, options: Options | None = None) -> Program:
    """The program of that seed, the same on every machine with these memories.

    Its one input `x` and its one output `y` are all of DRAM above the weights, which are random float32 numbers.
    """
    options = options or Options()
    maker = _Maker(seed, machine, options)
    weight_bytes, dram_bytes = maker.regions["dram"][0].stop, maker.regions["dram"][1].stop
    shape = ((dram_bytes - weight_bytes) // ELEMENT_BYTES,)
    return Program(
        name=f"random-{seed}",
        machine=machine,
        instructions=(*maker.block((), options.instructions), Instruction("end")),
        inputs=(Port("x", shape, weight_bytes, (0,)),),
        outputs=(Port("y", shape, weight_bytes, (0,)),),
        weight_bytes=weight_bytes,
        dram_bytes=dram_bytes,
        weights=lambda: _weights(seed, weight_bytes),
    )


def _weights(seed: int, size: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).standard_normal(size // ELEMENT_BYTES, np.float32).view(np.uint8)


def _halves(size: int) -> tuple[Region, Region]:
    middle = size // 2 // ELEMENT_BYTES * ELEMENT_BYTES
    return Region(0, middle), Region(middle, 2 * middle)


class _Maker:
    """Draws the program: blocks of instructions and loops, then tokens between them."""

    def __init__(self, seed: int, machine: Machine, options: Options) -> None:
        self.random = Random(seed)
        self.options = options
        self.tokens = self.random.sample(range(MAX_TOKENS), MAX_TOKENS)
        self.regions = {
            "dram": _halves(min(options.dram_bytes, machine.dram.capacity_bytes)),
            "nram": _halves(machine.nram.capacity_bytes),
            "wram": _halves(machine.wram.capacity_bytes),
        }
        smallest = min(half.size for halves in self.regions.values() for half in halves)
        self.elements = max(1, min(options.elements, smallest // (2 * ELEMENT_BYTES)))

    def block(self, counts: tuple[int, ...], budget: int) -> list[Instruction]:
        """The body of the loops of these counts, of up to `budget` instructions that move or compute."""
        items: list[list[Instruction]] = []
        while budget > 0:
            share = 1
            if len(counts) < min(self.options.depth, MAX_LOOPS) and self.random.random() < 0.3:
                share = self.random.randint(1, budget)
                items.append(self._loop(counts, share))
            elif self.random.random() < 0.1:
                items.append([Instruction("sync")])
            else:
                items.append([self._described(counts)])
            budget -= share
        self._hand_over(items)
        return [instruction for item in items for instruction in item]

    def _loop(self, counts: tuple[int, ...], budget: int) -> list[Instruction]:
        count = self.random.randint(1, self.options.count)
        body = [[i] for i in self.block((*counts, count), budget if self.random.random() < 0.95 else 0)]
        before, after = self._ring(body, not counts) if self.random.random() < 0.5 else ([], [])
        flat = [instruction for item in body for instruction in item]
        return [*before, Instruction("loop", count=count), *flat, Instruction("endloop"), *after]

    def _hand_over(self, items: list[list[Instruction]]) -> None:
        """Insert a few posts, each with its wait later in the same block."""
        for _ in range(self.random.randint(0, 2)):
            if pair := self._pair():
                first, second = sorted(self.random.choices(range(len(items) + 1), k=2))
                items.insert(second, [pair[1]])
                items.insert(first, [pair[0]])

    def _ring(self, body: list[list[Instruction]], once: bool) -> tuple[list[Instruction], list[Instruction]]:
        """A token that goes round with the loop, as free buffers do: posts before it, a wait and a post in its body.

        Some are left at the end if this happens `once`; they would add up in a loop.
        """
        pair = self._pair()
        if pair is None:
            return [], []
        post, wait = pair
        body.insert(0, [wait])
        body.append([post])
        free = self.random.randint(1, 3)
        return [post] * free, [wait] * (self.random.randint(0, free) if once else free)

    def _pair(self) -> tuple[Instruction, Instruction] | None:
        if not self.tokens:
            return None
        token = self.tokens.pop()
        poster, waiter = self.random.choices(QUEUES, k=2)
        return Instruction("post", unit=poster, token=token), Instruction("wait", unit=waiter, token=token)

    def _described(self, counts: tuple[int, ...]) -> Instruction:
        opcode = OPCODES[self.random.choice(self.options.mnemonics)]
        extents = self._extents()
        masks = _MASKS[opcode.form](self.random, len(extents))
        descriptor = self._descriptor(opcode, extents, masks, counts)
        accumulate = opcode.form in ("contract", "reduce") and self.random.random() < 0.5
        return Instruction(opcode.mnemonic, descriptor, accumulate)

    def _extents(self) -> tuple[int, ...]:
        extents: list[int] = []
        for _ in range(self.random.randint(1, 5)):
            extents.append(self.random.randint(1, max(1, min(8, self.elements // prod(extents)))))
        if self.random.random() < 0.3:
            extents[-1] *= self.random.randint(1, self.elements // prod(extents))
        return tuple(random_permutation(self.random, extents))

    def _descriptor(
        self, opcode: Opcode, extents: tuple[int, ...], masks: Sequence[Sequence[bool]], counts: tuple[int, ...]
    ) -> Descriptor:
        """`masks` say for each operand which loops move it."""
        half = self.random.randrange(2)
        operands: list[Operand | Immediate] = []
        for number, allowed in enumerate(allowed_places(opcode)):
            memory = self.random.choice(allowed)
            if memory == "#":
                operands.append(Immediate(self.random.choice((*_CONSTANTS, self.random.gauss(0, 10)))))
                continue
            region = self.regions[memory][self._half(memory, half, number == 0)]
            operands.append(random_operand(self.random, memory, region, extents, masks[number], counts, number == 0))
        if opcode.form == "vector" and self.random.random() < 0.2 and isinstance(operands[1], Operand):
            operands[1] = operands[0]
        destination, *sources = operands
        assert isinstance(destination, Operand)
        return Descriptor(extents, destination, tuple(sources))

    def _half(self, memory: str, half: int, written: bool) -> int:
        """On chip, what is read and what is written lie in different halves; DRAM's first half is never written."""
        if memory == "dram":
            return 1 if written else self.random.randrange(2)
        return half if written else 1 - half


def _all_move(random: Random, rank: int) -> list[list[bool]]:
    return [[True] * rank]


def _some_broadcast(random: Random, rank: int) -> list[list[bool]]:
    return [[True] * rank, *([random.random() < 0.8 for _ in range(rank)] for _ in range(2))]


def _reduces(random: Random, rank: int) -> list[list[bool]]:
    return [[random.random() < 0.5 for _ in range(rank)], [True] * rank]


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
