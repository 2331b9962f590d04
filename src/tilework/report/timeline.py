"""A picture of what works when: a row per unit, a bar per instruction, a colour per layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tilework.report.picture import COLOURS, INK, SOFT, picture

# Pixels, at 100 to the inch.
WIDTH, LEFT, RIGHT = 1600, 150, 40
SPAN = WIDTH - LEFT - RIGHT
TITLE, ROW, GAP, AXIS, LEGEND = 80, 30, 14, 60, 30
THIN = 1.0  # bars narrower than this are drawn as one with those of their layer beside them
EDGED = 4.0  # narrower bars have no white edge
LETTER = 6.2  # the width of a letter in a bar
MOST_LAYERS = 24  # that the legend names


@dataclass(frozen=True)
class Bar:
    """Something at work in a row from `start` to `end`, in cycles; rows of one `part` stand together.

    `layer` gives the colour, `text` is written on the bar where it fits.
    """

    part: str
    row: str
    start: float
    end: float
    layer: str
    text: str


def draw_timeline(bars: Sequence[Bar], path: str | Path, title: str) -> None:
    """Draw bars into an .svg or .png file, rows in the order of their first bars.

    Raises OutputError for another ending and a path that can't be written, MissingPackageError without matplotlib.
    """
    parts: dict[str, dict[str, None]] = {}
    for bar in bars:
        parts.setdefault(bar.part, {})[bar.row] = None
    tops = _tops(parts)
    layers = {layer: COLOURS[n % len(COLOURS)] for n, layer in enumerate(dict.fromkeys(bar.layer for bar in bars))}
    named = [layer for layer in layers if layer][:MOST_LAYERS]
    bottom = max(tops.values(), default=TITLE) + ROW
    height = bottom + AXIS + LEGEND * -(-len(named) // 4)
    last = max((bar.end for bar in bars), default=1.0) or 1.0
    with picture(path, WIDTH, height) as figure:
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, WIDTH), ylim=(height, 0))
        axes.set_axis_off()
        axes.text(LEFT, 36, title, size=15, weight="bold", color=INK)
        _rows(axes, tops)
        _ticks(axes, last, bottom)
        _bars(axes, merged(bars, last / SPAN * THIN), tops, layers, SPAN / last)
        _legend(axes, named, layers, bottom + AXIS)


def merged(bars: Iterable[Bar], thin: float) -> list[Bar]:
    """Bars in the order of their rows; neighbours of one layer that are shorter than `thin` and closer become one."""
    last: dict[tuple[str, str], Bar] = {}
    done: list[Bar] = []
    for bar in sorted(bars, key=lambda bar: bar.start):
        row = bar.part, bar.row
        before = last.get(row)
        if before is None or not _joins(before, bar, thin):
            if before is not None:
                done.append(before)
            last[row] = bar
        else:
            last[row] = replace(before, end=max(before.end, bar.end), text="")
    return [*done, *last.values()]


def _joins(before: Bar, bar: Bar, thin: float) -> bool:
    short = bar.end - bar.start < thin and (not before.text or before.end - before.start < thin)
    return short and bar.layer == before.layer and bar.start - before.end < thin


def _tops(parts: Mapping[str, Iterable[str]]) -> dict[tuple[str, str], float]:
    tops: dict[tuple[str, str], float] = {}
    top = float(TITLE)
    for part, rows in parts.items():
        for row in rows:
            tops[part, row] = top
            top += ROW
        top += GAP
    return tops


def _rows(axes: Any, tops: dict[tuple[str, str], float]) -> None:
    for (part, row), top in tops.items():
        label = f"{part} · {row}" if part else row
        axes.text(LEFT - 12, top + ROW / 2, label, size=9.5, color=INK, ha="right", va="center")
        axes.plot((LEFT, LEFT + SPAN), (top + ROW, top + ROW), color="#e2e7ec", linewidth=0.8)


def _ticks(axes: Any, last: float, bottom: float) -> None:
    from matplotlib.ticker import MaxNLocator

    for tick in MaxNLocator(10, steps=[1, 2, 2.5, 5, 10]).tick_values(0, last):
        if 0 <= tick <= last:
            x = LEFT + tick / last * SPAN
            axes.plot((x, x), (TITLE - 6, bottom + 6), color="#d5dbe2", linewidth=0.6, zorder=0)
            axes.text(x, bottom + 20, f"{tick:,.12g}", size=9, color=SOFT, ha="center", va="center")
    axes.text(LEFT + SPAN, bottom + 40, "cycles", size=9, color=SOFT, ha="right", va="center")


def _bars(
    axes: Any, bars: Iterable[Bar], tops: dict[tuple[str, str], float], layers: dict[str, str], scale: float
) -> None:
    from matplotlib.collections import PolyCollection

    corners, colours, edges = [], [], []
    for bar in bars:
        left, width = LEFT + bar.start * scale, max((bar.end - bar.start) * scale, 0.6)
        top = tops[bar.part, bar.row] + 3
        corners.append(((left, top), (left + width, top), (left + width, top + ROW - 6), (left, top + ROW - 6)))
        colours.append(layers[bar.layer])
        edges.append(0.4 if width > EDGED else 0.0)
        if letters := int((width - 6) / LETTER) if bar.text else 0:
            text = bar.text if len(bar.text) <= letters else f"{bar.text[: letters - 1]}…" if letters > 3 else ""
            axes.text(left + 3, top + ROW / 2 - 3, text, size=7.5, color="white", va="center", clip_on=True)
    axes.add_collection(
        PolyCollection(corners, facecolors=colours, edgecolors="white", linewidths=edges), autolim=False
    )


def _legend(axes: Any, named: Sequence[str], layers: dict[str, str], top: float) -> None:
    for place, layer in enumerate(named):
        x, y = LEFT + place % 4 * SPAN / 4, top + place // 4 * LEGEND
        axes.text(x, y, "■", size=12, color=layers[layer], va="center")
        axes.text(x + 20, y, layer if len(layer) <= 44 else f"{layer[:43]}…", size=9, color=INK, va="center")
