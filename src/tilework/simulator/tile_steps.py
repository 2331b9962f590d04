"""What each step of a program in the tile language needs of a machine, and who does what: docs/tile-language.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import NamedTuple

from tilework.errors import SimulationError
from tilework.isa.tile_language import Barrier, Cast, Compute, Loop, Move, Section, Statement, Step
from tilework.machine.machine import Machine

KINDS = ("channel", "compute", "sram", "cast")  # of units: the chip's, a core's two, a mover's
_NAMES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "int8": "int8"}


class Work(NamedTuple):
    """Ticks of each kind of unit, bytes moved into each memory on chip, from and to DRAM, multiply-accumulates."""

    channel: int = 0
    compute: int = 0
    sram: int = 0
    cast: int = 0
    into_nram: int = 0
    into_wram: int = 0
    into_sram: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    macs: int = 0

    def plus(self, other: Work) -> Work:
        return Work(*(a + b for a, b in zip(self, other, strict=True)))

    def times(self, n: int) -> Work:
        return Work(*(n * a for a in self))


NOTHING = Work()


@dataclass(frozen=True)
class Processor:
    """A core or a mover that a program uses, and what it does. A mover's index is -1."""

    role: str
    cluster: int
    index: int
    body: tuple[Statement, ...]
    line: int

    @property
    def name(self) -> str:
        """As a section line names it."""
        return str(Section(self.role, self.cluster, self.index))


