"""A count as HTML: a fragment for Jupyter, and a page of its own that sorts, folds and needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from tilework.cost.characters import visible
from tilework.cost.families import FAMILIES, family
from tilework.cost.table_text import FIRST, Column, Line, columns, lines
from tilework.cost.tables import remarks, totals
from tilework.cost.view import QUANTITIES, View
from tilework.plain import quantity

if TYPE_CHECKING:
    from tilework.cost.count import Count

HEADLINES = ("macs", "parameters", "activation_bytes", "neurons")
OPEN_LINES = 60  # a longer tree starts with its inner modules folded


def fragment(count: Count, view: View) -> str:
    """The tree as a table without script or style sheet, for Jupyter."""
    shown, found = lines(count, view), list(columns(view).values())
    head = _cells([FIRST, *(column.header for column in found)], "th")
    body = "".join(_row([line.text, *(column.cell(line) for column in found)]) for line in shown)
    under = "".join(_row(pair) for pair in totals(count, view))
    said = "".join(f"<p>{escape(note)}</p>" for note in remarks(count, shown))
    return (
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><table><tbody>{under}</tbody></table>{said}"
    )


def _row(cells: Iterable[str]) -> str:
    return f"<tr>{_cells(cells, 'td')}</tr>"


def _cells(cells: Iterable[str], tag: str) -> str:
    return "".join(
        f'<{tag} style="text-align:{"left" if i < 2 else "right"};white-space:pre">{escape(cell)}</{tag}>'
        for i, cell in enumerate(cells)
    )


def page(count: Count, view: View) -> str:
    """One document with its style and script inside; without the script it is the whole table."""
    shown = lines(count, view)
    name = escape(visible(count.network))
    said = "".join(f"<li>{escape(note)}</li>" for note in remarks(count, shown))
    parts = (
        f"<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n<title>{name}: what it costs</title>",
        '<meta name=viewport content="width=device-width, initial-scale=1">',
        f"<style>\n{_file('page.css')}</style>\n</head>\n<body>\n<main>",
        f"<h1>{name}</h1>\n<dl class=headlines>{_headlines(count)}</dl>",
        f"<ul class=notes>{said}</ul>" if said else "",
        f"<p class=legend>{_legend(shown)}</p>",
        _table(shown, view),
        f"<h2>Totals</h2>\n<dl class=totals>{_pairs(totals(count, view))}</dl>",
        f"</main>\n<script>\n{_file('page.js')}</script>\n</body>\n</html>\n",
    )
    return "\n".join(part for part in parts if part)


@cache
def _file(name: str) -> str:
    return files("tilework.cost").joinpath(name).read_text(encoding="utf-8")


def _headlines(count: Count) -> str:
    found = ((QUANTITIES[key], QUANTITIES[key].of(count.total)) for key in HEADLINES)
    return "".join(
        f"<div><dt>{escape(q.name)}</dt><dd>{escape(quantity(n, q.unit).rstrip())}<small>{n:,}</small></dd></div>"
        for q, n in found
    )


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs)


def _legend(shown: Iterable[Line]) -> str:
    present = {family(line.row) for line in shown if not line.is_module}
    return "".join(
        f"<span><i style=background:{colour}></i>{name}</span>" for name, colour in FAMILIES.items() if name in present
    )


def _table(shown: list[Line], view: View) -> str:
    found = columns(view)
    head = "".join(
        f"<th{' class=left' if column.left else ''} scope=col><button>{escape(column.header)}</button></th>"
        for column in found.values()
    )
    large = len(shown) > OPEN_LINES
    body = "\n".join(_line(line, found, large) for line in shown)
    first = f"<th class=left scope=col><button>{FIRST}</button></th>"
    return (
        f"<div class=scroll><table id=rows>\n<thead><tr>{first}{head}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _line(line: Line, found: dict[str, Column], large: bool) -> str:
    """A row; its cells carry the numbers by which the script sorts, its class whether it is a module and folded."""
    module = f' class="module{" shut" if large and line.level > 1 else ""}"' if line.is_module else ""
    numbers = [_value(key, line) for key in found]
    cells = "".join(
        _share(line) if key == "share" else f"<td{_attributes(column, number)}>{escape(column.cell(line))}</td>"
        for (key, column), number in zip(found.items(), numbers, strict=True)
    )
    times = f"{line.times:,} × " if line.times > 1 else ""
    button = "<button aria-expanded=true></button>" if line.is_module else ""
    kind = f"<small>{escape(line.kind)}</small>" if line.kind else ""
    return (
        f"<tr{module} data-level={line.level}>"
        f'<th class=left scope=row style="--level:{line.level}">{button}<span class=name>{escape(line.name)}</span>'
        f"<span class=path>{times}{escape(visible(line.row.name))}</span>{kind}</th>{cells}</tr>"
    )


def _value(key: str, line: Line) -> int | None:
    return QUANTITIES[key].of(line.row) if key in QUANTITIES else None


def _attributes(column: Column, number: int | None) -> str:
    return " class=left" * column.left + ("" if number is None else f" data-n={number}")


def _share(line: Line) -> str:
    colour = FAMILIES["several" if line.is_module else family(line.row)]
    bar = f'<i style="width:{100 * line.share:.3f}%;background:{colour}"></i>' if line.share else ""
    text = escape(columns(View())["share"].cell(line))
    return f"<td class=share data-n={line.share:.9f}>{text}<span>{bar}</span></td>"
