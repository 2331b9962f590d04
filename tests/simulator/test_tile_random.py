"""Random programs of several processors in the tile language: folded, plain, and by a second implementation.

In the second one each unit has a queue of single steps, and time goes from the end of a step to the next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.errors import SimulationError
from tilework.isa.tile_language import Barrier, Cast, Compute, Loop, Move, Section, Statement, Sync
from tilework.machine.load import load_machine
from tilework.machine.machine import Dram, Scratchpad, Sram
from tilework.machine.matrix import ScalarMacArray
from tilework.simulator.tile_time import TileTime, simulate_tiles

SMALL = replace(  # nothing divides anything: 7/3 bytes a cycle off chip, 11/2 from SRAM, 5 MACs
    load_machine("dlp-m4"),
    name="small",
    clusters=2,
    cores=2,
    clock_hz=3e9,
    dram=Dram(1 << 20, 7e9, 0, 0.0),
    sram=Sram(150, 16.5e9, 0, 0.0, 3),
    nram=Scratchpad(40, 0.0),
    wram=Scratchpad(90, 0.0),
    matrix=ScalarMacArray(macs=5, pipeline_cycles=0, energy_per_mac_joules={"float32": 0.0}, rates={"float32": 1}),
)


FIT = "line {}: what is moved into {} between two syncs must fit into its {} bytes, not come to {} as with this move; "
FIT += "move less, or put a sync before it"


@dataclass
class Job:
    owner: Runner
    units: list[str]
    duration: Fraction
    end: Fraction | None = None


@dataclass
class Runner:
    name: tuple[str, int, int]
    steps: Iterator[Statement]
    number: int
    outstanding: int = 0
    held: bool = False
    ended: bool = False
    moved: dict[str, int] = field(default_factory=dict)


class RefusedError(Exception):
    """A step that does not fit."""


def unrolled(statements: tuple[Statement, ...]) -> Iterator[Statement]:
    for statement in statements:
        if isinstance(statement, Loop):
            for _ in range(statement.count):
                yield from unrolled(statement.body)
        else:
            yield statement


def needs(step: Statement, name: tuple[str, int, int]) -> tuple[list[str], Fraction]:
    """Units and cycles of a step on SMALL."""
    _, cluster, index = name
    if isinstance(step, Compute):
        return [f"compute {cluster} {index}"], Fraction(step.macs, 5)
    if isinstance(step, Cast):
        return [f"port {cluster} {i}" for i in range(2)], step.size / Fraction(11, 2)
    assert isinstance(step, Move)
    if "dram" in (step.source, step.destination):
        return ["channel"], step.size / Fraction(7, 3)
    return [f"port {cluster} {index}"], step.size / Fraction(11, 2)


def check_room(runner: Runner, runners: list[Runner], memory: str, line: int) -> None:
    mates = [r for r in runners if r.name[1] == runner.name[1]]
    moved = {r.name[0] + str(r.name[2]): r.moved.get(memory, 0) for r in mates}
    mover = moved.pop("mover-1", 0)
    if memory == "sram":
        wanted, there = mover + sum(moved.values()), 150
    else:
        cores = moved.values() if runner.name[0] == "mover" else [moved[f"core{runner.name[2]}"]]
        wanted, there = mover + max(cores, default=0), {"nram": 40, "wram": 90}[memory]
    if wanted > there:
        raise RefusedError(FIT.format(line, memory, there, wanted))


def second(program: tuple[Section, ...]) -> Fraction:
    names = [(s.role, s.cluster or 0, -1 if s.index is None else s.index) for s in program]
    bodies = sorted(zip(names, [s.body for s in program], strict=True))
    runners = [Runner(name, unrolled(body), i) for i, (name, body) in enumerate(bodies)]
    queues: dict[str, deque[Job]] = {}
    now, turn = Fraction(0), 0
    while True:
        for cluster in (0, 1):
            group = [r for r in runners if r.name[1] == cluster and not r.ended]
            if all(r.held and not r.outstanding for r in group):
                for r in group:
                    r.held = False
        ready = [r for r in runners if not (r.ended or r.held or r.outstanding)]
        for r in ready:
            r.moved = {}
        for r in sorted(ready, key=lambda r: (r.number - turn) % len(runners)):
            if go_on(r, runners, queues):
                turn = (r.number + 1) % len(runners)
        if ready:
            continue
        if all(r.ended for r in runners):
            return now
        jobs = [queue[0] for queue in queues.values() if queue]
        for job in jobs:
            if job.end is None and all(queues[unit][0] is job for unit in job.units):
                job.end = now + job.duration
        now = min(job.end for job in jobs if job.end is not None)
        for job in {id(job): job for job in jobs if job.end == now}.values():
            job.owner.outstanding -= 1
            for unit in job.units:
                queues[unit].popleft()


def go_on(runner: Runner, runners: list[Runner], queues: dict[str, deque[Job]]) -> bool:
    """Put steps into queues up to the next sync, barrier or end; whether there were any."""
    for step in runner.steps:
        if isinstance(step, Sync | Barrier):
            runner.held = isinstance(step, Barrier)
            return runner.outstanding > 0
        if isinstance(step, Move | Cast) and step.destination != "dram":
            runner.moved[step.destination] = runner.moved.get(step.destination, 0) + step.size
            check_room(runner, runners, step.destination, step.line)
        assert not isinstance(step, Loop)
        units, duration = needs(step, runner.name)
        job = Job(runner, units, duration)
        for unit in units:
            queues.setdefault(unit, deque()).append(job)
        runner.outstanding += 1
    runner.ended = not runner.outstanding
    return not runner.ended


# Random programs: clusters whose processors share the loops around their barriers, and are free between these.

NEAR, ROLES = st.sampled_from(["nram", "wram"]), ("core", "mover")
FREE: dict[str, st.SearchStrategy[Statement]] = {
    "core": st.one_of(
        st.builds(Move, st.sampled_from(["dram", "sram"]), NEAR, st.integers(1, 12)),
        st.builds(Move, NEAR, st.sampled_from(["dram", "sram"]), st.integers(1, 20)),
        st.builds(Compute, st.just("fp32"), st.integers(1, 60)),
        st.just(Sync()),
    ),
    "mover": st.one_of(
        st.builds(lambda size: Move("dram", "sram", size), st.integers(1, 30)),
        st.builds(lambda size: Move("sram", "dram", size), st.integers(1, 30)),
        st.builds(Cast, NEAR, st.integers(1, 12)),
        st.just(Sync()),
    ),
}


@st.composite
def bodies(draw: st.DrawFn, role: str, shape: tuple[Any, ...]) -> tuple[Statement, ...]:
    """What a processor does: own steps and loops, and the barriers and loops of `shape`, which its cluster shares."""
    statements: list[Statement] = []
    for part in (*shape, None):
        own = draw(st.lists(FREE[role], max_size=3))
        count = draw(st.integers(0, 9))
        statements += [Loop(count, tuple(own))] if own and count else own
        if isinstance(part, tuple):
            statements.append(Loop(part[0], draw(bodies(role, part[1]))))
        elif part:
            statements.append(Barrier())
    return tuple(statements) or (Sync(),)


SHAPES = st.recursive(
    st.lists(st.just("barrier"), max_size=2).map(tuple),
    lambda inner: st.lists(st.tuples(st.integers(2, 12), inner) | st.just("barrier"), max_size=2).map(tuple),
    max_leaves=4,
)


@st.composite
def programs(draw: st.DrawFn) -> tuple[Section, ...]:
    names = draw(st.sets(st.sampled_from(NAMES), min_size=1, max_size=4))
    shapes = {cluster: draw(SHAPES) for cluster in (0, 1)}
    sections = [Section(role, c, i, draw(bodies(role, shapes[c]))) for role, c, i in sorted(names, key=str)]
    numbers = iter(range(1, 10_000))
    return tuple(replace(section, body=numbered(section.body, numbers)) for section in sections)


NAMES = [(role, cluster, index) for cluster in (0, 1) for role, index in (("core", 0), ("core", 1), ("mover", None))]


def numbered(body: tuple[Statement, ...], numbers: Iterator[int]) -> tuple[Statement, ...]:
    """With a line for each statement, so that errors tell where they come from."""
    statements = []
    for statement in body:
        line = next(numbers)
        if isinstance(statement, Loop):
            statement = replace(statement, body=numbered(statement.body, numbers))
        statements.append(replace(statement, line=line))
    return tuple(statements)


def outcome(program: tuple[Section, ...], fold: bool) -> TileTime | str:
    try:
        return simulate_tiles(program, SMALL, fold=fold)
    except SimulationError as error:
        return str(error)


@settings(max_examples=300)
@given(programs())
def test_folded_is_plain_is_the_second(program: tuple[Section, ...]) -> None:
    folded = outcome(program, fold=True)
    assert folded == outcome(program, fold=False)
    end: Fraction | str
    try:
        end = second(program)
    except RefusedError as refused:
        end = str(refused)
    if isinstance(folded, TileTime):
        assert max(folded.busy_cycles.values()) <= folded.cycles
        assert folded.bound_cycles <= folded.cycles
    assert (folded.cycles if isinstance(folded, TileTime) else folded) == end
