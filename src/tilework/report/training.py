"""A training as a picture: loss, accuracy and learning rate by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tilework.report.curves import Curve, panelled, plot
from tilework.report.picture import INK
from tilework.train.fit import Record


def draw_training(history: Sequence[Record], path: str | Path, title: str = "") -> None:
    """Three panels with a point for each epoch, to an .svg or .png file.

    Raises OutputError for another ending, MissingPackageError without matplotlib.
    """
    panels: dict[str, dict[str, Curve]] = {
        "mean loss": {"training": [(record.epoch, record.loss) for record in history]},
        "accuracy, %": {"training": [(record.epoch, 100 * record.train_accuracy) for record in history]},
        "learning rate": {"learning rate": [(record.epoch, record.rate) for record in history]},
    }
    validation = [(r.epoch, 100 * r.validation_accuracy) for r in history if r.validation_accuracy is not None]
    if validation:
        panels["accuracy, %"]["validation"] = validation
    names = {name: None for curves in panels.values() for name in curves}
    with panelled(path, panels, title, names) as axes:
        for axis, curves in zip(axes, panels.values(), strict=True):
            plot(axis, curves, names, linewidth=1.8, marker="o" if len(history) == 1 else "")
            axis.set_xlabel("epoch", color=INK)
            axis.set_ylim(bottom=None if "accuracy" in axis.get_title("left") else 0)
            axis.xaxis.get_major_locator().set_params(integer=True)
