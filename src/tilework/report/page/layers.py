"""The rows of a page: the network's nodes and the layers of its program, as columns of numbers and names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tilework.cost.characters import visible
from tilework.cost.families import FAMILIES, family
from tilework.cost.record import Row
from tilework.cost.roofline import Roofline
from tilework.report.page.subject import Subject
from tilework.simulator.layer_time import LayerTime

COUNTED = ("macs", "multiplications", "additions", "parameters", "neurons", "activation_bytes", "parameter_bytes")


def network_columns(subject: Subject) -> dict[str, Any]:
    """One entry for each node in every list: what it is, what it costs, what bounds it, where it is computed."""
    graph = subject.graph
    rows = subject.count.rows[: len(graph.nodes)]
    places = {node.name: place for place, node in enumerate(graph.nodes)}
    found: dict[str, Any] = {
        "name": [visible(row.name) for row in rows],
        "operation": [row.operation for row in rows],
        "family": [list(FAMILIES).index(family(row)) for row in rows],
        "path": [[visible(name) for name in row.path[:-1]] for row in rows],
        "shape": [list(row.output_shape or ()) for row in rows],
        "inputs": [[places[name] for name in node.inputs if name in places] for node in graph.nodes],
        "fed": [[visible(t.name) for t in graph.inputs if t.name in node.inputs] for node in graph.nodes],
        "is_output": [int(node.name in graph.outputs) for node in graph.nodes],
        "other": [sum(row.other_operations.values()) for row in rows],
        "others": [row.other_operations for row in rows],
        "layer": [subject.layer_of.get(node.name, -1) for node in graph.nodes],
        "fate": _fates(subject),
    }
    found |= {key: [getattr(row, key) for row in rows] for key in COUNTED}
    return found | {"cycles": _cycles(subject, rows)}


def _cycles(subject: Subject, rows: Sequence[Row]) -> list[int]:
    """A layer's simulated cycles, all at its main node."""
    cycles = [0] * len(rows)
    for place, layer in zip(subject.main_nodes, subject.cost.layers if subject.cost else (), strict=True):
        if place >= 0:
            cycles[place] += layer.cycles
    return cycles


def _fates(subject: Subject) -> list[str]:
    """What became of each node in the compiler, where that isn't plain from its layer."""
    compilation = subject.executable.compilation if subject.executable else None
    if compilation is None:
        return [""] * len(subject.graph.nodes)
    said = {change.node: str(change) for change in compilation.changes}
    said |= dict.fromkeys(subject.on_host, "computed on the host")
    own = {name for work in compilation.works for name in work.group.nodes}
    inside = "has no instructions of its own: it is part of what this layer computes"
    return [said.get(node.name, "" if node.name in own else inside) for node in subject.graph.nodes]


def roof_columns(roof: Roofline) -> dict[str, Any]:
    """A machine's roof, and for each node what it must compute and move below it."""
    return {
        "machine": visible(roof.machine.name),
        "dtype": roof.dtype,
        "peak": roof.machine.peak[roof.dtype],
        "bandwidth": roof.machine.memory.bandwidth_bytes_per_second,
        "seconds": roof.seconds,
        "fused": {"operations": roof.fused.operations, "bytes": roof.fused.bytes, "seconds": roof.fused.seconds},
        "fits": roof.fits,
        "operations": [layer.operations for layer in roof.layers],
        "bytes": [layer.bytes for layer in roof.layers],
        "time": [layer.seconds for layer in roof.layers],
        "bound_by": [layer.bound_by for layer in roof.layers],
    }


def layer_columns(subject: Subject) -> dict[str, Any]:
    """One entry for each layer of the program in every list; empty without a program."""
    layers: Sequence[LayerTime] = subject.cost.layers if subject.cost else ()
    keys = ("operation", "start", "end", "cycles", "macs", "dram_bytes", "dram_bytes_bound", "bound_cycles")
    found: dict[str, Any] = {key: [getattr(layer, key) for layer in layers] for key in keys}
    units = list(dict.fromkeys(unit for layer in layers for unit in layer.busy_cycles))
    busy = {unit: [layer.busy_cycles.get(unit, 0) for layer in layers] for unit in units}
    return found | {"name": [visible(layer.name) for layer in layers], "main": subject.main_nodes, "busy": busy}


def families(numbers: Iterable[int]) -> list[dict[str, Any]]:
    """All families with their colours, and whether any node is of it."""
    used = set(numbers)
    return [{"name": n, "colour": c, "used": place in used} for place, (n, c) in enumerate(FAMILIES.items())]
