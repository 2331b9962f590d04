"""The table's lines and columns, and how they are laid out in characters: whole, or fitted to a terminal's width."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilework.cost.characters import shortened, visible, width
from tilework.cost.record import MODULE, Row
from tilework.cost.tree import Branch, flat, tree
from tilework.cost.unstated import mark
from tilework.cost.view import OTHERS, QUANTITIES, View
from tilework.plain import percent, quantity

if TYPE_CHECKING:
    from tilework.cost.count import Count

NOTHING, GAP, FIRST = "--", "  ", "Layer (type)"
LONGEST = 60  # characters of a name where no terminal sets a limit
BAR, WIDEST_BAR = 8, 24
EIGHTHS = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True)
class Line:
    """A line of the table: a module or a row, `times` of it in the network, with its share of the chosen quantity.

    `indent` draws the tree. The row's numbers are those of one, the share is that of all of them.
    """

    indent: str
    name: str
    kind: str
    level: int
    row: Row
    times: int
    share: float
    is_module: bool

    @property
    def text(self) -> str:
        return f"{self.indent}{self.name}{self.kind}"

    def within(self, limit: int) -> str:
        """What fits: the whole, else without the kind, else with a narrow indent, else with a part of the name."""
        narrow = " " * min(self.level, limit // 3) + self.name
        texts = (self.text, self.indent + self.name, narrow)
        return next((text for text in texts if width(text) <= limit), shortened(narrow, limit))


@dataclass(frozen=True)
class Column:
    """A column: its header, what stands in a line's cell, and a shorter cell for where there is little room."""

    header: str
    cell: Callable[[Line], str]
    short: Callable[[Line], str] | None = None
    left: bool = False


def lines(count: Count, view: View) -> list[Line]:
    """The network and below it its modules and rows; the shares are of the network's total."""
    shown = view.of(count)
    root = flat(shown) if view.is_flat else tree(shown, fold=not view.everything)
    of = QUANTITIES[view.quantity].of
    whole = of(root.row)
    return [
        Line(
            indent=indent,
            name=_name(branch, times),
            kind="" if branch.children or not level else kind(branch.row),
            level=level,
            row=branch.row,
            times=times,
            share=times * of(branch.row) / (whole or 1),
            is_module=bool(branch.children),
        )
        for branch, indent, times, level in _drawn(root, "", "", 1, 0)
    ]


def _drawn(branch: Branch, first: str, below: str, above: int, level: int) -> Iterator[tuple[Branch, str, int, int]]:
    times = above * branch.times
    yield branch, first, times, level
    for child in branch.children:
        last = child is branch.children[-1]
        corner, indent = ("└─ ", "   ") if last else ("├─ ", "│  ")
        yield from _drawn(child, below + corner, below + indent, times, level + 1)


def _name(branch: Branch, times: int) -> str:
    name = branch.label if branch.times == 1 else f"{branch.label} … {branch.last}"
    return f"{times:,} × {visible(name)}" if times > 1 else visible(name)


def kind(row: Row) -> str:
    """What stands in parentheses after a row's name."""
    layers = f"{row.layers:,} layer" + "s" * (row.layers > 1)
    if row.operation == OTHERS or not row.operation:
        return ""
    if row.operation == MODULE:
        return f" ({MODULE}, {layers}{mark(row)})"
    what = layers if row.name == row.operation and row.output_shape is None else visible(row.operation)
    return f" ({what}{mark(row)})"


def share_text(share: float) -> str:
    """A share as it stands in a table: what isn't nothing is never shown as 0."""
    if not share:
        return NOTHING
    return "<0.1 %" if share < 0.0005 else percent(share)


def _shape(line: Line) -> str:
    shape = line.row.output_shape
    return NOTHING if shape is None else f"[{', '.join(map(str, shape))}]"


def _number(key: str) -> Column:
    of = QUANTITIES[key].of
    return Column(
        QUANTITIES[key].header,
        lambda line: f"{of(line.row):,}" if of(line.row) else NOTHING,
        lambda line: quantity(of(line.row), "").rstrip() if of(line.row) else NOTHING,
    )


