"""Whether a program's tokens suffice: every two instructions that share bytes must run in program order.

Bytes are compared as bounding intervals, so that rows of two tensors that interleave in DRAM may be reported although
they share no byte: leave out the hazards of that memory where it matters.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from tilework.isa.instruction import QUEUES, Instruction
from tilework.isa.program import Program
from tilework.simulator.engine import Plan, execute
from tilework.simulator.state import span
from tilework.simulator.structure import Structure, analyse, descriptor_of, queue_of, walk

MAX_EVENTS = 1_000_000


@dataclass(frozen=True, slots=True)
class Touch:
    """Bytes [low, high) of a memory that an instruction reads or writes in one iteration."""

    memory: str
    low: int
    high: int
    writes: bool


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One execution of an instruction on a unit: the `index`-th entry of the unit's queue.

    `cycles` are known if it was simulated; `after` says how many entries of each queue its unit has waited for.
    """

    pc: int
    mnemonic: str
    unit: int
    index: int
    touches: tuple[Touch, ...]
    cycles: tuple[int, int] | None = None
    after: tuple[int, ...] = ()

    def __str__(self) -> str:
        when = f", cycles {self.cycles[0]} to {self.cycles[1]}" if self.cycles else ""
        return f"instruction {self.pc} ({self.mnemonic} in {QUEUES[self.unit]}{when})"


@dataclass(frozen=True, slots=True)
class Hazard:
    """`first` comes before `second` in the program and shares bytes [low, high) with it, but need not end before it."""

    first: Occurrence
    second: Occurrence
    memory: str
    low: int
    high: int

    def __str__(self) -> str:
        shared = f"bytes {self.low} to {self.high} of {self.memory.upper()}"
        return f"{self.first} must end before {self.second} begins, for they share {shared}; order them with a token"


def find_hazards(program: Program, limit: int = MAX_EVENTS) -> list[Hazard]:
    """The pairs of instructions, one of which writes, that share bytes and didn't run in program order on the machine.

    Looks at the first `limit` events of the plain simulation; of pairs at the same places, only the first is given.
    """
    return _search(_simulated(program, limit), _ended_before, program.machine.control.queue_depth)


def find_races(program: Program, limit: int = MAX_EVENTS) -> list[Hazard]:
    """As `find_hazards`, but the pairs that nothing in the program orders, however long each instruction takes.

    What orders: a queue, `sync`, a full queue, and a token that one unit waits for and one other posts (what the
    waiting unit itself posts lets as many of its waits pass). An empty answer proves the program right for every
    timing. Looks at the first `limit` instructions executed.
    """
    return _search(_ordered(program, limit), _waited_for, program.machine.control.queue_depth)


def _ended_before(first: Occurrence, second: Occurrence) -> bool:
    return not first.cycles or not second.cycles or first.cycles[1] <= second.cycles[0]


def _waited_for(first: Occurrence, second: Occurrence) -> bool:
    return first.index < second.after[first.unit]


def _search(
    occurrences: Iterable[Occurrence], in_order: Callable[[Occurrence, Occurrence], bool], queue_depth: int
) -> list[Hazard]:
    found: dict[tuple[int, int, str], Hazard] = {}
    # When an instruction is issued, at most a queue's entries and the one at work have not ended.
    recent = [deque[Occurrence](maxlen=queue_depth + 1) for _ in QUEUES]
    for second in occurrences:
        for unit, earlier in enumerate(recent):
            if unit == second.unit:
                continue
            for first in earlier:
                if not in_order(first, second):
                    for hazard in _conflicts(first, second):
                        found.setdefault((first.pc, second.pc, hazard.memory), hazard)
        recent[second.unit].append(second)
    return list(found.values())


def _conflicts(first: Occurrence, second: Occurrence) -> Iterator[Hazard]:
    for a in first.touches:
        for b in second.touches:
            low, high = max(a.low, b.low), min(a.high, b.high)
            if a.memory == b.memory and (a.writes or b.writes) and low < high:
                yield Hazard(first, second, a.memory, low, high)


