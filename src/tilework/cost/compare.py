"""Two counts side by side: which row of one is which row of the other, and by how much they differ."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import takewhile
from typing import Any

from tilework.cost.count import Count
from tilework.cost.record import INTEGERS, Record, Row, total
from tilework.cost.view import OTHERS, QUANTITIES

COMPARED = tuple(dict.fromkeys((*INTEGERS, *QUANTITIES)))  # the fields of totals and of layers
MOST_EQUAL = 1_000_000  # pairs of equal keys that runs are looked for in: about a second
Numbers = dict[str, int | float | None]


@dataclass(frozen=True)
class Pair:
    """A row of each of two counts that are the same place of the network; None where only one has it."""

    a: Row | None
    b: Row | None

    @property
    def row(self) -> Row:
        """The first one's row, or the second's where only that exists."""
        row = self.a or self.b
        assert row is not None
        return row

    @property
    def alike(self) -> bool:
        """Whether no compared number differs."""
        return all(value(self.a, key) == value(self.b, key) for key in COMPARED)


@dataclass(frozen=True)
class Comparison:
    """Two counts and their rows in pairs: in the order of the first, the second's own rows where they stood there.

    Differences are the first less the second, ratios the first divided by the second. Prints as a table and converts
    to a dict, CSV and Markdown.
    """

    a: Count
    b: Count
    pairs: tuple[Pair, ...]

    def to_dict(self) -> dict[str, Any]:
        """`network`, `against`, `totals` and `layers`, as `tilework count --against --json` prints them."""
        totals = {key: numbers(self.a.total, self.b.total, key) for key in COMPARED}
        layers = [_layer(pair) for pair in self.pairs]
        return {"network": self.a.network, "against": self.b.network, "totals": totals, "layers": layers}

    def to_csv(self) -> str:
        """A header and a line per pair; four columns for each quantity."""
        from tilework.cost.compare_tables import csv_text

        return csv_text(self)

    def to_markdown(self) -> str:
        """The tables in GitHub's Markdown."""
        from tilework.cost.compare_tables import markdown

        return markdown(self)

    def __str__(self) -> str:
        from tilework.cost.compare_tables import plain

        return plain(self)


def compare(a: Count, b: Count) -> Comparison:
    """Pair the rows of two counts, each at most once.

    Rows of the same name and operation are a pair. Those that are left over are aligned in order: first by operation
    and output shape, the longest runs first, then what lies between two such runs by operation alone, which finds
    layers whose shapes changed because they were pruned.
    """
    partner = dict(_in_order(range(len(b.rows)), b.rows, range(len(a.rows)), a.rows, _named))
    taken = set(partner.values())
    left = [place for place in range(len(a.rows)) if place not in taken]
    right = [place for place in range(len(b.rows)) if place not in partner]
    partner |= _aligned(left, a.rows, right, b.rows)
    return Comparison(a, b, tuple(_pairs(a.rows, b.rows, partner)))


def value(record: Record | None, key: str) -> int:
    """A compared number of a record; 0 where there is none."""
    if record is None:
        return 0
    return QUANTITIES[key].of(record) if key in QUANTITIES else int(getattr(record, key))


def numbers(a: Record | None, b: Record | None, key: str) -> Numbers:
    """Both values, their difference and their ratio, which is None where the second is 0."""
    one, other = value(a, key), value(b, key)
    return {"a": one, "b": other, "difference": one - other, "ratio": one / other if other else None}


Key = Callable[[Row], Hashable]


def _named(row: Row) -> Hashable:
    return row.name, row.operation


def _shaped(row: Row) -> Hashable:
    return row.operation, row.output_shape


def _operation(row: Row) -> Hashable:
    return row.operation


def _in_order(
    ours: Iterable[int], rows: Sequence[Row], theirs: Iterable[int], others: Sequence[Row], key: Key
) -> Iterator[tuple[int, int]]:
    """Places whose keys are equal: of each key the first with the first, the second with the second, and so on."""
    waiting: dict[Hashable, deque[int]] = defaultdict(deque)
    for place in theirs:
        waiting[key(others[place])].append(place)
    for place in ours:
        if found := waiting.get(key(rows[place])):
            yield place, found.popleft()


def _aligned(left: Sequence[int], a: Sequence[Row], right: Sequence[int], b: Sequence[Row]) -> dict[int, int]:
    """The partners, place in b to place in a, of rows that no name pairs."""
    partner: dict[int, int] = {}
    start, other = 0, 0
    for i, j, size in _runs([_shaped(a[place]) for place in left], [_shaped(b[place]) for place in right]):
        partner |= _in_order(right[other:j], b, left[start:i], a, _operation)
        start, other = i + size, j + size
        partner |= dict(zip(right[j:other], left[i:start], strict=True))
    return partner


def _runs(a: Sequence[Hashable], b: Sequence[Hashable]) -> list[tuple[int, int, int]]:
    """Where runs of equal keys begin in either and how long they are, in order; the last is empty and at the ends.

    The equal beginnings and ends are taken off first. Where the rest would take too long, it has no runs.
    """
    head = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))
    ends = zip(reversed(a[head:]), reversed(b[head:]), strict=False)
    tail = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], ends))
    inner, other = a[head : len(a) - tail], b[head : len(b) - tail]
    often = Counter(other)
    matcher = SequenceMatcher(None, inner, other, autojunk=False)
    blocks = matcher.get_matching_blocks()[:-1] if sum(often[key] for key in inner) <= MOST_EQUAL else []
    found = [(0, 0, head), *((head + block.a, head + block.b, block.size) for block in blocks)]
    return [*found, (len(a) - tail, len(b) - tail, tail), (len(a), len(b), 0)]


def _pairs(a: Sequence[Row], b: Sequence[Row], partner: dict[int, int]) -> Iterable[Pair]:
    """The rows of a in order; those only in b after the partner of the row that is before them in b."""
    of = {place: other for other, place in partner.items()}
    alone: dict[int, list[Row]] = defaultdict(list)
    after = -1
    for place, row in enumerate(b):
        after = partner.get(place, after)
        if place not in partner:
            alone[after].append(row)
    yield from (Pair(None, row) for row in alone[-1])
    for place, row in enumerate(a):
        yield Pair(row, b[of[place]] if place in of else None)
        yield from (Pair(None, other) for other in alone[place])


def _layer(pair: Pair) -> dict[str, Any]:
    rows = (pair.a, pair.b)
    names = [None if row is None else row.name for row in rows]
    shapes = [None if row is None or row.output_shape is None else list(row.output_shape) for row in rows]
    head = {"name": names[0], "against": names[1], "operation": pair.row.operation}
    places = {"output_shape": shapes[0], "against_output_shape": shapes[1]}
    return head | places | {key: numbers(pair.a, pair.b, key) for key in COMPARED}


def merged(pairs: Sequence[Pair], name: str) -> Pair:
    """Several pairs as one of that name, with the sums of either side."""
    sides = [[row for row in side if row is not None] for side in zip(*((p.a, p.b) for p in pairs), strict=True)]
    a, b = (
        Row(name=name, operation=OTHERS, layers=len(rows), **total(rows).numbers()) if rows else None for rows in sides
    )
    return Pair(a, b)
