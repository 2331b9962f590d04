"""`tilework count`."""

from __future__ import annotations

import sys

import click

from tilework.commands.options import json_option, network_options, print_json
from tilework.cost.count import Count
from tilework.cost.count import count as count_graph
from tilework.cost.record import GROUPINGS, LAYER
from tilework.frontend.resolve import resolve

DTYPES = ("float32", "float16", "bfloat16", "int8")
FORMATS = ("table", "csv", "markdown", "json")
CONVENTIONS = PADDED, UNPADDED = ("padded", "unpadded")


@click.command()
@network_options
@click.option("--dtype", type=click.Choice(DTYPES), help="What numbers are stored as, for the bytes.")
@click.option("--by", type=click.Choice(GROUPINGS), default=LAYER, help="What a line stands for (default: layer).")
@click.option("--depth", type=int, metavar="N", help="Show modules as one line from this level on.")
@click.option(
    "--convention",
    type=click.Choice(CONVENTIONS),
    default=PADDED,
    help="Whether operations on padding zeros count (default: padded, they do).",
)
@click.option("--no-padding", is_flag=True, help="The same as --convention unpadded.")
@click.option("--format", "style", type=click.Choice(FORMATS), default="table", help="Default: table.")
@json_option
def count(
    network: str,
    inputs: tuple[str, ...],
    batch: int | None,
    dtype: str | None,
    by: str,
    depth: int | None,
    convention: str,
    no_padding: bool,
    style: str,
    as_json: bool,
) -> None:
    """What NETWORK holds and computes: parameters, neurons, multiplications, additions, other operations and bytes.

    NETWORK is a name that `tilework networks` lists, or a .graph or .onnx file.

    \b
    Examples:
      tilework count alexnet
      tilework count resnet152 --depth 1 --batch 8 --dtype float16
      tilework count vgg19 --input 3,256,256 --by operation --json
    """
    graph = resolve(network, batch, inputs)
    counted = count_graph(graph, padding_zeros=not no_padding and convention == PADDED, dtype=dtype)
    _show(counted.grouped(by, depth), "json" if as_json else style)


def _show(counted: Count, style: str) -> None:
    if style == "json":
        print_json(counted.to_dict())
    elif style == "csv":
        click.echo(counted.to_csv(), nl=False)
    elif style == "markdown":
        click.echo(counted.to_markdown(), nl=False)
    elif sys.stdout.isatty():
        _show_in_terminal(counted)
    else:
        click.echo(str(counted))


def _show_in_terminal(counted: Count) -> None:
    from rich.console import Console

    from tilework.cost.tables import show

    show(counted, Console())
