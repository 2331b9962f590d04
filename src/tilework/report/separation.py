"""How a classifier of two classes divides the plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tilework.report.curves import panelled
from tilework.report.picture import COLOURS, INK
from tilework.report.trajectory import Surface

Point = tuple[float, float, bool]  # x, y, and whether it belongs to the second class


def draw_separation(
    panels: Mapping[str, tuple[Sequence[Point], Surface]],
    path: str | Path,
    *,
    title: str = "",
    classes: tuple[str, str] = ("0", "1"),
    x: str = "",
    y: str = "",
) -> None:
    """Panels by their heading: the points of two classes, and a surface, positive where the second class is found.

    The line between them is where it is 0. Raises OutputError for another ending than .svg and .png,
    MissingPackageError without matplotlib.
    """
    with panelled(path, panels, title, classes, sharex=True, sharey=True) as axes:
        for axis, (points, (xs, ys, heights)) in zip(axes, panels.values(), strict=True):
            far = max(abs(height) for row in heights for height in row) + 1
            axis.contourf(xs, ys, heights, levels=(-far, 0, far), colors=COLOURS[:2], alpha=0.18)
            axis.contour(xs, ys, heights, levels=(0,), colors=INK, linewidths=1.4)
            for second, (name, colour, mark) in enumerate(zip(classes, COLOURS, "os", strict=False)):
                own = [(u, v) for u, v, label in points if label == bool(second)]
                if own:
                    axis.plot(*zip(*own, strict=True), mark, color=colour, markersize=9, label=name)
            axis.set(xlim=(xs[0], xs[-1]), ylim=(ys[0], ys[-1]), aspect="equal")
            axis.set_xlabel(x, color=INK)
            axis.locator_params(nbins=3, prune="both")
        axes[0].set_ylabel(y, color=INK)
