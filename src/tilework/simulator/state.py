"""The memories of a chip, and an operand's elements in them as a NumPy view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.errors import SimulationError
from tilework.isa.blocks import stored
from tilework.isa.instruction import Operand
from tilework.isa.numbers import STORAGE
from tilework.isa.program import Program

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]
Accessor = Callable[[Sequence[int]], Array]


def span(operand: Operand, extents: Sequence[int]) -> tuple[int, int]:
    """The bytes [low, high) that the inner nest touches, relative to the address of its first element."""
    operand, extents = stored(operand, extents)
    reach = [stride * (extent - 1) for stride, extent in zip(operand.strides, extents, strict=True)]
    return sum(r for r in reach if r < 0), sum(r for r in reach if r > 0) + operand.element_bytes


def offsets(operand: Operand, counts: Sequence[int]) -> tuple[int, int]:
    """Bounds, both included, of the first element's address over all iterations of the loops, minus the base."""
    if operand.wrap:
        grain = gcd(operand.wrap, *operand.steps)
        return operand.phase % grain, operand.wrap - grain + operand.phase % grain
    reach = [step * (count - 1) for step, count in zip(operand.steps, counts, strict=False)]
    return operand.phase + sum(r for r in reach if r < 0), operand.phase + sum(r for r in reach if r > 0)


def is_aligned(operand: Operand) -> bool:
    """Whether no iteration and no element can lie at an address that is no multiple of the element's size."""
    parts = (operand.base, operand.phase, operand.wrap, *operand.steps, *operand.strides)
    return all(part % operand.element_bytes == 0 for part in parts)


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes [start, stop) of a memory; the program's weights may only be read."""

    memory: str
    start: int
    stop: int
    data: Bytes
    writable: bool = True


class State:
    """Byte-addressed memories: one DRAM, an SRAM for each cluster, NRAM and WRAM for each core that has a stream.

    The packed weights are used in place; all other bytes start at 0. `memories` are what each stream reaches.
    """

    def __init__(self, program: Program, weights: Bytes | None = None) -> None:
        machine, size = program.machine, program.weight_bytes
        packed = _weights(program) if weights is None else weights
        dram = [Segment("dram", 0, size, packed, writable=False), _segment("dram", size, program.dram_bytes)]
        sram = {s.cluster: [_segment("sram", 0, machine.sram.capacity_bytes)] for s in program.streams if machine.sram}
        self.memories: list[Memories] = []
        self._streams = program.streams
        for stream in program.streams:
            segments = {"dram": dram, "sram": sram.get(stream.cluster, [])}
            if stream.role == "core":
                segments["nram"] = [_segment("nram", 0, machine.nram.capacity_bytes)]
                segments["wram"] = [_segment("wram", 0, machine.wram.capacity_bytes)]
            self.memories.append(Memories(segments))

    def cores(self, cluster: int) -> list[Memories]:
        """What the cores of the cluster reach that have a stream."""
        both = zip(self._streams, self.memories, strict=True)
        return [memories for stream, memories in both if (stream.role, stream.cluster) == ("core", cluster)]

    def clear(self) -> None:
        """Set all but the weights to 0."""
        for segments in (segments for memories in self.memories for segments in memories.segments.values()):
            for segment in segments:
                if segment.writable:
                    segment.data.fill(0)


