"""`tilework roofline`."""

from __future__ import annotations

import click

from tilework.commands.options import json_option, network_options, print_json
from tilework.commands.progress import working
from tilework.cost.roofline import comparison, table
from tilework.cost.traffic import BYTES
from tilework.counting import load
from tilework.counting import roofline as bound
from tilework.errors import MachineError


@click.command()
@network_options
@click.option("--on", "machines", multiple=True, required=True, metavar="MACHINE", help="May be repeated.")
@click.option("--dtype", type=click.Choice(tuple(BYTES)), help="What numbers are stored as (default: the machine's).")
@click.option("--phase", type=click.Choice(("prefill", "decode")), default=None, help="Of hf:CONFIG.")
@click.option("--top", type=click.IntRange(1), metavar="N", help="Only the N layers that take longest.")
@click.option("-o", "--output", metavar="FILE", help="Draw the roof and the layers under it (.svg, .png).")
@json_option
def roofline(
    network: str,
    inputs: tuple[str, ...],
    batch: str | None,
    machines: tuple[str, ...],
    dtype: str | None,
    phase: str | None,
    top: int | None,
    output: str | None,
    as_json: bool,
) -> None:
    """The least time of NETWORK on a machine, by its peak and bandwidth, layer by layer, and what bounds it.

    MACHINE is a name that `tilework machines` lists, or a path to a TOML file.

    \b
    Examples:
      tilework roofline resnet50 --on h100-sxm
      tilework roofline vgg19 --on t4 --batch 32 --dtype int8 --top 10
      tilework roofline hf:config.json --phase decode --on h200-sxm --on mi300x
      tilework roofline alexnet --on dlp-s -o roof.svg
    """
    if batch is not None and not batch.isdecimal():
        raise MachineError(f"--batch must be a whole number for a roofline, not {batch!r}; give one such as 8")
    with working(f"reading {network}"):
        graph = load(network, *inputs, batch=None if batch is None else int(batch), phase=phase or "")
        found = [bound(graph, machine, dtype=dtype) for machine in machines]
    if output:
        from tilework.report.roofline import draw_roofline

        draw_roofline(found, output)
    if as_json:
        documents = [one.to_dict() for one in found]
        print_json(documents[0] if len(found) == 1 else {"network": graph.name, "rooflines": documents})
    elif len(found) > 1:
        click.echo(comparison(found))
    else:
        click.echo(table(found[0], top))
