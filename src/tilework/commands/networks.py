"""`tilework networks`."""

from __future__ import annotations

from typing import Any

import click

from tilework.commands.options import json_option, print_json
from tilework.frontend.zoo import NETWORKS, ZooEntry


@click.command()
@json_option
def networks(as_json: bool) -> None:
    """The networks known by name, each with its input's shape and where it was published.

    \b
    Examples:
      tilework networks
      tilework networks --json
    """
    if as_json:
        print_json({"networks": [_entry(entry) for entry in NETWORKS.values()]})
        return
    width = max(map(len, NETWORKS))
    for entry in NETWORKS.values():
        shape = ",".join(map(str, entry.input_shape))
        click.echo(f"{entry.name:<{width}}  {shape:<11}  {entry.description}")
        click.echo(f"{'':<{width}}  {'':<11}  {entry.source}")


def _entry(entry: ZooEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "input_shape": list(entry.input_shape),
        "description": entry.description,
        "source": entry.source,
        "options": dict(entry.options),
    }
