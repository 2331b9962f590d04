"""Networks' layers under the roofs of machines."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilework.cost.levels import ON_CHIP, Level, LevelBound
from tilework.cost.roofline import LayerBound, Roofline
from tilework.errors import MachineError
from tilework.report.labels import label_points
from tilework.report.picture import COLOURS, INK, SOFT, picture
from tilework.report.roofs import Point, areas, frame, rims, roof

if TYPE_CHECKING:
    from tilework.achieving import Achieved

WIDTH, HEIGHT = 1100, 700
NAMED = 12  # layers that have their names, those that take longest
MARKERS = "osDv^P*X"  # of networks
STYLES = ("--", ":")  # of the levels on chip


def draw_roofline(found: Sequence[Roofline], path: str | Path, achieved: Sequence[Achieved] = ()) -> None:
    """The roof of each machine, and on it the layers with operations, by how many they have for a byte.

    A point is as large as the layer's least time; a network has a marker, a machine a colour, and the layers that take
    longest of the first have their names. A network's white point is all of it fused. With a single machine whose
    memories on chip have known bandwidths their roofs are there too, and hollow points on those where a layer's bytes
    are others than off chip. Crosses are what was `achieved` of the first. Layers without operations have no place
    here. Raises MachineError if there is no other, OutputError for another ending than .svg and .png,
    MissingPackageError without matplotlib.
    """
    shown = [[layer for layer in one.layers if layer.operations] for one in found]
    if not any(shown):
        raise MachineError("a roofline's picture needs a layer with multiply-accumulates, and there is none")
    with picture(path, WIDTH, HEIGHT) as figure:
        axes = figure.add_axes((0.08, 0.09, 0.89, 0.82))
        networks = list(dict.fromkeys(one.network for one in found))
        axes.set_title(", ".join(networks), loc="left", color=INK)
        inner = _levels(found)
        reached = [one for one in achieved if one.operations and one.bytes]
        _frame(axes, found, shown, inner, reached)
        colours = dict(zip(dict.fromkeys(one.title for one in found), cycle(COLOURS), strict=False))
        markers = dict(zip(networks, cycle(MARKERS), strict=False))
        along = _roofs(axes, found, colours)
        along += _inner_roofs(axes, found[0], inner)
        for one, layers in zip(found, shown, strict=True):
            along += _points(axes, one, layers, colours[one.title], markers[one.network])
        along += _crosses(axes, reached)
        _legend(axes, markers if len(networks) > 1 else {})
        slowest = sorted(shown[0], key=lambda layer: -layer.seconds)[:NAMED]
        places = [_place(found[0], layer) for layer in slowest]
        label_points(
            figure, axes, [one.name for one in slowest], [colours[found[0].title]] * len(places), places, along
        )


def _place(one: Roofline, layer: LayerBound) -> Point:
    """Operations a byte, and the most operations a second that they allow."""
    return layer.intensity, layer.operations / layer.seconds


def _levels(found: Sequence[Roofline]) -> list[Level]:
    """The levels on chip of a single machine whose bandwidths are known."""
    if len({one.machine.name for one in found}) > 1 or len({one.dtype for one in found}) > 1:
        return []
    return [level for level in found[0].hierarchy.levels[1:] if level.bandwidth_bytes_per_second]


def _inner_place(one: Roofline, bound: LevelBound, level: Level) -> Point:
    intensity = bound.intensity(level.name) or 0.0
    return intensity, min(one.machine.peak[one.dtype], intensity * (level.bandwidth_bytes_per_second or 0.0))


def _inner_points(one: Roofline, level: Level) -> list[Point]:
    """Of scratchpads, whose bytes are others than those off chip."""
    if level.name == ON_CHIP:
        return []
    bounds = [bound for bound in one.hierarchy.bounds if bound.operations and bound.bytes.get(level.name)]
    return [_inner_place(one, bound, level) for bound in bounds]


def _frame(
    axes: Any,
    found: Sequence[Roofline],
    shown: Sequence[Sequence[LayerBound]],
    inner: Sequence[Level],
    reached: Sequence[Achieved],
) -> None:
    points = [_place(one, layer) for one, layers in zip(found, shown, strict=True) for layer in layers]
    points += [point for level in inner for one in found for point in _inner_points(one, level)]
    points += [(one.intensity, one.operations_per_second) for one in reached]
    peaks = [one.machine.peak[one.dtype] for one in found]
    wide = [x for x, _ in points] + [one.machine.intensity(one.dtype) or 1.0 for one in found]
    high = [y for _, y in points] + peaks
    frame(axes, min(wide) / 3, max(wide) * 3, min(high) / 3, max(high) * 3)


def _roofs(axes: Any, found: Sequence[Roofline], colours: dict[str, str]) -> list[Point]:
    along: list[Point] = []
    for one in {one.title: one for one in found}.values():
        bandwidth = one.machine.memory.bandwidth_bytes_per_second or 0.0
        along += roof(axes, one.machine.peak[one.dtype], bandwidth, colours[one.title], one.title)
    return along


def _inner_roofs(axes: Any, one: Roofline, inner: Sequence[Level]) -> list[Point]:
    along: list[Point] = []
    for level, style in zip(inner, STYLES, strict=False):
        bandwidth = level.bandwidth_bytes_per_second or 0.0
        along += roof(axes, one.machine.peak[one.dtype], bandwidth, SOFT, f"{one.machine.name}, {level.name}", style)
        if points := _inner_points(one, level):
            axes.plot(
                *zip(*points, strict=True), "o", mfc="none", color=SOFT, markersize=5, label=f"bytes of {level.name}"
            )
            along += points
    return along


def _points(axes: Any, one: Roofline, layers: Sequence[LayerBound], colour: str, marker: str) -> list[Point]:
    points = [_place(one, layer) for layer in layers]
    rim: list[Point] = []
    if points:
        sizes = areas([layer.seconds for layer in layers])
        axes.scatter(*zip(*points, strict=True), s=sizes, c=colour, alpha=0.45, linewidths=0, zorder=3, marker=marker)
        rim = rims(axes, points, sizes)
    if one.fused.operations:
        x, y = _place(one, one.fused)
        if x < axes.get_xlim()[1]:
            axes.plot(x, y, marker=marker, markersize=8, color="white", markeredgecolor=colour, mew=1.6, zorder=4)
            points.append((x, y))
    return points + rim


def _crosses(axes: Any, reached: Sequence[Achieved]) -> list[Point]:
    points = [(one.intensity, one.operations_per_second) for one in reached]
    if points:
        axes.plot(*zip(*points, strict=True), "x", color=INK, markersize=6, label="simulated, as compiled", zorder=5)
    return points


def _legend(axes: Any, markers: dict[str, str]) -> None:
    for network, marker in markers.items():
        axes.plot([], [], marker=marker, color=SOFT, linestyle="none", label=network)
    axes.plot(
        [], [], marker="o", color="white", markeredgecolor=SOFT, mew=1.6, linestyle="none", label="all layers fused"
    )
    axes.legend(loc="lower right", frameon=False, fontsize=9)
