"""Which unit must wait for which in a chain: tokens for the conflicts between the pieces of work of its steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

Span = tuple[str, int, int]  # rows [low, high) of a buffer


@dataclass(frozen=True)
class Item:
    """What one unit does in a step, and the rows of buffers that it reads and writes in it."""

    unit: str
    reads: tuple[Span, ...] = ()
    writes: tuple[Span, ...] = ()


FARTHEST = 2
ROUNDS = 5  # steps after which what is known about earlier ones repeats
Place = tuple[int, int]  # the number of a step, and of an item in it
Step = Sequence[Item]  # all steps have the same items, some of which have nothing to do in some steps


@dataclass(frozen=True)
class Edge:
    """Item `target` of each step waits for item `source` of the same step, or of the one `later` steps before."""

    source: int
    target: int
    later: int


def order(steps: Sequence[Step]) -> list[Edge]:
    """The edges that order all conflicts in these steps, done one after another; few, since those that follow from
    others are left out. An edge to an earlier step than the last but one is made one to that."""
    needed: set[Edge] = set()
    written: dict[tuple[str, int], Place] = {}
    read: dict[tuple[str, int], list[Place]] = defaultdict(list)
    for number, step in enumerate(steps):
        for target, item in enumerate(step):
            before = [written[cell] for cell in _cells(item.reads + item.writes) if cell in written]
            before += [place for cell in _cells(item.writes) for place in read.pop(cell, ())]
            for cell in _cells(item.reads):
                read[cell].append((number, target))
            written |= dict.fromkeys(_cells(item.writes), (number, target))
            others = {(n, source) for n, source in before if step[source].unit != item.unit}
            needed |= {Edge(source, target, min(number - n, FARTHEST)) for n, source in others}
    return _reduced([item.unit for item in steps[0]], needed)


def _cells(spans: Sequence[Span]) -> list[tuple[str, int]]:
    return [(name, row) for name, low, high in spans for row in range(low, high)]


def _reduced(units: Sequence[str], needed: set[Edge]) -> list[Edge]:
    """Without the edges that follow from others and from the order within each unit, once the steps repeat."""
    count, kept = len(units), []
    clocks: list[dict[str, int]] = []  # by item: the last one of each unit that has ended when it begins
    last: dict[str, dict[str, int]] = {}
    into = [[edge for edge in needed if edge.target == item] for item in range(count)]
    for number in range(ROUNDS * count):
        step, item = divmod(number, count)
        clock = last.get(units[item], {})
        for source, edge in _sources(into[item], step, count):
            if clock.get(units[edge.source], -1) < source:
                clock = _later(clock, clocks[source] | {units[edge.source]: source})
                if step == ROUNDS - 1:
                    kept.append(edge)
        clocks.append(clock)
        last[units[item]] = clock | {units[item]: number}
    return kept


def _sources(edges: list[Edge], step: int, count: int) -> list[tuple[int, Edge]]:
    """The edges into an item in a step with the numbers of what they wait for, the latest first."""
    found = [((step - edge.later) * count + edge.source, edge) for edge in edges if step >= edge.later]
    return sorted(found, key=lambda each: -each[0])


def _later(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {unit: max(one.get(unit, -1), other.get(unit, -1)) for unit in one.keys() | other.keys()}
