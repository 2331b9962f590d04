"""Runs to a target: the validation error of every run over the seconds that its steps took."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

from tilework.report.picture import COLOURS, INK, SOFT, picture

WIDTH, HEIGHT = 900, 560
TICKS = (0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5)


def draw_races(found: Mapping[str, Any], path: str | Path) -> None:
    """A line for each run, a colour for each method, a dot where a run reached the target.

    `found` is what `to_dict` of a comparison gives. Raises OutputError for another ending than .svg and .png.
    """
    with picture(path, WIDTH, HEIGHT) as figure:
        figure.text(0.02, 0.955, found["title"], fontsize=12, color=INK)
        axis = figure.subplots()
        for method, colour in zip(found["methods"], cycle(COLOURS), strict=False):
            _draw_method(axis, method, colour)
        error = 1 - found["target"]
        axis.axhline(error, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "ha": "right", "color": SOFT}
        axis.annotate("target", (1, error), (-4, 4), fontsize=9, **place)
        _style(axis)
        figure.legend(
            frameon=False, fontsize=9, labelcolor=INK, loc="upper left", bbox_to_anchor=(0.665, 0.91), alignment="left"
        )
        figure.tight_layout(rect=(0, 0, 0.67, 0.94))


def _draw_method(axis: Any, method: Mapping[str, Any], colour: str) -> None:
    label: str | None = f"{method['name']}\n{method['speedup']:.2f} times, {method['reached']} of {method['runs']}"
    for curve, reached in zip(method["curves"], method["ends"], strict=True):
        seconds, accuracies = zip(*curve, strict=True)
        axis.plot(seconds, [1 - a for a in accuracies], color=colour, linewidth=0.9, alpha=0.65, label=label)
        label = None
        if reached:
            axis.plot(seconds[-1], 1 - accuracies[-1], "o", color=colour, markersize=4, zorder=3)


def _style(axis: Any) -> None:
    axis.set_yscale("log")
    axis.set_xlim(left=0)
    axis.yaxis.set_minor_formatter(lambda value, _: "")
    axis.set_yticks([share for share in TICKS if axis.get_ylim()[0] < share < axis.get_ylim()[1]])
    axis.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    axis.set_xlabel("seconds of processor time, steps alone", color=INK)
    axis.set_ylabel("wrong answers on the validation images", color=INK)
    axis.grid(color=SOFT, alpha=0.25, linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(colors=SOFT, labelsize=9, which="both")
