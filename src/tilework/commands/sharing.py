"""The choices about a compilation that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from tilework.compiler.options import SPLITS, Options

_FLAGS = (
    click.option("--cores", type=int, metavar="N", help="Cores to use (default all that the processor has)."),
    click.option(
        "--split",
        type=click.Choice(SPLITS),
        help="What cores share: the inputs of a batch (data), each layer's outputs (model), what is faster (auto).",
    ),
    click.option(
        "--dtype",
        metavar="DTYPE",
        help="What the program's numbers are: float32 (the default, if the processor has it), float16 or bfloat16.",
    ),
    click.option(
        "--no-fusion",
        "fused",
        is_flag=True,
        flag_value=False,
        default=None,
        help="Each operation's result goes through DRAM, to see what fusion saves.",
    ),
)


def compile_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The fields of `compiler.options.Options` that the user has chosen, as the parameter `choices`."""

    @wraps(command)
    def collected(**parameters: Any) -> Any:
        given = {name: parameters.pop(name) for name in Options.__dataclass_fields__}
        return command(choices={name: value for name, value in given.items() if value is not None}, **parameters)

    for option in reversed(_FLAGS):
        collected = option(collected)
    return collected
