"""The least time that a network can take on a machine, by its peak and its bandwidth alone, layer by layer.

S. Williams, A. Waterman and D. Patterson, Roofline: an insightful visual performance model for multicore architectures,
CACM 52 (4), 2009. A layer takes at least max(operations / peak, bytes / bandwidth):

  operations  two for each multiply-accumulate; a peak is one of these alone, so that other operations take no time here
  bytes       the compulsory ones: the elements that the layer's nests touch of each of its inputs and weights, and
              those of its output, each once. What only renames elements moves none; of what has no nests (a lookup, a
              sort) at most as many elements of each input count as the output has.

Layers follow one another, so that their times add up. Were all layers fused, only the network's inputs, weights and
outputs would move: no order of work beats that time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tilework.cost.count import count
from tilework.cost.levels import Hierarchy, hierarchy
from tilework.cost.limits import COMPUTE, MEMORY, NOTHING, known_bandwidth, rate_dtype
from tilework.cost.traffic import Moved, Traffic, bytes_of
from tilework.machine.accelerator import Accelerator, accelerator_of, rate_unit
from tilework.machine.machine import Machine
from tilework.network.graph import Graph
from tilework.plain import columns, percent, quantity, shorten


@dataclass(frozen=True)
class LayerBound:
    """What one layer must compute and move, and the least time of each."""

    name: str
    operation: str
    operations: int
    bytes: float
    compute_seconds: float
    memory_seconds: float

    @property
    def seconds(self) -> float:
        return max(self.compute_seconds, self.memory_seconds)

    @property
    def bound_by(self) -> str:
        """What the layer waits for: compute, memory, or nothing where it has no cost."""
        if not self.seconds:
            return NOTHING
        return COMPUTE if self.compute_seconds >= self.memory_seconds else MEMORY

    @property
    def intensity(self) -> float:
        """Operations per compulsory byte."""
        return self.operations / self.bytes if self.bytes else 0.0

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "operation": self.operation,
            "operations": self.operations,
            "bytes": self.bytes,
            "operations_per_byte": self.intensity,
            "compute_seconds": self.compute_seconds,
            "memory_seconds": self.memory_seconds,
            "seconds": self.seconds,
            "bound_by": self.bound_by,
        }


@dataclass(frozen=True)
class Roofline:
    """A network's least time on a machine. `fused` is all of it as one layer; `weight_bytes` are its weights alone.

    `subject` is the network on the machine as it was given; `batch` is its first input's first size.
    """

    network: str
    machine: Accelerator
    dtype: str
    layers: tuple[LayerBound, ...]
    fused: LayerBound
    weight_bytes: float
    subject: tuple[Graph, Machine | Accelerator] = field(repr=False, compare=False)
    batch: int = 1

    @cached_property
    def hierarchy(self) -> Hierarchy:
        """The bounds by every level of memory that is known."""
        return hierarchy(*self.subject, self.dtype)

    @property
    def title(self) -> str:
        """The machine and the dtype."""
        return f"{self.machine.name}, {self.dtype}"

    @property
    def seconds(self) -> float:
        return sum(layer.seconds for layer in self.layers)

    @property
    def seconds_by(self) -> dict[str, float]:
        """The time of the layers that each bound holds."""
        return {
            bound: sum(layer.seconds for layer in self.layers if layer.bound_by == bound) for bound in (COMPUTE, MEMORY)
        }

    @property
    def bound_by(self) -> str:
        """What most of the time is bound by."""
        return max(self.seconds_by.items(), key=lambda item: item[1])[0] if self.seconds else NOTHING

    @property
    def fits(self) -> bool | None:
        """Whether the weights fit into the machine's memory; None if its size isn't known."""
        capacity = self.machine.memory.capacity_bytes
        return None if capacity is None else self.weight_bytes <= capacity

    def to_dict(self) -> dict[str, Any]:
        """JSON's view, as `tilework roofline --json` prints it."""
        return {
            "network": self.network,
            "machine": self.machine.name,
            "dtype": self.dtype,
            "peak_operations_per_second": self.machine.peak[self.dtype],
            "bandwidth_bytes_per_second": self.machine.memory.bandwidth_bytes_per_second,
            "seconds": self.seconds,
            "seconds_by": self.seconds_by,
            "bound_by": self.bound_by,
            "fused_seconds": self.fused.seconds,
            "fused_bound_by": self.fused.bound_by,
            "operations": self.fused.operations,
            "bytes": sum(layer.bytes for layer in self.layers),
            "fused_bytes": self.fused.bytes,
            "weight_bytes": self.weight_bytes,
            "weights_fit": self.fits,
            "batch": self.batch,
            "hierarchy": self.hierarchy.to_dict() if len(self.hierarchy.levels) > 1 else None,
            "layers": [layer.to_dict() for layer in self.layers],
        }

    def __str__(self) -> str:
        return table(self, top=None)


