"""`tilework report`."""

from __future__ import annotations

from typing import Any

import click

from tilework.commands.options import json_option, machine_option, network_options, print_json, weights_options
from tilework.commands.progress import progress, working
from tilework.commands.reading import calibrated
from tilework.commands.segments import warn
from tilework.commands.sharing import compile_options
from tilework.counting import load
from tilework.errors import MachineError
from tilework.executable import find_weights
from tilework.machine.load import load_either
from tilework.machine.machine import Machine
from tilework.report.page.subject import subject_of
from tilework.report.page.write import check_ending, write


@click.command()
@network_options
@machine_option
@click.option("--beside", multiple=True, metavar="MACHINE", help="Another machine on the roofline. Repeatable.")
@click.option("--phase", type=click.Choice(("prefill", "decode")), default=None, help="Of hf:CONFIG.")
@compile_options
@weights_options
@click.option("-o", "--output", required=True, metavar="FILE", help="The page to write, FILE.html.")
@json_option
def report(
    network: str,
    inputs: tuple[str, ...],
    batch: str | None,
    machine: str | None,
    beside: tuple[str, ...],
    phase: str | None,
    choices: dict[str, Any],
    weights: str | None,
    seed: int | None,
    output: str,
    as_json: bool,
) -> None:
    """NETWORK on a machine as one page: costs, modules, roofline, simulated run, memory and graph, linked together.

    The file needs no other and no network connection. For an accelerator of which only peaks are known it has no run.

    \b
    Examples:
      tilework report alexnet --for dlp-s -o alexnet.html
      tilework report resnet50 --for dlp-m4 --beside h100-sxm --beside t4 -o resnet50.html
      tilework report hf:config.json --for h200-sxm --phase decode -o decode.html
    """
    check_ending(output)
    if batch is not None and not batch.isdecimal():
        raise MachineError(f"--batch must be a whole number for a page, not {batch!r}; give one such as 8")
    target = load_either(machine or "dlp-s")
    with working(f"reading {network}"):
        graph = load(network, *inputs, batch=None if batch is None else int(batch), phase=phase or "")
    if not isinstance(target, Machine) and (choices.keys() - {"dtype"} or weights or seed is not None):
        raise MachineError(
            f"nothing is compiled for {target.name}, of which only peaks are known; of the options about compiling "
            "leave out all but --dtype"
        )
    if isinstance(target, Machine):
        warn(graph)
        choices = {**calibrated(graph, choices), "weights": find_weights(graph, network, weights, seed)}
    with progress("compiling") as moved:
        subject = subject_of(graph, target, beside, progress=moved, **choices)
    with working("writing the page"):
        written = write(subject, output)
    if written.missing:
        click.echo(f"warning: nothing is simulated: {written.missing}", err=True)
    if as_json:
        print_json(written.to_dict())
    else:
        click.echo(str(written))
