"""What the host does of a network, and what in it may be a mistake, as text."""

from __future__ import annotations

import click

from tilework.compiler.whole import oddities
from tilework.isa.bundle import Bundle, HostPart
from tilework.isa.program import Program
from tilework.network.graph import Graph

SHOWN_ODDITIES = 5


def warn(graph: Graph) -> None:
    """What in a network may be a mistake, on standard error."""
    found = list(oddities(graph))
    for line in found[:SHOWN_ODDITIES]:
        click.echo(f"warning: {line}", err=True)
    if found[SHOWN_ODDITIES:]:
        click.echo(f"warning: {len(found) - SHOWN_ODDITIES} more such things", err=True)


def on_the_host(bundle: Bundle) -> str:
    """The host's operations and, where it computes, in which order host and programs run and what goes between them."""
    head = f"on the host: {', '.join(bundle.host_operations) or 'none'}"
    if not bundle.host_parts:
        return head
    order = ", then ".join(_step(bundle, step) for step in bundle.steps)
    return f"{head}\nin this order: {order}\nhost bytes {bundle.host_bytes:,} besides the inputs and outputs"


def _step(bundle: Bundle, step: Program | HostPart) -> str:
    if isinstance(step, HostPart):
        names = [node.name for node in step.graph.nodes]
        return f"the host {names[0]}" + (f" to {names[-1]}" if len(names) > 1 else "")
    return f"program {bundle.programs.index(step) + 1} ({len(step.layers)} layers)"
