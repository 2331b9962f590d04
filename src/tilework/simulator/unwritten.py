"""Reads of bytes that nothing has written: beside each memory a shadow whose bytes are 1 where it was written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from tilework.errors import SimulationError
from tilework.isa.instruction import Instruction, Operand
from tilework.isa.numbers import to_float32
from tilework.isa.program import Port, Program
from tilework.simulator.decode import Decoder, Step, Watch, bind, in_turn
from tilework.simulator.state import Array, Memories, State
from tilework.simulator.structure import descriptor_of

_WRITTEN = {size: np.frombuffer(b"\1" * size, f"uint{8 * size}")[0] for size in (1, 2, 4)}


@dataclass(frozen=True, slots=True)
class UnwrittenRead:
    """`who` reads operand number `operand` (0 is the destination) in bytes of a memory that nothing has written.

    The first of them is `start`, the last before `stop`; some between them may be written.
    """

    who: str
    operand: int
    memory: str
    start: int
    stop: int

    def __str__(self) -> str:
        unwritten = f"bytes {self.start} to {self.stop} of {self.memory.upper()}"
        return f"{self.who} must read what was written before, not {unwritten}; write them first or don't read them"


class Shadow:
    """The shadows of a program's memories for one run, and the first `most` reads found; if 0, the first is raised."""

    def __init__(self, program: Program, most: int) -> None:
        self.found: list[UnwrittenRead] = []
        self._most = most
        self._seen: set[tuple[str, int]] = set()
        self.state = State(program, np.ones(program.weight_bytes, np.uint8))

    def watch(self, index: int) -> Watch:
        """For a decoder of the stream with this index: the steps that look at what its instructions read and write."""
        return lambda decoder, place: self._step(self.state.memories[index], decoder, place)

    def input(self, port: Port, elements: Array) -> None:
        """The port's elements in the shadow are written before the program starts."""
        _mark(elements)

    def output(self, port: Port, elements: Array) -> None:
        """The port's elements in the shadow are read when the program has ended."""
        operand = Operand("dram", port.address, elements.strides, dtype=port.dtype)
        self._check(f"the output {port.name!r}", 1, operand, self.state.memories[0], elements)

    def _step(self, memories: Memories, decoder: Decoder, place: int) -> Step:
        instruction = decoder.stream.instructions[place]
        steps = []
        for number, operand in _reads(instruction):
            check = partial(self._check, decoder.who(place), number, operand, memories)
            steps.append(bind(check, decoder.find(memories, operand, place), []))
        if instruction.mnemonic == "sload":
            return in_turn(steps)
        many = self.state.cores(decoder.stream.cluster) if instruction.mnemonic == "cast" else [memories]
        mark, sources = _marker(instruction, decoder, place)
        destination = descriptor_of(instruction).destination
        return in_turn([*steps, *[bind(mark, decoder.find(each, destination, place), sources) for each in many]])

    def _check(self, who: str, number: int, operand: Operand, memories: Memories, elements: Array) -> None:
        bad = _bits(elements) != _WRITTEN[elements.itemsize]
        if (who, number) in self._seen or not bad.any():
            return
        self._seen.add((who, number))
        start, stop = _bytes(memories, operand, elements, bad)
        found = UnwrittenRead(who, number, operand.memory, start, stop)
        if not self._most:
            raise SimulationError(str(found))
        if len(self.found) < self._most:
            self.found.append(found)


def _reads(instruction: Instruction) -> list[tuple[int, Operand]]:
    """The operands that the instruction reads, each with its number."""
    if instruction.mnemonic in ("sload", "sstore"):
        destination = descriptor_of(instruction).destination
        return [(0, destination)] if instruction.mnemonic == "sload" else []
    destination, sources = descriptor_of(instruction).destination, descriptor_of(instruction).sources
    reads = [(0, destination)] if instruction.accumulate else []
    return [*reads, *[(number, s) for number, s in enumerate(sources, 1) if isinstance(s, Operand)]]


def _marker(instruction: Instruction, decoder: Decoder, place: int) -> tuple[Callable[..., None], list[Any]]:
    """What marks the destination as written, and the values that it needs for that: vwhere writes where a is not 0."""
    if instruction.mnemonic != "vwhere":
        return _mark, []
    condition = descriptor_of(instruction).sources[0]
    dtype = condition.dtype if isinstance(condition, Operand) else "float32"

    def mark(elements: Array, values: Any) -> None:
        np.copyto(_bits(elements), _WRITTEN[elements.itemsize], where=np.not_equal(to_float32(values, dtype), 0))

    return mark, [decoder.find(decoder.memories, condition, place)]


def _mark(elements: Array) -> None:
    _bits(elements)[...] = _WRITTEN[elements.itemsize]


def _bits(elements: Array) -> Array:
    return elements.view(f"uint{8 * elements.itemsize}")


def _bytes(memories: Memories, operand: Operand, elements: Array, bad: Array) -> tuple[int, int]:
    """The addresses of the first byte of the elements that are `bad`, and of the one after the last."""
    offsets = sum(index * stride for index, stride in zip(np.nonzero(bad), elements.strides, strict=True))
    first = elements.ctypes.data
    start, stop = first + int(np.min(offsets)), first + int(np.max(offsets)) + elements.itemsize
    for segment in memories.segments[operand.memory]:
        origin = segment.data.ctypes.data
        if origin <= start < origin + segment.data.nbytes:
            break
    return start - origin + segment.start, stop - origin + segment.start
