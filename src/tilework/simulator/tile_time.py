"""The exact time of a program in the tile language, in rational numbers; docs/tile-language.md has the rules.

All that is issued between two syncs takes as long as the busier of the channel and the compute unit. So a block of
statements has three parts: the work before its first sync, the time between its first and its last, and the work after
its last. Blocks one after the other and blocks repeated are again of this form, which makes loops free of charge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tilework.isa.tile_language import Loop, Statement, Sync
from tilework.machine.machine import Machine
from tilework.plain import percent
from tilework.simulator.tile_steps import UNITS, Core, Work, check_dtypes, decimal, steps, work_of


@dataclass(frozen=True)
class TileTime:
    """A program's time in cycles and seconds, beside the bound that no order of its instructions can beat.

    The bound is max(MACs / peak, bytes / bandwidth); `busy_cycles` are those of the units "channel" and "compute".
    """

    machine: str
    cycles: Fraction
    seconds: Fraction
    bound_cycles: Fraction
    bound_seconds: Fraction
    busy_cycles: dict[str, Fraction]
    bytes_in: int
    bytes_out: int
    macs: int

    @property
    def units(self) -> dict[str, float]:
        """The share of the program's cycles for which each unit is busy."""
        return {unit: float(busy / self.cycles) if self.cycles else 0.0 for unit, busy in self.busy_cycles.items()}

    def to_dict(self) -> dict[str, Any]:
        """The record of `tilework simulate --json`; `exact_…` are fractions as text, such as "529/16"."""
        return {
            "machine": self.machine,
            "cycles": _number(self.cycles),
            "seconds": float(self.seconds),
            "exact_cycles": str(self.cycles),
            "exact_seconds": str(self.seconds),
            "bound_cycles": _number(self.bound_cycles),
            "bound_seconds": float(self.bound_seconds),
            "units": self.units,
            "busy_cycles": {unit: _number(busy) for unit, busy in self.busy_cycles.items()},
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "macs": self.macs,
        }

    def __str__(self) -> str:
        ratio = f"{float(self.cycles / self.bound_cycles):.3f}" if self.bound_cycles else "-"
        return "\n".join(
            (
                f"time              {decimal(self.seconds * 10**9)} ns = {decimal(self.cycles)} cycles",
                f"achieved / bound  {ratio}, the bound is {decimal(self.bound_seconds * 10**9)} ns",
                "busy              " + " · ".join(f"{unit} {percent(share)}" for unit, share in self.units.items()),
                f"DRAM bytes        {self.bytes_in + self.bytes_out:,}: {self.bytes_in:,} in, {self.bytes_out:,} out",
                f"MACs              {self.macs:,}",
            )
        )


def simulate_tiles(program: Sequence[Statement], machine: Machine, *, fold: bool = True) -> TileTime:
    """The exact time of a program; without `fold` step by step, with the same result.

    Raises SimulationError, which names the line, if a step needs more than the machine has.
    """
    core = Core(machine)
    check_dtypes(program, machine)
    cycles, work = _folded(program, core) if fold else _plain(program, core)
    busy = dict(zip(UNITS, core.busy(work), strict=True))
    bound, clock = max(busy.values()), Fraction(machine.clock_hz)
    return TileTime(
        machine.name, cycles, cycles / clock, bound, bound / clock, busy, work.loaded, work.stored, work.macs
    )


@dataclass(frozen=True, slots=True)
class _Effect:
    """A block: the work before its first sync, the cycles from there to its last, the work after it, and all of it.

    A block without a sync has only the first; its `last` is None.
    """

    first: Work
    inside: Fraction
    last: Work | None
    total: Work

    def after(self, pending: Work) -> Work:
        """The work since the last sync once the block is through, if there was `pending` work before it."""
        return pending + self.first if self.last is None else self.last

    def rounds(self, pending: Work, core: Core) -> int | None:
        """How many times more a block that has fitted once does so after `pending` work; None if any number."""
        if self.last is not None:
            return None if core.fits(pending + self.first) else 0
        rooms = (
            (capacity - getattr(pending, memory)) // getattr(self.first, memory)
            for memory, capacity in core.capacities.items()
            if getattr(self.first, memory)
        )
        return min(rooms, default=None)


_NOTHING = _Effect(Work(), Fraction(0), None, Work())
_SYNC = _Effect(Work(), Fraction(0), Work(), Work())


def _folded(program: Sequence[Statement], core: Core) -> tuple[Fraction, Work]:
    block = _block(program, core, Work())
    end = Fraction(0) if block.last is None else block.inside + core.cycles(block.last)
    return core.cycles(block.first) + end, block.total


def _block(statements: Sequence[Statement], core: Core, pending: Work) -> _Effect:
    block = _NOTHING
    for statement in statements:
        block = _joined(block, _effect(statement, core, block.after(pending)), core)
    return block


def _effect(statement: Statement, core: Core, pending: Work) -> _Effect:
    if isinstance(statement, Sync):
        return _SYNC
    if isinstance(statement, Loop):
        return _loop(statement, core, pending)
    work = work_of(statement)
    core.check(statement, pending + work)
    return _Effect(work, Fraction(0), None, work)


def _loop(loop: Loop, core: Core, pending: Work) -> _Effect:
    body = _block(loop.body, core, pending)
    pending = body.after(pending)
    rounds = body.rounds(pending, core)
    if rounds is not None and rounds < loop.count - 1:
        # One of the later iterations overflows; going through it raises the error that names the line.
        _block(loop.body, core, pending if body.last is not None else pending + body.first.times(rounds))
    total = body.total.times(loop.count)
    if body.last is None:
        return _Effect(total, Fraction(0), None, total)
    between = core.cycles(body.last + body.first)
    inside = loop.count * body.inside + (loop.count - 1) * between
    return _Effect(body.first, inside, body.last, total)


def _joined(a: _Effect, b: _Effect, core: Core) -> _Effect:
    total = a.total + b.total
    if a.last is None:
        return _Effect(a.first + b.first, b.inside, b.last, total)
    if b.last is None:
        return _Effect(a.first, a.inside, a.last + b.first, total)
    return _Effect(a.first, a.inside + core.cycles(a.last + b.first) + b.inside, b.last, total)


def _plain(program: Sequence[Statement], core: Core) -> tuple[Fraction, Work]:
    end, work = Fraction(0), Work()
    for step, event in steps(program, core):
        end, work = max(end, event.end), work + work_of(step)
    return end, work


def _number(value: Fraction) -> int | float:
    return value.numerator if value.denominator == 1 else float(value)
