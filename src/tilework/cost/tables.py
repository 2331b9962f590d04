"""A count as text: the tree of modules that users of torchinfo know, CSV, Markdown, HTML and a DataFrame.

Plain text imports nothing but the standard library; rich is imported for a terminal only.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilework.cost.record import MODULE, OTHER_KINDS, Row
from tilework.network.operations import Shape
from tilework.plain import dataframe as plain_dataframe

if TYPE_CHECKING:
    from rich.console import Console

    from tilework.cost.count import Count

NOTHING = "--"


@dataclass(frozen=True)
class Column:
    """A column of the table: its header and what stands in a row's cell."""

    header: str
    cell: Callable[[Row], str]


def _number(n: int) -> str:
    return f"{n:,}" if n else NOTHING


def _shape(row: Row) -> str:
    return NOTHING if row.output_shape is None else f"[{', '.join(map(str, row.output_shape))}]"


COLUMNS: tuple[Column, ...] = (
    Column("Output Shape", _shape),
    Column("Param #", lambda row: _number(row.parameters)),
    Column("Mult-Adds", lambda row: _number(row.macs)),
    Column("Multiplications", lambda row: _number(row.multiplications)),
    Column("Additions", lambda row: _number(row.additions)),
    Column("Neurons", lambda row: _number(row.neurons)),
    Column("Other", lambda row: _number(sum(row.other_operations.values()))),
)
NEEDED = 3  # columns that stay however narrow the terminal is


@dataclass(frozen=True)
class Line:
    """A line of the tree: a row, or the name of a module whose rows follow, indented."""

    label: str
    row: Row | None

    def cells(self, columns: Iterable[Column]) -> list[str]:
        return [self.label, *(NOTHING if self.row is None else column.cell(self.row) for column in columns)]


def lines(count: Count) -> list[Line]:
    """The tree's lines, the network's own name first; a module stands where its first row stood."""
    return [Line(count.network, None), *_branch(count.rows, 0, "")]


def _branch(rows: Sequence[Row], level: int, indent: str) -> Iterator[Line]:
    items: dict[tuple[bool, str], list[Row]] = {}
    for row in rows:
        leaf = len(row.path) == level + 1
        items.setdefault((leaf, row.name if leaf else row.path[level]), []).append(row)
    for i, ((leaf, name), members) in enumerate(items.items(), 1):
        mark, below = ("└─ ", "   ") if i == len(items) else ("├─ ", "│  ")
        if leaf:
            yield Line(f"{indent}{mark}{_label(members[0])}", members[0])
        else:
            yield Line(f"{indent}{mark}{name}", None)
            yield from _branch(members, level + 1, indent + below)


def _label(row: Row) -> str:
    layers = f"{row.layers:,} layer" + "s" * (row.layers > 1)
    if row.operation == MODULE:
        return f"{row.label} ({MODULE}, {layers})"
    return f"{row.label} ({layers if row.name == row.operation and row.output_shape is None else row.operation})"


def totals(count: Count) -> list[tuple[str, str]]:
    """What stands under the table: names and values."""
    sums = count.total
    other = ", ".join(f"{kind} {n:,}" for kind, n in sums.other_operations.items())
    stored = [] if count.dtype is None else [("Stored as", count.dtype)]
    return [
        ("Total params", f"{sums.parameters:,}"),
        ("Trainable params", f"{sums.trainable_parameters:,}"),
        ("Buffers (not params)", f"{sums.buffers:,}"),
        ("Total mult-adds", f"{sums.macs:,}"),
        ("Multiplications", f"{sums.multiplications:,}"),
        ("Additions", f"{sums.additions:,}"),
        ("Other operations", f"{sum(sums.other_operations.values()):,}" + (f" ({other})" if other else "")),
        ("Padding zeros", "counted" if count.padding_zeros else "left out"),
        ("Neurons", f"{sums.neurons:,} ({count.neurons_with_input:,} with the input layer)"),
        *stored,
        ("Params size", _bytes(sums.parameter_bytes)),
        ("Buffers size", _bytes(sums.buffer_bytes)),
        ("Activations size", _bytes(sums.activation_bytes)),
    ]


def _bytes(n: int) -> str:
    return f"{n:,} bytes = {n / 1e6:,.2f} MB = {n / 2**20:,.2f} MiB"


def _header(columns: Iterable[Column]) -> list[str]:
    return ["Layer (type)", *(column.header for column in columns)]


