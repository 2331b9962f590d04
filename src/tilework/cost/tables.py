"""A count as text: the tree of modules that users of torchinfo know, CSV, Markdown, HTML and a DataFrame.

Plain text imports nothing but the standard library; rich is imported for a terminal only.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from tilework.cost.characters import visible, width
from tilework.cost.record import OTHER_KINDS, Row
from tilework.cost.table_text import FIRST, GAP, Line, columns, kind, lines, whole
from tilework.cost.unstated import notes
from tilework.cost.view import QUANTITIES, View
from tilework.network.operations import Shape
from tilework.plain import dataframe as plain_dataframe
from tilework.plain import quantity

if TYPE_CHECKING:
    from tilework.cost.count import Count

USUAL_VIEW = View()
MARKUP = re.compile(r"[\\`*\[\]<>|~]")


def totals(count: Count, view: View = USUAL_VIEW) -> list[tuple[str, str]]:
    """What stands under the table: names and values."""
    sums = count.total
    other = ", ".join(f"{kind} {n:,}" for kind, n in sums.other_operations.items())
    stored = [] if count.dtype is None else [("Stored as", count.dtype)]
    return [
        ("Total params", _readable(sums.parameters)),
        ("Trainable params", _readable(sums.trainable_parameters)),
        ("Buffers (not params)", _readable(sums.buffers)),
        ("Total mult-adds", _readable(sums.macs)),
        *((f"  in the {name}", _readable(part.macs)) for name, part in count.parts),
        ("Multiplications", _readable(sums.multiplications)),
        ("Additions", _readable(sums.additions)),
        ("Other operations", _readable(sum(sums.other_operations.values())) + (f": {other}" if other else "")),
        ("Padding zeros", "counted" if count.padding_zeros else "left out"),
        ("Neurons", f"{sums.neurons:,} ({count.neurons_with_input:,} with the input layer)"),
        *stored,
        ("Params size", size(sums.parameter_bytes)),
        ("Buffers size", size(sums.buffer_bytes)),
        ("Activations size", size(sums.activation_bytes)),
        ("Shares are of", f"the {QUANTITIES[view.quantity].name}"),
    ]


def _readable(n: int) -> str:
    return f"{n:,} ({quantity(n, '').rstrip()})" if n >= 10_000 else f"{n:,}"


def size(n: int) -> str:
    """Bytes, exact and in the unit of the next thousand and 1024."""
    if n < 1000:
        return f"{n:,} bytes"
    power = min((len(str(n)) - 1) // 3, 4)
    decimal, binary = f"{n / 1000**power:,.2f}", f"{n / 1024**power:,.2f}"
    return f"{n:,} bytes = {decimal} {'kMGT'[power - 1]}B = {binary} {'KMGT'[power - 1]}iB"


def remarks(count: Count, shown: Iterable[Line]) -> list[str]:
    """Sentences about what is not as in the other lines: folded lines, the host's work, unknown operations."""
    times = max((line.times for line in shown), default=1)
    folded = f"A line with {times:,} × stands for {times:,} that are alike: the numbers are of one, the share of all."
    return [*([folded] if times > 1 else []), *notes(count)]


def below(count: Count, view: View, shown: Iterable[Line], limit: int | None = None) -> list[str]:
    """The totals and the remarks in lines, wrapped where a limit to their width is given."""
    pairs = totals(count, view)
    column = max(len(name) for name, _ in pairs) + 2
    found = []
    for text in (*(f"{name + ':':<{column}}{value}" for name, value in pairs), *remarks(count, shown)):
        indent = " " * column if limit and limit >= 2 * column else ""
        found += [text] if limit is None else wrap(text, limit, subsequent_indent=indent, break_on_hyphens=False)
    return found


def plain(count: Count, view: View = USUAL_VIEW) -> str:
    """The table in plain characters, as wide as it needs to be."""
    shown = lines(count, view)
    layout = whole(shown, view)
    body = [GAP.join(cells).rstrip() for cells in (layout.header, *map(layout.cells, shown))]
    rule = "=" * max(map(width, body))
    return "\n".join([rule, body[0], rule, *body[1:], rule, *below(count, view, shown), rule])


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


def markdown(count: Count, view: View = USUAL_VIEW) -> str:
    """A table of GitHub's Markdown with a line per row, then the totals and notes as a list."""
    whole_of = QUANTITIES[view.quantity].of(count.total) or 1
    found = columns(view).values()
    rows = []
    for row in view.of(count).rows:
        share = QUANTITIES[view.quantity].of(row) / whole_of
        line = Line("", row.name, kind(row), 1, row, 1, share, is_module=False)
        rows.append([plain_name(visible(row.name) + line.kind), *(column.cell(line) for column in found)])
    under = (*(f"{name}: {value}" for name, value in totals(count, view)), *map(plain_name, remarks(count, ())))
    header = [FIRST, *(column.header for column in found)]
    return "\n".join([*markdown_table(header, rows, left=2), "", *(f"- {text}" for text in under)]) + "\n"


def markdown_table(header: Iterable[str], rows: Iterable[Iterable[str]], left: int) -> list[str]:
    """The lines of a table of cells that are Markdown already, the first `left` columns to the left."""
    header = list(header)
    marks = ["---"] * left + ["---:"] * (len(header) - left)
    return [f"| {' | '.join(cells)} |" for cells in (header, marks, *rows)]


def plain_name(text: str) -> str:
    """A text in Markdown that shows as it is."""
    return MARKUP.sub(r"\\\g<0>", visible(text))


def html(count: Count, view: View = USUAL_VIEW) -> str:
    """The tree as an HTML table without a script, for Jupyter."""
    from tilework.cost.table_html import fragment

    return fragment(count, view)
