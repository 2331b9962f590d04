"""`tilework isa`."""

from __future__ import annotations

from difflib import get_close_matches

import click

from tilework.commands.options import json_option, print_json
from tilework.errors import AssemblyError
from tilework.isa.decoder_svg import write_diagram
from tilework.isa.manual import entry, page, table_text
from tilework.isa.table import OPCODES, Opcode


@click.command()
@click.argument("mnemonic", required=False, metavar="[MNEMONIC]")
@click.option("--diagram", metavar="FILE", help="Write the decoder's state diagram: .svg, .dot (Graphviz) or .txt.")
@json_option
def isa(mnemonic: str | None, diagram: str | None, as_json: bool) -> None:
    """The processor's instructions, or all about one: its code, fields, meaning, cycles and an example.

    \b
    Examples:
      tilework isa
      tilework isa contract
      tilework isa --diagram decoder.svg
    """
    found = [_find(mnemonic)] if mnemonic else list(OPCODES.values())
    if diagram:
        write_diagram(diagram)
    if as_json:
        print_json({"instructions": [entry(opcode) for opcode in found]})
    elif mnemonic:
        click.echo(page(found[0]))
    elif not diagram:
        click.echo(table_text())


def _find(mnemonic: str) -> Opcode:
    if mnemonic in OPCODES:
        return OPCODES[mnemonic]
    near = get_close_matches(mnemonic, OPCODES, 1)
    advice = f"did you mean '{near[0]}'?" if near else "'tilework isa' lists them"
    raise AssemblyError(f"an instruction must be one of the {len(OPCODES)} in the table, not {mnemonic!r}; {advice}")
