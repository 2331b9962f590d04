"""The one thing that would help a right program most, derived from its simulation."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from tilework.plain import percent
from tilework.simulator.tile_time import TileTime
from tilework.simulator.tile_waits import Waits

_THERE = Fraction(1002, 1000)  # of the bound: no more is to be gained
_MUCH = Fraction(102, 100)  # of the bound: work beyond that is too much, not a matter of order
_LITTLE = 0.05  # of the time
_LOADS = "load the next tile while this one is computed (double buffering)"


class Loads(NamedTuple):
    """How often every input or weight is loaded, on average, and which memory it is for."""

    operand: str
    times: float
    memory: str


def hint(
    time: TileTime, bound: Fraction, waits: Waits | None, loads: Sequence[Loads], macs: Sequence[int], cores: int
) -> str:
    """A sentence or two: on what is done too often, who does too little, or what the critical unit waits for.

    `macs` are those of each core that computes, of the `cores` that there are; `bound` is in cycles.
    """
    if time.cycles <= bound * _THERE:
        return "you are at the bound: no program can be more than 0.2 % faster"
    often = max(loads, key=lambda operand: operand.times)
    channel, compute = time.busy_cycles["channel"], max(_busy(time, "compute"))
    if channel > bound * _MUCH and channel >= compute and often.times > 1.01:
        return _too_often(often, channel, bound)
    if compute > bound * _MUCH and compute >= channel:
        return _unequal(macs, cores)
    if waits is None:
        return "the loops repeat too often to say what the units wait for: move and compute more at a time"
    return _waiting(waits) if compute >= channel else _channel(waits)


def _busy(time: TileTime, kind: str) -> list[Fraction]:
    return [busy for unit, busy in time.busy_cycles.items() if unit.endswith(kind)] or [Fraction(0)]


def _too_often(often: Loads, channel: Fraction, bound: Fraction) -> str:
    return (
        f"every {often.operand} is loaded {often.times:.3g} times, so that the channel alone takes "
        f"{float(channel / bound):.3g} times the bound: keep more of them in {often.memory} (or sram), or compute all "
        "that needs a tile while it is there"
    )


def _unequal(macs: Sequence[int], cores: int) -> str:
    if len(macs) < cores:
        return f"only {len(macs)} of {cores} cores compute: divide the rows or the columns among all"
    most = max(macs) * len(macs) / sum(macs)
    return f"one core computes {most:.3g} times its share, and the others wait for it: divide the work equally"


def _waiting(waits: Waits) -> str:
    """What the matrix units, the critical resource, wait for most."""
    least = {
        waits.before: f"the first computation begins after {percent(waits.before)} of the time: begin with a smaller "
        "load, a few of the places that are summed, and load what comes next while they are computed",
        waits.after: f"the last store can't overlap and takes {percent(waits.after)} of the time: make the last tile "
        "smaller, or finish its outputs a few at a time",
        waits.loads: f"the matrix unit waits for loads {percent(waits.loads)} of the time: {_LOADS}",
        waits.stores: f"the matrix unit waits for stores {percent(waits.stores)} of the time: store a tile while the "
        "next one is computed",
        waits.casts: f"the matrix unit waits for SRAM {percent(waits.casts)} of the time: cast the next tile while "
        "this one is computed",
        waits.other: f"the matrix unit waits for other processors {percent(waits.other)} of the time: let all do "
        "equally much between two barriers",
    }
    return least[max(least)]


def _channel(waits: Waits) -> str:
    """The channel is the critical resource, and rests."""
    if waits.channel < _LITTLE:
        return (
            f"the channel, which bounds this exercise, rests {percent(waits.channel)} of the time: leave less to "
            "compute when the last load is done, with smaller slices, and store all but the last outputs before"
        )
    if waits.computing >= waits.channel / 2:
        return (
            f"the channel, which bounds this exercise, waits for the computation {percent(waits.computing)} of the "
            f"time: {_LOADS}, and store the one before"
        )
    return (
        f"the channel, which bounds this exercise, rests {percent(waits.channel)} of the time while data goes through "
        "SRAM or processors wait at barriers: load the next slice while this one is cast"
    )
