"""Counts and comparisons on standard output, in one of several formats, and in files, whose endings say the format."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os.path import splitext
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, Protocol

import click

from tilework.cost.count import Count
from tilework.cost.count import count as count_graph
from tilework.cost.view import View
from tilework.errors import OutputError
from tilework.files import replacing

if TYPE_CHECKING:
    from tilework.cost.compare import Comparison
    from tilework.network.graph import Graph

TABLE, CSV, MARKDOWN, JSON, HTML, PICTURE = "table", "csv", "markdown", "json", "html", "picture"
ONNX, EVENTS = "onnx", "events"
DRAWN = (PICTURE, ONNX, EVENTS)  # of the network itself
FORMATS = (TABLE, CSV, MARKDOWN, JSON)
ENDINGS = {
    ".html": HTML,
    ".svg": PICTURE,
    ".png": PICTURE,
    ".csv": CSV,
    ".md": MARKDOWN,
    ".json": JSON,
    ".txt": TABLE,
    ".onnx": ONNX,
    ".tfevents": EVENTS,
}


class Shown(Protocol):
    """What a command shows."""

    @property
    def endings(self) -> Sequence[str]:
        """How the names of files end that it can be written to."""
        ...

    def text(self, style: str) -> str:
        """The whole document in one of the formats but PICTURE, a line's end at its end."""
        ...

    def draw(self, path: str) -> None:
        """Make the picture, or another tool's file."""
        ...

    def on_terminal(self) -> None:
        """Print the table on a terminal, no wider than that is."""
        ...


def check_endings(paths: Sequence[str], endings: Sequence[str]) -> None:
    """Raise OutputError where a file's ending is not one of those."""
    for path in paths:
        if splitext(path)[1].lower() not in endings:
            *others, last = endings
            raise OutputError(f"the file's name must end in {', '.join(others)} or {last}, unlike {path!r}")


def show(shown: Shown, style: str | None, paths: Sequence[str]) -> None:
    """Write the files, saying so on standard error; print in a style, or as a table where there are no files."""
    check_endings(paths, shown.endings)
    for path in paths:
        _write(shown, path)
        click.echo(f"written: {path}", err=True)
    if style in (None, TABLE) and (style or not paths) and sys.stdout.isatty():
        shown.on_terminal()
    elif style or not paths:
        click.echo(shown.text(style or TABLE), nl=False)


def _write(shown: Shown, path: str) -> None:
    style = ENDINGS[splitext(path)[1].lower()]
    if style in DRAWN:
        shown.draw(path)
        return
    with replacing(path) as file:
        file.write(shown.text(style).encode("utf-8", "backslashreplace"))


@dataclass(frozen=True)
class ShownCount:
    """A count through a view, and the network and what it is called, for those who draw it."""

    count: Count
    view: View
    facts: Mapping[str, int] = field(default_factory=dict)
    spec: str = ""
    graph: Callable[[], Graph] | None = None
    endings = tuple(ENDINGS)

    def text(self, style: str) -> str:
        """The whole document in one of the formats but PICTURE."""
        from tilework.cost import tables

        if style == HTML:
            from tilework.cost.table_html import page

            return page(self.count, self.view)
        if style == JSON:
            facts = {"facts": dict(self.facts)} if self.facts else {}
            return json.dumps({**self.view.of(self.count).to_dict(), **facts}, indent=2) + "\n"
        if style == CSV:
            return self.view.of(self.count).to_csv()
        if style == MARKDOWN:
            return tables.markdown(self.count, self.view)
        return f"{tables.plain(self.count, self.view)}\n{self._facts()}"

    def draw(self, path: str) -> None:
        """Make the picture of the whole network; sorting and grouping are of tables only. Another tool's file has the
        network with its costs."""
        from tilework.report.icicle import icicle

        style = ENDINGS[splitext(path)[1].lower()]
        if style != PICTURE:
            self._export(path, style)
            return
        icicle(self.count, path, self.view.quantity, self.view.depth, self.view.everything)

    def _export(self, path: str, style: str) -> None:
        if self.graph is None or self.count.parts:
            raise OutputError("an .onnx or .tfevents file must be of one network forwards; leave out --backward")
        graph = self.graph()
        counted = count_graph(graph, dtype=self.count.dtype, padding_zeros=self.count.padding_zeros)
        if style == EVENTS:
            from tilework.cost.boxes import events
            from tilework.train.data.tfrecord import framed

            with replacing(path) as file:
                file.write(b"".join(map(framed, events(graph, counted))))
            return
        from tilework.cost.boxes import notes
        from tilework.executable import find_weights
        from tilework.frontend.to_onnx import save_onnx

        save_onnx(graph, path, find_weights(graph, self.spec), notes(graph, counted))

    def on_terminal(self) -> None:
        """Print the table with bars."""
        from rich.console import Console

        from tilework.cost.table_rich import show as show_count

        show_count(self.count, Console(), self.view)
        click.echo(self._facts(), nl=False)

    def _facts(self) -> str:
        return "".join(f"{name.replace('_', ' ').capitalize() + ':':<22}{n:,}\n" for name, n in self.facts.items())


@dataclass(frozen=True)
class ShownReport:
    """What prints itself and has `to_dict` and `to_markdown`: formulas, memory, an explanation."""

    report: Any
    endings = (".md", ".json", ".txt")

    def text(self, style: str) -> str:
        """The whole document as JSON, Markdown or a table; raises OutputError for CSV."""
        if style == CSV:
            raise OutputError("this report has no CSV form; use --format json")
        if style == JSON:
            return json.dumps(self.report.to_dict(), indent=2) + "\n"
        return str(self.report.to_markdown()) if style == MARKDOWN else f"{self.report}\n"

    def draw(self, path: str) -> None:
        """Not reached: these reports have no ending of a picture."""
        raise AssertionError(path)

    def on_terminal(self) -> None:
        """Print the table."""
        click.echo(str(self.report))


@dataclass(frozen=True)
class ShownComparison:
    """A comparison of two counts through a view; both are grouped already."""

    comparison: Comparison
    view: View
    endings = tuple(ending for ending, style in ENDINGS.items() if style not in (HTML, *DRAWN))

    def text(self, style: str) -> str:
        """The whole document as JSON, CSV, Markdown or a table."""
        from tilework.cost import compare_tables

        if style == JSON:
            return json.dumps(compare_tables.ranked(self.comparison, self.view).to_dict(), indent=2) + "\n"
        if style == CSV:
            return compare_tables.ranked(self.comparison, self.view).to_csv()
        if style == MARKDOWN:
            return compare_tables.markdown(self.comparison, self.view)
        return f"{compare_tables.plain(self.comparison, self.view)}\n"

    def draw(self, path: str) -> None:
        """Not reached: a comparison has no ending of a picture."""
        raise AssertionError(path)

    def on_terminal(self) -> None:
        """Print the tables that fit."""
        from tilework.cost.compare_tables import plain

        click.echo(plain(self.comparison, self.view, get_terminal_size().columns))
