"""Which bytes of DRAM a program's work is on, if nothing is moved: the addresses that a core with a cache would name.

Where a program loads bytes and computes with them, such a core would read them where they were loaded from. What is
stored later it would write there at once. All other values on chip get addresses of their own, behind the program's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod

import numpy as np
import numpy.typing as npt

from tilework.errors import SimulationError
from tilework.isa.instruction import Descriptor, Instruction, Operand
from tilework.isa.program import Program
from tilework.simulator.plan import Plan
from tilework.simulator.structure import descriptor_of, walk

MOST = 100_000_000  # bytes named, over all operands of all executed instructions
NOWHERE = -1

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Access:
    """What an executed instruction would read and write in DRAM, as addresses of grains of so many bytes; `place` is
    its own."""

    place: int
    grain: int
    reads: tuple[Places, ...]
    writes: Places


@dataclass(slots=True)
class Names:
    """The addresses in DRAM of what lies on chip, byte by byte in steps of a `grain`, the smallest element's bytes."""

    program: Program
    grain: int
    memories: dict[str, Places] = field(default_factory=dict)

    def __post_init__(self) -> None:
        machine, first = self.program.machine, self.program.dram_bytes
        for name, memory in (("nram", machine.nram), ("wram", machine.wram)):
            self.memories[name] = first + self.grain * np.arange(memory.capacity_bytes // self.grain)
            first += memory.capacity_bytes

    def of(self, operand: Operand, grains: Places) -> Places:
        """The addresses in DRAM of grains of the operand's memory."""
        return grains * self.grain if operand.memory == "dram" else self.memories[operand.memory][grains]


def accesses(program: Program, plan: Plan) -> Iterator[Access]:
    """What the program's one stream would read and write, in program order; transfers to and from DRAM drop out unless
    they copy. Raises SimulationError for addresses in registers and for programs that are too long."""
    executed = _executed(program, plan)
    grain = min((o.element_bytes for _, d, _ in executed for o in d.operands), default=4)
    code = plan.streams[0].stream.instructions
    grains = [
        [_grains(operand, descriptor.extents, counters, grain, moves(code[place])) for operand in descriptor.operands]
        for place, descriptor, counters in executed
    ]
    destined = _destined(program, code, executed, grains, grain)
    names = Names(program, grain)
    own = Names(program, grain)
    for number, (place, descriptor, _) in enumerate(executed):
        target, sources = descriptor.destination, descriptor.operands[1:]
        wanted, *read = grains[number]
        if moves(code[place]) and target.memory != "dram":
            names.memories[target.memory][wanted] = names.of(sources[0], read[0])
            continue
        reads = tuple(names.of(source, each) for source, each in zip(sources, read, strict=True))
        if target.memory == "dram":
            written = wanted * grain
            if np.array_equal(reads[0], written):
                continue
        elif code[place].accumulate:
            written = names.of(target, wanted)
        else:
            stored_at = destined[number]
            written = np.where(stored_at == NOWHERE, own.of(target, wanted), stored_at)
            names.memories[target.memory][wanted] = written
        yield Access(place, grain, reads, written)


def moves(instruction: Instruction) -> bool:
    """Whether it moves elements as they are from one memory to another."""
    sizes = {operand.element_bytes for operand in descriptor_of(instruction).operands}
    return instruction.mnemonic in ("load", "store") and len(sizes) == 1


Executed = list[tuple[int, Descriptor, tuple[int, ...]]]


def _executed(program: Program, plan: Plan) -> Executed:
    """Each executed instruction that names memory: its place, its descriptor and the loops' counters."""
    (stream,) = plan.streams
    code, found, size = stream.stream.instructions, [], 0
    for place, counters in walk(code, stream.structure, stream.flow.taken):
        descriptor = code[place].descriptor
        if descriptor is not None:
            size += sum(o.element_bytes * _moving(o, descriptor.extents) for o in descriptor.operands)
            _check(program, code[place], descriptor, size)
            found.append((place, descriptor, counters))
    return found


def _check(program: Program, instruction: Instruction, descriptor: Descriptor, size: int) -> None:
    if any(operand.register is not None for operand in descriptor.operands):
        raise SimulationError("a cache is tried on programs without addresses in registers, not on this; unroll it")
    if any(operand.kept for operand in descriptor.operands):
        raise SimulationError("a cache is tried on programs without compressed weights, not on this; expand them")
    if size > MOST:
        raise SimulationError(
            f"a cache is tried on programs whose operands have at most {MOST:,} bytes in all, and {program.name} has "
            "more; take a smaller network or one of its layers"
        )


def _destined(
    program: Program, code: tuple[Instruction, ...], executed: Executed, grains: list[list[Places]], grain: int
) -> dict[int, Places]:
    """For each executed instruction that makes values on chip, where in DRAM they are stored later, or NOWHERE."""
    machine, found = program.machine, {}
    later = {
        name: np.full(memory.capacity_bytes // grain, NOWHERE)
        for name, memory in (("nram", machine.nram), ("wram", machine.wram))
    }
    for number in reversed(range(len(executed))):
        place, descriptor, _ = executed[number]
        target, wanted = descriptor.destination, grains[number][0]
        if target.memory == "dram":
            if moves(code[place]):
                later[descriptor.operands[1].memory][grains[number][1]] = wanted * grain
            continue
        found[number] = later[target.memory][wanted]
        if not code[place].accumulate:
            later[target.memory][wanted] = NOWHERE
        if moves(code[place]) and descriptor.operands[1].memory != "dram":
            later[descriptor.operands[1].memory][grains[number][1]] = found[number]
    return found


def _moving(operand: Operand, extents: tuple[int, ...]) -> int:
    return prod(extent for stride, extent in zip(operand.strides, extents, strict=True) if stride)


def _grains(operand: Operand, extents: tuple[int, ...], counters: tuple[int, ...], grain: int, again: bool) -> Places:
    """The grains of the operand's memory in which its elements lie, in the order of its loops; those that don't move it
    repeat them only if they are wanted `again`."""
    loops = tuple((s, n) for s, n in zip(operand.strides, extents, strict=True) if s or again)
    return operand.address(counters) // grain + _offsets(loops, operand.element_bytes, grain)


@lru_cache(maxsize=1024)
def _offsets(loops: tuple[tuple[int, int], ...], size: int, grain: int) -> Places:
    places = np.zeros(1, np.int64)
    for stride, extent in loops:
        places = np.add.outer(places, stride // grain * np.arange(extent)).ravel()
    return np.add.outer(places, np.arange(size // grain)).ravel()
