"""The loops of a program: which endloop closes which loop, and how often each instruction is executed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from tilework.isa.instruction import QUEUES, Descriptor, Instruction, Operand
from tilework.isa.table import OPCODES
from tilework.isa.validate import check


@dataclass(frozen=True, slots=True)
class Structure:
    """For each instruction, the counts of the loops around it, outermost first; for loop and endloop, the partner."""

    counts: tuple[tuple[int, ...], ...]
    partner: tuple[int, ...]

    @property
    def executions(self) -> tuple[int, ...]:
        return tuple(prod(counts) for counts in self.counts)


def analyse(instructions: Sequence[Instruction], role: str = "core") -> Structure:
    """Match loops with their endloops. An endloop counts as inside its loop, a loop as outside of it.

    Raises ProgramError for a stream of this role that isn't well formed.
    """
    check(instructions, role)
    counts: list[tuple[int, ...]] = []
    partner = [-1] * len(instructions)
    opened: list[int] = []
    around: tuple[int, ...] = ()
    for place, instruction in enumerate(instructions):
        counts.append(around)
        if instruction.mnemonic == "loop":
            opened.append(place)
            around = (*around, instruction.count)
        elif instruction.mnemonic == "endloop":
            partner[place] = opened.pop()
            partner[partner[place]] = place
            around = around[:-1]
    return Structure(tuple(counts), tuple(partner))


def queue_of(instruction: Instruction) -> int:
    """The index in QUEUES of the queue that the instruction goes to; -1 for those that control itself executes."""
    unit = OPCODES[instruction.mnemonic].unit
    if unit == "control":
        return -1
    return QUEUES.index(instruction.unit if unit == "any" else unit)


def descriptor_of(instruction: Instruction) -> Descriptor:
    """The descriptor, which every moving or computing instruction of a well-formed program has."""
    assert instruction.descriptor is not None
    return instruction.descriptor


def operands_of(instruction: Instruction) -> list[Operand]:
    """The sources in memory."""
    return [source for source in descriptor_of(instruction).sources if isinstance(source, Operand)]


def walk(
    instructions: Sequence[Instruction], structure: Structure, taken: bytes = b""
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Every executed instruction in program order: its place and the counters of the loops around it.

    `taken` says for each executed conditional jump whether it jumps.
    """
    counters: list[int] = []
    decisions = iter(taken)
    place = 0
    while place < len(instructions):
        yield place, tuple(counters)
        mnemonic = instructions[place].mnemonic
        if mnemonic == "loop":
            counters.append(0)
        elif mnemonic == "endloop":
            counters[-1] += 1
            if counters[-1] < structure.counts[place][-1]:
                place = structure.partner[place]
            else:
                counters.pop()
        elif mnemonic == "jump" or (mnemonic in ("jumpif", "jumpifnot") and next(decisions)):
            place = instructions[place].target - 1
        place += 1
