"""Measured layers under the roof of the machine that they ran on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tilework.cost.levels import ON_CHIP
from tilework.cost.measured import Measured, Part
from tilework.errors import MachineError
from tilework.machine.accelerator import KINDS
from tilework.report.labels import label_points
from tilework.report.picture import COLOURS, INK, SOFT, picture
from tilework.report.roofs import Point, areas, frame, rims, roof

WIDTH, HEIGHT = 1100, 700
NAMED = 12  # parts that have their names, those that took longest


def draw_measured(found: Measured, path: str | Path) -> None:
    """Each part by its operations for a byte that it must move and the operations a second that it reached.

    A point is as large as its time, and has its kind's colour. Parts without operations have no place here. Raises
    MachineError if there is no other, OutputError for another ending than .svg and .png, MissingPackageError without
    matplotlib.
    """
    shown = [part for part in found.parts if part.operations and part.seconds]
    if not shown:
        raise MachineError("a roofline's picture needs a layer with multiply-accumulates, and there is none")
    points = [_place(part) for part in shown]
    with picture(path, WIDTH, HEIGHT) as figure:
        axes = figure.add_axes((0.08, 0.09, 0.89, 0.82))
        threads = f"{found.threads} thread{'s' * (found.threads > 1)}"
        axes.set_title(f"{found.network}, measured in {found.runtime} with {threads}", loc="left", color=INK)
        along = _roofs(axes, found, points)
        along += _points(axes, shown, points)
        axes.legend(loc="lower right", frameon=False, fontsize=9)
        slowest = sorted(zip(shown, points, strict=True), key=lambda pair: -pair[0].seconds)[:NAMED]
        names, colours = [part.name for part, _ in slowest], [_colour(part.kind) for part, _ in slowest]
        label_points(figure, axes, names, colours, [point for _, point in slowest], along)


def _place(part: Part) -> Point:
    moved = max(part.bound.bytes.values())
    return part.operations / moved if moved else float("inf"), part.operations_per_second


def _roofs(axes: Any, found: Measured, points: Sequence[Point]) -> list[Point]:
    machine = found.machine
    peak, outer = machine.peak[found.dtype], machine.memory.bandwidth_bytes_per_second or 0.0
    inner = machine.on_chip.bandwidth_bytes_per_second
    wide = [x for x, _ in points] + [peak / outer]
    high = [y for _, y in points] + [peak]
    frame(axes, min(wide) / 3, max(wide) * 3, min(high) / 3, max(high) * 3)
    along = roof(axes, peak, outer, INK, f"{machine.name}, {found.dtype}")
    if inner:
        along += roof(axes, peak, inner, SOFT, f"{machine.name}, {ON_CHIP}", "--")
    return [*along, *points]


def _points(axes: Any, parts: Sequence[Part], points: Sequence[Point]) -> list[Point]:
    sizes = areas([part.seconds for part in parts])
    for kind in KINDS:
        own = [place for place, part in enumerate(parts) if part.kind == kind]
        if own:
            xs, ys = zip(*(points[place] for place in own), strict=True)
            axes.scatter(
                xs,
                ys,
                s=[sizes[place] for place in own],
                color=_colour(kind),
                alpha=0.5,
                linewidths=0,
                zorder=3,
                label=kind,
            )
    return rims(axes, points, sizes)


def _colour(kind: str) -> str:
    return COLOURS[KINDS.index(kind)]
