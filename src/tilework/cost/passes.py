"""One pass of a batch over a network on devices that work together: its stages, their times and what they hold."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

from tilework.cost.links import Devices
from tilework.cost.liveness import Storages, forward, live_bytes
from tilework.cost.sharding import shard
from tilework.cost.stages import Rates, Split, Time, crossing, cuts, forward_times, split, total
from tilework.cost.traffic import element_bytes
from tilework.errors import MachineError
from tilework.network.graph import DTYPE_BYTES, FLOATING_BYTES, INPUT, Graph

FORWARD, PREFILL, DECODE = "forward", "prefill", "decode"


@dataclass(frozen=True)
class Stage:
    """Neighbouring layers of a pass: what one device does for a batch, and what it hands on."""

    first: str
    last: str
    time: Time
    send_seconds: float
    weight_bytes: float
    cache_bytes: float

    @property
    def seconds(self) -> float:
        return self.time.seconds() + self.send_seconds


@dataclass(frozen=True)
class Pass:
    """One pass of a batch over the network. `cache_bytes` are those of its inputs that hold earlier tokens, on all
    devices; `activation_bytes` the most that a device has in memory besides, at once."""

    name: str
    stages: tuple[Stage, ...]
    cache_bytes: float
    activation_bytes: float
    whole: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Of one batch, from the first stage to the last."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def period(self) -> float:
        """Until a batch may enter again, with as many others in the pipeline as there are stages."""
        return max(self.seconds, len(self.stages) * max(stage.seconds for stage in self.stages))

    @property
    def time(self) -> Time:
        return total(stage.time for stage in self.stages)

    @property
    def link_seconds(self) -> float:
        return self.time.links + sum(stage.send_seconds for stage in self.stages)

    def to_dict(self) -> dict[str, Any]:
        """JSON's view."""
        time = self.time
        return {
            "pass": self.name,
            "seconds": self.seconds,
            "period_seconds": self.period,
            "operations": time.operations,
            "compute_seconds": time.compute,
            "memory_seconds": time.memory,
            "link_seconds": self.link_seconds,
            "bound_by": time.bound_by(),
            "stages": self.rows(),
        }

    def rows(self) -> list[dict[str, Any]]:
        """One for each stage."""
        return [
            {
                "pass": self.name,
                "first": stage.first,
                "last": stage.last,
                "seconds": stage.seconds,
                "compute_seconds": stage.time.compute,
                "memory_seconds": stage.time.memory,
                "link_seconds": stage.time.links + stage.send_seconds,
                "weight_bytes": stage.weight_bytes,
                "cache_bytes": stage.cache_bytes,
            }
            for stage in self.stages
        ]


def one_pass(name: str, graph: Graph, rates: Rates, devices: Devices) -> Pass:
    """The pass of a graph's batch over devices.

    Raises MachineError where the pipeline has more stages than the network layers, and where `tensor` devices can't
    share any layer with weights.
    """
    sharding = shard(graph, devices.tensor)
    work = split(graph, sharding)
    times = forward_times(work, rates, devices)
    if devices.tensor > 1 and not sharding.axes:
        raise MachineError(
            f"tensor parallelism needs a layer with a loop that {devices.tensor} devices divide, and {graph.name} has "
            f"none; choose another --tensor"
        )
    sends = crossing(work, rates.dtype)
    parts = cuts(graph, [time.seconds(rates.fused) for time in times], devices.pipeline)
    last = len(times)
    stages = tuple(
        _stage(
            work,
            rates,
            part,
            total(times[i] for i in part),
            devices.send(sends[part.stop] if part.stop < last else 0.0),
        )
        for part in parts
    )
    caches = [t for t in graph.inputs if t.dtype in FLOATING_BYTES] if name == DECODE else []
    cache = sum(t.elements * element_bytes(t, rates.dtype) for t in caches)
    return Pass(name, stages, cache, activation_peak(work, rates.dtype), sharding.whole if devices.tensor > 1 else ())


def _stage(work: Split, rates: Rates, part: range, time: Time, send: float) -> Stage:
    nodes = [work.graph.nodes[i] for i in part]
    read = {name: work.graph.tensors[name] for node in nodes for name in node.inputs}
    sizes = {t.name: t.elements * work.sharding.share(t) * element_bytes(t, rates.dtype) for t in read.values()}
    weights = sum(sizes[t.name] for t in read.values() if t.is_weight)
    caches = sum(sizes[t.name] for t in read.values() if t.role == INPUT and t.dtype in FLOATING_BYTES)
    return Stage(nodes[0].name, nodes[-1].name, time.on_chip() if rates.fused else time, send, weights, caches)


def activation_peak(work: Split, dtype: str) -> float:
    """The most bytes of values that a device holds at once, network inputs left out; what grows in place takes only
    what is new."""
    graph = work.graph
    storages = Storages(graph, None)
    sizes = dict.fromkeys(storages.sizes, 0)
    for node in graph.nodes:
        value, written = graph.tensors[node.name], work.sharding.divisions[node.name].written
        for name in storages.made_by(node):
            elements = storages.sizes[name] / DTYPE_BYTES[value.dtype]
            sizes[name] = ceil(elements * written * element_bytes(value, dtype))
        if node.name in work.traffic.grown:
            sizes[node.name] = 0
    return max(live_bytes(list(forward(storages)), sizes, ()))
