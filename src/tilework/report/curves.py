"""Curves side by side: one colour for each name in every panel, one legend above them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

from tilework.report.picture import COLOURS, INK, SOFT, picture

WIDTH, TOP = 820, 46  # pixels
PANELS = 410, 250  # the height of wide panels and of narrow ones
LETTER, MARK, ROW = 6.4, 50, 22  # of the legend
Curve = Sequence[tuple[float, float]]


def draw_curves(
    panels: Mapping[str, Mapping[str, Curve]],
    path: str | Path,
    *,
    title: str = "",
    x: str = "",
    y: str = "",
) -> None:
    """Panels by their heading, each with curves by name; `x` and `y` name the axes with their units.

    Raises OutputError for another ending than .svg and .png, MissingPackageError without matplotlib.
    """
    names = {name: None for curves in panels.values() for name in curves}
    with panelled(path, panels, title, names, sharey=True) as axes:
        for axis, curves in zip(axes, panels.values(), strict=True):
            plot(axis, curves, names)
            axis.set_xlabel(x, color=INK)
            axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.12g}".replace("-", "−"))
        axes[0].set_ylabel(y, color=INK)


def plot(axis: Any, curves: Mapping[str, Curve], names: Iterable[str], **style: Any) -> None:
    """Curves in the colours of their names' places, each wide enough to show behind those after it."""
    names = list(names)
    colours = dict(zip(names, cycle(COLOURS), strict=False))
    for name, curve in curves.items():
        width = min(1.4 + 0.7 * (len(names) - 1 - names.index(name)), 5)
        line = {"color": colours[name], "linewidth": width, "label": name, **style}
        axis.plot(*zip(*curve, strict=True), **line)


@contextmanager
def panelled(
    path: str | Path, headings: Iterable[str], title: str, names: Iterable[str], across: int = 0, **shared: Any
) -> Iterator[list[Any]]:
    """Axes in rows of `across` (0: in one), one for each heading, with a title and a legend of what the axes name."""
    headings, names = list(headings), list(names)
    across = across or len(headings)
    down = -(-len(headings) // across)
    columns = max(1, int((WIDTH - 20) // (max(map(len, names), default=0) * LETTER + MARK)))
    height = TOP + ROW * -(-len(names) // columns) + PANELS[across > 2] * down
    with picture(path, WIDTH, height) as figure:
        figure.text(0.02, 1 - 28 / height, title, fontsize=12, color=INK)
        axes = list(figure.subplots(down, across, squeeze=False, **shared).flat)
        for axis, heading in zip(axes, headings, strict=True):
            axis.set_title(heading, fontsize=10, color=INK, loc="left")
            axis.grid(color=SOFT, alpha=0.25, linewidth=0.6)
            axis.spines[["top", "right"]].set_visible(False)
            axis.tick_params(colors=SOFT, labelsize=9)
        yield axes
        known = {label: line for axis in axes for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
        place = {"loc": "upper left", "bbox_to_anchor": (0.01, 1 - 32 / height), "ncols": columns}
        figure.legend(known.values(), known, frameon=False, fontsize=9, labelcolor=INK, **place)
        figure.tight_layout(rect=(0, 0, 1, (PANELS[across > 2] * down + 6) / height))
