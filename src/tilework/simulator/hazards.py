"""Whether a program's tokens suffice: every two instructions that share bytes must run in program order."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass

from tilework.isa.instruction import Instruction
from tilework.isa.program import Program
from tilework.simulator.engine import Plan, Record, execute
from tilework.simulator.state import span
from tilework.simulator.structure import QUEUES, walk

MAX_EVENTS = 1_000_000


@dataclass(frozen=True, slots=True)
class Touch:
    """The bytes [low, high) of a memory that an instruction reads or writes in one iteration, as a bounding interval."""

    memory: str
    low: int
    high: int
    writes: bool


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One execution of an instruction: its place in the program, where, when and on what it worked."""

    pc: int
    mnemonic: str
    unit: str
    start: int
    end: int
    touches: tuple[Touch, ...]

    def __str__(self) -> str:
        return f"instruction {self.pc} ({self.mnemonic} in {self.unit}, cycles {self.start} to {self.end})"


@dataclass(frozen=True, slots=True)
class Hazard:
    """`first` comes first in the program, but had not ended when `second` began; bytes [low, high) are in both."""

    first: Occurrence
    second: Occurrence
    memory: str
    low: int
    high: int

    def __str__(self) -> str:
        shared = f"bytes {self.low} to {self.high} of {self.memory.upper()}"
        return f"{self.first} must end before {self.second} begins, since they share {shared}; order them with a token"


def find_hazards(program: Program, limit: int = MAX_EVENTS) -> list[Hazard]:
    """Every pair of instructions, one of which writes, that share bytes and didn't run in program order.

    Looks at the first `limit` events of the plain simulation. Bytes are compared as bounding intervals, so that rows
    of two tensors that interleave in DRAM may be reported although no byte is shared: leave out those of that memory.
    """
    hazards: list[Hazard] = []
    recent: dict[str, deque[Occurrence]] = {}
    for occurrence in _occurrences(program, limit):
        for unit, earlier in recent.items():
            if unit != occurrence.unit:
                late = (first for first in earlier if first.end > occurrence.start)
                hazards.extend(hazard for first in late for hazard in _conflicts(first, occurrence))
        # At most queue_depth entries and the one at work can be unfinished when a later instruction is issued.
        recent.setdefault(occurrence.unit, deque(maxlen=program.machine.control.queue_depth + 1)).append(occurrence)
    return hazards


def _conflicts(first: Occurrence, second: Occurrence) -> Iterator[Hazard]:
    for a in first.touches:
        for b in second.touches:
            low, high = max(a.low, b.low), min(a.high, b.high)
            if a.memory == b.memory and (a.writes or b.writes) and low < high:
                yield Hazard(first, second, a.memory, low, high)
                return


def _occurrences(program: Program, limit: int) -> Iterator[Occurrence]:
    """The recorded executions in program order: a unit's instructions begin in program order, so they pair off."""
    plan = Plan.of(program)
    began: dict[int, deque[Record]] = defaultdict(deque)
    for record in execute(plan, fold=False, record=True, limit=limit).records:
        began[record[0]].append(record)
    for pc, counters in walk(program.instructions, plan.structure):
        unit, instruction = plan.queue[pc], program.instructions[pc]
        if unit < 0:
            continue
        if not began[unit]:
            return
        _, start, end, _ = began[unit].popleft()
        if instruction.descriptor is not None:
            touches = tuple(_touches(instruction, counters))
            yield Occurrence(pc, instruction.mnemonic, QUEUES[unit], start, end, touches)


def _touches(instruction: Instruction, counters: tuple[int, ...]) -> Iterator[Touch]:
    descriptor = instruction.descriptor
    assert descriptor is not None
    for place, operand in enumerate(descriptor.operands):
        address = operand.address(counters)
        low, high = span(operand, descriptor.extents)
        yield Touch(operand.memory, address + low, address + high, writes=place == 0)
