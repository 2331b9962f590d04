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
from tilework.commands.reading import calibrated
from tilework.commands.segments import on_the_host, warn
from tilework.commands.sharing import compile_options
from tilework.compiler.pipeline import STAGES
from tilework.errors import OutputError
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
    if output and not output.endswith(".tile"):
        raise OutputError(f"the executable's name must end in .tile, unlike {output!r}")
    graph = resolve(network, batch, inputs)
    warn(graph)
    with progress("compiling") as moved:
        found = find_weights(graph, network, weights, seed)
        executable = compile_network(graph, machine or "dlp-s", found, progress=moved, **calibrated(graph, choices))
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
    bundle, cost = executable.bundle, executable.cost
    return {
        "network": bundle.name,
        "machine": bundle.machine.name,
        "weights": bundle.facts["weights"],
        "cores": cost.cores,
        "programs": len(bundle.programs),
        "instructions": sum(len(s.instructions) for program in bundle.programs for s in program.streams),
        "bytes": Path(output).stat().st_size if output else bundle.weight_bytes,
        "host_operations": list(bundle.host_operations),
        "host_bytes": bundle.host_bytes,
        "dram_bytes": cost.dram_bytes,
        "dram_bytes_bound": cost.dram_bytes_bound,
        "cycles": cost.cycles,
        "bound_cycles": cost.bound_cycles,
        "array_bound_cycles": cost.array_bound_cycles,
        "log": list(executable.compilation.log) if executable.compilation else [],
    }


def _text(executable: Executable, output: str | None) -> str:
    record = _record(executable, output)
    done = [f"  {line}" for line in record["log"]] or ["  nothing to simplify"]
    fused = [f"  {layer.name}: {layer.operation}" for layer in executable.cost.layers]
    cores = f" ({record['cores']} cores)" if record["cores"] > 1 else ""
    return "\n".join(
        (
            f"{record['network']} for {record['machine']}{cores}, weights {record['weights']}",
            "simplified:",
            *done,
            f"layers ({len(fused)}):",
            *fused,
            on_the_host(executable.bundle),
            f"instructions {record['instructions']:,}, weights {executable.bundle.weight_bytes:,} bytes",
            f"cycles {record['cycles']:,}, {record['cycles'] / max(1.0, record['bound_cycles']):.3f} of the bound",
            f"DRAM bytes {record['dram_bytes']:,}, at least {record['dram_bytes_bound']:,}",
            *([f"written to {output}, {record['bytes']:,} bytes"] if output else []),
        )
    )
