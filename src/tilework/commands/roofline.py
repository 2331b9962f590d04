"""`tilework roofline`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from tilework.commands.options import input_option, json_option, print_json
from tilework.commands.progress import working
from tilework.cost.roofline import Roofline, comparison, levels_table, table
from tilework.cost.roofline import roofline as bound
from tilework.cost.traffic import BYTES
from tilework.counting import load
from tilework.errors import MachineError
from tilework.machine.load import load_either
from tilework.plain import columns, percent, quantity


@click.command()
@click.argument("networks", metavar="NETWORK...", nargs=-1, required=True)
@input_option
@click.option("--batch", metavar="N,…", help="Inputs at a time; several numbers: 1,4,16.")
@click.option("--on", "machines", multiple=True, required=True, metavar="MACHINE", help="May be repeated.")
@click.option(
    "--dtype",
    "dtypes",
    type=click.Choice(tuple(BYTES)),
    multiple=True,
    help="What numbers are stored as (default: the machine's). May be repeated.",
)
@click.option("--phase", type=click.Choice(("prefill", "decode")), default=None, help="Of hf:CONFIG.")
@click.option("--top", type=click.IntRange(1), metavar="N", help="Only the N layers that take longest.")
@click.option("--levels", is_flag=True, help="Operations for each byte of every level of memory.")
@click.option("--achieved", is_flag=True, help="Compile and simulate it too (machines described in full).")
@click.option(
    "-o", "--output", metavar="FILE", help="Draw the roofs and the layers under them, or a sweep (.svg, .png)."
)
@json_option
def roofline(
    networks: tuple[str, ...],
    inputs: tuple[str, ...],
    batch: str | None,
    machines: tuple[str, ...],
    dtypes: tuple[str, ...],
    phase: str | None,
    top: int | None,
    levels: bool,
    achieved: bool,
    output: str | None,
    as_json: bool,
) -> None:
    """The least time of NETWORK on a machine, by its peak and bandwidth, layer by layer, and what bounds it.

    MACHINE is a name that `tilework machines` lists, or a path to a TOML file. Several networks, machines, dtypes or
    batches are a line each; a picture of several batches has the time over the batch.

    \b
    Examples:
      tilework roofline resnet50 --on h100-sxm
      tilework roofline vgg19 --on t4 --batch 32 --dtype int8 --top 10
      tilework roofline hf:config.json --phase decode --on h200-sxm --on mi300x
      tilework roofline alexnet vgg19 --on t4 --on dlp-m4 -o roofs.svg
      tilework roofline resnet50 --on h100-sxm --batch 1,4,16,64,256 --dtype float16 --dtype int8 -o sweep.svg
      tilework roofline alexnet --on dlp-s --achieved -o roof.svg
    """
    batches = _batches(batch)
    on = [load_either(machine) for machine in machines]
    with working(f"reading {', '.join(networks)}"):
        graphs = [load(network, *inputs, batch=number, phase=phase or "") for network in networks for number in batches]
        asked = [(graph, machine, dtype) for graph in graphs for machine in on for dtype in dtypes or (None,)]
        found = [bound(graph, machine, dtype) for graph, machine, dtype in asked]
    reached = _achieved(asked, found) if achieved else ()
    if output:
        _draw(found, reached, output)
    if as_json:
        print_json(_document(graphs[0].name, networks, found, reached))
    else:
        click.echo(_text(found, reached, top, levels))


def _batches(text: str | None) -> list[int | None]:
    numbers = (text or "").split(",")
    if text is not None and not all(number.isdecimal() and int(number) for number in numbers):
        raise MachineError(
            f"--batch must be whole numbers above 0 for a roofline, not {text!r}; give some such as 8 or 1,8,64"
        )
    return [int(number) for number in numbers] if text else [None]


def _achieved(asked: Sequence[tuple[Any, Any, str | None]], found: Sequence[Roofline]) -> tuple[Any, ...]:
    from tilework.achieving import achieved

    if len(found) > 1:
        raise MachineError("--achieved goes with one network, machine, dtype and batch; leave the others out")
    graph, machine, dtype = asked[0]
    with working("compiling and simulating"):
        return achieved(graph, machine, dtype)


def _draw(found: Sequence[Roofline], reached: Sequence[Any], output: str) -> None:
    if len({one.batch for one in found}) > 1:
        from tilework.report.sweep import draw_sweep

        draw_sweep(found, output)
    else:
        from tilework.report.roofline import draw_roofline

        draw_roofline(found, output, reached)


def _document(name: str, networks: Sequence[str], found: Sequence[Roofline], reached: Sequence[Any]) -> dict[str, Any]:
    documents = [one.to_dict() for one in found]
    if reached:
        documents[0]["achieved"] = [one.to_dict() for one in reached]
    if len(found) == 1:
        return documents[0]
    return {"network": name, "rooflines": documents} if len(networks) == 1 else {"rooflines": documents}


def _text(found: Sequence[Roofline], reached: Sequence[Any], top: int | None, levels: bool) -> str:
    if len(found) > 1:
        return comparison(found)
    parts = [table(found[0], top)]
    if levels:
        parts.append(levels_table(found[0], top))
    if reached:
        parts.append(_achieved_table(reached, top))
    return "\n\n".join(parts)


def _achieved_table(reached: Sequence[Any], top: int | None) -> str:
    shown = sorted(reached, key=lambda one: -one.seconds)[:top] if top else reached
    rows = [
        (
            one.name,
            quantity(one.seconds, "s"),
            quantity(one.bound_seconds, "s"),
            percent(one.bound_seconds / one.seconds) if one.seconds else "-",
            quantity(one.operations_per_second, "op/s"),
        )
        for one in shown
    ]
    seconds = sum(one.seconds for one in reached)
    return "\n\n".join(
        (
            columns(("layers, as compiled", "simulated", "at least", "reached", "operations"), rows),
            f"Simulated: {quantity(seconds, 's')} in the layers",
        )
    )
