"""Paths of a search over the contours of what it lowers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tilework.report.curves import Curve, panelled, plot
from tilework.report.picture import INK, SOFT

Surface = tuple[Sequence[float], Sequence[float], Sequence[Sequence[float]]]  # x, y, and a row of heights for each y
LEVELS = 14


def draw_paths(
    panels: Mapping[str, tuple[Surface, Mapping[str, Curve]]],
    path: str | Path,
    *,
    title: str = "",
    x: str = "",
    y: str = "",
) -> None:
    """Panels by their heading, each with a surface of positive heights, and paths by name over its contours.

    Contours lie at a fixed ratio from each other. Each path begins at a square and ends at a dot. Raises OutputError
    for another ending than .svg and .png, MissingPackageError without matplotlib.
    """
    names = {name: None for _, paths in panels.values() for name in paths}
    with panelled(path, panels, title, names, across=2) as axes:
        for axis, ((xs, ys, heights), paths) in zip(axes, panels.values(), strict=True):
            axis.contour(xs, ys, heights, levels=_levels(heights), colors=SOFT, linewidths=0.6, alpha=0.55)
            plot(axis, paths, names, marker="o", markersize=2.5, linewidth=1.4)
            for curve in paths.values():
                axis.plot(*curve[0], "s", color=INK, markersize=6)
                axis.plot(*curve[-1], "o", color=INK, markersize=5)
            axis.set(xlim=(xs[0], xs[-1]), ylim=(ys[0], ys[-1]))
            axis.set_xlabel(x, color=INK)
            axis.set_ylabel(y, color=INK)


def _levels(heights: Sequence[Sequence[float]]) -> list[float]:
    flat = [height for row in heights for height in row if height > 0]
    low, high = max(min(flat), max(flat) * 1e-5), max(flat)
    return [low * (high / low) ** (place / LEVELS) for place in range(1, LEVELS)]
