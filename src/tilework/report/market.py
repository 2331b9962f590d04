"""Machines by their peak and their bandwidth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import cos, pi, sin
from pathlib import Path
from typing import Any

from tilework.errors import MachineError
from tilework.machine.accelerator import Accelerator
from tilework.report.picture import COLOURS, INK, SOFT, picture

WIDTH, HEIGHT = 1400, 1000
FAR = 10  # pixels from which on a line leads from a point to its label
MARKERS = "osD"
SLOPES = (1, 10, 100, 1000)  # operations a byte
OFFSETS = tuple(  # pixels from the point to the middle of its label's near side, the nearest first
    (radius * cos(pi * step / 8), radius * sin(pi * step / 8)) for radius in range(6, 150, 8) for step in range(16)
)


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
        points = [(one.memory.bandwidth_bytes_per_second, one.peak[chosen]) for one, chosen in found]
        _frame(axes, points, dtype)
        colours = _points(axes, [one for one, _ in found], points)
        _labels(figure, axes, [one.name for one, _ in found], colours, points)


def _frame(axes: Any, points: Sequence[tuple[Any, float]], dtype: str | None) -> None:
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


def _points(axes: Any, machines: Sequence[Accelerator], points: Sequence[tuple[Any, float]]) -> list[str]:
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


def _labels(
    figure: Any, axes: Any, names: Sequence[str], colours: Sequence[str], points: Sequence[tuple[Any, float]]
) -> None:
    """Each name as near to its point as it fits without touching another name or point."""
    renderer, back = figure.canvas.get_renderer(), axes.transAxes.inverted()
    places = [tuple(axes.transData.transform(point)) for point in points]
    taken = [(x - 4.0, y - 4.0, x + 4.0, y + 4.0) for x, y in places]
    frame = axes.get_window_extent(renderer)
    for name, colour, (x, y) in zip(names, colours, places, strict=True):
        text = axes.text(0, 0, name, fontsize=6.5, color=colour, transform=axes.transAxes, va="bottom")
        extent = text.get_window_extent(renderer)
        box = _free(x, y, extent.width + 2, extent.height, taken, (frame.x0, frame.y0, frame.x1, frame.y1))
        taken.append(box)
        text.set_position(back.transform((box[0] + 1, box[1])))
        near = min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3])
        if (near[0] - x) ** 2 + (near[1] - y) ** 2 > FAR**2:
            line = back.transform(((x, y), near))
            axes.plot(*line.T, color=colour, linewidth=0.5, transform=axes.transAxes, zorder=1)


Box = tuple[float, float, float, float]


def _free(x: float, y: float, width: float, height: float, taken: Sequence[Box], frame: Box) -> Box:
    """The first place for a label that touches nothing; the last one tried if there is none."""
    box = (x, y, x + width, y + height)
    for across, up in OFFSETS:
        left = x + across - (width if across < -0.1 else width / 2 if abs(across) <= 0.1 else 0)
        low = y + up - height / 2
        box = (left, low, left + width, low + height)
        inside = box[0] > frame[0] and box[1] > frame[1] and box[2] < frame[2] and box[3] < frame[3]
        if inside and not any(_touch(box, other) for other in taken):
            break
    return box


def _touch(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
