"""Devices that work together, the links between them, and how long they take to tell one another something.

A ring all-reduce of B bytes among n devices takes 2(n-1) steps in each of which every device sends B/n bytes to the
next: 2(n-1)/n * B / bandwidth + 2(n-1) * latency (R. Thakur, R. Rabenseifner, W. Gropp, Optimization of collective
communication operations in MPICH, 2005); an all-gather takes half of it. No exchange among n devices moves fewer bytes
through a device's link.

Devices stand in nodes of `node` each, tensor parallelism inside, then data, then pipeline parallelism. A ring that
leaves its node shares the node's network with the other rings that do.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from tilework.cost.sharding import ALL_REDUCE
from tilework.errors import MachineError
from tilework.machine.accelerator import Accelerator

NAMES = {"tensor": "--tensor", "pipeline": "--pipeline", "data": "--data"}


@dataclass(frozen=True)
class Devices:
    """tensor * pipeline * data devices. Bandwidths are bytes per second in one direction: `link` a device's to the
    others of its node, `network` a node's to other nodes; `latency` is the seconds of a step beyond its bytes."""

    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    link: float = 0.0
    node: int = 0
    network: float = 0.0
    latency: float = 0.0

    @property
    def number(self) -> int:
        return self.tensor * self.pipeline * self.data

    def bandwidth(self, ways: int, stride: int) -> float:
        """Of each step of a ring of so many devices, of which neighbours are `stride` apart."""
        if not self.node or ways * stride <= self.node:
            return self.link
        return min(self.link, self.network / min(stride, self.node))

    def exchange(self, kind: str, size: float, ways: int, stride: int) -> float:
        """The seconds of an all-reduce or all-gather of so many bytes, counted in full."""
        if ways == 1 or not size:
            return 0.0
        steps = (2 if kind == ALL_REDUCE else 1) * (ways - 1)
        return steps * (size / ways / self.bandwidth(ways, stride) + self.latency)

    def within(self, kind: str, size: float) -> float:
        """An exchange of the devices that share each layer."""
        return self.exchange(kind, size, self.tensor, 1)

    def across(self, size: float) -> float:
        """An all-reduce of the devices that hold the same weights."""
        return self.exchange(ALL_REDUCE, size, self.data, self.tensor)

    def send(self, size: float) -> float:
        """The seconds of handing bytes to the next stage of the pipeline."""
        stride = self.tensor * self.data
        return size / self.bandwidth(self.pipeline, stride) + self.latency if self.pipeline > 1 and size else 0.0


def devices_of(
    machine: Accelerator,
    devices: int | None = None,
    *,
    tensor: int = 1,
    pipeline: int = 1,
    data: int | None = None,
    link: float | None = None,
    node: int | None = None,
    network: float | None = None,
    latency: float = 0.0,
) -> Devices:
    """Devices of one machine; without `data`, all that tensor and pipeline parallelism leave are data parallel.

    `link` is in one direction; without it, it is half of the machine's own, which counts both. Raises MachineError
    for degrees that don't make the number of devices, and where a bandwidth is needed that isn't known.
    """
    for name, degree in {"tensor": tensor, "pipeline": pipeline, "data": data}.items():
        if degree is not None and degree < 1:
            raise MachineError(f"a degree of parallelism must be at least 1, not {degree}; correct {NAMES[name]}")
    data = data or _data(devices, tensor, pipeline)
    number = tensor * pipeline * data
    if devices is not None and devices != number:
        raise MachineError(
            f"tensor {tensor} x pipeline {pipeline} x data {data} must be the number of devices, and is {number}, not "
            f"{devices}; change one of them"
        )
    both = machine.link.bandwidth_bytes_per_second
    link = link if link is not None else both / 2 if both else 0.0
    _check_links(machine, number, link, node, network, latency)
    return Devices(tensor, pipeline, data, link, node or 0, network or 0.0, latency)


def _data(devices: int | None, tensor: int, pipeline: int) -> int:
    if devices is None:
        return 1
    if devices < 1 or devices % (tensor * pipeline):
        raise MachineError(
            f"the number of devices must be a multiple of tensor x pipeline = {tensor * pipeline}, not {devices}; "
            f"choose such as {max(1, devices // (tensor * pipeline)) * tensor * pipeline}"
        )
    return devices // (tensor * pipeline)


def _check_links(
    machine: Accelerator, number: int, link: float, node: int | None, network: float | None, latency: float
) -> None:
    if not all(0 <= value < inf for value in (link, network or 0.0, latency, node or 0)):
        raise MachineError("bandwidths, a latency and the devices of a node must be numbers of 0 or more; correct them")
    if number > 1 and not link:
        raise MachineError(
            f"devices that work together need a link's bandwidth above 0, and {machine.name}'s isn't known; "
            f"give --link-bandwidth"
        )
    if node and number > node and not network:
        raise MachineError(
            f"{number} devices in nodes of {node} need a network's bandwidth above 0; give --network-bandwidth"
        )
