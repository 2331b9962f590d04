"""The chip in time: its streams side by side on one DRAM channel and the ports of each cluster's SRAM.

The stream that is earliest goes on, until it wants to share something with one that isn't as far. So each takes
channels and ports in the order of cycles, rounds and turns that docs/processor.md defines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tilework.errors import SimulationError
from tilework.isa.instruction import QUEUES
from tilework.simulator.core import AT_BARRIER, AT_LOOP, CUT, ENDED, NEVER, PASSING, STUCK, Core, Process, process
from tilework.simulator.dram import DramChannel, Taken
from tilework.simulator.folding import Folds
from tilework.simulator.plan import MAX_INSTRUCTIONS, Plan


@dataclass(frozen=True, slots=True)
class Run:
    """What the engine found: the program's cycles, every stream with what it has passed and recorded, and the DRAM if
    it isn't ideal; if the program stood still or left tokens, the sentence that says so."""

    cycles: int
    cores: tuple[Core, ...]
    dram: DramChannel | None = None
    problem: str = ""

    def taken(self, stream: int) -> Taken:
        """The cycles that the stream's transfers with DRAM really took; nothing where the DRAM is ideal."""
        return self.dram.taken[stream] if self.dram else {}


def execute(
    plan: Plan, *, fold: bool, record: bool = False, limit: int = 1 << 62, max_instructions: int = MAX_INSTRUCTIONS
) -> Run:
    """Run the plan to its end, or until each stream has `limit` records. Nothing is folded where the DRAM isn't ideal.

    Raises SimulationError for a program that stands still, leaves tokens, or executes more than `max_instructions` of
    a stream one by one.
    """
    run = attempt(plan, fold=fold, record=record, limit=limit, max_instructions=max_instructions)
    if run.problem:
        raise SimulationError(run.problem)
    return run


def attempt(
    plan: Plan, *, fold: bool, record: bool = False, limit: int = 1 << 62, max_instructions: int = MAX_INSTRUCTIONS
) -> Run:
    """As `execute`, but for a program that stands still or leaves tokens a run with its `problem`."""
    cores = tuple(Core(index, stream) for index, stream in enumerate(plan.streams))
    resources = [[0], *([0] * plan.sram_ports for _ in range(plan.clusters))]
    last = [len(cores) - 1]
    dram = None if plan.dram.is_ideal else DramChannel(plan)
    fold = fold and dram is None
    folds = Folds(cores, resources, last) if fold else None
    running = [
        process(
            core,
            resources,
            last,
            dram,
            fold=fold,
            sole=len(cores) == 1,
            record=record,
            limit=limit,
            budget=max_instructions,
        )
        for core in cores
    ]
    for each in running:
        next(each)
    problem = _Chip(cores, running, last, folds).run()
    return Run(max(core.now for core in cores), cores, dram, problem)


@dataclass(slots=True)
class _Chip:
    """Lets the streams go on, each in its turn."""

    cores: tuple[Core, ...]
    running: Sequence[Process]
    last: list[int]
    folds: Folds | None

    def run(self) -> str:
        """Until all have ended; returns what is wrong then, or nothing.

        `nows` are the cycles of the streams that can go on by themselves.
        """
        nows = [0] * len(self.cores)
        while (now := min(nows)) != NEVER:
            core = self.cores[nows.index(now)] if nows.count(now) == 1 else self._first(nows, now)
            if self.folds is not None and core.pause[1] == AT_LOOP:
                self.folds.skip(core)
                nows[:] = [other.now if other.runs else NEVER for other in self.cores]
            nows[core.index] = NEVER
            core.pause = self.running[core.index].send((min(nows), core.now))
            if core.pause[1] == AT_BARRIER:
                for met in self._met(core):
                    nows[met.index] = met.now
            elif core.runs:
                nows[core.index] = core.now
        return self._problem()

    def _first(self, nows: list[int], now: int) -> Core:
        """Of the streams at this cycle, the one whose round comes first, then whose turn it is."""
        size, after = len(self.cores), self.last[0] + 1
        ready = [core for core, at in zip(self.cores, nows, strict=True) if at == now]
        return min(ready, key=lambda core: (core.pause[1], (core.index - after) % size))

    def _met(self, core: Core) -> list[Core]:
        """The streams whose barrier this one completes, if it does, all in the cycle in which they pass."""
        group = self._group(core)
        if any(other.pause[1] != AT_BARRIER or _scope(other) != _scope(core) for other in group):
            return []
        now = max(other.now for other in group)
        for other in group:
            other.pause = (now, PASSING, *other.pause[2:])
        return group

    def _group(self, core: Core) -> list[Core]:
        """The streams that the barrier at which this one stands brings together."""
        cluster = core.plan.stream.cluster
        return [other for other in self.cores if _scope(core) == "chip" or other.plan.stream.cluster == cluster]

    def _problem(self) -> str:
        whys = {core.pause[1] for core in self.cores}
        if CUT in whys:
            return ""
        if whys != {ENDED}:
            return self._deadlock()
        return next((_left_over(core) for core in self.cores if any(core.tokens)), "")

    def _deadlock(self) -> str:
        now = max(core.now for core in self.cores if core.pause[1] != ENDED)
        waiting = [line for core in self.cores if core.pause[1] == STUCK for line in _stuck(core)]
        waiting += [self._alone(core) for core in self.cores if core.pause[1] == AT_BARRIER]
        several = "every wait must get its post and every barrier its streams"
        rule = several if any(core.pause[1] == AT_BARRIER for core in self.cores) else "every wait must get its post"
        advice = "give every stream its barriers" if rule is several else "post it or drop the wait"
        return f"{rule}, but from cycle {now} on {' and '.join(waiting)}; {advice}"

    def _alone(self, core: Core) -> str:
        others = [o.name for o in self._group(core) if o.pause[1] != AT_BARRIER or _scope(o) != _scope(core)]
        place = core.pause[2]
        return f"{core.name} waits at {core.plan.stream.where(place)} (barrier {_scope(core)}) for {', '.join(others)}"


def _scope(core: Core) -> str:
    return core.plan.stream.instructions[core.pause[2]].scope


def _stuck(core: Core) -> list[str]:
    plan, place = core.plan, core.pause[2]
    waiting = [
        f"{name} waits for token {plan.tokens[plan.number[queue[0]]]} at {plan.stream.where(queue[0])}"
        for name, queue in zip(QUEUES, core.queues, strict=True)
        if queue
    ]
    return [*waiting, f"control waits at {plan.stream.where(place)} ({plan.stream.instructions[place].mnemonic})"]


def _left_over(core: Core) -> str:
    plan = core.plan
    number = next(number for number, left in enumerate(core.tokens) if left)
    token, left, instructions = plan.tokens[number], core.tokens[number], plan.stream.instructions
    first = next(place for place, i in enumerate(instructions) if i.mnemonic == "post" and i.token == token)
    return (
        f"every post must be waited for before the end, but {left} of token {token}, first posted at "
        f"{plan.stream.where(first)}, {'is' if left == 1 else 'are'} left; wait for {'it' if left == 1 else 'them'} "
        "or drop posts"
    )
