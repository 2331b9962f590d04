"""The memories, and an operand's elements in them as a NumPy view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.errors import SimulationError
from tilework.isa.instruction import ELEMENT_BYTES, Operand
from tilework.isa.program import Program

Array = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


def span(operand: Operand, extents: Sequence[int]) -> tuple[int, int]:
    """The bytes [low, high) that the inner nest touches, relative to the address of its first element."""
    reach = [stride * (extent - 1) for stride, extent in zip(operand.strides, extents, strict=True)]
    return sum(r for r in reach if r < 0), sum(r for r in reach if r > 0) + ELEMENT_BYTES


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
    return all(part % ELEMENT_BYTES == 0 for part in parts)


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes [start, stop) of a memory; the program's weights may only be read."""

    memory: str
    start: int
    stop: int
    data: Bytes
    writable: bool = True


class State:
    """Byte-addressed DRAM, NRAM and WRAM. The packed weights are used in place; all other bytes start at 0."""

    def __init__(self, program: Program) -> None:
        weights = _weights(program)
        scratch = np.zeros(program.dram_bytes - program.weight_bytes, np.uint8)
        sizes = {"nram": program.machine.nram.capacity_bytes, "wram": program.machine.wram.capacity_bytes}
        self.segments: dict[str, list[Segment]] = {
            "dram": [
                Segment("dram", 0, program.weight_bytes, weights, writable=False),
                Segment("dram", program.weight_bytes, program.dram_bytes, scratch),
            ],
            **{name: [Segment(name, 0, size, np.zeros(size, np.uint8))] for name, size in sizes.items()},
        }

    def clear(self) -> None:
        """Set all but the weights to 0."""
        for segments in self.segments.values():
            for segment in segments:
                if segment.writable:
                    segment.data.fill(0)

    def view(
        self,
        operand: Operand,
        extents: tuple[int, ...],
        counters: Sequence[int] = (),
        *,
        writes: bool = False,
        who: str = "an access",
    ) -> Array:
        """The operand's elements, one axis per inner loop, in the given iteration of the hardware loops.

        Raises SimulationError, beginning with `who`, for an access outside its memory, across the border of the
        weights, misaligned, or a write into the weights.
        """
        address = operand.address(list(counters))
        low, high = span(operand, extents)
        segment = self._segment(operand.memory, address + low, address + high)
        if segment is None or (writes and not segment.writable) or not _all_aligned(address, operand):
            raise SimulationError(self._complaint(operand, address, (address + low, address + high), who))
        return np.ndarray(extents, np.float32, segment.data, address - segment.start, operand.strides)

    def accessor(
        self, operand: Operand, extents: tuple[int, ...], counts: Sequence[int], *, writes: bool, who: str
    ) -> Array | Callable[[Sequence[int]], Array]:
        """`view` prepared for loops of these counts: the view itself if it never moves, else a function of counters.

        What can be checked once for all iterations isn't checked again.
        """
        low, high = span(operand, extents)
        first, last = (operand.base + offset for offset in offsets(operand, counts))
        segment = self._segment(operand.memory, first + low, last + high)
        steps = [(depth, step) for depth, step in enumerate(operand.steps[: len(counts)]) if step and counts[depth] > 1]
        if segment is None or (writes and not segment.writable) or not is_aligned(operand):
            return lambda counters: self.view(operand, extents, counters, writes=writes, who=who)
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
            return f"{who} must use multiples of 4 as addresses, not {touched} of {memory}; change its addresses"
        if self._segment(operand.memory, low, high) is None:
            border = segments[0].stop
            return f"{who} must not cross the end of the weights at {border} in {memory} with {touched}; split it"
        return f"{who} must not write the weights, {touched} of {memory}; store after them"


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
    return address % ELEMENT_BYTES == 0 and all(stride % ELEMENT_BYTES == 0 for stride in operand.strides)


def _moving(
    operand: Operand, extents: tuple[int, ...], steps: list[tuple[int, int]], segment: Segment
) -> Callable[[Sequence[int]], Array]:
    make: Any = np.ndarray
    data, strides, float32 = segment.data, operand.strides, np.dtype(np.float32)
    base, phase, wrap = operand.base - segment.start, operand.phase, operand.wrap

    def straight(counters: Sequence[int]) -> Array:
        offset = base + phase
        for depth, step in steps:
            offset += step * counters[depth]
        view: Array = make(extents, float32, data, offset, strides)
        return view

    def ring(counters: Sequence[int]) -> Array:
        offset = phase
        for depth, step in steps:
            offset += step * counters[depth]
        view: Array = make(extents, float32, data, base + offset % wrap, strides)
        return view

    return ring if wrap else straight
