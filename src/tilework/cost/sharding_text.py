"""How a network is split among devices that share its layers, as a table: alike layers in one row."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from tilework.cost.sharding import Exchange, Sharding, shard
from tilework.errors import MachineError
from tilework.network.gradient import gradient_plan
from tilework.network.graph import Graph, Node
from tilework.plain import columns

HEAD = ("layer", "times", "operation", "split loop", "weights split on", "output split on", "forward", "backward")


def sharding_rows(graph: Graph, ways: int) -> list[dict[str, Any]]:
    """A row for each kind of layer that has weights or waits for other devices; numbers in names are left out.

    Raises MachineError for fewer than two devices.
    """
    if ways < 2:
        raise MachineError(f"a network is split over at least 2 devices, not {ways}; give --tensor 2 or more")
    sharding = shard(graph, ways)
    given = {name for step in gradient_plan(graph).steps for name, _ in step.gives}
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for node in graph.nodes:
        if graph.weights_of(node) or node.name in sharding.exchanges:
            row = _row(graph, node, sharding, given)
            same = rows.setdefault(tuple((name, str(value)) for name, value in row.items()), {**row, "times": 0})
            same["times"] += 1
    return list(rows.values())


def _row(graph: Graph, node: Node, sharding: Sharding, given: Collection[str]) -> dict[str, Any]:
    division = sharding.divisions[node.name]
    return {
        "layer": re.sub(r"(?<=\.)\d+(?=\.|$)|(?<=_)\d+$", "*", node.name),
        "operation": node.label,
        "loops": list(division.loops),
        "weight_axes": [sharding.axes[t.name] for t in graph.weights_of(node) if t.name in sharding.axes],
        "output_axis": division.axis,
        "forward": [_told(one) for one in sharding.exchanges.get(node.name, ())],
        "backward": [_told(one) for one in sharding.returns.get(node.name, ()) if one.tensor in given],
    }


def _told(one: Exchange) -> dict[str, Any]:
    return {"kind": one.kind, "elements": one.elements}


def sharding_text(graph: Graph, ways: int) -> str:
    """The rows as a table."""
    found = sharding_rows(graph, ways)
    rows = [
        (
            row["layer"],
            f"{row['times']}",
            row["operation"],
            ", ".join(row["loops"]) or "-",
            ", ".join(f"axis {axis}" for axis in row["weight_axes"]) or "-",
            "-" if row["output_axis"] is None else f"axis {row['output_axis']}",
            *(
                "; ".join(f"{e['kind']} of {e['elements']:,}" for e in row[way]) or "-"
                for way in ("forward", "backward")
            ),
        )
        for row in found
    ]
    note = f"Over {ways} devices; elements in full. A layer without a split loop runs whole on each device."
    return f"{columns(HEAD, rows, left=1)}\n\n{note}"


def _exchanges(told: list[dict[str, Any]]) -> str:
    return "; ".join(f"{one['kind']} of {one['elements']:,}" for one in told) or "-"
