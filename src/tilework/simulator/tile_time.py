"""The exact time of a program in the tile language, beside its bound; docs/tile-language.md has the rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tilework.isa.tile_language import Section
from tilework.machine.machine import Machine
from tilework.plain import columns, percent
from tilework.simulator.tile_engine import MAX_ROUNDS, Engine
from tilework.simulator.tile_steps import NOTHING, decimal


@dataclass(frozen=True)
class TileTime:
    """A program's time in cycles and seconds, beside the bound that no order of its instructions can beat.

    The bound is max(MACs / (cores x peak), DRAM bytes / bandwidth). `busy_cycles` are those of each unit: "channel" and
    "compute", and, where they are used, "sram" (a core's port) and "cast"; of several processors, "core 0 compute".
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
            "exact_bound_seconds": str(self.bound_seconds),
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
                f"busy              {self._busy()}",
                f"DRAM bytes        {self.bytes_in + self.bytes_out:,}: {self.bytes_in:,} in, {self.bytes_out:,} out",
                f"MACs              {self.macs:,}",
            )
        )

    def _busy(self) -> str:
        lines: dict[str, list[str]] = {}  # one for the channel, or a single core, and one for each of several
        for unit, share in self.units.items():
            owner, _, kind = unit.rpartition(" ")
            lines.setdefault(f"{owner}: " if owner else "", []).append(f"{kind} {percent(share)}")
        return f"\n{'':18}".join(owner + " · ".join(shares) for owner, shares in lines.items())


def simulate_tiles(
    program: Sequence[Section], machine: Machine, *, fold: bool = True, max_rounds: int = MAX_ROUNDS
) -> TileTime:
    """The exact time of a program; without `fold` round by round, with the same result.

    Raises SimulationError, which names the line, if a step needs more than the machine has, or if a processor waits at
    a barrier for ever; and if the loops' state does not repeat within `max_rounds` rounds.
    """
    engine = Engine(program, machine, fold=fold, max_rounds=max_rounds)
    for _ in engine.run():
        pass
    work, ticks, clock = NOTHING, engine.chip.ticks, Fraction(machine.clock_hz)
    for total in engine.totals:
        work = work.plus(total)
    cores = max(1, sum(stream.processor.role == "core" for stream in engine.streams))
    channel = (work.bytes_in + work.bytes_out) * engine.chip.each["channel"]
    cycles, bound = Fraction(engine.end, ticks), max(Fraction(work.compute, cores), Fraction(channel)) / ticks
    busy = {name: Fraction(busy, ticks) for name, busy in engine.units.items()}
    return TileTime(
        machine.name, cycles, cycles / clock, bound, bound / clock, busy, work.bytes_in, work.bytes_out, work.macs
    )


def tile_table(times: Mapping[str, Mapping[str, Any]]) -> str:
    """A line for each record of `TileTime.to_dict`, by its name; compute's busy share is that of all cores."""
    rows = []
    for name, record in times.items():
        time, bound = (Fraction(record[key]) * 10**9 for key in ("exact_seconds", "exact_bound_seconds"))
        compute = [share for unit, share in record["units"].items() if unit.endswith("compute")]
        shares = (percent(record["units"]["channel"]), percent(sum(compute) / max(1, len(compute))))
        ratio = f"{float(time / bound):.4f}" if bound else "-"
        rows.append((name, decimal(time), decimal(bound), ratio, *shares))
    return columns(("program", "time, ns", "bound, ns", "time / bound", "channel busy", "compute busy"), rows)


def _number(value: Fraction) -> int | float:
    return value.numerator if value.denominator == 1 else float(value)
