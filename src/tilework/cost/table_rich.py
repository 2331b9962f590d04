"""The table on a terminal: as many columns as fit, and a bar for each line's share."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from rich.text import Text

from tilework.cost.table_text import GAP, NOTHING, Layout, Line, bar, fitted, lines
from tilework.cost.tables import USUAL_VIEW, below
from tilework.cost.view import View

if TYPE_CHECKING:
    from rich.console import Console

    from tilework.cost.count import Count


def show(count: Count, console: Console, view: View = USUAL_VIEW) -> None:
    """Print the table; no line is longer than the console is wide, and a line says which columns had no room."""
    shown = lines(count, view)
    layout = fitted(shown, view, console.width)
    largest = max((line.share for line in shown[1:]), default=0.0)
    texts = [Text(GAP.join(layout.header).rstrip(), style="bold")]
    texts += [_line(line, layout, largest) for line in shown]
    under = ["", *below(count, view, shown, console.width)]
    if layout.hidden:
        under += wrap(f"(not shown on this narrow terminal: {', '.join(layout.hidden)})", console.width)
    for text in (*texts, *map(Text, under)):
        console.print(text, soft_wrap=True)


def _line(line: Line, layout: Layout, largest: float) -> Text:
    text = Text()
    for place, cell in enumerate(layout.cells(line)):
        text.append(cell + GAP, style=_style(line, place, cell))
    if layout.bar and line.level:
        text.append(bar(line.share, largest, layout.bar), style="cyan")
    text.rstrip()
    return text


def _style(line: Line, place: int, cell: str) -> str:
    if cell.strip() == NOTHING:
        return "dim"
    if place == 0 and line.is_module:
        return "bold"
    return "red" if place == 0 and "unknown" in line.kind else ""