def _widths(table: Iterable[Iterable[str]]) -> list[int]:
    return [max(map(len, cells)) for cells in zip(*table, strict=True)]


def _total_lines(count: Count) -> list[str]:
    pairs = totals(count)
    width = max(len(name) for name, _ in pairs) + 1
    return [f"{name + ':':<{width}} {value}" for name, value in pairs]


def plain(count: Count) -> str:
    """The table in plain characters, as wide as it needs to be."""
    table = [_header(COLUMNS), *(line.cells(COLUMNS) for line in lines(count))]
    widths = _widths(table)
    body = ["  ".join(_align(cells, widths)).rstrip() for cells in table]
    below = _total_lines(count)
    rule = "=" * max(map(len, body + below))
    return "\n".join([rule, body[0], rule, *body[1:], rule, *below, rule])


def _align(cells: list[str], widths: list[int]) -> Iterator[str]:
    for i, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        yield cell.ljust(width) if i < 2 else cell.rjust(width)


def show(count: Count, console: Console) -> None:
    """Print the table on a terminal; where it is narrow the last columns go, and a line says which."""
    from rich.table import Table
    from rich.text import Text

    columns, width = fitting(count, console.width)
    console.width = max(console.width, width)  # rather a line that wraps than a number cut short
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for i, header in enumerate(_header(columns)):
        table.add_column(header, justify="left" if i < 2 else "right", no_wrap=True)
    for line in lines(count):
        style = "bold" if line.row is None else ""
        table.add_row(*(Text(cell, style="dim" if cell == NOTHING else style) for cell in line.cells(columns)))
    console.print(table, *(Text(text) for text in ["", *_total_lines(count)]), sep="\n")
    if hidden := [column.header for column in COLUMNS[len(columns) :]]:
        console.print(Text(f"(not shown on this narrow terminal: {', '.join(hidden)})", style="dim"))


def fitting(count: Count, width: int) -> tuple[tuple[Column, ...], int]:
    """As many columns, from the left, as a terminal has room for, and the room that they take."""
    widths = _widths([_header(COLUMNS), *(line.cells(COLUMNS) for line in lines(count))])
    room = [sum(widths[: n + 1]) + 2 * n for n in range(len(widths))]
    shown = max(NEEDED, sum(needed <= width for needed in room[1:]))
    return COLUMNS[:shown], room[shown]


def flat(row: Row) -> dict[str, Any]:
    """A row as one flat dict, a column for every kind of other operation."""
    record = row.to_dict()
    other = record.pop("other_operations")
    record["input_shapes"] = " ".join(map(_by, row.input_shapes))
    record["output_shape"] = _by(row.output_shape or ())
    return record | {kind: other.get(kind, 0) for kind in OTHER_KINDS}


def _by(shape: Shape) -> str:
    return "x".join(map(str, shape))


def csv_text(count: Count) -> str:
    """A header and a line per row, numbers without separators."""
    text = io.StringIO()
    writer = csv.DictWriter(text, flat(Row()), lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(flat, count.rows))
    return text.getvalue()


def dataframe(count: Count) -> Any:
    """The same as a pandas DataFrame."""
    return plain_dataframe([flat(row) for row in count.rows], list(flat(Row())))


def markdown(count: Count) -> str:
    """A table of GitHub's Markdown, then the totals as a list."""
    header = _header(COLUMNS)
    rows = [header, ["---", "---", *["---:"] * (len(header) - 2)]]
    rows += [[row.name, *(column.cell(row) for column in COLUMNS)] for row in count.rows]
    table = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |" for cells in rows]
    return "\n".join([*table, "", *(f"- {name}: {value}" for name, value in totals(count))]) + "\n"


def html(count: Count) -> str:
    """The tree as an HTML table, for Jupyter."""
    from html import escape

    def row(cells: Iterable[str], tag: str) -> str:
        return "".join(
            f'<{tag} style="text-align:{"left" if i < 2 else "right"};white-space:pre">{escape(cell)}</{tag}>'
            for i, cell in enumerate(cells)
        )

    body = "".join(f"<tr>{row(line.cells(COLUMNS), 'td')}</tr>" for line in lines(count))
    below = "".join(f"<tr>{row(pair, 'td')}</tr>" for pair in totals(count))
    head = f"<thead><tr>{row(_header(COLUMNS), 'th')}</tr></thead>"
    return f"<table>{head}<tbody>{body}</tbody></table><table><tbody>{below}</tbody></table>"
