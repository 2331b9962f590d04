"""`tilework debug`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tilework.commands.options import json_option, print_json
from tilework.commands.programs import read_bundle, read_text
from tilework.commands.reading import read_inputs
from tilework.debug.script import answers_record, run_script
from tilework.debug.session import Session
from tilework.errors import DebugError, MissingPackageError
from tilework.executable import Executable
from tilework.isa.tile_language import parse_tiles
from tilework.machine.load import load_machine
from tilework.simulator.bounds import check_addresses


@click.command()
@click.argument("file", metavar="PROGRAM")
@click.option("--on", "machine", metavar="MACHINE", help="The processor (default dlp-s); a .tile has its own.")
@click.option("--input", "values", metavar="FILE", help="For a .tile, as in tilework run: a picture or an array.")
@click.option("--program", "number", type=int, metavar="N", help="Which program, from 1, of a .tile that has several.")
@click.option("--script", metavar="FILE", help="Do these commands and print, without a screen; - is standard input.")
@json_option
def debug(
    file: str, machine: str | None, values: str | None, number: int | None, script: str | None, as_json: bool
) -> None:
    """Step through a program, forward and back: PROGRAM is an executable (.tile), assembly text or the tile language.

    The screen shows code, units, queues, registers, tokens, memory and the timeline so far; ? lists its keys. What can
    be typed there can stand in a script, a command a line (help lists them): docs/debugger.md.

    \b
    Examples:
      tilework debug examples/pipeline.s --on dlp-s
      tilework debug lenet5.tile --input examples/digits.png
      echo "run to cycle 120" | tilework debug examples/pipeline.s --script - --json
    """
    if as_json and script is None:
        raise DebugError("--json must go with --script; name a file of commands, or leave --json out")
    session = _session(file, machine, values, number)
    if script is None:
        if not _is_a_terminal():
            raise DebugError("the debugger's screen must have a terminal; use --script FILE without one")
        _screen()(session)
        return
    text = sys.stdin.read() if script == "-" else read_text(script, "a script of commands")
    answers = run_script(session, text.splitlines())
    if as_json:
        print_json(answers_record(session, answers))
        return
    for _, command, answer in answers:
        click.echo(f"> {command}\n{answer.text}")


def _is_a_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _screen() -> Callable[[Session], None]:
    try:
        from tilework.debug.app import show
    except ModuleNotFoundError as error:
        if error.name != "textual":
            raise
        raise MissingPackageError(
            "the debugger's screen needs the package textual: pip install 'tilework[debug]'; --script needs none"
        ) from None
    return show


def _session(file: str, machine: str | None, values: str | None, number: int | None) -> Session:
    _check_options(file, {"--input": values, "--program": number})
    if file.endswith(".tl"):
        sections = parse_tiles(read_text(file, "a program in the tile language"))
        return Session.of_tiles(Path(file).stem, sections, load_machine(machine or "dlp-s"))
    executable = Executable(read_bundle(file, machine))
    programs = executable.bundle.programs
    if not 1 <= (number or 1) <= len(programs):
        raise DebugError(f"--program must be one of 1 to {len(programs)}, not {number}")
    program = programs[(number or 1) - 1]
    check_addresses(program, program.dram_bytes)
    inputs = read_inputs(executable, values).inputs[0]
    if len(executable.bundle.steps) > 1:
        inputs = executable.taken_by(program, inputs)
    return Session.of_program(program, inputs)


def _check_options(file: str, given: dict[str, Any]) -> None:
    for option, value in given.items():
        if value is not None and not file.endswith(".tile"):
            raise DebugError(f"{option} must go with an executable (.tile), not with {file}; leave it out")
