"""The machine in time: control and four in-order queues, from event to event, exactly as docs/processor.md defines.

`fold` skips, at an endloop, all whole periods of a loop whose state relative to the present time has been seen before
in the same activation: the future depends on nothing else, so the result is the same, exactly.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from tilework.errors import SimulationError
from tilework.isa.instruction import QUEUES
from tilework.isa.program import Program
from tilework.simulator.structure import Structure, analyse, queue_of
from tilework.simulator.timing import Cost, timing

MAX_ITERATIONS = 10**8
CONTROL = len(QUEUES)
_WORK, _MOVE, _WAIT, _POST, _LOOP, _ENDLOOP, _SYNC, _END = range(8)
_KINDS = {"load": _MOVE, "store": _MOVE, "wait": _WAIT, "post": _POST, "loop": _LOOP, "endloop": _ENDLOOP}
_KINDS |= {"sync": _SYNC, "end": _END}
_SEEN_STATES = 1 << 14

Record = tuple[int, int, int, int]  # unit (index in QUEUES, or CONTROL), start, end, place of the instruction


@dataclass(frozen=True, slots=True)
class Plan:
    """A program decoded for the engine: one entry per instruction in each list."""

    structure: Structure
    costs: list[Cost]
    queue: list[int]
    kind: list[int]
    token: list[int]
    tokens: list[int]
    count: list[int]
    names: list[str]
    depth: int

    @classmethod
    def of(cls, program: Program) -> Plan:
        instructions = program.instructions
        used = sorted({i.token for i in instructions if i.mnemonic in ("wait", "post")})
        dense = {token: place for place, token in enumerate(used)}
        return cls(
            structure=analyse(instructions),
            costs=[timing(instruction, program.machine) for instruction in instructions],
            queue=[queue_of(instruction) for instruction in instructions],
            kind=[_KINDS.get(instruction.mnemonic, _WORK) for instruction in instructions],
            token=[dense.get(instruction.token, 0) for instruction in instructions],
            tokens=used,
            count=[instruction.count for instruction in instructions],
            names=[instruction.mnemonic for instruction in instructions],
            depth=program.machine.control.queue_depth,
        )

    def issue_cycles(self, place: int) -> int:
        """The cycles that the instruction takes of control."""
        return 0 if self.kind[place] in (_ENDLOOP, _END) else 1


@dataclass(slots=True)
class Run:
    """What the engine found: the program's cycles, and the cycle at which control last passed each instruction."""

    cycles: int
    passed: list[int]
    records: list[Record] = field(default_factory=list)


def execute(
    plan: Plan, *, fold: bool, record: bool = False, limit: int = 1 << 62, max_iterations: int = MAX_ITERATIONS
) -> Run:
    """Run the plan to its end, or until there are `limit` records.

    One long function on local variables, because a call per event would cost as much as the event.
    """
    queue_of_place, kinds, token_of, partner = plan.queue, plan.kind, plan.token, plan.structure.partner
    cycles = [cost.cycles for cost in plan.costs]
    channel_cycles = [cost.channel_cycles for cost in plan.costs]
    tokens, busy, queues = [0] * len(plan.tokens), [0, 0, 0, 0], [deque[int]() for _ in QUEUES]
    units, depth = tuple(enumerate(queues)), plan.depth
    channel, now, place, iterations = 0, 0, 0, 0
    left: list[int] = []  # the iterations still to be done of each open loop
    seen: list[dict[object, tuple[int, int]]] = []  # for each open loop: state -> (iterations left, cycle)
    passed: list[int] = [0] * len(kinds)
    records: list[Record] = []
    while len(records) < limit:
        again = True
        while again:
            again = False
            for unit, queue in units:
                if not queue or busy[unit] > now:
                    continue
                head = queue[0]
                kind = kinds[head]
                if kind == _WORK:
                    busy[unit] = now + cycles[head]
                elif kind == _MOVE:
                    if channel > now:
                        continue
                    channel = now + channel_cycles[head]
                    busy[unit] = now + cycles[head]
                elif kind == _POST:
                    tokens[token_of[head]] += 1
                    again = True
                elif tokens[token_of[head]]:
                    tokens[token_of[head]] -= 1
                    again = True
                else:
                    continue
                queue.popleft()
                if record:
                    records.append((unit, now, max(now, busy[unit]), head))
        while kinds[place] == _ENDLOOP:
            iterations += 1
            left[-1] -= 1
            if fold and left[-1]:
                skipped, shift = _fold(seen[-1], left[-1], now, (busy, channel, queues, tokens))
                if skipped:
                    left[-1] -= skipped
                    now, channel = now + shift, channel + shift
                    busy[:] = [until + shift for until in busy]
            passed[place] = now
            if record:
                records.append((CONTROL, now, now, place))
            if left[-1]:
                place = partner[place] + 1
            else:
                del left[-1], seen[-1]
                place += 1
        if iterations > max_iterations:
            raise SimulationError(_too_long(max_iterations))
        unit = queue_of_place[place]
        if unit >= 0:
            stalled = len(queues[unit]) >= depth
            if not stalled:
                queues[unit].append(place)
        elif kinds[place] == _LOOP:
            stalled = False
            left.append(plan.count[place])
            seen.append({})
        else:
            stalled = any(queues) or max(busy) > now
        if stalled:
            later = [until for until in (*busy, channel) if until > now]
            if not later:
                raise SimulationError(_deadlock(plan, now, place, queues))
            now = min(later)
            continue
        passed[place] = now
        if record and unit < 0:
            records.append((CONTROL, now, now + cycles[place], place))
        if kinds[place] == _END:
            break
        place += 1
        now += 1
    return Run(now, passed, records)


def _fold(
    seen: dict[object, tuple[int, int]],
    left: int,
    now: int,
    state: tuple[list[int], int, list[deque[int]], list[int]],
) -> tuple[int, int]:
    """The iterations to skip and the cycles that they take: all whole periods of the loop, once its state repeats."""
    busy, channel, queues, tokens = state
    relative = [until - now if until > now else 0 for until in (*busy, channel)]
    key = (*relative, *map(tuple, queues), *tokens)
    if key not in seen:
        if len(seen) >= _SEEN_STATES:
            seen.clear()
        seen[key] = (left, now)
        return 0, 0
    left_then, then = seen[key]
    periods = left // (left_then - left)
    return periods * (left_then - left), periods * (now - then)


def _deadlock(plan: Plan, now: int, place: int, queues: list[deque[int]]) -> str:
    waiting = [
        f"{name} waits for token {plan.tokens[plan.token[queue[0]]]} at instruction {queue[0]}"
        for name, queue in zip(QUEUES, queues, strict=True)
        if queue
    ]
    waiting.append(f"control waits at instruction {place} ({plan.names[place]})")
    names = " and ".join(waiting)
    return f"every wait must get its post, but from cycle {now} on {names}; post it or drop the wait"


def _too_long(most: int) -> str:
    return (
        f"a simulation must end within {most} loop iterations done one by one, and this one does not; "
        "simulate with folding, lower the loops' counts or raise max_iterations"
    )
