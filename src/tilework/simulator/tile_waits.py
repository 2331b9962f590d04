"""What the units of a program in the tile language wait for, and the bytes that it moves between two syncs at most."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tilework.isa.tile_language import Loop, Section, Statement
from tilework.machine.machine import Machine
from tilework.simulator.tile_engine import Engine, Issue

Spans = list[tuple[int, int]]  # start and end, in ticks, one after the other


@dataclass(frozen=True)
class Waits:
    """Shares of a program's time in which cores do not compute, on average, and the channel rests.

    `before` the first computation and `after` the last one; between them while the channel `loads` or `stores`, while
    it doesn't but SRAM is read (`casts`), and `other`. Of the channel's rest, what is spent `computing`.
    """

    before: float
    after: float
    loads: float
    stores: float
    casts: float
    other: float
    channel: float
    computing: float


@dataclass
class _Seen:
    loads: Spans = field(default_factory=list)
    stores: Spans = field(default_factory=list)
    casts: dict[str, Spans] = field(default_factory=lambda: defaultdict(list))
    compute: dict[str, Spans] = field(default_factory=lambda: defaultdict(list))


@dataclass(frozen=True)
class Peak:
    """The most bytes that are moved into a memory between two syncs, and the line where that begins."""

    size: int
    line: int


def peaks(program: Sequence[Section], machine: Machine) -> dict[str, Peak]:
    """Of each memory, as the language's rule counts; raises as `simulate_tiles` does."""
    engine = Engine(program, machine, fold=True)
    found = dict.fromkeys(engine.chip.capacities, Peak(0, 0))
    for issue in engine.run():
        for memory, peak in found.items():
            moved = getattr(issue.stream.pending, f"into_{memory}")
            size = moved + engine.beside(issue.stream, memory)
            if moved and size > peak.size:
                found[memory] = Peak(size, _first_line(issue.statements, memory))
    return found


def _first_line(statements: Sequence[Statement], memory: str) -> int:
    for statement in statements:
        inside = isinstance(statement, Loop)
        line = _first_line(statement.body, memory) if isinstance(statement, Loop) else statement.line
        if line and (inside or getattr(statement, "destination", "") == memory):
            return line
    return 0


def waits(program: Sequence[Section], machine: Machine, max_rounds: int) -> Waits:
    """What the units wait for; raises as `simulate_tiles` does, if need be for more rounds: none are folded."""
    engine, seen = Engine(program, machine, fold=False, max_rounds=max_rounds), _Seen()
    for issue in engine.run():
        _see(issue, engine, seen)
    end, mean = engine.end, [_of_core(spans, engine.end, seen, core) for core, spans in seen.compute.items()]
    if not mean:
        return Waits(0, 0, 0, 0, 0, 1, 0, 0)
    shares = [float(np.mean([core[place] for core in mean])) / end for place in range(6)]
    busy = _Cover([*seen.loads, *seen.stores])
    computing = _Cover([span for spans in seen.compute.values() for span in spans])
    rests = busy.gaps(0, end)
    together = sum(computing.inside(*rest) for rest in rests)
    before, after, loads, stores, casts, other = shares
    return Waits(before, after, loads, stores, casts, other, 1 - busy.total / end, together / end)


def _see(issue: Issue, engine: Engine, seen: _Seen) -> None:
    """Add an issue's work. Of what takes the channel between two syncs, loads are taken to come before stores."""
    processor, work, starts = issue.stream.processor, issue.stream.pending, issue.starts
    if "channel" in starts:
        start, stored = starts["channel"], work.bytes_out * work.channel // max(1, work.bytes_in + work.bytes_out)
        middle = start + work.channel - stored
        seen.loads += [(start, middle)] if work.bytes_in else []
        seen.stores += [(middle, middle + stored)] if stored else []
    if "compute" in starts:
        seen.compute[processor.name].append((starts["compute"], starts["compute"] + work.compute))
    for kind in ("sram", "cast"):
        if kind in starts:
            for stream in engine.streams:
                other = stream.processor
                if other.cluster == processor.cluster and (kind == "cast" or other is processor):
                    seen.casts[other.name].append((starts[kind], starts[kind] + getattr(work, kind)))


def _of_core(spans: Spans, end: int, seen: _Seen, core: str) -> tuple[float, ...]:
    """Ticks of a core's waits in the order of `Waits`."""
    computing, channel = _Cover(spans), _Cover([*seen.loads, *seen.stores])
    parts = [_Cover(seen.loads), _Cover(seen.stores)]
    first, last = computing.first, computing.last
    gaps = computing.gaps(first, last)
    loads, stores = (sum(part.inside(*gap) for gap in gaps) for part in parts)
    casts = _Cover(seen.casts[core])
    only = sum(casts.inside(*rest) for gap in gaps for rest in channel.gaps(*gap))
    rest = sum(b - a for a, b in gaps) - loads - stores - only
    return first, end - last, loads, stores, only, rest


class _Cover:
    """The union of spans: how much of it lies where."""

    def __init__(self, spans: Spans) -> None:
        merged: Spans = []
        for start, end in sorted(spans):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        self.spans = merged or [(0, 0)]
        self.first, self.last = self.spans[0][0], self.spans[-1][1]
        self.total = sum(end - start for start, end in self.spans)
        self._points: NDArray[np.float64] = np.array(self.spans, float).ravel()
        lengths = np.cumsum([end - start for start, end in self.spans])
        self._until = np.stack([np.concatenate([[0], lengths[:-1]]), lengths], 1).ravel()

    def inside(self, start: int, end: int) -> float:
        """How much lies between two times."""
        low, high = np.interp([start, end], self._points, self._until)
        return float(high - low)

    def gaps(self, start: int, end: int) -> Spans:
        """What it leaves between two times."""
        first = int(np.searchsorted(self._points[1::2], start, "right"))
        found, at = [], start
        for begin, stop in self.spans[first:]:
            if begin >= end:
                break
            found += [(at, begin)] if begin > at else []
            at = max(at, stop)
        return [*found, (at, end)] if at < end else found
