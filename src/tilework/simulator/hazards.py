"""Whether tokens and barriers suffice: two instructions that share bytes, which one of them writes, must be in order.

Within a stream that is the program's order. Between streams there is no order but that of barriers.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from tilework.isa.instruction import QUEUES, Instruction
from tilework.isa.program import Program
from tilework.simulator.core import CONTROL, Core
from tilework.simulator.crossing import crossings
from tilework.simulator.cycle import plan_of
from tilework.simulator.engine import execute
from tilework.simulator.occurrence import Hazard, Occurrence, occurrences
from tilework.simulator.plan import BARRIER, BRANCH, DRAIN, JUMP, StreamPlan
from tilework.simulator.state import Array
from tilework.simulator.structure import queue_of
from tilework.simulator.touches import shared

MAX_EVENTS = 1_000_000


def find_hazards(
    program: Program, limit: int = MAX_EVENTS, *, inputs: Mapping[str, Array] | None = None
) -> list[Hazard]:
    """The pairs of instructions, one of which writes, that share bytes and didn't run in order on the machine.

    Between streams, those that ran at the same time. Looks at the first `limit` events of each stream in the plain
    simulation; of pairs at the same places, only the first is given.
    """
    run = execute(plan_of(program, inputs), fold=False, record=True, limit=limit)
    each = [list(_simulated(core)) for core in run.cores]
    depth = program.machine.control.queue_depth
    found = [hazard for one in each for hazard in _search(one, _ended_before, depth)]
    return [*found, *crossings(each, [core.plan.stream for core in run.cores], _at_the_same_time)]


def find_races(program: Program, limit: int = MAX_EVENTS, *, inputs: Mapping[str, Array] | None = None) -> list[Hazard]:
    """As `find_hazards`, but the pairs that nothing in the program orders, however long each instruction takes.

    What orders: a queue, `sync`, a full queue, and a token that one unit waits for and one other posts (what the
    waiting unit itself posts lets as many of its waits pass); between streams, a barrier that both pass. An empty
    answer proves the program right for every timing. Looks at the first `limit` instructions that each stream executes.
    """
    plans = plan_of(program, inputs).streams
    each = [list(_ordered(plan, index, limit)) for index, plan in enumerate(plans)]
    depth = program.machine.control.queue_depth
    found = [hazard for one in each for hazard in _search(one, _waited_for, depth)]
    return [*found, *crossings(each, [plan.stream for plan in plans], lambda first, second: True)]


def _ended_before(first: Occurrence, second: Occurrence) -> bool:
    return first.cycles[1] <= second.cycles[0]


def _at_the_same_time(first: Occurrence, second: Occurrence) -> bool:
    return not (_ended_before(first, second) or _ended_before(second, first))


def _waited_for(first: Occurrence, second: Occurrence) -> bool:
    return first.index < second.after[first.unit]


def _search(
    executed: Iterable[Occurrence], in_order: Callable[[Occurrence, Occurrence], bool], queue_depth: int
) -> list[Hazard]:
    found: dict[tuple[int, int, str], Hazard] = {}
    # When an instruction is issued, at most a queue's entries and the one at work have not ended.
    recent = [deque[Occurrence](maxlen=queue_depth + 1) for _ in QUEUES]
    for second in executed:
        if second.unit == CONTROL:  # it has waited for all before it
            continue
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
            if common := shared(a, b):
                yield Hazard(first, second, a.memory, *common)


def _simulated(core: Core) -> Iterator[Occurrence]:
    """Executions in program order with their cycles: a unit begins its instructions in program order, so they pair."""
    began: defaultdict[int, deque[tuple[int, int]]] = defaultdict(deque)
    for unit, start, end, _ in core.records:
        began[unit].append((start, end))
    for occurrence in occurrences(core.plan, core.index):
        if not began[occurrence.unit]:
            return
        cycles = began[occurrence.unit].popleft()
        if occurrence.touches:
            yield occurrence.at(cycles=cycles)


def _ordered(plan: StreamPlan, stream: int, limit: int) -> Iterator[Occurrence]:
    """Executions in program order with how many entries of each queue they come after (vector clocks)."""
    instructions, places = plan.stream.instructions, plan.depth + 1
    waiters_at = _waiters(plan)
    issued = [0] * len(QUEUES)
    clocks = [[0] * len(QUEUES) for _ in QUEUES]
    # What each post not yet waited for comes after; by the token and whether the unit that waits for it posted it.
    posted: dict[tuple[int, bool], deque[list[int]]] = defaultdict(deque)
    for occurrence in islice(occurrences(plan, stream), limit):
        unit, instruction = occurrence.unit, instructions[occurrence.pc]
        if unit == CONTROL:
            if plan.kind[occurrence.pc] in (DRAIN, BARRIER):
                clocks = [list(issued) for _ in QUEUES]
            if occurrence.touches:
                yield occurrence
            continue
        # A queue that has taken this many entries since has finished the earlier ones.
        clock = [max(done, entries - places) for done, entries in zip(clocks[unit], issued, strict=True)]
        clock[unit] = index = issued[unit]
        token, waiters = instruction.token, waiters_at[occurrence.pc]
        if instruction.mnemonic == "post":
            posted[token, waiters.get(token) == unit].append(clock)
        elif instruction.mnemonic == "wait" and (gets := posted[token, True] or posted[token, False]):
            post = gets.popleft()
            clock = list(map(max, clock, post)) if token in waiters else clock
        elif occurrence.touches:
            yield occurrence.at(index=index, after=tuple(clock))
        clocks[unit] = clock
        issued[unit] += 1


def _waiters(plan: StreamPlan) -> list[dict[int, int]]:
    """For each instruction, the tokens between the `sync`s around it whose posts pair with their waits in order.

    These are the tokens for which one unit waits, which is given, and that at most one other unit posts. Where there
    are jumps, a `sync` is no border.
    """
    parts: list[list[Instruction]] = [[]]
    jumps = any(kind in (JUMP, BRANCH) for kind in plan.kind)
    for instruction, kind, counts in zip(plan.stream.instructions, plan.kind, plan.structure.counts, strict=True):
        parts[-1].append(instruction)
        if kind in (DRAIN, BARRIER) and not counts and not jumps:
            parts.append([])
    return [waiters for part in parts for waiters in [_paired(part)] * len(part)]


def _paired(part: Sequence[Instruction]) -> dict[int, int]:
    units: dict[tuple[str, int], set[int]] = defaultdict(set)
    for instruction in part:
        if instruction.mnemonic in ("wait", "post"):
            units[instruction.mnemonic, instruction.token].add(queue_of(instruction))
    waits = [(token, users) for (word, token), users in units.items() if word == "wait" and len(users) == 1]
    return {token: min(users) for token, users in waits if len(units.get(("post", token), users) - users) <= 1}
