"""Curves of utilisation over the number of units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from tilework.report.picture import COLOURS, INK, SOFT, picture

WIDTH, HEIGHT = 820, 480
Curve = Sequence[tuple[int, float]]


def draw_utilisation(
    panels: Mapping[str, Mapping[str, Curve]], path: str | Path, *, title: str = "", units: str = "units"
) -> None:
    """Panels side by side by their heading; each has curves by name, of shares from 0 to 1 over a number of units.

    A curve has one colour in every panel, and a width at which those behind it show. Raises OutputError for another
    ending than .svg and .png.
    """
    names = tuple(dict.fromkeys(name for curves in panels.values() for name in curves))
    styles = {
        name: {"color": colour, "linewidth": 1.3 + behind, "label": name}
        for name, colour, behind in zip(names, cycle(COLOURS), range(len(names) - 1, -1, -1), strict=False)
    }
    with picture(path, WIDTH, HEIGHT) as figure:
        figure.text(0.02, 0.945, title, fontsize=12, color=INK)
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axis, (heading, curves) in zip(axes, panels.items(), strict=True):
            lines = [
                axis.plot([x for x, _ in curve], [y for _, y in curve], **styles[name])[0]
                for name, curve in curves.items()
            ]
            _style(axis, heading, units)
        axes[0].set_ylabel("utilisation", color=INK)
        place = {"loc": "upper left", "bbox_to_anchor": (0.01, 0.935), "ncols": len(names)}
        figure.legend(handles=lines, frameon=False, fontsize=9, labelcolor=INK, **place)
        figure.tight_layout(rect=(0, 0, 1, 0.9))


def _style(axis: Any, heading: str, units: str) -> None:
    axis.set_title(heading, fontsize=10, color=INK, loc="left")
    axis.set_xlabel(units, color=INK)
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axis.set_ylim(0, 1.02)
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axis.grid(color=SOFT, alpha=0.25, linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(colors=SOFT, labelsize=9)
