"""The time of a graph on devices that share its layers, node by node, and its division into stages of a pipeline."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any

from tilework.cost.checkpoint import numbered
from tilework.cost.count import count
from tilework.cost.limits import COMPUTE, MEMORY, known_bandwidth, rate_dtype
from tilework.cost.links import Devices
from tilework.cost.roofline import ends
from tilework.cost.sharding import Exchange, Sharding
from tilework.cost.traffic import Moved, Traffic, bytes_of, element_bytes
from tilework.errors import MachineError
from tilework.machine.accelerator import Accelerator
from tilework.network.graph import Graph

LINKS = "links"


@dataclass(frozen=True)
class Rates:
    """What a device reaches: the share of its peak and of its bandwidth that is used, 1 being the bound.

    `fused`: activations stay on chip between layers, so that only sources and outputs move.
    """

    machine: Accelerator
    dtype: str
    compute: float = 1.0
    memory: float = 1.0
    fused: bool = False

    @property
    def operations(self) -> float:
        """A second."""
        return self.machine.peak[self.dtype] * self.compute

    @property
    def bytes(self) -> float:
        """A second."""
        return (self.machine.memory.bandwidth_bytes_per_second or 0.0) * self.memory


def rates_of(
    machine: Accelerator, dtype: str | None, compute: float = 1.0, memory: float = 1.0, fused: bool = False
) -> Rates:
    """Raises MachineError for a dtype whose peak isn't known, a machine without bandwidth, and shares that are none."""
    for name, share in {"compute": compute, "memory": memory}.items():
        if not 0 < share <= 1:
            raise MachineError(f"the {name} utilisation must be above 0 and at most 1, not {share:g}; correct it")
    known_bandwidth(machine, "a time")
    return Rates(machine, rate_dtype(machine, dtype), compute, memory, fused)


def described(network: str, rates: Rates, devices: Devices, batch: int) -> dict[str, Any]:
    """What is timed, and on what, as JSON's view of a scaled network begins."""
    return {
        "network": network,
        "machine": rates.machine.name,
        "dtype": rates.dtype,
        "devices": devices.number,
        "tensor": devices.tensor,
        "pipeline": devices.pipeline,
        "data": devices.data,
        "link_bytes_per_second": devices.link,
        "compute_utilisation": rates.compute,
        "memory_utilisation": rates.memory,
        "fused": rates.fused,
        "batch": batch,
    }


@dataclass(frozen=True)
class Time:
    """The seconds of one device for some nodes. `layers` is the sum of each node's longer one of compute and memory;
    `ends` the memory's time if only sources and outputs move."""

    operations: float = 0.0
    compute: float = 0.0
    memory: float = 0.0
    layers: float = 0.0
    ends: float = 0.0
    links: float = 0.0

    def __add__(self, other: Time) -> Time:
        return Time(*(getattr(self, name) + getattr(other, name) for name in Time.__dataclass_fields__))

    def seconds(self, fused: bool = False) -> float:
        """Layer by layer or fused, and then the links, for which the layers wait."""
        return (self.on_chip() if fused else self).layers + self.links

    def on_chip(self) -> Time:
        """The same for nodes computed as one, of which only sources and outputs move."""
        return replace(self, memory=self.ends, layers=max(self.compute, self.ends))

    def bound_by(self) -> str:
        """What takes most of the time by itself."""
        return max({COMPUTE: self.compute, MEMORY: self.memory, LINKS: self.links}.items(), key=lambda item: item[1])[0]


def total(times: Iterable[Time]) -> Time:
    """The sum."""
    return sum(times, Time())


@dataclass(frozen=True)
class Split:
    """A graph with all that its time depends on, but for the rates."""

    graph: Graph
    sharding: Sharding
    traffic: Traffic
    moved: Mapping[str, Moved]
    ends: Mapping[str, float]

    def bytes(self, elements: Mapping[str, float], dtype: str) -> float:
        """Of so many elements of each tensor."""
        return sum(bytes_of(self.graph, elements, dtype).values())


def split(graph: Graph, sharding: Sharding) -> Split:
    """What each node moves on each device."""
    traffic = Traffic(graph)
    moved = {
        node.name: traffic.of(node, sharding.divisions[node.name].shares, sharding.divisions[node.name].written)
        for node in graph.nodes
    }
    return Split(graph, sharding, traffic, moved, ends(traffic, moved))


