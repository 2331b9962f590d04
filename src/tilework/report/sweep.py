"""The least time of networks over the batch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from math import ceil, floor, log10
from pathlib import Path
from typing import Any

from tilework.cost.limits import COMPUTE
from tilework.cost.roofline import Roofline
from tilework.plain import quantity
from tilework.report.picture import COLOURS, INK, SOFT, picture

WIDTH, HEIGHT = 1000, 620
STYLES = ("-", "--", ":", "-.")  # of networks


def draw_sweep(found: Sequence[Roofline], path: str | Path) -> None:
    """A curve for each network, machine and dtype: the least time of one input when so many come together.

    A machine and dtype has a colour, a network a style of line; a point is filled where compute bounds most of the
    time, hollow where memory does. Raises OutputError for another ending than .svg and .png, MissingPackageError
    without matplotlib.
    """
    networks = list(dict.fromkeys(one.network for one in found))
    titles = dict(zip(dict.fromkeys(one.title for one in found), cycle(COLOURS), strict=False))
    styles = dict(zip(networks, cycle(STYLES), strict=False))
    with picture(path, WIDTH, HEIGHT) as figure:
        axes = figure.add_axes((0.1, 0.1, 0.6, 0.8))
        axes.set_title(", ".join(networks), loc="left", color=INK)
        for network in networks:
            for title, colour in titles.items():
                own = [one for one in found if (one.network, one.title) == (network, title)]
                label = title if len(networks) == 1 else f"{network}, {title}"
                _curve(axes, sorted(own, key=lambda one: one.batch), colour, styles[network], label)
        _style(axes, sorted({one.batch for one in found}))


def _curve(axes: Any, own: Sequence[Roofline], colour: str, style: str, label: str) -> None:
    batches, times = [one.batch for one in own], [one.seconds / one.batch for one in own]
    axes.plot(batches, times, style, color=colour, linewidth=1.4, label=label)
    for one, batch, time in zip(own, batches, times, strict=True):
        face = colour if one.bound_by == COMPUTE else "white"
        axes.plot(batch, time, "o", color=colour, markerfacecolor=face, markersize=6)


def _style(axes: Any, batches: Sequence[int]) -> None:
    axes.set(xscale="log", yscale="log")
    axes.set_xlabel("inputs at a time", color=INK)
    axes.set_ylabel("least time for each", color=INK)
    axes.set_xticks(batches, [f"{batch:,}" for batch in batches])
    axes.minorticks_off()
    low, high = axes.get_ylim()
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    ticks = [digit * 10.0**decade for decade in decades for digit in (1, 2, 3, 5, 7)]
    shown = [tick for tick in ticks if low <= tick <= high]
    axes.set_yticks(shown, [quantity(tick, "s") for tick in shown])
    axes.grid(color=SOFT, alpha=0.25, linewidth=0.6)
    for name, face in (("compute bounds most of it", SOFT), ("memory does", "white")):
        axes.plot([], [], "o", color=SOFT, markerfacecolor=face, markersize=6, label=name)
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False, fontsize=9, borderaxespad=0)
