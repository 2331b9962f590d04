"""Whether a program's addresses lie inside the machine's memories, as far as the program alone tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from math import gcd

import numpy as np

from tilework.errors import SimulationError
from tilework.isa.instruction import Instruction, Operand
from tilework.isa.program import Program, Stream
from tilework.isa.table import OPCODES
from tilework.isa.validate import check_streams
from tilework.simulator.state import span
from tilework.simulator.structure import analyse

_MOST = 1 << 20  # places in a ring that are looked at one by one


def check_addresses(program: Program, dram_bytes: int) -> None:
    """Raise SimulationError at the first instruction with an access outside its memory in some iteration of its loops.

    `dram_bytes` are those of DRAM that the program may use. What a register adds to, and what a jump may pass over, is
    left to a run of the values. Raises ProgramError for a program that isn't well formed or doesn't fit its machine.
    """
    machine = program.machine
    check_streams(program.streams, machine)
    sizes = {"dram": dram_bytes, "nram": machine.nram.capacity_bytes, "wram": machine.wram.capacity_bytes}
    sizes["sram"] = machine.sram.capacity_bytes if machine.sram else 0
    for stream in program.streams:
        for place, operand, low, high in reached(stream):
            if low < 0 or high > sizes[operand.memory]:
                raise SimulationError(_complaint(stream, place, operand, (low, high), sizes[operand.memory]))


def reached(stream: Stream) -> Iterator[tuple[int, Operand, int, int]]:
    """Each operand's lowest byte and the one after its highest over all iterations, where they are known."""
    counts, certain = analyse(stream.instructions, stream.role).counts, _certain(stream.instructions)
    for place, instruction in enumerate(stream.instructions):
        descriptor = instruction.descriptor
        if descriptor is None or not certain[place]:
            continue
        for operand in descriptor.operands:
            bounds = None if operand.register is not None else _first_element(operand, counts[place])
            if bounds:
                low, high = span(operand, descriptor.extents)
                yield place, operand, operand.base + bounds[0] + low, operand.base + bounds[1] + high


def _certain(instructions: Sequence[Instruction]) -> list[bool]:
    """Whether an instruction is executed in every iteration of its loops: no forward jump passes over it."""
    over = [0] * (len(instructions) + 1)
    for place, instruction in enumerate(instructions):
        if OPCODES[instruction.mnemonic].form in ("jump", "branch") and instruction.target > place:
            over[place + 1] += 1
            over[instruction.target] -= 1
    return [depth == 0 for depth in accumulate(over[:-1])]


def _first_element(operand: Operand, counts: Sequence[int]) -> tuple[int, int] | None:
    """The least and the largest address of the first element, less the base; None if it takes too long to tell."""
    loops = [(step, count) for step, count in zip(operand.steps, counts, strict=False) if step and count > 1]
    reach = [step * (count - 1) for step, count in loops]
    low, high = operand.phase + sum(r for r in reach if r < 0), operand.phase + sum(r for r in reach if r > 0)
    if not operand.wrap:
        return low, high
    return _in_ring(operand.phase, operand.wrap, tuple(loops))


@lru_cache(maxsize=1 << 12)
def _in_ring(phase: int, wrap: int, loops: tuple[tuple[int, int], ...]) -> tuple[int, int] | None:
    """The least and the largest of (phase + the sum of steps times counters) mod wrap."""
    offsets = np.array([phase % wrap])
    for step, count in loops:
        different = min(count, wrap // gcd(wrap, step))  # then the step is back at a multiple of the wrap
        if different * len(offsets) > _MOST:
            return None
        moves = np.array([step * counter % wrap for counter in range(different)])
        offsets = np.unique(np.add.outer(offsets, moves) % wrap)
    return int(offsets[0]), int(offsets[-1])


def _complaint(stream: Stream, place: int, operand: Operand, touches: tuple[int, int], size: int) -> str:
    low, high = touches
    who = f"{stream.where(place)} ({stream.instructions[place].mnemonic})"
    return (
        f"{who} must stay inside the {size} bytes of {operand.memory.upper()}, "
        f"not use bytes {low} to {high}; change its addresses"
    )
