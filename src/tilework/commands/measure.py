"""`tilework measure`."""

from __future__ import annotations

import click

from tilework.commands.options import json_option, network_options, print_json
from tilework.commands.progress import working
from tilework.cost.measured import table
from tilework.errors import NetworkError
from tilework.measuring import ONNX, RUNS, RUNTIMES
from tilework.measuring import measure as measure_network


@click.command()
@network_options
@click.option("--with", "runtime", type=click.Choice(RUNTIMES), default=ONNX, help="What runs it.")
@click.option("--on", "machine", metavar="MACHINE", help="Whose bound stands beside it (default: this one, measured).")
@click.option("--threads", type=click.IntRange(1), metavar="N", help="Of the runtime (default: all processors).")
@click.option("--runs", type=click.IntRange(1), default=RUNS, metavar="N", help="Whose median counts.")
@click.option("--phase", type=click.Choice(("prefill", "decode")), default=None, help="Of hf:CONFIG.")
@click.option("--top", type=click.IntRange(1), metavar="N", help="Only the N layers that take longest.")
@click.option("-o", "--output", metavar="FILE", help="Draw the layers under the machine's roof (.svg, .png).")
@json_option
def measure(
    network: str,
    inputs: tuple[str, ...],
    batch: str | None,
    runtime: str,
    machine: str | None,
    threads: int | None,
    runs: int,
    phase: str | None,
    top: int | None,
    output: str | None,
    as_json: bool,
) -> None:
    """The time of NETWORK on this machine, layer by layer, beside the least time and a prediction.

    It runs in ONNX Runtime, or, if it is a torch module (py:MODULE:CALLABLE), in torch. Layers that the runtime fuses
    are one line. --on takes what `tilework machines measure` wrote, which saves measuring the machine again.

    \b
    Examples:
      tilework measure resnet18
      tilework measure alexnet --threads 1 --top 10
      tilework measure mobilenet_v2 --on here.toml -o roof.svg
      tilework measure py:my.networks:make --with torch --input 1,3,224,224
    """
    if batch is not None and not batch.isdecimal():
        raise NetworkError(f"--batch must be a whole number to be measured, not {batch!r}; give one such as 8")
    with working(f"measuring {network}"):
        found = measure_network(
            network,
            *inputs,
            on=machine,
            runtime=runtime,
            threads=threads,
            runs=runs,
            batch=None if batch is None else int(batch),
            phase=phase or "",
        )
    if output:
        from tilework.report.measured import draw_measured

        draw_measured(found, output)
    if as_json:
        print_json(found.to_dict())
    else:
        click.echo(table(found, top))
