"""The options of the commands that compile for several cores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from tilework.compiler.split import SPLITS

Command = TypeVar("Command", bound=Callable[..., Any])


def cores_options(command: Command) -> Command:
    """--cores and --split, as the parameters `cores` and `split` of `executable.compile_network`."""
    for option in (
        click.option(
            "--split",
            type=click.Choice(SPLITS),
            help="What cores share: the inputs of a batch (data), each layer's outputs (model), what is faster (auto).",
        ),
        click.option("--cores", type=int, metavar="N", help="Cores to use (default all that the processor has)."),
    ):
        command = option(command)
    return command
