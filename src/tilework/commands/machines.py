"""`tilework machines`."""

from __future__ import annotations

from typing import Any

import click

from tilework.commands.options import json_option, print_json
from tilework.machine.convert import to_dict
from tilework.machine.load import load_machine, machine_hash, machine_names, to_toml
from tilework.machine.machine import Machine
from tilework.plain import columns, quantity


@click.command()
@click.argument("name", required=False, metavar="[NAME]")
@json_option
def machines(name: str | None, as_json: bool) -> None:
    """The processors known by name, or all about one: NAME is one of them or a path to a TOML file.

    What NAME prints is TOML, the start of a processor of your own.

    \b
    Examples:
      tilework machines
      tilework machines dlp-s > mine.toml
      tilework machines mine.toml --json
    """
    found = [load_machine(one) for one in ([name] if name else machine_names())]
    if as_json:
        print_json({"machines": [_entry(machine, details=name is not None) for machine in found]})
    elif name:
        click.echo("\n".join((*(f"# {line}" for line in _summary(found[0])), "", to_toml(found[0]))), nl=False)
    else:
        head = ("machine", "what it is", "peak", "bandwidth")
        rows = [(m.name, m.description, quantity(_peak(m), "FLOP/s"), quantity(_bandwidth(m), "B/s")) for m in found]
        click.echo(columns(head, rows, left=2))


def _entry(machine: Machine, details: bool) -> dict[str, Any]:
    entry = {
        "name": machine.name,
        "kind": "dlp",
        "description": machine.description,
        "peak_operations_per_second": {"float32": _peak(machine)},
        "bandwidth_bytes_per_second": _bandwidth(machine),
        "sources": list(machine.sources),
    }
    return {**entry, "sha256": machine_hash(machine), "machine": to_dict(machine)} if details else entry


def _summary(machine: Machine) -> tuple[str, ...]:
    knee = _peak(machine) / _bandwidth(machine)
    return (
        f"Peak {quantity(_peak(machine), 'FLOP/s')} in float32: {machine.macs_per_cycle} MACs per cycle",
        f"Bandwidth {quantity(_bandwidth(machine), 'B/s')}, so the roofline bends at {knee:.4g} FLOP per byte",
    )


def _peak(machine: Machine) -> float:
    """Operations per second; a MAC is two."""
    return 2 * machine.macs_per_cycle * machine.clock_hz


def _bandwidth(machine: Machine) -> float:
    return machine.dram.bandwidth_bytes_per_second