def roofline(graph: Graph, machine: Machine | Accelerator, dtype: str | None = None) -> Roofline:
    """The least time of a network on a machine, with floating-point numbers stored and multiplied in a dtype.

    The dtype is the machine's main one if none is given. Raises MachineError where the machine's peak in it, or its
    bandwidth, isn't known.
    """
    one = accelerator_of(machine) if isinstance(machine, Machine) else machine
    chosen, bandwidth = rate_dtype(one, dtype), known_bandwidth(one)

    def size(elements: Mapping[str, float]) -> float:
        return sum(bytes_of(graph, elements, chosen).values())

    def bound(name: str, operation: str, macs: int, moved: float) -> LayerBound:
        return LayerBound(name, operation, 2 * macs, moved, 2 * macs / one.peak[chosen], moved / bandwidth)

    rows, traffic = {row.name: row for row in count(graph).rows}, Traffic(graph)
    moved = {node.name: traffic.of(node) for node in graph.nodes}
    layers = [
        bound(
            node.name,
            node.label,
            rows[node.name].macs,
            size({**moved[node.name].read, node.name: moved[node.name].written}),
        )
        for node in graph.nodes
    ]
    weights = size({tensor.name: tensor.elements for tensor in graph.weights})
    macs = sum(row.macs for row in rows.values())
    fused = bound(graph.name, "network", macs, size(ends(traffic, moved)))
    batch = next((tensor.shape[0] for tensor in graph.inputs if tensor.shape), 1)
    return Roofline(graph.name, one, chosen, tuple(layers), fused, weights, (graph, machine), batch)


def ends(traffic: Traffic, moved: Mapping[str, Moved]) -> dict[str, float]:
    """The elements of sources and outputs that move even if all layers are fused, by what each node moves."""
    most: dict[str, float] = dict.fromkeys((tensor.name for tensor in traffic.graph.sources), 0.0)
    for one in moved.values():
        for name, elements in traffic.sources(one.read).items():
            most[name] = max(most[name], elements)
    outputs = {traffic.base.get(name, name) for name in traffic.graph.outputs}
    return most | {name: moved[name].written for name in outputs & moved.keys()}


HEAD = ("layer", "operation", "operations", "bytes", "op/B", "time", "bound by", "share")


def table(found: Roofline, top: int | None) -> str:
    """The layers that cost something, or the `top` slowest, and what they amount to."""
    layers = [layer for layer in found.layers if layer.seconds]
    shown = sorted(layers, key=lambda layer: -layer.seconds)[:top] if top else layers
    rows = [
        (
            shorten(layer.name, 40),
            layer.operation,
            quantity(layer.operations, "op"),
            quantity(layer.bytes, "B"),
            f"{layer.intensity:.3g}",
            quantity(layer.seconds, "s"),
            layer.bound_by,
            percent(layer.seconds / found.seconds),
        )
        for layer in shown
    ]
    return "\n\n".join((*([columns(HEAD, rows, left=2)] if rows else []), "\n".join(_summary(found))))


