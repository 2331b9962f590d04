"""A comparison as text: a table of the pairs that differ, the totals of every quantity, CSV and Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from textwrap import wrap

from tilework.cost.characters import shortened, visible, width
from tilework.cost.compare import COMPARED, Comparison, Pair, merged, numbers, value
from tilework.cost.record import Record
from tilework.cost.table_text import FIRST, LONGEST, NOTHING, kind
from tilework.cost.tables import USUAL_VIEW, markdown_table, plain_name
from tilework.cost.view import QUANTITIES, View
from tilework.plain import columns

SHOWN = ("parameters", "macs")
FEWEST = 3  # pairs in succession that are alike and stand as one line
BESIDE = ("against", "difference", "ratio")
UNUSUAL = {"macs": "Mult-adds", "other": "Other operations"}
NAMES = {key: UNUSUAL.get(key, key.replace("_", " ").capitalize()) for key in COMPARED}


def ranked(comparison: Comparison, view: View) -> Comparison:
    """The pairs that a view shows: the largest differences of its quantity first, those below the top as one."""
    if not view.is_flat:
        return comparison
    key = view.sort or view.quantity
    ordered = sorted(comparison.pairs, key=lambda pair: -abs(value(pair.a, key) - value(pair.b, key)))
    top = len(ordered) if view.top is None else view.top
    if len(ordered) <= top + 1:
        return replace(comparison, pairs=tuple(ordered))
    others = merged(ordered[top:], f"… {len(ordered) - top:,} others")
    return replace(comparison, pairs=(*ordered[:top], others))


def folded(pairs: Sequence[Pair]) -> Iterator[Pair]:
    """The pairs, those in succession without any difference as one."""
    for alike, group in groupby(pairs, key=lambda pair: pair.alike):
        run = list(group)
        yield from [merged(run, f"… {len(run):,} alike in both")] if alike and len(run) >= FEWEST else run


def _name(pair: Pair) -> str:
    if pair.a is None:
        return f"only there: {visible(pair.row.name)}{kind(pair.row)}"
    if pair.b is None:
        return f"only here: {visible(pair.row.name)}{kind(pair.row)}"
    other = "" if pair.a.name == pair.b.name else f" ~ {visible(pair.b.name)}"
    return f"{visible(pair.a.name)}{other}{kind(pair.a)}"


def number_cells(a: Record | None, b: Record | None, key: str) -> list[str]:
    """Both values, the signed difference and the ratio."""
    found = numbers(a, b, key)
    one, other = (NOTHING if side is None else f"{found[name]:,}" for side, name in ((a, "a"), (b, "b")))
    difference, ratio = found["difference"], found["ratio"]
    return [one, other, f"{difference:+,}" if difference else NOTHING, NOTHING if ratio is None else f"{ratio:.4g}"]


Table = tuple[list[str], list[list[str]]]


def _table(pairs: Iterable[Pair], keys: Sequence[str]) -> Table:
    header = [FIRST, *(text for key in keys for text in (QUANTITIES[key].header, *BESIDE))]
    found = ([_name(pair), *(cell for key in keys for cell in number_cells(pair.a, pair.b, key))] for pair in pairs)
    return header, list(found)


def _totals(comparison: Comparison) -> Table:
    a, b = comparison.a.total, comparison.b.total
    return ["Total", "this", *BESIDE], [[NAMES[key], *number_cells(a, b, key)] for key in COMPARED]


def _keys(view: View) -> tuple[str, ...]:
    return SHOWN if view.quantity in SHOWN else (view.quantity,)


def _title(comparison: Comparison) -> str:
    return f"{visible(comparison.a.network)} against {visible(comparison.b.network)}"


def plain(comparison: Comparison, view: View = USUAL_VIEW, limit: int | None = None) -> str:
    """Two tables, of the pairs and of the totals; whole, or with the columns that `limit` characters have room for."""
    shown = ranked(comparison, view).pairs
    table = _table(shown if view.everything else folded(shown), _keys(view))
    parts = (_fitted(table, limit), _fitted(_totals(comparison), limit))
    title = f"{_title(comparison)}: differences are this less the other"
    return "\n\n".join(("\n".join(wrap(title, limit)) if limit else title, *(columns(*part) for part in parts)))


def _fitted(table: Table, limit: int | None) -> Table:
    """The table with names cut short, and where that isn't enough, without some columns of numbers."""
    header, rows = table
    last = range(max(len(header) - 4, 1), len(header))  # the columns of the last quantity
    choices = [range(1, len(header)), last, (last[0], last[1], last[-1]), (last[0], last[-1]), (last[0],), ()]
    cells = [header, *rows]
    longest = LONGEST + 20 if limit is None else max(limit * 3 // 10, 8)
    name = min(max(width(row[0]) for row in cells), longest)
    for chosen in choices:
        room = sum(2 + max(len(row[place]) for row in cells) for place in chosen)
        if limit is None or name + room <= limit:
            break
    name = longest if limit is None else limit - room
    return _cut(header, chosen, name), [_cut(row, chosen, name) for row in rows]


def _cut(row: Sequence[str], chosen: Iterable[int], name: int) -> list[str]:
    return [shortened(row[0], name), *(row[place] for place in chosen)]


def markdown(comparison: Comparison, view: View = USUAL_VIEW) -> str:
    """The same tables in GitHub's Markdown, every pair on a line of its own."""
    tables = _table(ranked(comparison, view).pairs, _keys(view)), _totals(comparison)
    texts = (_markdown(*table) for table in tables)
    return "\n\n".join((plain_name(_title(comparison)), *texts)) + "\n"


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join(markdown_table(header, [[plain_name(row[0]), *row[1:]] for row in rows], left=1))


def csv_text(comparison: Comparison) -> str:
    """A header and a line per pair, numbers without separators; a ratio is empty where the other is 0."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    parts = ("", "_against", "_difference", "_ratio")
    writer.writerow(["name", "against", "operation", *(f"{key}{part}" for key in COMPARED for part in parts)])
    for pair in comparison.pairs:
        names = [row.name if row else "" for row in (pair.a, pair.b)]
        found = [cell for key in COMPARED for cell in numbers(pair.a, pair.b, key).values()]
        writer.writerow([*names, pair.row.operation, *("" if cell is None else cell for cell in found)])
    return text.getvalue()
