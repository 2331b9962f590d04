"""Executions of instructions with what they touch, and pairs of them that are out of order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tilework.isa.instruction import QUEUES
from tilework.simulator.core import CONTROL
from tilework.simulator.plan import StreamPlan
from tilework.simulator.structure import walk
from tilework.simulator.touches import Touch, Toucher


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One execution of an instruction of a stream, which `who` names.

    `unit` is its place in QUEUES or CONTROL, `index` says the how manieth entry of the unit's queue it is, `after` how
    many entries of each queue the unit has waited for. `cycles` are known if it was simulated. `epoch` counts the
    barriers of the chip and of the cluster that the stream has passed.
    """

    pc: int
    mnemonic: str
    unit: int
    touches: tuple[Touch, ...]
    who: str
    stream: int = 0
    epoch: tuple[int, int] = (0, 0)
    index: int = 0
    after: tuple[int, ...] = ()
    cycles: tuple[int, int] = (0, 0)

    def __str__(self) -> str:
        when = f", cycles {self.cycles[0]} to {self.cycles[1]}" if self.cycles[1] else ""
        return f"{self.who} ({self.mnemonic} in {(*QUEUES, 'control')[self.unit]}{when})"

    def at(self, **fields: Any) -> Occurrence:
        """The same, with what else is known of it."""
        return replace(self, **fields)


@dataclass(frozen=True, slots=True)
class Hazard:
    """Two instructions that share bytes of a memory, the first of them [low, high), and that nothing keeps in order.

    Of one stream, `first` comes before `second` in the program and need not end before it.
    """

    first: Occurrence
    second: Occurrence
    memory: str
    low: int
    high: int

    def __str__(self) -> str:
        why = f"they share bytes {self.low} to {self.high} of {self.memory.upper()}"
        if self.first.stream != self.second.stream:
            return f"{self.first} and {self.second} must have a barrier between them, for {why}; add it"
        return f"{self.first} must end before {self.second} begins, for {why}; order them with a token"


def occurrences(plan: StreamPlan, stream: int) -> Iterator[Occurrence]:
    """All that the stream executes, in program order."""
    instructions, chip, cluster = plan.stream.instructions, 0, 0
    toucher, names = Toucher(plan.stream), [plan.stream.where(place) for place in range(len(instructions))]
    for place, counters in walk(instructions, plan.structure, plan.flow.taken):
        instruction, unit = instructions[place], plan.queue[place]
        touches = toucher.touches(instruction, counters) if instruction.descriptor is not None else ()
        toucher.pass_by(place, instruction)
        chip += instruction.scope == "chip"
        cluster += instruction.scope == "cluster"
        yield Occurrence(
            *(place, instruction.mnemonic, CONTROL if unit < 0 else unit, touches, names[place]),
            stream,
            (chip, cluster),
        )
