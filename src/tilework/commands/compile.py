"""`tilework compile`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tilework.commands.options import (
    json_option,
    machine_option,
    network_options,
    print_json,
    weights_options,
)
from tilework.commands.progress import progress, working
from tilework.commands.sharing import compile_options
from tilework.compiler.pipeline import STAGES
from tilework.executable import Executable, compile_network, find_weights
from tilework.frontend.resolve import resolve


@click.command()
@network_options
@machine_option
@compile_options
@weights_options
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="The executable to write, FILE.tile.")
@click.option("--stage", type=click.Choice(STAGES), help="Print what this stage of the compiler made.")
@json_option
def compile(
    network: str,
    inputs: tuple[str, ...],
    batch: int | None,
    machine: str | None,
    choices: dict[str, Any],
    weights: str | None,
    seed: int | None,
    output: str | None,
    stage: str | None,
    as_json: bool,
) -> None:
    """Compile NETWORK into a program for a processor, as an executable file or to look at.

    \b
    Examples:
      tilework compile lenet5 --for dlp-s -o lenet5.tile
      tilework compile alexnet --for dlp-s --stage tile
      tilework compile lenet5 --for dlp-s --stage lower
      tilework compile resnet50 --batch 4 --for dlp-m4 --split data
    """
    graph = resolve(network, batch, inputs)
    with progress("compiling") as moved:
        found = find_weights(graph, network, weights, seed)
        executable = compile_network(graph, machine or "dlp-s", found, progress=moved, **choices)
    if output:
        with working("packing weights"):
            executable.save(output)
    if as_json:
        print_json(_record(executable, output))
    elif stage and executable.compilation:
        click.echo(executable.compilation.text(stage), nl=False)
    else:
        click.echo(_text(executable, output))


def _record(executable: Executable, output: str | None) -> dict[str, Any]:
    program, cost = executable.program, executable.cost
    return {
        "network": program.name,
        "machine": program.machine.name,
        "weights": program.facts["weights"],
        "cores": sum(stream.role == "core" for stream in program.streams),
        "instructions": sum(len(stream.instructions) for stream in program.streams),
        "bytes": Path(output).stat().st_size if output else program.weight_bytes,
        "host_operations": list(program.host_operations),
        "dram_bytes": cost.dram_bytes,
        "dram_bytes_bound": cost.dram_bytes_bound,
        "cycles": cost.cycles,
        "bound_cycles": cost.bound_cycles,
        "log": list(executable.compilation.log) if executable.compilation else [],
    }


def _text(executable: Executable, output: str | None) -> str:
    record = _record(executable, output)
    done = [f"  {line}" for line in record["log"]] or ["  nothing to simplify"]
    fused = [f"  {layer.name}: {layer.operation}" for layer in executable.program.layers]
    host = ", ".join(record["host_operations"]) or "none"
    cores = f" ({record['cores']} cores)" if record["cores"] > 1 else ""
    return "\n".join(
        (
            f"{record['network']} for {record['machine']}{cores}, weights {record['weights']}",
            "simplified:",
            *done,
            f"layers ({len(fused)}):",
            *fused,
            f"on the host: {host}",
            f"instructions {record['instructions']:,}, weights {executable.program.weight_bytes:,} bytes",
            f"cycles {record['cycles']:,}, {record['cycles'] / max(1.0, record['bound_cycles']):.3f} of the bound",
            f"DRAM bytes {record['dram_bytes']:,}, at least {record['dram_bytes_bound']:,}",
            *([f"written to {output}, {record['bytes']:,} bytes"] if output else []),
        )
    )
