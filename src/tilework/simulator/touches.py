"""The bytes that instructions read and write, and whether two of them share any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.isa.blocks import stored
from tilework.isa.instruction import MAX_REGISTERS, Instruction, Operand
from tilework.isa.program import Stream
from tilework.simulator.scalar import effect
from tilework.simulator.state import span
from tilework.simulator.structure import descriptor_of

MAX_RUNS = 1 << 16
EVERYWHERE = 1 << 50  # beyond every address

Shape = tuple[
    int, tuple[tuple[int, int], ...]
]  # bytes of an element; the strides and extents of the loops that move it
Starts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Touch:
    """Bytes in [low, high) of a memory that an instruction reads or writes in one iteration: an element at `address`,
    and others in the loops of its shape. Without a shape, perhaps all of them."""

    memory: str
    low: int
    high: int
    writes: bool
    address: int = 0
    shape: Shape | None = None


class Toucher:
    """Finds what a stream's instructions touch; it must be shown all of them in the order of their execution.

    Where an address depends on what an sload has read, the whole memory counts as touched.
    """

    def __init__(self, stream: Stream) -> None:
        instructions = stream.instructions
        self._registers = [0] * MAX_REGISTERS
        self._unknown: set[int] = set()
        self._used = any(o.register is not None for i in instructions if i.descriptor for o in i.descriptor.operands)
        self._effects = {place: effect(i, stream) for place, i in enumerate(instructions)} if self._used else {}

    def pass_by(self, place: int, instruction: Instruction) -> None:
        """Follow the registers over an instruction of control."""
        if not self._used or not instruction.registers:
            return
        result, *sources = instruction.registers
        change = self._effects[place]
        if instruction.mnemonic == "sload" or (change and self._unknown.intersection(sources)):
            self._unknown.add(result)
        elif change:
            change(self._registers)
            self._unknown.discard(result)

    def address(self, operand: Operand, counters: tuple[int, ...]) -> int | None:
        """Where the operand's first element lies in this iteration; None where that depends on an sload."""
        if operand.register in self._unknown:
            return None
        return operand.address(counters) + (0 if operand.register is None else self._registers[operand.register])

    def touches(self, instruction: Instruction, counters: tuple[int, ...]) -> tuple[Touch, ...]:
        """What it reads and writes in this iteration of the loops around it."""
        descriptor = descriptor_of(instruction)
        places = [(operand, number == 0) for number, operand in enumerate(descriptor.operands)]
        if instruction.mnemonic == "sload":
            places = [(descriptor.destination, False)]
        return tuple([self._touch(operand, descriptor.extents, counters, writes) for operand, writes in places])

    def _touch(self, operand: Operand, extents: Sequence[int], counters: tuple[int, ...], writes: bool) -> Touch:
        operand, extents = stored(operand, extents)
        address = self.address(operand, counters)
        if address is None:
            return Touch(operand.memory, 0, EVERYWHERE, writes)
        low, high = span(operand, extents)
        loops = tuple((s, n) for s, n in zip(operand.strides, extents, strict=True) if s and n > 1)
        return Touch(operand.memory, address + low, address + high, writes, address, (operand.element_bytes, loops))


def shared(a: Touch, b: Touch) -> tuple[int, int] | None:
    """The first bytes [low, high) that both touch, if there are any and one of the two writes.

    Exact but for shapes of more than MAX_RUNS stretches, which count as touching all from their first byte to the last.
    """
    low, high = max(a.low, b.low), min(a.high, b.high)
    if a.memory != b.memory or not (a.writes or b.writes) or low >= high:
        return None
    if a.shape is None or b.shape is None or max(_stretches(a.shape), _stretches(b.shape)) > MAX_RUNS:
        return low, high
    found = _first_common(a.shape, b.shape, b.address - a.address)
    return (a.address + found[0], a.address + found[1]) if found else None


def _merged(shape: Shape) -> tuple[int, int, list[tuple[int, int]]]:
    """A shape as the offset of its lowest byte, the length of a stretch, and the loops over stretches."""
    size, loops = shape
    lowest = sum(stride * (extent - 1) for stride, extent in loops if stride < 0)
    upward = sorted((abs(stride), extent) for stride, extent in loops)
    while upward and upward[0][0] <= size:
        stride, extent = upward.pop(0)
        size += stride * (extent - 1)
    return lowest, size, upward


@lru_cache(maxsize=1 << 12)
def _stretches(shape: Shape) -> int:
    return prod(extent for _, extent in _merged(shape)[2])


@lru_cache(maxsize=1 << 8)
def _starts(shape: Shape) -> tuple[Starts, int]:
    """Where the stretches begin, in order, and how long each is."""
    lowest, size, loops = _merged(shape)
    starts: Any = np.array([lowest])
    for stride, extent in loops:
        starts = np.add.outer(starts, stride * np.arange(extent)).ravel()
    return np.unique(starts), size


@lru_cache(maxsize=1 << 14)
def _first_common(a: Shape, b: Shape, distance: int) -> tuple[int, int] | None:
    """The first bytes that both touch if b lies `distance` bytes above a, relative to a."""
    (first, long), (second, wide) = _starts(a), _starts(b)
    second = second + distance
    # of those of a's stretches that end above the beginning of one of b's, the first
    nearest = np.searchsorted(first, second - long, side="right")
    meets = (nearest < len(first)) & (first[np.minimum(nearest, len(first) - 1)] < second + wide)
    if not meets.any():
        return None
    place = int(np.argmax(meets))
    one, other = int(first[nearest[place]]), int(second[place])
    return max(one, other), min(one + long, other + wide)
