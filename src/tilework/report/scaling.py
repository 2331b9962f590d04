"""How a time changes with the number of devices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tilework.cost.serving import Serving
from tilework.cost.training_time import TrainingTime, speed_ups
from tilework.errors import MachineError
from tilework.report.picture import COLOURS, INK, SOFT, picture

WIDTH, HEIGHT = 1100, 460


def draw_scaling(found: Sequence[TrainingTime] | Sequence[Serving], path: str | Path) -> None:
    """Against the number of devices: the speed-up beside the ideal one, and what the time is made of.

    Raises MachineError for fewer than two numbers of devices, OutputError for another ending than .svg and .png,
    MissingPackageError without matplotlib.
    """
    numbers = [one.devices.number for one in found]
    if len(set(numbers)) < 2:
        raise MachineError("a scaling curve needs two numbers of devices or more; give them with --over 1,2,4")
    with picture(path, WIDTH, HEIGHT) as figure:
        left, right = figure.subplots(1, 2)
        figure.suptitle(_title(found[0]), x=0.02, ha="left", color=INK)
        _speed(left, numbers, speed_ups(found))
        _parts(right, numbers, [one.parts() for one in found])
        for axes in (left, right):
            axes.set_xlabel("devices", color=INK)
            axes.grid(color=SOFT, alpha=0.25, linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_axisbelow(True)
        figure.tight_layout(rect=(0, 0, 1, 0.97))


def _title(one: TrainingTime | Serving) -> str:
    what = "training step" if isinstance(one, TrainingTime) else f"{one.last.name} pass"
    return f"{one.network} on {one.rates.machine.name} in {one.rates.dtype}: {what}"


def _speed(axes: Any, numbers: Sequence[int], times: Sequence[float]) -> None:
    axes.plot(numbers, numbers, color=SOFT, linestyle="--", linewidth=1, label="ideal")
    axes.plot(numbers, times, color=COLOURS[0], marker="o", label="model")
    axes.set(xscale="log", yscale="log")
    axes.set_title("speed-up", loc="left", fontsize=10, color=INK)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(numbers, [f"{number:,}" for number in numbers])
        axis.set_ticks([], minor=True)
    axes.legend(frameon=False, fontsize=9)


def _parts(axes: Any, numbers: Sequence[int], parts: Sequence[dict[str, float]]) -> None:
    base = [0.0] * len(numbers)
    names = [name for name in parts[0] if any(one[name] > 0 for one in parts)]
    for name, colour in zip(names, COLOURS, strict=False):
        heights = [100 * one[name] / sum(one.values()) for one in parts]
        axes.bar(range(len(numbers)), heights, bottom=base, color=colour, width=0.7, label=name)
        base = [below + height for below, height in zip(base, heights, strict=True)]
    axes.set_xticks(range(len(numbers)), [f"{number:,}" for number in numbers])
    axes.set_ylim(0, 100)
    axes.set_title("share of the time, %", loc="left", fontsize=10, color=INK)
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