def _summary(found: Roofline) -> list[str]:
    machine, dtype = found.machine, found.dtype
    bandwidth, knee = machine.memory.bandwidth_bytes_per_second or 0, machine.intensity(dtype) or 0
    lines = [
        f"{found.network} on {machine.name} in {dtype}: {quantity(machine.peak[dtype], rate_unit(dtype))} and "
        f"{quantity(bandwidth, 'B/s')}, {knee:.4g} operations a byte at the bend"
    ]
    if not found.seconds:
        return [*lines, "It has neither operations nor bytes, so that nothing bounds its time."]
    share = percent(found.seconds_by[found.bound_by] / found.seconds)
    lines += [
        f"At least {quantity(found.seconds, 's')} layer by layer, {share} of it bound by {found.bound_by}",
        *_kept(found),
        f"At least {quantity(found.fused.seconds, 's')} with all layers fused, bound by {found.fused.bound_by}",
    ]
    if found.fits is False:
        lines += [f"Its weights, {quantity(found.weight_bytes, 'B')}, do not fit into the machine's memory"]
    return lines


def _kept(found: Roofline) -> list[str]:
    levels, bounds = found.hierarchy.levels, found.hierarchy.bounds
    if len(levels) == 1:
        return []
    by: dict[str, float] = {}
    for bound in bounds:
        by[bound.bound_by] = by.get(bound.bound_by, 0.0) + bound.seconds
    most = max(by.items(), key=lambda item: item[1])
    share = percent(most[1] / (found.hierarchy.seconds or 1))
    unknown = [level.name for level in levels if not level.bandwidth_bytes_per_second]
    without = f"; bandwidth not known: {', '.join(unknown)}" if unknown else ""
    kept = quantity(found.machine.on_chip.capacity_bytes or 0, "B")
    return [
        f"At least {quantity(found.hierarchy.seconds, 's')} again and again, with what {kept} on chip can keep, "
        f"{share} of it bound by {most[0]}{without}"
    ]


def levels_table(found: Roofline, top: int | None) -> str:
    """The layers with operations: the operations for each byte of every level of memory, and what bounds each."""
    bounds = [bound for bound in found.hierarchy.bounds if bound.operations]
    bounds = sorted(bounds, key=lambda bound: -bound.seconds)[:top] if top else bounds
    names = [level.name for level in found.hierarchy.levels]
    rows = [
        (
            shorten(bound.layers[0], 40),
            quantity(bound.operations, "op"),
            *("-" if (known := bound.intensity(name)) is None else f"{known:.4g}" for name in names),
            quantity(bound.seconds, "s"),
            bound.bound_by,
        )
        for bound in bounds
    ]
    return columns(("layer", "operations", *(f"op/B {name}" for name in names), "time", "bound by"), rows)


def comparison(found: Sequence[Roofline]) -> str:
    """One row a machine, network, dtype and batch."""
    named, several = (len({getattr(one, key) for one in found}) > 1 for key in ("network", "batch"))
    left = (*(["network"] if named else []), "machine", "dtype", *(["batch"] if several else []))
    head = (*left, "peak", "bandwidth", "time", "bound by", "share", "fused", "bound by", "weights fit")
    rows = [
        (
            *([one.network] if named else []),
            one.machine.name,
            one.dtype,
            *([str(one.batch)] if several else []),
            quantity(one.machine.peak[one.dtype], rate_unit(one.dtype)),
            quantity(one.machine.memory.bandwidth_bytes_per_second or 0, "B/s"),
            quantity(one.seconds, "s"),
            one.bound_by,
            percent(one.seconds_by[one.bound_by] / one.seconds) if one.seconds else "-",
            quantity(one.fused.seconds, "s"),
            one.fused.bound_by,
            {True: "yes", False: "no", None: "-"}[one.fits],
        )
        for one in found
    ]
    return columns(head, rows, left=2 + named)
