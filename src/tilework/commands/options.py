"""Options that several commands share, and how they print JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


input_option = click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="SHAPE",
    help="Another input shape: 3,224,224 or, with the batch, 1,3,224,224 or, by name, image=1,3,224,224; "
    "with a dtype ids=1,128:int64; seq=128 for the tokens of hf:CONFIG.",
)


def network_options(command: Command) -> Command:
    """NETWORK, --input and --batch, as the parameters `network`, `inputs` and `batch` of `frontend.resolve`."""
    for option in (
        click.option("--batch", metavar="N", help="Inputs at a time: the first size of every input."),
        input_option,
        click.argument("network", metavar="NETWORK"),
    ):
        command = option(command)
    return command


json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document and nothing else.")


def print_json(document: dict[str, Any]) -> None:
    """One document on standard output."""
    import json

    click.echo(json.dumps(document, indent=2))


def print_titles(kind: str, titles: Mapping[str, str], as_json: bool) -> None:
    """What there is of a kind ("recipes"), by name: as JSON, a list under the kind's name, or a line each."""
    if as_json:
        print_json({kind: [{"name": name, "title": title} for name, title in titles.items()]})
        return
    width = max(map(len, titles))
    for name, title in titles.items():
        click.echo(f"{name:<{width}}  {title}")


machine_option = click.option("--for", "machine", metavar="MACHINE", help="The processor (default dlp-s).")


def weights_options(command: Command) -> Command:
    """--weights and --seed, as the parameters `weights` and `seed` of `executable.find_weights`."""
    for option in (
        click.option("--seed", type=int, metavar="N", help="Random weights from this seed."),
        click.option(
            "--weights", metavar="FILE", help="Weights: a torch state dict (.pt, .pth), .npz or .safetensors."
        ),
    ):
        command = option(command)
    return command