SHAPE = Column("Output Shape", _shape, left=True)
SHARE = Column("Share", lambda line: share_text(line.share))
BARS = "bars"
USUAL = ("parameters", "macs", "multiplications", "additions", "neurons", "other")


def columns(view: View) -> dict[str, Column]:
    """The columns by what they hold, in the order in which they stand; the view's quantity is always among them."""
    keys = dict.fromkeys((*USUAL, view.quantity))
    return {"shape": SHAPE} | {key: _number(key) for key in keys} | {"share": SHARE}


@dataclass(frozen=True)
class Layout:
    """A table in characters: the columns that have room, and the width of each, the name's first; `bar` may be 0."""

    columns: tuple[Column, ...]
    widths: tuple[int, ...]
    hidden: tuple[str, ...]
    bar: int

    def cells(self, line: Line) -> list[str]:
        """The cells of a line, filled up to their widths."""
        return self._aligned([line.within(self.widths[0]), *(column.cell(line) for column in self.columns)])

    @property
    def header(self) -> list[str]:
        return self._aligned([shortened(FIRST, self.widths[0]), *(column.header for column in self.columns)])

    def _aligned(self, texts: Iterable[str]) -> list[str]:
        left = (True, *(column.left for column in self.columns))
        parts = zip(texts, self.widths, left, strict=True)
        return [text + _fill(text, size) if left else _fill(text, size) + text for text, size, left in parts]


def _fill(text: str, size: int) -> str:
    return " " * (size - width(text))


def whole(shown: Sequence[Line], view: View) -> Layout:
    """All columns, as wide as they need to be."""
    found = tuple(columns(view).values())
    name = min(_name_width(shown), LONGEST + max(len(line.indent) for line in shown))
    return Layout(found, (name, *(_width(column, shown) for column in found)), (), 0)


def fitted(shown: Sequence[Line], view: View, limit: int) -> Layout:
    """The columns that a terminal of `limit` columns has room for, the most telling first.

    Where not even the quantity's own numbers fit, they are rounded; below that, only names are left.
    """
    found = columns(view)
    natural = _name_width(shown)
    room = limit - min(natural, max(limit * 2 // 5, 8))
    kept = _kept(found, shown, view, room)
    if not kept:
        found = {key: _rounded(column) for key, column in found.items()}
        kept = _kept(found, shown, view, room)
    chosen = tuple(column for key, column in found.items() if key in kept)
    widths = tuple(_width(column, shown) for column in chosen)
    left = limit - sum(widths) - len(GAP) * len(widths)
    name = min(natural, left - (BAR + len(GAP)) * (BARS in kept))
    bar = min(left - name - len(GAP), WIDEST_BAR) if BARS in kept else 0
    hidden = tuple(column.header for key, column in found.items() if key not in kept)
    return Layout(chosen, (name, *widths), hidden, bar)


def _kept(found: Mapping[str, Column], shown: Sequence[Line], view: View, room: int) -> set[str]:
    """The keys of the columns, BARS among them, that have room beside the names."""
    kept = set[str]()
    for key in dict.fromkeys((view.quantity, "share", "parameters", BARS, "shape", *USUAL)):
        room -= len(GAP) + (BAR if key == BARS else _width(found[key], shown))
        if room < 0:
            break
        kept.add(key)
    return kept


def _rounded(column: Column) -> Column:
    return column if column.short is None else Column(column.header[:9], column.short)


def _name_width(shown: Sequence[Line]) -> int:
    return max(len(FIRST), *(width(line.text) for line in shown))


def _width(column: Column, shown: Sequence[Line]) -> int:
    return max(len(column.header), *(len(column.cell(line)) for line in shown))


def bar(share: float, largest: float, size: int) -> str:
    """A bar of at most `size` characters, as long as the share is of the largest; one that isn't empty shows."""
    eighths = round(8 * size * share / (largest or 1))
    full, rest = divmod(max(eighths, 1) if share else 0, 8)
    return "█" * full + EIGHTHS[rest].strip()
