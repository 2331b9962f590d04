"""`tilework simulate`."""

from __future__ import annotations

from pathlib import Path

import click

from tilework.commands.options import json_option, print_json
from tilework.errors import ProgramError
from tilework.files import replacing
from tilework.isa.assembly import parse_program
from tilework.isa.container import load_program
from tilework.isa.program import Program
from tilework.isa.tile_language import parse_tiles
from tilework.machine.load import load_machine
from tilework.simulator.cycle import simulate as simulate_program
from tilework.simulator.tile_time import simulate_tiles
from tilework.simulator.tile_timeline import tile_events, tile_gantt, tile_listing, tile_trace
from tilework.simulator.timeline import chrome_trace, events, gantt, listing

SHOWN_EVENTS = 200


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--on", "machine", metavar="MACHINE", help="The processor, for text only (default dlp-s).")
@click.option("--trace", metavar="T.json", help="Write the timeline as a Chrome/Perfetto trace.")
@click.option("--timeline", is_flag=True, help="Print the timeline: a row per unit, then a line per event.")
@json_option
def simulate(file: str, machine: str | None, trace: str | None, timeline: bool, as_json: bool) -> None:
    """The exact time of a program: FILE is an executable (.tile), the tile language (.tl) or assembly text.

    \b
    Examples:
      tilework simulate lenet5.tile
      tilework simulate examples/pipeline.s --on dlp-s --timeline
      tilework simulate examples/ex7_9.tl --on dlp-s --timeline
    """
    if file.endswith(".tl"):
        _tiles(file, machine, trace, timeline, as_json)
        return
    program = _program(file, machine)
    cost = simulate_program(program)
    if trace:
        _write(trace, chrome_trace(events(program), program.machine.clock_hz))
    if as_json:
        print_json(cost.to_dict())
        return
    parts = [f"{program.name} on {program.machine.name}", str(cost)]
    if timeline:
        shown = events(program, SHOWN_EVENTS)
        parts += [gantt(shown), listing(shown)]
    click.echo("\n\n".join(parts))


def _tiles(file: str, machine_name: str | None, trace: str | None, timeline: bool, as_json: bool) -> None:
    program = parse_tiles(_text(file, "a program in the tile language"))
    machine = load_machine(machine_name or "dlp-s")
    cost = simulate_tiles(program, machine)
    if trace:
        _write(trace, tile_trace(tile_events(program, machine), machine.clock_hz))
    if as_json:
        print_json(cost.to_dict())
        return
    parts = [f"{Path(file).stem} on {machine.name}", str(cost)]
    if timeline:
        shown = tile_events(program, machine, SHOWN_EVENTS)
        parts += [tile_gantt(shown), tile_listing(shown)]
    click.echo("\n\n".join(parts))


def _write(path: str, text: str) -> None:
    with replacing(path) as target:
        target.write(text.encode())


def _program(file: str, machine: str | None) -> Program:
    if file.endswith(".tile"):
        return load_program(file, machine)
    text = _text(file, "a .tile file or assembly text")
    return Program(Path(file).stem, load_machine(machine or "dlp-s"), parse_program(text))


def _text(file: str, what: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProgramError(f"{file} must be {what} that can be read: {error}") from None
