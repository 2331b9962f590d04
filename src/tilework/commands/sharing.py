"""The choices about a compilation that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from tilework.compiler.options import EVERY, OBJECTIVES, SPLITS, Options

_FLAGS = (
    click.option("--cores", type=int, metavar="N", help="Cores to use (default all that the processor has)."),
    click.option(
        "--split",
        type=click.Choice(SPLITS),
        help="What cores share: a batch (data), each layer's outputs (model), or these or its sums, by time (auto).",
    ),
    click.option(
        "--dtype",
        metavar="DTYPE",
        help="What the program's numbers are: float32 (the default, if there is that), float16, bfloat16 or int8.",
    ),
    click.option(
        "--calibrate",
        "calibration",
        metavar="FILE",
        help="What shows int8 how large numbers become: a picture, or an array of many inputs (.npy, .npz).",
    ),
    click.option(
        "--objective",
        type=click.Choice(OBJECTIVES),
        help="What is to be least: time (the default), traffic (bytes to and from DRAM), energy, energy x time (edp).",
    ),
    click.option(
        "--no-fusion",
        "fused",
        is_flag=True,
        flag_value=False,
        default=None,
        help="Each operation's result goes through DRAM, to see what fusion saves.",
    ),
    click.option(
        "--prune",
        multiple=True,
        metavar="[LAYER=]SHARE",
        callback=lambda context, parameter, texts: dict(map(_share, texts)) or None,
        help="The share of its weights that a layer, or each of those not named, loses: 0.5, or conv1=0. Repeatable.",
    ),
)


def _share(text: str) -> tuple[str, float]:
    name, _, share = text.rpartition("=")
    try:
        return name or EVERY, float(share)
    except ValueError:
        raise click.BadParameter(f"a share must be a number, as in 0.5 or conv1=0.5, not {share!r}") from None


def compile_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The fields of `compiler.options.Options` that the user has chosen, as the parameter `choices`, and with them the
    file of `calibration`, which `reading.calibrated` reads."""

    @wraps(command)
    def collected(**parameters: Any) -> Any:
        given = {name: parameters.pop(name) for name in (*Options.__dataclass_fields__, "calibration")}
        return command(choices={name: value for name, value in given.items() if value is not None}, **parameters)

    for option in reversed(_FLAGS):
        collected = option(collected)
    return collected
