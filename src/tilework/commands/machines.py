"""`tilework machines`."""

from __future__ import annotations

from collections.abc import Callable

import click

from tilework.commands.machine_tables import catalogue, comparison, entry, kind_of, summary, view
from tilework.commands.options import json_option, print_json
from tilework.errors import MachineError
from tilework.machine.accelerator import Accelerator
from tilework.machine.energy import at_node
from tilework.machine.leaves import PEAK_DTYPES
from tilework.machine.load import accelerator_names, load_either, machine_names, to_toml
from tilework.machine.machine import Machine

SORTS: dict[str, Callable[[Accelerator, str], float | None]] = {
    "peak": lambda one, dtype: one.peak.get(dtype),
    "bandwidth": lambda one, _: one.memory.bandwidth_bytes_per_second,
    "power": lambda one, _: one.power_watts,
    "year": lambda one, _: one.year,
    "intensity": lambda one, dtype: one.intensity(dtype),
}


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--kind", type=click.Choice(("dlp", "accelerator")), help="Only processors described in full, or others.")
@click.option("--maker", metavar="MAKER", help="Only those of one maker.")
@click.option("--dtype", type=click.Choice(PEAK_DTYPES), help="Only those with this dtype, and its peaks.")
@click.option("--sort", type=click.Choice(tuple(SORTS)), help="The largest first, those without the figure last.")
@click.option("--node", type=int, metavar="NM", help="Energies on chip, and the area estimate, at 7 to 130 nm.")
@click.option("-o", "--output", metavar="FILE", help="Draw peak against bandwidth (.svg, .png).")
@click.option("--threads", type=click.IntRange(1), metavar="N", help="For measure (default: all processors).")
@json_option
def machines(
    names: tuple[str, ...],
    kind: str | None,
    maker: str | None,
    dtype: str | None,
    sort: str | None,
    node: int | None,
    output: str | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """The processors and accelerators known by name, one alone, or several side by side.

    NAME is one of them or a path to a TOML file. What one NAME prints is TOML, the start of a machine of your own; the
    name measure prints TOML of what this machine reaches in matrix products, memory traffic and, where ONNX Runtime is
    installed, single layers (measure cuda: its GPU).

    \b
    Examples:
      tilework machines
      tilework machines dlp-s > mine.toml
      tilework machines dlp-s --node 7
      tilework machines h100-sxm mi300x google-tpu-v7
      tilework machines --maker NVIDIA --dtype float16 --sort intensity
      tilework machines --kind accelerator -o market.svg
      tilework machines measure > here.toml
    """
    if names[:1] == ("measure",):
        click.echo(to_toml(_measured(names[1:], threads)), nl=False)
        return
    found = _chosen([load_either(one) for one in names or (*machine_names(), *accelerator_names())], kind, maker, dtype)
    if node is not None:
        found = [_at_node(one, node) for one in found]
    if sort:
        found = _sorted(found, sort, dtype)
    if output:
        from tilework.report.market import draw_market

        draw_market([view(machine) for machine in found], output, dtype)
    if as_json:
        print_json({"machines": [entry(machine, bool(names), node) for machine in found]})
    elif len(names) == 1:
        click.echo("\n".join((*(f"# {line}" for line in summary(found[0], node)), "", to_toml(found[0]))), nl=False)
    elif names:
        click.echo(comparison(found))
    elif not output:
        click.echo(catalogue(found, dtype))


def _measured(devices: tuple[str, ...], threads: int | None) -> Accelerator:
    from tilework.machine.measure import DEVICES
    from tilework.measuring import machine_here

    device = devices[0] if devices else DEVICES[0]
    if len(devices) > 1 or device not in DEVICES:
        raise MachineError(
            f"what is measured must be one of {', '.join(DEVICES)}, not '{' '.join(devices)}'; choose one"
        )
    return machine_here(device, threads)


def _at_node(machine: Machine | Accelerator, node: int) -> Machine:
    if not isinstance(machine, Machine):
        raise MachineError(f"--node must go with processors described in full, unlike {machine.name}; leave it out")
    return at_node(machine, node)


def _chosen(
    found: list[Machine | Accelerator], kind: str | None, maker: str | None, dtype: str | None
) -> list[Machine | Accelerator]:
    """Those of that kind and maker with that dtype; raises MachineError if there are none."""
    makers = dict.fromkeys(view(one).maker for one in found if view(one).maker)
    if maker and maker.lower() not in map(str.lower, makers):
        raise MachineError(f"--maker must be one of {', '.join(sorted(makers))}, not '{maker}'; choose one")
    chosen = [
        one
        for one in found
        if kind in (None, kind_of(one))
        and (maker is None or view(one).maker.lower() == maker.lower())
        and (dtype is None or dtype in view(one).peak)
    ]
    if not chosen:
        raise MachineError("--kind, --maker and --dtype must leave at least one machine, not none; drop one of them")
    return chosen


def _sorted(found: list[Machine | Accelerator], sort: str, dtype: str | None) -> list[Machine | Accelerator]:
    def key(machine: Machine | Accelerator) -> tuple[bool, float]:
        one = view(machine)
        value = SORTS[sort](one, dtype or one.dtype or "")
        return value is None, -(value or 0)

    return sorted(found, key=key)
