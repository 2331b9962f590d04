"""Who of a program in the tile language goes on when: exact, in whole ticks, with loops folded once they repeat.

Between two of its syncs a processor issues all at once, and each unit serves what came first. So an issue only needs,
of each unit, when it will be free, and the order of steps within an issue does not matter to later ones: loops without
a sync are one step however often they run. Time goes from issue to issue.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from tilework.errors import SimulationError
from tilework.isa.tile_language import Barrier, Loop, Section, Statement, Sync
from tilework.machine.machine import Machine
from tilework.simulator.tile_steps import KINDS, NOTHING, Chip, Processor, Work, passing

MAX_ROUNDS = 300_000
_REMEMBERED = 20_000  # states; those of longer periods are not recognised


@dataclass(slots=True)
class Flat:
    """Steps, and loops of them, with neither sync nor barrier; and what they need together."""

    statements: list[Statement]
    work: Work


@dataclass(frozen=True, slots=True)
class Begin:
    """The loop that begins here is done `count` times; its End lies `length` + 1 places further."""

    count: int
    length: int


@dataclass(frozen=True, slots=True)
class End:
    """The end of a loop that is done `count` times, with `length` places between."""

    count: int
    length: int


Code = list[Flat | Sync | Barrier | Begin | End]


@dataclass(slots=True)
class Stream:
    """A processor at work: in its code, and until when it is busy with what it issued.

    `units` are the places of its units by their kind; `rounds` and `counts` are those of the open loops, outermost
    first; `looped` holds the levels of the loops that began another round when it last went on; `held` says that it
    stands at a barrier which others have not reached.
    """

    processor: Processor
    number: int
    units: dict[str, tuple[int, ...]]
    code: Code
    place: int = 0
    rounds: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    stop: Sync | Barrier | None = None
    held: bool = False
    done: int = 0
    pending: Work = NOTHING
    looped: list[int] = field(default_factory=list)

    def advance(self) -> Flat:
        """Go on to the next sync, barrier or end: what is issued on the way."""
        issued = Flat([], NOTHING)
        self.stop, self.looped = None, []
        while self.place < len(self.code) and self.stop is None:
            part = self.code[self.place]
            self.place += 1
            if isinstance(part, Flat):
                issued.statements += part.statements
                issued.work = issued.work.plus(part.work)
            elif isinstance(part, Begin):
                self.rounds.append(0)
                self.counts.append(part.count)
            elif isinstance(part, End):
                self._end_round(part)
            else:
                self.stop = part
        return issued

    def _end_round(self, end: End) -> None:
        self.rounds[-1] += 1
        if self.rounds[-1] < end.count:
            self.place -= end.length + 1
            self.looped.append(len(self.rounds) - 1)
        else:
            del self.rounds[-1], self.counts[-1]


@dataclass(frozen=True, slots=True)
class Issue:
    """At `now` a processor goes on from `stop` and issues; `starts` says when its first step on each kind begins."""

    stream: Stream
    stop: Sync | Barrier | None
    now: int
    statements: list[Statement]
    starts: dict[str, int]


class Engine:
    """A program on its way through time, in ticks. `totals` is what each of its processors needs in all."""

    def __init__(
        self, program: Sequence[Section], machine: Machine, *, fold: bool, max_rounds: int = MAX_ROUNDS
    ) -> None:
        self.chip, self.fold, self.max_rounds = Chip(machine), fold, max_rounds
        processors = self.chip.processors(program)
        self.unit_names, units = _units(processors)
        self.streams = [
            Stream(processor, number, units[number], _code(processor.body, self.chip))
            for number, processor in enumerate(processors)
        ]
        self.totals = [self.chip.works(processor.body) for processor in processors]
        self.free = [0] * len(self.unit_names)  # when each unit will be
        self._next = 0  # the stream that goes first among those that go on at the same time
        self._seen: dict[object, tuple[int, list[int]]] = {}

    @property
    def units(self) -> dict[str, int]:
        """For how long each unit is busy in all. Ports of SRAM, and casts, are there if they are used."""
        busy = [0] * len(self.unit_names)
        for stream, total in zip(self.streams, self.totals, strict=True):
            for kind, places in stream.units.items():
                for place in places:
                    busy[place] += getattr(total, kind)
        always = ("channel", "compute")
        return {
            name: ticks for name, ticks in zip(self.unit_names, busy, strict=True) if ticks or name.endswith(always)
        }

    @property
    def end(self) -> int:
        """When all that has been issued will be done."""
        return max(stream.done for stream in self.streams)

    def run(self) -> Iterator[Issue]:
        """All issues, without those of the iterations that are folded.

        Raises SimulationError, which names the line, for a step that does not fit; or if there are too many rounds.
        """
        active, rounds = list(self.streams), 0
        while active:
            self._pass_barriers(active)
            now = min(stream.done for stream in active if not stream.held)
            ready = [stream for stream in active if not stream.held and stream.done == now]
            for stream in ready:
                stream.pending = NOTHING
            looped: list[int] = []
            for stream in sorted(ready, key=lambda stream: (stream.number - self._next) % len(self.streams)):
                if stream.stop or stream.place < len(stream.code):
                    yield self._issue(stream, now)
                    looped += stream.looped
                else:
                    active.remove(stream)
            rounds += len(looped)
            self._check_rounds(rounds)
            if looped and self.fold:
                self._skip(now, set(looped))

    def _pass_barriers(self, active: Sequence[Stream]) -> None:
        for _, group in groupby(sorted(active, key=_cluster), _cluster):
            streams = list(group)
            if all(stream.held for stream in streams):
                done = max(stream.done for stream in streams)
                for stream in streams:
                    stream.held, stream.done = False, done

    def _issue(self, stream: Stream, now: int) -> Issue:
        stop, issued = stream.stop, stream.advance()
        stream.pending, stream.held = issued.work, isinstance(stream.stop, Barrier)
        self._check_room(stream, issued.statements)
        starts = {}
        for kind, places in stream.units.items():
            ticks = getattr(issued.work, kind)
            if ticks:
                starts[kind] = max(now, *(self.free[place] for place in places))
                for place in places:
                    self.free[place] = starts[kind] + ticks
                stream.done = max(stream.done, starts[kind] + ticks)
        if issued.statements:
            self._next = (stream.number + 1) % len(self.streams)
        return Issue(stream, stop, now, issued.statements, starts)

    def _check_room(self, stream: Stream, statements: Sequence[Statement]) -> None:
        """Raises SimulationError if what the stream moves now does not fit beside what others of its cluster move."""
        capacities, places = self.chip.capacities, tuple(f"into_{memory}" for memory in self.chip.capacities)
        wanted = [getattr(stream.pending, place) for place in places]
        if not any(wanted):
            return
        room = [there - self.beside(stream, memory) for memory, there in capacities.items()]
        if all(amount <= there for amount, there in zip(wanted, room, strict=True)):
            return
        step, which, excess = passing(
            statements, lambda step: tuple(getattr(self.chip.work(step), place) for place in places), room
        )
        memory, capacity = list(capacities.items())[which]
        raise SimulationError(
            f"line {step.line}: what is moved into {memory} between two syncs must fit into its {capacity:,} bytes, "
            f"not come to {capacity + excess:,} as with this move; move less, or put a sync before it"
        )

    def beside(self, stream: Stream, memory: str) -> int:
        """Bytes that others of the cluster move into a memory: into the SRAM all, into a core's the mover and it."""
        role, cluster = stream.processor.role, stream.processor.cluster
        others = [other for other in self.streams if other is not stream and other.processor.cluster == cluster]
        moved = [
            getattr(other.pending, f"into_{memory}")
            for other in others
            if memory == "sram" or other.processor.role != role
        ]
        return sum(moved) if memory == "sram" else max(moved, default=0)

    def _check_rounds(self, rounds: int) -> None:
        if rounds > self.max_rounds:
            raise SimulationError(
                f"the loops of a program must repeat themselves within {self.max_rounds:,} rounds, not go on; "
                "write fewer rounds, or barriers that let the processors go in step"
            )

    def _skip(self, now: int, looped: set[int]) -> None:
        """Go on by whole periods, if this state has been seen before and since then only loops' counters went on.

        What happens next depends on the places in the code, on times relative to now (those that lie in the past are
        all alike) and on what is being moved. When all this repeats and of each stream's open loops one counter alone
        has changed, the same goes on until a loop whose counter changes is left: so as many periods are skipped as
        end before that.
        """
        state = (
            self._next,
            tuple((s.place, s.held, max(0, s.done - now), s.pending) for s in self.streams),
            tuple(max(0, free - now) for free in self.free),
        )
        for levels in self._levels(looped):
            chosen = list(zip(self.streams, levels, strict=True))
            moving = [stream.rounds[level] for stream, level in chosen if level >= 0]
            last = [stream.counts[level] - 1 for stream, level in chosen if level >= 0]
            fixed = tuple(tuple(s.rounds[:level] + s.rounds[level + 1 :]) if level >= 0 else () for s, level in chosen)
            key = (state, levels, fixed)
            then, before = self._seen.get(key, (now, moving))
            steps = [(end - at, at - was) for end, at, was in zip(last, moving, before, strict=True) if at > was]
            periods = min((left // step for left, step in steps), default=0)
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            self._seen[key] = (now, moving)
            if periods:
                self._shift(chosen, moving, before, periods, now - then)
                return

    def _levels(self, looped: set[int]) -> set[tuple[int, ...]]:
        """For each stream which open loop's counter may change, -1 if none is open.

        Tried are the levels at which a round has just begun, the same for all streams that have it; and for each
        stream the loop with most rounds to go.
        """
        levels = {tuple(min(level, len(s.rounds) - 1) for s in self.streams) for level in looped}
        return levels | {tuple(_longest(stream) for stream in self.streams)}

    def _shift(
        self, chosen: Sequence[tuple[Stream, int]], moving: list[int], before: list[int], periods: int, ticks: int
    ) -> None:
        counters = iter(zip(moving, before, strict=True))
        for stream, level in chosen:
            stream.done += periods * ticks
            if level >= 0:
                at, was = next(counters)
                stream.rounds[level] = at + periods * (at - was)
        self.free = [free + periods * ticks for free in self.free]


def _longest(stream: Stream) -> int:
    left = [count - at for count, at in zip(stream.counts, stream.rounds, strict=True)]
    return left.index(max(left)) if left else -1


def _cluster(stream: Stream) -> int:
    return stream.processor.cluster


def _units(processors: Sequence[Processor]) -> tuple[list[str], list[dict[str, tuple[int, ...]]]]:
    """The units' names, and for each processor the places of its units by kind. A cast takes its cluster's ports."""
    names = ["channel"]
    units: list[dict[str, tuple[int, ...]]] = []
    for processor in processors:
        own: dict[str, tuple[int, ...]] = {"channel": (0,)}
        for kind in KINDS[1:3] if processor.role == "core" else KINDS[3:]:
            own[kind] = (len(names),)
            names.append(f"{processor.name} {kind}" if len(processors) > 1 else kind)
        units.append(own)
    for processor, own in zip(processors, units, strict=True):
        if processor.role == "mover":
            mates = [u for p, u in zip(processors, units, strict=True) if p.cluster == processor.cluster]
            own["cast"] += tuple(place for mate in mates for place in mate.get("sram", ()))
    return names, units


def _code(statements: Sequence[Statement], chip: Chip) -> Code:
    """The statements in a row. A loop without a sync is a step, one in which only a loop stands is joined with it."""
    code: Code = []
    for statement in statements:
        for part in _loop(statement, chip) if isinstance(statement, Loop) else [_part(statement, chip)]:
            if isinstance(part, Flat) and code and isinstance(code[-1], Flat):
                code[-1].statements += part.statements
                code[-1].work = code[-1].work.plus(part.work)
            else:
                code.append(part)
    return code


def _part(step: Statement, chip: Chip) -> Flat | Sync | Barrier:
    if isinstance(step, Sync | Barrier):
        return step
    assert not isinstance(step, Loop)
    return Flat([step], chip.work(step))


def _loop(loop: Loop, chip: Chip) -> Code:
    body, count = _code(loop.body, chip), loop.count
    first = body[0]
    if isinstance(first, Flat) and len(body) == 1:
        return [Flat([loop], first.work.times(count))]
    if count == 1:
        return body
    if isinstance(first, Begin) and len(body) == first.length + 2:
        body, count = body[1:-1], count * first.count
    return [Begin(count, len(body)), *body, End(count, len(body))]