def _simulated(program: Program, limit: int) -> Iterator[Occurrence]:
    """Executions in program order with their cycles: a unit begins its instructions in program order, so they pair."""
    plan = Plan.of(program)
    began: dict[int, deque[tuple[int, int]]] = defaultdict(deque)
    for unit, start, end, _ in execute(plan, fold=False, record=True, limit=limit).records:
        began[unit].append((start, end))
    for pc, counters in walk(program.instructions, plan.structure):
        unit, instruction = plan.queue[pc], program.instructions[pc]
        if unit < 0:
            continue
        if not began[unit]:
            return
        cycles = began[unit].popleft()
        if instruction.descriptor is not None:
            yield Occurrence(pc, instruction.mnemonic, unit, 0, _touches(instruction, counters), cycles)


def _ordered(program: Program, limit: int) -> Iterator[Occurrence]:
    """Executions in program order with how many entries of each queue they come after (vector clocks)."""
    instructions, places = program.instructions, program.machine.control.queue_depth + 1
    structure = analyse(instructions)
    waiters_at = _waiters(instructions, structure)
    issued = [0] * len(QUEUES)
    clocks = [[0] * len(QUEUES) for _ in QUEUES]
    # What each post not yet waited for comes after; by the token and whether the unit that waits for it posted it.
    posted: dict[tuple[int, bool], deque[list[int]]] = defaultdict(deque)
    for pc, counters in islice(walk(instructions, structure), limit):
        instruction, unit = instructions[pc], queue_of(instructions[pc])
        if instruction.mnemonic == "sync":
            clocks = [list(issued) for _ in QUEUES]
        if unit < 0:
            continue
        # A queue that has taken this many entries since has finished the earlier ones.
        clock = [max(done, entries - places) for done, entries in zip(clocks[unit], issued, strict=True)]
        clock[unit] = index = issued[unit]
        token, waiters = instruction.token, waiters_at[pc]
        if instruction.mnemonic == "post":
            posted[token, waiters.get(token) == unit].append(clock)
        elif instruction.mnemonic == "wait" and (gets := posted[token, True] or posted[token, False]):
            post = gets.popleft()
            clock = list(map(max, clock, post)) if token in waiters else clock
        elif instruction.descriptor is not None:
            touches = _touches(instruction, counters)
            yield Occurrence(pc, instruction.mnemonic, unit, index, touches, after=tuple(clock))
        clocks[unit] = clock
        issued[unit] += 1


def _waiters(instructions: Sequence[Instruction], structure: Structure) -> list[dict[int, int]]:
    """For each instruction, the tokens between the `sync`s around it whose posts pair with their waits in order.

    These are the tokens for which one unit waits, which is given, and that at most one other unit posts.
    """
    parts: list[list[Instruction]] = [[]]
    for instruction, counts in zip(instructions, structure.counts, strict=True):
        parts[-1].append(instruction)
        if instruction.mnemonic == "sync" and not counts:
            parts.append([])
    return [waiters for part in parts for waiters in [_paired(part)] * len(part)]


def _paired(part: Sequence[Instruction]) -> dict[int, int]:
    units: dict[tuple[str, int], set[int]] = defaultdict(set)
    for instruction in part:
        if instruction.mnemonic in ("wait", "post"):
            units[instruction.mnemonic, instruction.token].add(queue_of(instruction))
    waits = [(token, users) for (word, token), users in units.items() if word == "wait" and len(users) == 1]
    return {token: min(users) for token, users in waits if len(units.get(("post", token), users) - users) <= 1}


def _touches(instruction: Instruction, counters: tuple[int, ...]) -> tuple[Touch, ...]:
    descriptor = descriptor_of(instruction)
    touches = []
    for place, operand in enumerate(descriptor.operands):
        address = operand.address(counters)
        low, high = span(operand, descriptor.extents)
        touches.append(Touch(operand.memory, address + low, address + high, writes=place == 0))
    return tuple(touches)
