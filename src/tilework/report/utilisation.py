"""Curves of utilisation over the number of units."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tilework.report.curves import Curve, panelled, plot
from tilework.report.picture import INK


def draw_utilisation(
    panels: Mapping[str, Mapping[str, Curve]], path: str | Path, *, title: str = "", units: str = "units"
) -> None:
    """Panels side by side by their heading; each has curves by name, of shares from 0 to 1 over a number of units.

    A curve has one colour in every panel, and a width at which those behind it show. Raises OutputError for another
    ending than .svg and .png.
    """
    names = dict.fromkeys(name for curves in panels.values() for name in curves)
    with panelled(path, panels, title, names, sharey=True) as axes:
        for axis, curves in zip(axes, panels.values(), strict=True):
            plot(axis, curves, names)
            _style(axis, units)
        axes[0].set_ylabel("utilisation", color=INK)


def _style(axis: Any, units: str) -> None:
    axis.set_xlabel(units, color=INK)
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axis.set_ylim(0, 1.02)
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
