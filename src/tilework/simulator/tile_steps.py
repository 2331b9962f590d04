"""The steps of a program in the tile language, one by one, as docs/tile-language.md says: what they do, and when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tilework.errors import SimulationError
from tilework.isa.tile_language import Compute, Loop, Move, Statement, Step, Sync
from tilework.machine.machine import Machine

UNITS = ("channel", "compute")
_DTYPE = "fp32"


@dataclass(frozen=True, slots=True)
class Work:
    """Bytes moved into NRAM, into WRAM and out to DRAM, and multiply-accumulates."""

    nram: int = 0
    wram: int = 0
    stored: int = 0
    macs: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.nram + other.nram, self.wram + other.wram, self.stored + other.stored, self.macs + other.macs)

    def times(self, n: int) -> Work:
        return Work(self.nram * n, self.wram * n, self.stored * n, self.macs * n)

    @property
    def loaded(self) -> int:
        return self.nram + self.wram


@dataclass(frozen=True, slots=True)
class Event:
    """A step at work on a unit in the cycles [start, end). A sync's unit is "sync", and its end is its start."""

    unit: str
    start: Fraction
    end: Fraction
    line: int
    text: str

    def __str__(self) -> str:
        return f"{decimal(self.start):>14} {decimal(self.end):>14}  {self.unit:<7}  {self.line:>5}  {self.text}"


class Core:
    """The figures of a machine of one core that this language knows."""

    def __init__(self, machine: Machine) -> None:
        self.width = Fraction(machine.dram.bandwidth_bytes_per_second) / Fraction(machine.clock_hz)
        self.macs_per_cycle = machine.macs_per_cycle
        self.capacities = {"nram": machine.nram.capacity_bytes, "wram": machine.wram.capacity_bytes}

    def busy(self, work: Work) -> tuple[Fraction, Fraction]:
        """Cycles of the channel and of the compute unit."""
        return (work.loaded + work.stored) / self.width, Fraction(work.macs, self.macs_per_cycle)

    def cycles(self, work: Work) -> Fraction:
        """From a sync to the next with this work between them."""
        return max(self.busy(work))

    def fits(self, work: Work) -> bool:
        return work.nram <= self.capacities["nram"] and work.wram <= self.capacities["wram"]

    def check(self, step: Step, pending: Work) -> None:
        """Raises SimulationError if what was moved since the last sync, this step included, does not fit."""
        if self.fits(pending):
            return
        assert isinstance(step, Move)
        memory = step.destination
        wanted, there = getattr(pending, memory), self.capacities[memory]
        raise SimulationError(
            f"line {step.line}: what is moved into {memory} between two syncs must fit into its {there:,} bytes, "
            f"not come to {wanted:,} as with this move; move less, or put a sync before it"
        )


def work_of(step: Step) -> Work:
    """What a step adds to the work since the last sync."""
    if isinstance(step, Move):
        return Work(**{"stored" if step.destination == "dram" else step.destination: step.size})
    return Work(macs=step.macs) if isinstance(step, Compute) else Work()


def steps(program: Sequence[Statement], core: Core) -> Iterator[tuple[Step, Event]]:
    """Step by step: each unit serves its steps in order, each from when it is free, none before the last sync.

    Times are in cycles. Raises SimulationError, which names the line, at a step that does not fit.
    """
    free = dict.fromkeys(UNITS, Fraction(0))
    pending = Work()
    for step in _unrolled(program):
        if isinstance(step, Sync):
            now, pending = max(free.values()), Work()
            free = dict.fromkeys(UNITS, now)
            yield step, Event("sync", now, now, step.line, str(step))
            continue
        unit = "channel" if isinstance(step, Move) else "compute"
        pending += work_of(step)
        core.check(step, pending)
        start = free[unit]
        free[unit] += max(core.busy(work_of(step)))
        yield step, Event(unit, start, free[unit], step.line, str(step))


def _unrolled(program: Sequence[Statement]) -> Iterator[Step]:
    for statement in program:
        if isinstance(statement, Loop):
            for _ in range(statement.count):
                yield from _unrolled(statement.body)
        else:
            yield statement


def check_dtypes(program: Sequence[Statement], machine: Machine) -> None:
    """Raises SimulationError, which names the line, if a computation is of a type that the machine lacks."""
    for statement in program:
        if isinstance(statement, Loop):
            check_dtypes(statement.body, machine)
        elif isinstance(statement, Compute) and statement.dtype != _DTYPE:
            raise SimulationError(
                f"line {statement.line}: a computation on {machine.name} must be of {_DTYPE}, "
                f"not {statement.dtype}; write compute {_DTYPE}"
            )


def decimal(value: Fraction) -> str:
    """A number with its decimals if there are at most nine, else with six and a ~ before it."""
    digits = 9 if 10**9 % value.denominator == 0 else 6
    whole, rest = divmod(round(value * 10**digits), 10**digits)
    decimals = f"{rest:0{digits}}".rstrip("0")
    return f"{'~' if digits == 6 else ''}{whole:,}{'.' if decimals else ''}{decimals}"