@dataclass(frozen=True, slots=True)
class Memories:
    """What one stream reaches, by the memory's name."""

    segments: dict[str, list[Segment]]

    def view(
        self,
        operand: Operand,
        extents: Sequence[int],
        counters: Sequence[int] = (),
        *,
        registers: Sequence[int] = (),
        writes: bool = False,
        who: str = "an access",
    ) -> Array:
        """The operand's elements as they are stored, one axis per inner loop, in one iteration of the hardware loops.

        A compressed operand's blocks are one axis.

        Raises SimulationError, beginning with `who`, for an access outside its memory, across the border of the
        weights, misaligned, or a write into the weights.
        """
        operand, shape = stored(operand, extents)
        address = operand.address(list(counters)) + (0 if operand.register is None else registers[operand.register])
        low, high = span(operand, shape)
        segment = self._segment(operand.memory, address + low, address + high)
        if segment is None or (writes and not segment.writable) or not _all_aligned(address, operand):
            raise SimulationError(self._complaint(operand, address, (address + low, address + high), who))
        return np.ndarray(shape, STORAGE[operand.dtype], segment.data, address - segment.start, operand.strides)

    def accessor(
        self,
        operand: Operand,
        extents: Sequence[int],
        counts: Sequence[int],
        *,
        registers: Sequence[int],
        writes: bool,
        who: str,
    ) -> Array | Accessor:
        """`view` prepared for loops of these counts: the view itself if it never moves, else a function of counters.

        What can be checked once for all iterations isn't checked again.
        """
        operand, extents = stored(operand, extents)
        low, high = span(operand, extents)
        first, last = (operand.base + offset for offset in offsets(operand, counts))
        segment = self._segment(operand.memory, first + low, last + high)
        steps = [(depth, step) for depth, step in enumerate(operand.steps[: len(counts)]) if step and counts[depth] > 1]
        known = segment is not None and (segment.writable or not writes) and is_aligned(operand)
        if segment is None or not known or operand.register is not None:
            return lambda counters: self.view(operand, extents, counters, registers=registers, writes=writes, who=who)
        if not steps:
            return self.view(operand, extents, [0] * len(counts), writes=writes, who=who)
        return _moving(operand, extents, steps, segment)

    def _segment(self, memory: str, low: int, high: int) -> Segment | None:
        for segment in self.segments[memory]:
            if segment.start <= low and high <= segment.stop:
                return segment
        return None

    def _complaint(self, operand: Operand, address: int, touches: tuple[int, int], who: str) -> str:
        low, high = touches
        memory, touched = operand.memory.upper(), f"{high - low} bytes at {low}"
        segments = self.segments[operand.memory]
        size = segments[-1].stop
        if low < 0 or high > size:
            return f"{who} must stay inside the {size} bytes of {memory}, not use {touched}; change its addresses"
        if not _all_aligned(address, operand):
            size = operand.element_bytes
            return f"{who} must use multiples of {size} as addresses, not {touched} of {memory}; change its addresses"
        if self._segment(operand.memory, low, high) is None:
            border = segments[0].stop
            return f"{who} must not cross the end of the weights at {border} in {memory} with {touched}; split it"
        return f"{who} must not write the weights, {touched} of {memory}; store after them"


def _segment(memory: str, start: int, stop: int) -> Segment:
    size = max(0, stop - start)
    try:
        return Segment(memory, start, stop, np.zeros(size, np.uint8))
    except MemoryError:
        raise SimulationError(
            f"the {size} bytes of {memory.upper()} must fit into this computer's memory, and do not; "
            "simulate the time alone or take a smaller machine"
        ) from None


def _weights(program: Program) -> Bytes:
    """The packed weights, as a view that refuses to be written."""
    if program.dram_bytes < program.weight_bytes:
        raise SimulationError(
            f"dram_bytes must be at least weight_bytes, {program.weight_bytes}, not {program.dram_bytes}; raise it"
        )
    weights = program.weights() if program.weight_bytes else np.zeros(0, np.uint8)
    if weights.nbytes != program.weight_bytes:
        raise SimulationError(
            f"the packed weights must have {program.weight_bytes} bytes, not {weights.nbytes}; compile it again"
        )
    view = weights.view()
    view.flags.writeable = False
    return view


def _all_aligned(address: int, operand: Operand) -> bool:
    return not any(part % operand.element_bytes for part in (address, *operand.strides))


def _moving(operand: Operand, extents: Sequence[int], steps: list[tuple[int, int]], segment: Segment) -> Accessor:
    make: Any = np.ndarray
    data, strides, dtype = segment.data, operand.strides, STORAGE[operand.dtype]
    base, phase, wrap = operand.base - segment.start, operand.phase, operand.wrap

    def straight(counters: Sequence[int]) -> Array:
        offset = base + phase
        for depth, step in steps:
            offset += step * counters[depth]
        view: Array = make(extents, dtype, data, offset, strides)
        return view

    def ring(counters: Sequence[int]) -> Array:
        offset = phase
        for depth, step in steps:
            offset += step * counters[depth]
        view: Array = make(extents, dtype, data, base + offset % wrap, strides)
        return view

    return ring if wrap else straight
