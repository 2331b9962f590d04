"""What a user says of the devices that a network runs on."""

from __future__ import annotations

from dataclasses import dataclass

from tilework.cost.links import Devices, devices_of
from tilework.cost.stages import Rates, rates_of
from tilework.errors import MachineError
from tilework.machine.accelerator import Accelerator
from tilework.machine.units import BANDWIDTH, parse_quantity


@dataclass(frozen=True)
class Setup:
    """Devices, how they share the work, their links, and which shares of peak and bandwidth they reach.

    Bandwidths are bytes per second in one direction, or texts such as "450 GB/s": `link_bandwidth` a device's (left
    out: half of what its maker states for both), `network_bandwidth` a node's of `node` devices. `link_latency` is
    the seconds of each step of an exchange. The utilisations are 1 for the bound. `fused`: activations stay on chip.
    """

    dtype: str | None = None
    devices: int | None = None
    tensor: int = 1
    pipeline: int = 1
    data: int | None = None
    link_bandwidth: float | str | None = None
    network_bandwidth: float | str | None = None
    node: int | None = None
    link_latency: float = 0.0
    compute_utilisation: float = 1.0
    memory_utilisation: float = 1.0
    fused: bool = False

    def rates(self, machine: Accelerator) -> Rates:
        """Raises MachineError for what the machine lacks."""
        return rates_of(machine, self.dtype, self.compute_utilisation, self.memory_utilisation, self.fused)

    def over(self, machine: Accelerator) -> Devices:
        """The devices; raises MachineError for numbers that don't go together and for links that aren't known."""
        return devices_of(
            machine,
            self.devices,
            tensor=self.tensor,
            pipeline=self.pipeline,
            data=self.data,
            link=_bandwidth("link", self.link_bandwidth),
            node=self.node,
            network=_bandwidth("network", self.network_bandwidth),
            latency=self.link_latency,
        )


def _bandwidth(name: str, given: float | str | None) -> float | None:
    if not isinstance(given, str):
        return given
    try:
        return float(parse_quantity(BANDWIDTH, given))
    except MachineError as error:
        raise MachineError(f"the {name} bandwidth {error}") from None
