"""What of a matrix product's work a program in the tile language can have done when: by its syncs and barriers alone.

The language has no addresses, so it isn't known which numbers are moved. But an input takes part in no more than so
many multiply-accumulates, a weight likewise, and a sum needs so many of them. So there are things that no choice of
addresses can make right: to compute or to store more than what is there allows, or to keep more than a memory holds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from tilework.isa.tile_language import Compute, Loop, Section, Statement
from tilework.machine.machine import Machine
from tilework.simulator.tile_engine import Engine, Issue, Stream
from tilework.simulator.tile_steps import Work

Core = tuple[int, int]  # cluster, index


@dataclass(frozen=True)
class Reuse:
    """Multiply-accumulates for which a byte in NRAM and one in WRAM is good, and those that a stored one needs."""

    nram: Fraction
    wram: Fraction
    stored: Fraction


@dataclass
class _Arrivals:
    """Bytes of NRAM and WRAM that have come to a core, and its multiply-accumulates."""

    came: Counter[str] = field(default_factory=Counter)
    macs: int = 0


def impossible(program: Sequence[Section], machine: Machine, reuse: Reuse, max_rounds: int) -> list[str]:
    """Sentences, each with its line, on what a program does that its data cannot allow; the first of each kind.

    Raises SimulationError as `simulate_tiles` does, if need be for more rounds than `max_rounds`: none are folded.
    """
    found: dict[str, str] = {}
    follower = _Follower(Engine(program, machine, fold=False, max_rounds=max_rounds), reuse)
    for issue in follower.engine.run():
        for kind, sentence in follower.follow(issue):
            found.setdefault(kind, sentence)
    return list(found.values())


class _Follower:
    """Goes along with a program: what has come where, and what is still to come."""

    def __init__(self, engine: Engine, reuse: Reuse) -> None:
        self.engine, self.reuse = engine, reuse
        self.cores: dict[Core, _Arrivals] = defaultdict(_Arrivals)
        self.stored, self.macs = 0, 0
        self.pending: list[tuple[int, Stream, Work]] = []  # issues by when they are done
        self.totals: dict[Core, _Arrivals] = defaultdict(_Arrivals)
        for stream, total in zip(engine.streams, engine.totals, strict=True):
            self._arrive(self.totals, stream, total)

    def _arrive(self, cores: dict[Core, _Arrivals], stream: Stream, work: Work) -> None:
        """Count a work that is done. What a mover moves into NRAM or WRAM it casts to all cores of its cluster."""
        me = stream.processor
        mates = [s.processor for s in self.engine.streams if s.processor.role == "core"]
        for core in mates if me.role == "mover" else [me]:
            if core.cluster == me.cluster:
                came = {"nram": work.into_nram, "wram": work.into_wram}
                cores[core.cluster, core.index].came.update(came)
        if me.role == "core":
            cores[me.cluster, me.index].macs += work.macs

    def follow(self, issue: Issue) -> Iterator[tuple[str, str]]:
        """The mistakes of an issue, by their kind."""
        for _, stream, work in [done for done in self.pending if done[0] <= issue.now]:
            self._arrive(self.cores, stream, work)
            self.macs += work.macs
        self.pending = [done for done in self.pending if done[0] > issue.now]
        stream, work = issue.stream, issue.stream.pending
        me = stream.processor
        if me.role == "core":
            core, total = self.cores[me.cluster, me.index], self.totals[me.cluster, me.index]
            if work.macs:
                yield from self._computes(issue, core, work)
                yield from self._keeps(issue, core, total)
        self.stored += work.bytes_out
        if work.bytes_out and self.stored * self.reuse.stored > self.macs:
            yield (
                "store",
                f"line {_line(issue.statements, store=True)}: what is stored must have been computed before a sync, "
                f"not be {self.stored:,} bytes where {int(self.macs / self.reuse.stored):,} are; store it later",
            )
        self.pending.append((stream.done, stream, work))

    def _computes(self, issue: Issue, core: _Arrivals, work: Work) -> Iterator[tuple[str, str]]:
        most = {memory: core.came[memory] * getattr(self.reuse, memory) for memory in ("nram", "wram")}
        least = min(most, key=lambda memory: most[memory])
        if core.macs + work.macs > most[least]:
            what = "inputs" if least == "nram" else "weights"
            yield (
                f"compute {least}",
                f"line {_line(issue.statements)}: the operands of a computation must have come before a sync, not be "
                f"{core.came[least]:,} bytes of {what} in {least}, which allow {int(most[least]):,} "
                f"multiply-accumulates of {core.macs + work.macs:,}; load them before, and put a sync between",
            )

    def _keeps(self, issue: Issue, core: _Arrivals, total: _Arrivals) -> Iterator[tuple[str, str]]:
        """What is left to compute needs operands that are there, or that still come."""
        left = total.macs - core.macs
        for memory, capacity in self.engine.chip.capacities.items():
            there = min(core.came[memory], capacity) + total.came[memory] - core.came[memory]
            if memory != "sram" and left > there * getattr(self.reuse, memory):
                what = "inputs" if memory == "nram" else "weights"
                yield (
                    f"keep {memory}",
                    f"line {_line(issue.statements)}: the {what} of the {left:,} multiply-accumulates that are left "
                    f"must be in {memory} or still come, not be more than its {capacity:,} bytes hold; compute with "
                    "them before others take their place, or load them again",
                )


def _line(statements: Sequence[Statement], *, store: bool = False) -> int:
    """The line of the first computation, or store."""
    for statement in statements:
        if isinstance(statement, Loop):
            line = _line(statement.body, store=store)
        elif store:
            line = statement.line if getattr(statement, "destination", "") == "dram" else 0
        else:
            line = statement.line if isinstance(statement, Compute) else 0
        if line:
            return line
    return 0
