"""`tilework simulate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from tilework.commands.alternatives import cache_option, other_cores, parse_cache, window_option
from tilework.commands.options import json_option, print_json
from tilework.commands.programs import read_bundle, read_text
from tilework.commands.segments import on_the_host
from tilework.commands.timelines import Timeline, inputs_of, of_programs, of_tiles
from tilework.doubling import what_if
from tilework.errors import ProgramError, SimulationError
from tilework.files import replacing
from tilework.frontend.topology import read_topology
from tilework.isa.program import Program
from tilework.isa.tile_language import Section, parse_tiles
from tilework.machine.load import load_machine
from tilework.simulator.bounds import check_addresses
from tilework.simulator.cycle import simulate as simulate_program
from tilework.simulator.functional import unwritten_reads
from tilework.simulator.layers import simulate_topology
from tilework.simulator.tables import histogram as histogram_of
from tilework.simulator.tile_time import simulate_tiles
from tilework.simulator.together import together


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--on", "machine", metavar="MACHINE", help="The processor (default dlp-s); a .tile has its own.")
@click.option("--timeline", is_flag=True, help="Print the timeline: a row per unit, then a line per event.")
@click.option("--cycles", is_flag=True, help="Print the timeline with a line per cycle; for a .tile or assembly.")
@click.option("-o", "--output", metavar="FILE", help="Draw the timeline as .svg or .png.")
@click.option("--trace", metavar="T.json", help="Write the timeline as a Chrome/Perfetto trace.")
@click.option("--histogram", is_flag=True, help="Print how many instructions took how many cycles.")
@click.option(
    "--reads",
    type=click.Choice(["report", "error"]),
    help="Run the values too, inputs 0, and report reads on chip of what was never written, or stop at the first.",
)
@window_option
@cache_option
@click.option("--what-if", "doubling", is_flag=True, help="How much faster with each resource doubled.")
@json_option
def simulate(
    file: str,
    machine: str | None,
    timeline: bool,
    cycles: bool,
    output: str | None,
    trace: str | None,
    histogram: bool,
    reads: str | None,
    window: int | None,
    cache: str | None,
    doubling: bool,
    as_json: bool,
) -> None:
    """The exact time of a program: FILE is an executable (.tile), the tile language (.tl) or assembly text.

    A network's layers may be given by their sizes alone, in SCALE-Sim's topology format (.csv): docs/systolic.md.

    \b
    Examples:
      tilework simulate lenet5.tile -o lenet5.svg
      tilework simulate examples/pipeline.s --on dlp-s --timeline
      tilework simulate examples/cluster.s --on dlp-m4 --cycles
      tilework simulate examples/pipeline.s --window 16 --cache 4KiB/64/2
      tilework simulate examples/ex7_9.tl --on dlp-s --timeline
      tilework simulate examples/pipeline.s --what-if
      tilework simulate examples/alexnet.csv --on scale-32x32-ws
    """
    kind = Path(file).suffix
    timed = {"--timeline": timeline, "-o": bool(output), "--trace": bool(trace), "--what-if": doubling}
    _check_options(kind, timed, "a program", (".csv",))
    detailed = {"--cycles": cycles, "--histogram": histogram, "--reads": bool(reads)}
    detailed |= {"--window": window is not None, "--cache": cache is not None}
    _check_options(kind, detailed, "a program of instructions", (".csv", ".tl"))
    other_cache = parse_cache(cache) if cache else None
    bundle = None if kind in (".csv", ".tl") else read_bundle(file, machine)
    if bundle is None:
        name, cost, shown = (_topology if kind == ".csv" else _tiles)(file, machine)
    else:
        name, cost, shown = _instructions(bundle.programs, of_text=kind != ".tile")
    record, parts = cost.to_dict(), [name, str(cost)]
    if bundle and bundle.host_parts:
        record |= {"host_operations": list(bundle.host_operations), "host_bytes": bundle.host_bytes}
        parts.append(on_the_host(bundle))
    if bundle:
        others, texts = other_cores(bundle.programs, cost.cycles, window, other_cache)
        record |= others
        parts += texts
    if histogram:
        parts.append(histogram_of(cost))
    if reads and bundle:
        found = [line for program in bundle.programs for line in _reads(program, strict=reads == "error")]
        record["unwritten_reads"] = found
        parts.append("\n".join(found) or "nothing is read on chip before it is written")
    if doubling:
        answer = what_if(bundle) if bundle else what_if(_sections(file), machine)
        record |= answer.to_dict()
        parts.append(str(answer))
    if output:
        shown.draw(output, name)
    if trace:
        with replacing(trace) as target:
            target.write(shown.trace().encode())
    if as_json:
        print_json(record)
        return
    if timeline:
        parts.append(shown.units_and_events())
    if cycles:
        parts.append(shown.cycles())
    click.echo("\n\n".join(parts))


def _check_options(kind: str, given: dict[str, bool], wanted: str, without: tuple[str, ...]) -> None:
    for option, there in given.items():
        if there and kind in without:
            came = {".tl": "one in the tile language", ".csv": "a topology"}[kind]
            raise ProgramError(f"{option} must go with {wanted}, not with {came}; leave it out")


def _topology(file: str, machine_name: str | None) -> tuple[str, Any, Any]:
    layers, machine = read_topology(file), load_machine(machine_name or "dlp-s")
    return f"{Path(file).stem} on {machine.name}", simulate_topology(layers, machine), None


def _tiles(file: str, machine_name: str | None) -> tuple[str, Any, Timeline]:
    program = _sections(file)
    machine = load_machine(machine_name or "dlp-s")
    return f"{Path(file).stem} on {machine.name}", simulate_tiles(program, machine), of_tiles(program, machine)


def _sections(file: str) -> tuple[Section, ...]:
    return parse_tiles(read_text(file, "a program in the tile language"))


def _instructions(programs: Sequence[Program], of_text: bool) -> tuple[str, Any, Timeline]:
    """Programs one after another; what the host does between them takes no time here."""
    for program in programs:
        check_addresses(program, program.machine.dram.capacity_bytes if of_text else program.dram_bytes)
    name = f"{programs[0].name} on {programs[0].machine.name}"
    return name, together([simulate_program(p, inputs=inputs_of(p)) for p in programs]), of_programs(programs)


def _reads(program: Program, strict: bool) -> list[str]:
    """Reads on chip before anything was written there; what DRAM holds at the start is the user's."""
    import numpy as np

    inputs = {port.name: np.zeros(port.shape, np.float32) for port in program.inputs}
    found = [str(read) for read in unwritten_reads(program, inputs) if read.memory != "dram"]
    if strict and found:
        raise SimulationError(found[0])
    return found
