"""What pictures of rooflines share: logarithmic axes, and roofs of a slope and a peak."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi, sin, sqrt
from typing import Any

from tilework.plain import quantity
from tilework.report.picture import INK, SOFT

STEPS = 150  # between places along a roof
Point = tuple[float, float]


def frame(axes: Any, left: float, right: float, low: float, high: float) -> None:
    """Logarithmic axes with these limits: operations for a byte, and operations a second."""
    axes.set(xscale="log", yscale="log", xlim=(left, right), ylim=(low, high))
    axes.set_xlabel("operations for each compulsory byte", color=INK)
    axes.set_ylabel("operations/s", color=INK)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.yaxis.set_major_formatter(lambda value, _: quantity(value, "").strip())
    axes.grid(color=SOFT, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def roof(axes: Any, peak: float, bandwidth: float, colour: str, label: str, style: str = "-") -> list[Point]:
    """Draw a slope up to the peak, and the peak; gives places along it."""
    left, right = axes.get_xlim()
    knee = peak / bandwidth
    line = ((left, knee, right), (bandwidth * left, peak, peak)) if knee > left else ((left, right), (peak, peak))
    axes.plot(*line, color=colour, linewidth=1.6, linestyle=style, label=label)
    along = (left * (right / left) ** (step / STEPS) for step in range(STEPS + 1))
    return [(x, min(peak, bandwidth * x)) for x in along]


def rims(axes: Any, points: Sequence[Point], sizes: Sequence[float]) -> list[Point]:
    """Places around the larger points, so that no name lies on one."""
    scale, forth, back = axes.figure.dpi / 72, axes.transData, axes.transData.inverted()
    found: list[Point] = []
    for point, size in zip(points, sizes, strict=True):
        x, y = forth.transform(point)
        radius = scale * sqrt(size / pi) - 3
        turns = range(8) if radius > 3 else ()
        around = [(x + radius * cos(pi * turn / 4), y + radius * sin(pi * turn / 4)) for turn in turns]
        found += [tuple(back.transform(place)) for place in around]
    return found


def areas(seconds: list[float], most: float = 250.0, least: float = 8.0) -> list[float]:
    """Of points that are as large as their times."""
    longest = max(seconds, default=0) or 1.0
    return [max(least, most * value / longest) for value in seconds]
