"""Names beside points, none of which touches another."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi, sin
from typing import Any

FAR = 10  # pixels from which on a line leads from a point to its label
OFFSETS = tuple(  # pixels from the point to the middle of its label's near side, the nearest first
    (radius * cos(pi * step / 8), radius * sin(pi * step / 8)) for radius in range(6, 150, 8) for step in range(16)
)

Box = tuple[float, float, float, float]


def label_points(
    figure: Any,
    axes: Any,
    names: Sequence[str],
    colours: Sequence[str],
    points: Sequence[tuple[float, float]],
    avoid: Sequence[tuple[float, float]] = (),
) -> None:
    """Each name as near to its point as it fits without touching another name, a point, or a place to `avoid`."""
    renderer, back = figure.canvas.get_renderer(), axes.transAxes.inverted()
    places = [tuple(axes.transData.transform(point)) for point in points]
    points_taken = [*places, *(tuple(axes.transData.transform(point)) for point in avoid)]
    taken = [(x - 4.0, y - 4.0, x + 4.0, y + 4.0) for x, y in points_taken]
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
