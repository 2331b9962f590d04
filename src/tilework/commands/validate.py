"""`tilework validate`."""

from __future__ import annotations

import click

from tilework.commands.options import json_option, print_json
from tilework.commands.progress import working
from tilework.validation.table import validate as compare


@click.command()
@click.argument("case", required=False, metavar="[CASE]")
@json_option
def validate(case: str | None, as_json: bool) -> None:
    """Published and measured figures beside ours for the same work, the ratio, and why where it isn't near 1.

    CASE is one of the sources: scale-sim, nvdla, eyeriss, chips, tpu, mlu. Without it all are computed, in a second.
    docs/validation.md says what is compared.

    \b
    Examples:
      tilework validate
      tilework validate eyeriss
      tilework validate --json
    """
    with working("comparing with published figures"):
        found = compare(case)
    if as_json:
        print_json(found.to_dict())
    else:
        click.echo(str(found))