class Chip:
    """The figures of a machine that this language knows, in ticks.

    A tick is a cycle / `ticks`, the largest part of a cycle of which each byte of the channel, each byte of an SRAM
    port and each multiply-accumulate takes a whole number. So integers hold all times without rounding: there are only
    sums and maxima of such numbers.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        rates = {"channel": Fraction(machine.dram.bandwidth_bytes_per_second) / Fraction(machine.clock_hz)}
        if machine.sram:
            rates["sram"] = Fraction(machine.sram.bandwidth_bytes_per_second) / Fraction(machine.clock_hz)
        for dtype, name in _NAMES.items():
            if name in machine.matrix.rates:
                rates[dtype] = Fraction(machine.macs_per_cycle(name))
        self.ticks = lcm(*(rate.numerator for rate in rates.values()))
        self.each = {what: int(self.ticks / rate) for what, rate in rates.items()}
        self.capacities = {"nram": machine.nram.capacity_bytes, "wram": machine.wram.capacity_bytes}
        if machine.sram:
            self.capacities["sram"] = machine.sram.capacity_bytes

    def work(self, step: Step) -> Work:
        """What a step needs. Raises SimulationError, which names the line, if the machine lacks it."""
        if isinstance(step, Compute):
            return Work(compute=step.macs * self._of_dtype(step), macs=step.macs)
        if not isinstance(step, Move | Cast):
            return NOTHING
        if isinstance(step, Cast):
            return Work(**{"cast": step.size * self._sram(step.line), f"into_{step.destination}": step.size})
        places = (step.source, step.destination)
        channel = self.each["channel"] if "dram" in places else 0
        sram = self._sram(step.line) if "sram" in places else 0
        unit = "channel" if channel else "sram"
        into = "bytes_out" if step.destination == "dram" else f"into_{step.destination}"
        loaded = step.size if step.source == "dram" else 0
        return Work(**{unit: step.size * max(channel, sram), into: step.size, "bytes_in": loaded})

    def works(self, statements: Sequence[Statement]) -> Work:
        """What all of them need together."""
        return Work(*total_weight(statements, self.work, len(NOTHING)))

    def processors(self, program: Sequence[Section]) -> tuple[Processor, ...]:
        """Who takes part: cores by cluster and index, then movers by cluster.

        Raises SimulationError, which names the line, for one that the machine lacks or that has two sections, and if
        the processors of a cluster do not meet at equally many barriers.
        """
        found: dict[tuple[str, int, int], Processor] = {}
        for section in program:
            for key in self._named(section):
                if key in found:
                    first = f"that of line {found[key].line}" if found[key].line else "the lines above all sections"
                    raise SimulationError(
                        f"line {section.line}: a processor must have one section, not a second for {found[key].name} "
                        f"beside {first}; join them"
                    )
                found[key] = Processor(*key, section.body, section.line)
        processors = tuple(found[key] for key in sorted(found))
        _check_barriers(processors)
        return processors

    def _named(self, section: Section) -> list[tuple[str, int, int]]:
        machine, mover = self.machine, section.role == "mover"
        if mover:
            self._sram(section.line)
        clusters = range(machine.clusters) if section.cluster is None else [section.cluster]
        indices = [-1] if mover else range(machine.cores) if section.index is None else [section.index]
        if max(clusters) >= machine.clusters or max(indices) >= machine.cores:
            raise SimulationError(
                f"line {section.line}: on {machine.name} a cluster must be below {machine.clusters} and a core below "
                f"{machine.cores}, not {section}; numbers begin at 0, so name another, or take another machine"
            )
        return [(section.role, cluster, index) for cluster in clusters for index in indices]

    def _sram(self, line: int) -> int:
        if "sram" not in self.each:
            raise SimulationError(
                f"line {line}: what uses sram must run on a machine that has one, not on {self.machine.name}; "
                "take another machine, or move from and to dram"
            )
        return self.each["sram"]

    def _of_dtype(self, step: Compute) -> int:
        if step.dtype not in self.each:
            there = [dtype for dtype in _NAMES if dtype in self.each]
            raise SimulationError(
                f"line {step.line}: a computation on {self.machine.name} must be of {' or '.join(there)}, "
                f"not {step.dtype}; write compute {there[0]}"
            )
        return self.each[step.dtype]


Weight = Callable[[Step], tuple[int, ...]]


def passing(statements: Sequence[Statement], weight: Weight, room: Sequence[int]) -> tuple[Step, int, int]:
    """The first step with which a sum of the steps' weights exceeds its room; which sum, and by how much.

    There must be one. Loops are not unrolled.
    """
    for statement in statements:
        amounts = total_weight([statement], weight, len(room))
        over = [place for place, amount in enumerate(amounts) if amount > room[place]]
        if over and not isinstance(statement, Loop):
            return statement, over[0], amounts[over[0]] - room[over[0]]
        if over and isinstance(statement, Loop):
            each = [amount // statement.count for amount in amounts]
            rounds = min(there // one for there, one in zip(room, each, strict=True) if one)
            return passing(statement.body, weight, [r - rounds * e for r, e in zip(room, each, strict=True)])
        room = [there - amount for there, amount in zip(room, amounts, strict=True)]
    raise AssertionError("a sum must exceed its room")


def total_weight(statements: Sequence[Statement], weight: Weight, sums: int) -> tuple[int, ...]:
    """The sums of the steps' weights, which are that many for each."""
    totals = [0] * sums
    for statement in statements:
        count = statement.count if isinstance(statement, Loop) else 1
        one = total_weight(statement.body, weight, sums) if isinstance(statement, Loop) else weight(statement)
        totals = [total + count * amount for total, amount in zip(totals, one, strict=True)]
    return tuple(totals)


def _is_barrier(step: Step) -> tuple[int]:
    return (isinstance(step, Barrier),)


def _check_barriers(processors: Sequence[Processor]) -> None:
    """A barrier is passed when all stand at one, so nobody waits for ever if and only if all have equally many."""
    counts = {processor: total_weight(processor.body, _is_barrier, 1)[0] for processor in processors}
    for one in processors:
        for other in processors:
            if one.cluster == other.cluster and counts[one] > counts[other]:
                step, _, _ = passing(one.body, _is_barrier, [counts[other]])
                raise SimulationError(
                    f"line {step.line}: barriers must be as many for all processors of a cluster, not "
                    f"{counts[one]:,} for {one.name}, which waits here for ever, and {counts[other]:,} for "
                    f"{other.name}{_at(other)}; let each come to a barrier as often"
                )


def _at(processor: Processor) -> str:
    return f" (line {processor.line})" if processor.line else ""


def decimal(value: Fraction) -> str:
    """A number with its decimals if there are at most nine, else with six and a ~ before it."""
    digits = 9 if 10**9 % value.denominator == 0 else 6
    whole, rest = divmod(round(value * 10**digits), 10**digits)
    decimals = f"{rest:0{digits}}".rstrip("0")
    return f"{'~' if digits == 6 else ''}{whole:,}{'.' if decimals else ''}{decimals}"
