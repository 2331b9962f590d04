"""A network's layers under the roofs of machines."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from tilework.cost.roofline import LayerBound, Roofline
from tilework.errors import MachineError
from tilework.plain import quantity
from tilework.report.labels import label_points
from tilework.report.picture import COLOURS, INK, SOFT, picture

WIDTH, HEIGHT = 1100, 700
AREA = 250  # square points of the layer that takes longest
STEPS = 150  # between places along a roof
NAMED = 12  # layers that have their names, those that take longest


def draw_roofline(found: Sequence[Roofline], path: str | Path) -> None:
    """The roof of each machine, and on it the layers with operations, by how many they have for a byte.

    A point is as large as the layer's least time; a diamond is the network with all layers fused. Layers
    without operations have no place here. Raises MachineError if there is no other, OutputError for another ending
    than .svg and .png, MissingPackageError without matplotlib.
    """
    shown = [[layer for layer in one.layers if layer.operations] for one in found]
    if not any(shown):
        raise MachineError("a roofline's picture needs a layer with multiply-accumulates, and there is none")
    with picture(path, WIDTH, HEIGHT) as figure:
        axes = figure.add_axes((0.08, 0.09, 0.89, 0.82))
        axes.set_title(found[0].network, loc="left", color=INK)
        _frame(axes, found, [layer.intensity for layers in shown for layer in layers])
        names, colours, points, roofs = [], [], [], []
        for one, layers, colour in zip(found, shown, cycle(COLOURS), strict=False):
            roofs += _roof(axes, one, colour)
            _points(axes, one, layers, colour)
            slowest = sorted(layers, key=lambda layer: -layer.seconds)[: NAMED if one is found[0] else 0]
            names += [layer.name for layer in slowest]
            colours += [colour] * len(slowest)
            points += [_place(one, layer) for layer in slowest]
        axes.plot([], [], marker="D", color=SOFT, linestyle="none", label="all layers fused")
        axes.legend(loc="lower right", frameon=False, fontsize=9)
        label_points(figure, axes, names, colours, points, roofs)


def _place(one: Roofline, layer: LayerBound) -> tuple[float, float]:
    """Operations a byte, and the most operations a second that they allow."""
    knee = one.machine.intensity(one.dtype) or 0
    return layer.intensity, one.machine.peak[one.dtype] * min(1, layer.intensity / knee)


def _frame(axes: Any, found: Sequence[Roofline], intensities: Sequence[float]) -> None:
    knees = [one.machine.intensity(one.dtype) or 0 for one in found]
    left, right = min(*intensities, *knees) / 3, max(*intensities, *knees) * 3
    peaks = [one.machine.peak[one.dtype] for one in found]
    lowest = min(peak * left / knee for peak, knee in zip(peaks, knees, strict=True))
    axes.set(xscale="log", yscale="log", xlim=(left, right), ylim=(lowest, max(peaks) * 3))
    axes.set_xlabel("operations for each compulsory byte", color=INK)
    axes.set_ylabel("operations/s, at most", color=INK)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.yaxis.set_major_formatter(lambda value, _: quantity(value, ""))
    axes.grid(color=SOFT, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def _roof(axes: Any, one: Roofline, colour: str) -> list[tuple[float, float]]:
    """Draw it; gives places along it."""
    left, right = axes.get_xlim()
    peak, knee = one.machine.peak[one.dtype], one.machine.intensity(one.dtype) or 0
    label = f"{one.machine.name}, {one.dtype}"
    axes.plot((left, knee, right), (peak * left / knee, peak, peak), color=colour, linewidth=1.6, label=label)
    along = (left * (right / left) ** (step / STEPS) for step in range(STEPS + 1))
    return [(x, peak * min(1, x / knee)) for x in along]


def _points(axes: Any, one: Roofline, layers: Sequence[LayerBound], colour: str) -> None:
    if places := [_place(one, layer) for layer in layers]:
        longest = max(layer.seconds for layer in layers)
        areas = [max(8.0, AREA * layer.seconds / longest) for layer in layers]
        axes.scatter(*zip(*places, strict=True), s=areas, color=colour, alpha=0.45, linewidths=0, zorder=3)
    if one.fused.operations:
        x, y = _place(one, one.fused)
        if x < axes.get_xlim()[1]:
            axes.plot(x, y, marker="D", markersize=7, color=colour, markeredgecolor="white", zorder=4)
