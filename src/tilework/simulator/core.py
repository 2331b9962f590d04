"""One stream in time: control and its in-order queues, from event to event, exactly as docs/processor.md defines.

A stream runs by itself until it depends on others: it pauses where it wants a shared resource and others may come
first, where it has arrived at a barrier, and, for the search for states that repeat, at each endloop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from heapq import heapreplace

from tilework.errors import SimulationError
from tilework.isa.instruction import QUEUES
from tilework.simulator.dram import DramChannel
from tilework.simulator.plan import (
    BARRIER,
    BRANCH,
    DRAIN,
    END,
    ENDLOOP,
    JUMP,
    LOOP,
    POST,
    STEP,
    WAIT,
    WORK,
    StreamPlan,
)

CONTROL = len(QUEUES)
NEVER = 1 << 200

# Why a stream pauses. Less than AT_LOOP is the number of the round of the cycle in which it wants a resource.
AT_LOOP, PASSING, AT_BARRIER, STUCK, CUT, ENDED = range(1 << 30, (1 << 30) + 6)

Record = tuple[int, int, int, int]  # unit (index in QUEUES, or CONTROL), start, end, place of the instruction
Pause = tuple[int, int, int, int, bool, int]  # cycle, why, place of control, unit, whether one acted, jumps decided
Process = Generator[Pause, tuple[int, int], None]  # is sent the cycle up to which it is alone, and that in which it is


@dataclass(slots=True)
class Core:
    """The state of a stream, which others may look at and move in time while it pauses.

    `left` are the iterations still to be done of each open loop. `passed` is the cycle in which control last passed
    each instruction, `began` that in which it first passed the beginning of a layer, where jumps came back to it. In
    `records` is what units and control did, in `issued` the cycle and the place of all that control passed.
    """

    index: int
    plan: StreamPlan
    busy: list[int] = field(default_factory=lambda: [0] * len(QUEUES))
    queues: list[deque[int]] = field(default_factory=lambda: [deque() for _ in QUEUES])
    tokens: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    passed: list[int] = field(default_factory=list)
    began: dict[int, int] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    issued: list[tuple[int, int]] = field(default_factory=list)
    pause: Pause = (0, 0, 0, 0, False, 0)

    def __post_init__(self) -> None:
        self.tokens = [0] * len(self.plan.tokens)
        self.passed = [-1] * len(self.plan.kind)

    @property
    def name(self) -> str:
        return self.plan.stream.name

    @property
    def now(self) -> int:
        return self.pause[0]

    def come_back(self, target: int, place: int) -> None:
        """Note when layers began whose first instruction a jump from `place` may pass again."""
        for first in self.plan.starts:
            if target <= first <= place and self.passed[first] >= 0:
                self.began.setdefault(first, self.passed[first])

    def first_passed(self, place: int) -> int:
        """The cycle in which control passed the first instruction of a layer for the first time."""
        return self.began.get(place, self.passed[place])

    @property
    def runs(self) -> bool:
        """Whether it can go on by itself."""
        return self.pause[1] < AT_BARRIER


def process(
    core: Core,
    resources: list[list[int]],
    last: list[int],
    dram: DramChannel | None,
    *,
    fold: bool,
    sole: bool,
    limit: int,
    budget: int,
    record: bool,
) -> Process:
    """Run the stream to its end, or until it has `limit` records; `last` is told which stream took a resource last.

    `resources` are heaps of the cycles from which each channel or port is free, the DRAM's channel first; `dram` is
    there if it isn't ideal. One long function on local variables, because a call per event would cost as much as the
    event.
    """
    plan, index, busy, queues, tokens, left = core.plan, core.index, core.busy, core.queues, core.tokens, core.left
    queue_of_place, kinds, numbers, partner = plan.queue, plan.kind, plan.number, plan.structure.partner
    costs, taken, foldable, passed = plan.costs, plan.flow.taken, plan.foldable, core.passed
    cycles = [cost.cycles for cost in costs]
    takes = [tuple((resources[resource], occupied) for resource, occupied in needs) for needs in plan.takes]
    units = tuple((unit, queues[unit]) for unit in sorted({*plan.queue} - {-1}))
    depth, records, issued = plan.depth, core.records, core.issued
    stretches = _stretches(plan) if fold and sole and not record else {}
    known: dict[tuple[int, tuple[int, ...]], tuple[int, int, list[int], list[int]]] = {}
    begun: tuple[tuple[int, tuple[int, ...]], int, int, int] | None = None
    place = decided = executed = until = 0
    horizon, now = yield core.pause
    while len(records) < limit:
        again, rounds = True, 0
        while again:
            again = alone = False
            for unit, queue in units:
                if not queue or busy[unit] > now:
                    continue
                head = queue[0]
                kind = kinds[head]
                if kind == WORK:
                    busy[unit] = now + cycles[head]
                elif kind == POST:
                    tokens[numbers[head]] += 1
                    again = True
                elif kind == WAIT:
                    if not tokens[numbers[head]]:
                        continue
                    tokens[numbers[head]] -= 1
                    again = True
                else:
                    needs = takes[head]
                    until = max([heap[0] for heap, _ in needs])
                    if until <= now and now >= horizon and not alone:
                        horizon, now = yield now, rounds, place, unit, again, decided
                        alone = True
                        until = max([heap[0] for heap, _ in needs])
                    if until > now:
                        busy[unit] = until
                        continue
                    for heap, occupied in needs:
                        heapreplace(heap, now + occupied)
                    last[0] = index
                    busy[unit] = now + cycles[head]
                    if dram is not None and costs[head].channel_cycles:
                        resources[0][0], busy[unit] = dram.take(index, head, now)
                queue.popleft()
                if record:
                    records.append((unit, now, max(now, busy[unit]), head))
            rounds += 1
        while kinds[place] == ENDLOOP:
            executed += 1
            if executed > budget:
                raise SimulationError(_too_long(plan, place, budget, dram))
            left[-1] -= 1
            if fold and left[-1] and foldable[place]:
                horizon, now = yield now, AT_LOOP, place, 0, False, decided
            passed[place] = now
            if record:
                issued.append((now, place))
                records.append((CONTROL, now, now, place))
            if left[-1]:
                place = partner[place] + 1
            else:
                del left[-1]
                place += 1
        if place in stretches and not left and not any(queues) and max(busy) <= now:
            number, end = stretches[place]
            key = (number, tuple(tokens))
            if key in known and executed + known[key][1] <= budget:
                lasted, done, offsets, after = known[key]
                passed[place:end] = [now + offset for offset in offsets]
                tokens[:], place, now, executed = after, end, now + lasted, executed + done
                continue
            begun = (key, place, now, executed)
        unit, following, stalled = queue_of_place[place], place + 1, False
        if unit >= 0:
            stalled = len(queues[unit]) >= depth
            if not stalled:
                queues[unit].append(place)
        else:
            kind = kinds[place]
            if kind == LOOP:
                left.append(numbers[place])
            elif kind == BRANCH:
                following = numbers[place] if taken[decided] else following
                decided += 1
            elif kind == JUMP:
                following = numbers[place]
            elif kind != STEP:
                stalled = any(queues) or max(busy) > now
        if stalled:
            later = [until for until in busy if until > now]
            if not later:
                yield now, STUCK, place, 0, False, decided
            now = min(later)
            continue
        executed += 1
        if executed > budget:
            raise SimulationError(_too_long(plan, place, budget, dram))
        if unit < 0 and kind == BARRIER:
            horizon, now = yield now, AT_BARRIER, place, 0, False, decided
        passed[place] = now
        if record:
            issued.append((now, place))
        if unit < 0:
            if record:
                records.append((CONTROL, now, now + cycles[place], place))
            if kind == END:
                yield now, ENDED, place, 0, False, decided
            if following <= place:
                core.come_back(following, place)
        place = following
        now += 1
        if begun is not None and unit < 0 and kind == DRAIN and not left:
            key, first, start, before = begun
            offsets = [cycle - start for cycle in passed[first:place]]
            known[key], begun = (now - start, executed - before, offsets, tokens[:]), None
    yield now, CUT, place, 0, False, decided


def _stretches(plan: StreamPlan) -> dict[int, tuple[int, int]]:
    """Code between two places, outside of loops, where nothing is under way: by its first place, a number that equal
    ones share, and the place behind it. What such code takes depends on the tokens alone."""
    numbers: dict[object, int] = {}
    found: dict[int, tuple[int, int]] = {}
    first: int | None = 0
    depth = 0
    for place, kind in enumerate(plan.kind):
        depth += (kind == LOOP) - (kind == ENDLOOP)
        if kind in (BARRIER, BRANCH, JUMP, END):
            first = None
        elif kind == DRAIN and not depth:
            if first is not None:
                part = slice(first, place + 1)
                cycles = tuple(cost.cycles for cost in plan.costs[part])
                same = tuple(plan.kind[part]), tuple(plan.number[part]), tuple(plan.queue[part])
                key = (*same, tuple(plan.takes[part]), cycles)
                found[first] = (numbers.setdefault(key, len(numbers)), place + 1)
            first = place + 1
    return found


def _too_long(plan: StreamPlan, place: int, most: int, dram: DramChannel | None) -> str:
    who = f"{plan.stream.where(place)} ({plan.stream.instructions[place].mnemonic})"
    advice = "simulate with folding" if dram is None else "take a machine whose DRAM is ideal"
    return (
        f"a simulation must end within {most} instructions of a stream done one by one, and at {who} it has not; "
        f"{advice}, lower the loops' counts or raise max_instructions"
    )
