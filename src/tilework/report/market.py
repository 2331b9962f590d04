"""Machines by their peak and their bandwidth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tilework.errors import MachineError
from tilework.machine.accelerator import Accelerator
from tilework.report.labels import label_points
from tilework.report.picture import COLOURS, INK, SOFT, picture

WIDTH, HEIGHT = 1400, 1000
MARKERS = "osD"
SLOPES = (1, 10, 100, 1000)  # operations a byte


def draw_market(machines: Sequence[Accelerator], path: str | Path, dtype: str | None = None) -> None:
    """A point a machine, on logarithmic axes, with a colour a maker; at its main dtype if none is given.

    Machines whose peak or bandwidth isn't known are left out. Dashed lines are of equal operations a byte. Raises
    MachineError if no machine is left, OutputError for another ending than .svg and .png.
    """
    found = [(one, dtype or one.dtype or "") for one in machines]
    found = [(one, chosen) for one, chosen in found if one.intensity(chosen)]
    if not found:
        raise MachineError("a picture needs a machine with a peak and a bandwidth, and none of these has both; add one")
    with picture(path, WIDTH, HEIGHT) as figure:
        axes = figure.add_axes((0.07, 0.07, 0.8, 0.88))
        points = [(one.memory.bandwidth_bytes_per_second or 0, one.peak[chosen]) for one, chosen in found]
        _frame(axes, points, dtype)
        colours = _points(axes, [one for one, _ in found], points)
        label_points(figure, axes, [one.name for one, _ in found], colours, points)


def _frame(axes: Any, points: Sequence[tuple[float, float]], dtype: str | None) -> None:
    axes.set(xscale="log", yscale="log")
    for limit, values in ((axes.set_xlim, [x for x, _ in points]), (axes.set_ylim, [y for _, y in points])):
        limit(min(values) / 2.5, max(values) * 2.5)
    axes.set_xlabel("bandwidth of memory, GB/s", color=INK)
    axes.set_ylabel(f"dense peak, T operations/s, {dtype or 'at the main dtype of each'}", color=INK)
    axes.xaxis.set_major_formatter(lambda value, _: _plain(value / 1e9))
    axes.yaxis.set_major_formatter(lambda value, _: _plain(value / 1e12))
    axes.grid(color="#e6e9ec", linewidth=0.6)
    axes.set_axisbelow(True)
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    for slope in SLOPES:
        axes.plot((left, right), (left * slope, right * slope), color=SOFT, linewidth=0.6, linestyle="--", zorder=1)
        end = min(right, top / slope)
        if end > left and end * slope > bottom:
            side = {"ha": "left", "va": "center"} if end == right else {"ha": "center", "va": "bottom"}
            axes.annotate(f" {slope} op/B", (end, end * slope), color=SOFT, fontsize=8, annotation_clip=False, **side)
    axes.set(xlim=(left, right), ylim=(bottom, top))


def _plain(value: float) -> str:
    """A number at an axis: 0.1, 1, 1,000,000."""
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _points(axes: Any, machines: Sequence[Accelerator], points: Sequence[tuple[float, float]]) -> list[str]:
    """Draw the points and the legend; gives the colour of each."""
    makers = [maker for maker, _ in Counter(sorted(one.maker for one in machines)).most_common()]
    colours = {maker: COLOURS[place % len(COLOURS)] for place, maker in enumerate(makers)}
    for place, maker in enumerate(makers):
        of = [point for one, point in zip(machines, points, strict=True) if one.maker == maker]
        axes.plot(
            *zip(*of, strict=True),
            linestyle="none",
            marker=MARKERS[place // len(COLOURS) % len(MARKERS)],
            color=colours[maker],
            markersize=5,
            label=maker or "described in full",
        )
    axes.legend(loc="upper left", bbox_to_anchor=(1.045, 1), frameon=False, fontsize=9, borderaxespad=0)
    return [colours[one.maker] for one in machines]
