"""`tilework machines`."""

from __future__ import annotations

from typing import Any

import click

from tilework.commands.options import json_option, print_json
from tilework.machine.convert import to_dict
from tilework.machine.load import load_machine, machine_hash, machine_names, to_toml
from tilework.machine.machine import Machine
from tilework.machine.units import SIZE, print_quantity
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
        click.echo(_catalogue(found))


def _catalogue(found: list[Machine]) -> str:
    head = ("machine", "what it is", "matrix unit", "dtype", "cores", "peak", "bandwidth")
    rows = [
        (
            machine.name,
            machine.description,
            machine.matrix.kind,
            machine.dtype,
            f"{machine.clusters * machine.cores}",
            quantity(_peaks(machine)[machine.dtype], _unit(machine.dtype)),
            quantity(_bandwidth(machine), "B/s"),
        )
        for machine in found
    ]
    more = "Peaks are of the whole chip. Its other dtypes, memories and keys: tilework machines NAME"
    return f"{columns(head, rows, left=4)}\n\n{more}"


def _entry(machine: Machine, details: bool) -> dict[str, Any]:
    entry = {
        "name": machine.name,
        "kind": "dlp",
        "description": machine.description,
        "matrix_unit": machine.matrix.kind,
        "clusters": machine.clusters,
        "cores": machine.cores,
        "peak_operations_per_second": _peaks(machine),
        "bandwidth_bytes_per_second": _bandwidth(machine),
        "memory_bytes": {name: memory.capacity_bytes for name, memory in _memories(machine).items()},
        "sources": list(machine.sources),
    }
    return {**entry, "sha256": machine_hash(machine), "machine": to_dict(machine)} if details else entry


def _summary(machine: Machine) -> tuple[str, ...]:
    peaks = _peaks(machine)
    shown = ", ".join(f"{quantity(peak, _unit(dtype))} in {dtype}" for dtype, peak in peaks.items())
    sizes = {name: print_quantity(SIZE, memory.capacity_bytes) for name, memory in _memories(machine).items()}
    sram = f", SRAM {sizes['sram']} in each cluster" if machine.sram else ""
    knee = f"{peaks[machine.dtype] / _bandwidth(machine):.4g} {machine.dtype} operations a byte"
    return (
        f"{machine.name}: {machine.description}",
        f"{_cores(machine)} {machine.matrix.multipliers:,} multipliers ({machine.matrix.kind})",
        f"Peak: {shown} (a MAC is 2)",
        f"NRAM {sizes['nram']} and WRAM {sizes['wram']} in each core{sram}, DRAM {sizes['dram']}",
        f"{quantity(_bandwidth(machine), 'B/s')} off chip: the roofline bends at {knee}",
    )


def _cores(machine: Machine) -> str:
    if machine.clusters * machine.cores == 1:
        return "One core with"
    clusters = "One cluster" if machine.clusters == 1 else f"{machine.clusters} clusters"
    return f"{clusters} of {machine.cores} core{'s' * (machine.cores > 1)}, each core with"


def _peaks(machine: Machine) -> dict[str, float]:
    """Operations per second of the whole chip by dtype; a MAC is two."""
    cores = machine.clusters * machine.cores
    return {dtype: 2 * cores * machine.macs_per_cycle(dtype) * machine.clock_hz for dtype in machine.matrix.dtypes}


def _unit(dtype: str) -> str:
    return "OP/s" if dtype == "int8" else "FLOP/s"


def _bandwidth(machine: Machine) -> float:
    return machine.dram.bandwidth_bytes_per_second


def _memories(machine: Machine) -> dict[str, Any]:
    memories = {"nram": machine.nram, "wram": machine.wram, "sram": machine.sram, "dram": machine.dram}
    return {name: memory for name, memory in memories.items() if memory is not None}
