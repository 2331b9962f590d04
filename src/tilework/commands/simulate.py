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
from tilework.machine.load import load_machine
from tilework.simulator.cycle import simulate as simulate_program
from tilework.simulator.timeline import chrome_trace, events, gantt, listing

SHOWN_EVENTS = 200


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--on", "machine", metavar="MACHINE", help="The processor (assembly only; default dlp-s).")
@click.option("--trace", metavar="T.json", help="Write the timeline as a Chrome/Perfetto trace.")
@click.option("--timeline", is_flag=True, help="Print the timeline: a row per unit, then a line per event.")
@json_option
def simulate(file: str, machine: str | None, trace: str | None, timeline: bool, as_json: bool) -> None:
    """The exact time of a program: FILE is an executable (.tile) or assembly text.

    \b
    Examples:
      tilework simulate lenet5.tile
      tilework simulate examples/pipeline.s --on dlp-s --timeline
    """
    program = _program(file, machine)
    cost = simulate_program(program)
    if trace:
        with replacing(trace) as target:
            target.write(chrome_trace(events(program), program.machine.clock_hz).encode())
    if as_json:
        print_json(cost.to_dict())
        return
    parts = [f"{program.name} on {program.machine.name}", str(cost)]
    if timeline:
        shown = events(program, SHOWN_EVENTS)
        parts += [gantt(shown), listing(shown)]
    click.echo("\n\n".join(parts))


def _program(file: str, machine: str | None) -> Program:
    if file.endswith(".tile"):
        program = load_program(file)
        if machine and machine != program.machine.name:
            made = program.machine.name
            raise ProgramError(f"{file} was compiled for {made}, not for {machine}; compile it again for {machine}")
        return program
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProgramError(f"{file} must be a readable .tile file or assembly text: {error}") from None
    return Program(Path(file).stem, load_machine(machine or "dlp-s"), parse_program(text))
