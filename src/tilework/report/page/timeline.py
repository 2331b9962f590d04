"""The simulated run for a page: what each unit did when, thinned where it is too much for one file.

An event is one execution of an instruction that takes time. As long as there are few they are all there. Else each
layer keeps its first ones on each unit, and the others stand together in bars: those of one layer on one unit that
begin within the same few cycles. What was not simulated one by one is left to the layers' busy cycles, which are exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.isa.program import Program
from tilework.report.page.program import layer_ranges
from tilework.simulator.core import CUT, Record
from tilework.simulator.cycle import plan_of
from tilework.simulator.engine import execute
from tilework.simulator.timeline import UNITS

Integers = npt.NDArray[np.int64]

RECORDED = 1_500_000  # executions of instructions that are simulated one by one
EVENTS = 1_000_000  # that a page has at most, one by one
BARS = 40_000  # places for bars, shared by the rows


@dataclass(frozen=True)
class Events:
    """Of one unit of one stream, in the order in which they begin: the cycles, how many they are, and the instructions'
    numbers when those of all streams are counted through."""

    stream: str
    unit: str
    start: Integers
    cycles: Integers
    place: Integers


@dataclass(frozen=True)
class Recording:
    """The events of programs one after another up to the cycle `until` of all, and how long each instruction takes on
    an ideal DRAM."""

    rows: tuple[Events, ...]
    length: Integers
    until: int
    cycles: int

    @property
    def size(self) -> int:
        return sum(len(row.start) for row in self.rows)


def timeline(programs: Sequence[Program], recording: Recording, most: int = EVENTS) -> dict[str, Any]:
    """The page's timeline: rows of events and bars, and in numbers what was thinned."""
    layer_at = _layer_at(programs, len(recording.length))
    first = _first([layer_at[row.place] for row in recording.rows], most)
    width = max(1, -(-recording.cycles * max(1, len(recording.rows)) // BARS))
    kept = [_ranks(layer_at[row.place]) < first for row in recording.rows]
    rows = [_row(row, keep, recording.length, layer_at, width) for row, keep in zip(recording.rows, kept, strict=True)]
    return {
        "cycles": recording.cycles,
        "until": recording.until,
        "events": recording.size,
        "shown": int(sum(keep.sum() for keep in kept)),
        "first": first,
        "width": width,
        "length": recording.length.tolist(),
        "rows": rows,
    }


def record(programs: Sequence[Program], cycles: Sequence[int], most: int = RECORDED) -> Recording:
    """Simulate one by one, about `most` executions of all streams together; `cycles` are what each program takes."""
    rows: dict[tuple[str, str], list[tuple[Integers, Integers, Integers]]] = {}
    lengths = [np.zeros(0, np.int64)]
    time, offset, until, left = 0, 0, 0, most
    for program, taken in zip(programs, cycles, strict=True):
        plan = plan_of(program, None)
        lengths += [np.array([cost.cycles for cost in stream.costs], np.int64) for stream in plan.streams]
        if left > 0:
            cores = execute(plan, fold=False, record=True, limit=max(1, left // len(plan.streams))).cores
            cut = [core.records[-1][1] for core in cores if core.pause[1] == CUT]
            end = min(cut, default=taken)  # behind it the streams that went on had the channel to themselves
            for core in cores:
                for unit, start, lasted, place in _by_unit(core.records, end):
                    rows.setdefault((core.name, unit), []).append((start + time, lasted, place + offset))
                offset += len(core.plan.costs)
            left = 0 if cut else left - sum(len(core.records) for core in cores)
            until = time + end
        time += taken
    found = [
        Events(*row, *map(np.concatenate, zip(*parts, strict=True))) for row, parts in sorted(rows.items(), key=_order)
    ]
    return Recording(tuple(found), np.concatenate(lengths), until, sum(cycles))


def _order(item: tuple[tuple[str, str], object]) -> tuple[object, ...]:
    """Cores before movers, each with its units in the simulator's order."""
    (stream, unit), _ = item
    role, *numbers = stream.split()
    return (role, *map(int, numbers), UNITS.index(unit))


def _by_unit(records: Sequence[Record], end: int) -> Iterator[tuple[str, Integers, Integers, Integers]]:
    """Of each unit what takes time: where it begins, how long it takes, and the instruction's place in its stream."""
    table = np.array(records, np.int64).reshape(-1, 4)
    table = table[(table[:, 2] > table[:, 1]) & (table[:, 1] < end)]
    for number, unit in enumerate(UNITS):
        own = table[table[:, 0] == number]
        if len(own):
            yield unit, own[:, 1], own[:, 2] - own[:, 1], own[:, 3]


def _layer_at(programs: Sequence[Program], size: int) -> Integers:
    """The layer of each instruction, -1 if it is in none."""
    layers = np.full(size, -1, np.int64)
    for number, spans in enumerate(layer_ranges(programs)):
        for first, last in spans:
            layers[first:last] = number
    return layers


def _first(layers: Sequence[Integers], most: int) -> int:
    """How many events each layer may keep on each unit, so that no more than `most` are kept."""
    numbers = np.concatenate([np.zeros(0, np.int64), *(np.unique(row, return_counts=True)[1] for row in layers)])
    if numbers.sum() <= most:
        return int(numbers.max(initial=0))
    low, high = 0, int(numbers.max())
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if np.minimum(numbers, middle).sum() <= most else (low, middle)
    return low


def _ranks(layers: Integers) -> Integers:
    """For each event how many of its layer came before it."""
    order = np.argsort(layers, kind="stable")
    _, starts, counts = np.unique(layers[order], return_index=True, return_counts=True)
    ranks = np.empty(len(layers), np.int64)
    ranks[order] = np.arange(len(layers)) - np.repeat(starts, counts)
    return ranks


def _row(row: Events, keep: npt.NDArray[np.bool_], length: Integers, layer_at: Integers, width: int) -> dict[str, Any]:
    start, place, lasted = row.start[keep], row.place[keep], row.cycles[keep]
    other = np.flatnonzero(lasted != length[place])  # transfers that a DRAM with rows and refreshes holds up
    return {
        "stream": row.stream,
        "unit": row.unit,
        "start": np.diff(start, prepend=0).tolist(),
        "place": np.diff(place, prepend=0).tolist(),
        "other": dict(zip(other.tolist(), lasted[other].tolist(), strict=True)),
        "bars": _bars(row.start[~keep], row.cycles[~keep], layer_at[row.place[~keep]], width),
    }


def _bars(start: Integers, length: Integers, layer: Integers, width: int) -> dict[str, list[int]]:
    """The events of a layer that begin in the same `width` cycles, as one: from, to, cycles at work, how many."""
    key = (layer + 1) * (start.max(initial=0) // width + 1) + start // width
    _, first, where, count = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(start[first], kind="stable")
    end = np.zeros(len(first), np.int64)
    np.maximum.at(end, where, start + length)
    busy = np.bincount(where, length, len(first)).astype(np.int64)
    bars = {"start": start[first], "end": end, "busy": busy, "count": count, "layer": layer[first]}
    return {name: values[order].tolist() for name, values in bars.items()}