def forward_times(work: Split, rates: Rates, devices: Devices) -> list[Time]:
    """Of each node, forward."""
    rows = {row.name: row for row in count(work.graph).rows}
    left = dict(work.ends)
    times = []
    for node in work.graph.nodes:
        division, moved = work.sharding.divisions[node.name], work.moved[node.name]
        macs = division.macs if division.loops else rows[node.name].macs
        here = {**moved.read, node.name: moved.written}
        touched = {node.name, *work.traffic.sources(moved.read)}
        edges = {name: left.pop(name) for name in touched & left.keys()}
        told = work.sharding.exchanges.get(node.name, ())
        size = work.bytes(here, rates.dtype)
        times.append(
            time_of(2 * macs, size, work.bytes(edges, rates.dtype), rates, exchanged(told, work, rates, devices))
        )
    return times


def time_of(operations: float, size: float, edges: float, rates: Rates, links: float) -> Time:
    """The time of operations and bytes."""
    compute, memory = operations / rates.operations, size / rates.bytes
    return Time(operations, compute, memory, max(compute, memory), edges / rates.bytes, links)


def exchanged(told: Iterable[Exchange], work: Split, rates: Rates, devices: Devices) -> float:
    """The seconds of exchanges, one after another."""
    tensors = work.graph.tensors
    return sum(devices.within(e.kind, e.elements * element_bytes(tensors[e.tensor], rates.dtype)) for e in told)


def crossing(work: Split, dtype: str) -> list[float]:
    """The bytes that a device hands on if the graph is cut before each node: of values made before and read from
    there on, but for those that don't depend on an input."""
    graph, base = work.graph, work.traffic.base
    depends = {tensor.name for tensor in graph.inputs}
    made: dict[str, int] = {}
    last: dict[str, int] = {}
    for place, node in enumerate(graph.nodes):
        for name in node.inputs:
            last[base.get(name, name)] = place
        if not depends.isdisjoint(node.inputs):
            depends.add(node.name)
            made[node.name] = place
    change = [0.0] * (len(graph.nodes) + 1)
    for name, place in made.items():
        if last.get(name, place) > place:
            tensor = graph.tensors[name]
            size = tensor.elements * work.sharding.share(tensor) * element_bytes(tensor, dtype)
            change[place + 1] += size
            change[last[name] + 1] -= size
    return list(accumulate(change[:-1]))


def cuts(graph: Graph, seconds: Sequence[float], stages: int) -> list[range]:
    """The nodes of each stage, so that the slowest is as quick as can be; cut between numbered modules (the blocks of
    large models), or anywhere if there are too few.

    Raises MachineError where there are fewer nodes than stages.
    """
    if stages == 1:
        return [range(len(seconds))]
    names = [numbered(node.module) for node in graph.nodes]
    places = [i + 1 for i, (one, other) in enumerate(pairwise(names)) if one != other]
    if len(places) + 1 < stages:
        places = list(range(1, len(seconds)))
    if len(places) + 1 < stages:
        raise MachineError(
            f"a pipeline must have at most as many stages as {graph.name} has layers, {len(places) + 1}, not {stages}; "
            f"use fewer"
        )
    bounds = _balanced([0.0, *accumulate(seconds)], places, stages)
    return [range(a, b) for a, b in pairwise([0, *bounds, len(seconds)])]


def _balanced(sums: Sequence[float], places: Sequence[int], stages: int) -> list[int]:
    """The places to cut at: halve the interval of the slowest stage's time until it is exact."""
    low, high = sums[-1] / stages, sums[-1]
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if len(_greedy(sums, places, middle)) < stages else (middle, high)
    found = _greedy(sums, places, high)
    spare = [place for place in places if place not in found]
    return sorted([*found, *spare[: stages - 1 - len(found)]])


def _greedy(sums: Sequence[float], places: Sequence[int], most: float) -> list[int]:
    """Cuts as late as they may be for stages of at most so many seconds; more than there are stages if that fails."""
    found: list[int] = []
    begin, at = 0, [sums[place] for place in places]
    while sums[-1] - sums[begin] > most * (1 + 1e-12):
        place = bisect_right(at, sums[begin] + most * (1 + 1e-12)) - 1
        if place < 0 or places[place] <= begin:
            return [*places, 0]
        begin = places[place]
        found.append(begin)
    return found
