"""What a compiled network reaches on the simulated processor, beside its bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tilework.errors import MachineError
from tilework.executable import compile_network
from tilework.machine.accelerator import Accelerator
from tilework.machine.machine import Machine
from tilework.network.graph import Graph


@dataclass(frozen=True)
class Achieved:
    """Layers that a program computes as one: their operations, the bytes that they must move, the seconds they take,
    and the least that any program could take for them."""

    name: str
    operations: int
    bytes: int
    seconds: float
    bound_seconds: float

    @property
    def operations_per_second(self) -> float:
        return self.operations / self.seconds if self.seconds else 0.0

    @property
    def intensity(self) -> float:
        """Operations for each byte that must come from or go to DRAM."""
        return self.operations / self.bytes if self.bytes else 0.0

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "operations": self.operations,
            "bytes": self.bytes,
            "seconds": self.seconds,
            "bound_seconds": self.bound_seconds,
            "operations_per_second": self.operations_per_second,
        }


def achieved(graph: Graph, machine: Machine | Accelerator, dtype: str | None = None) -> tuple[Achieved, ...]:
    """The layers of a network as they are compiled for a machine and simulated, in order.

    Raises MachineError for an accelerator of which only peaks are known, and what `compile_network` raises.
    """
    if isinstance(machine, Accelerator):
        raise MachineError(
            f"what is achieved is simulated on a machine that is described in full, and of {machine.name} only peaks "
            "are known; leave out --achieved, or measure this machine: tilework measure"
        )
    cost, clock = compile_network(graph, machine, dtype=dtype).cost, machine.clock_hz
    return tuple(
        Achieved(
            layer.name, 2 * layer.macs, layer.dram_bytes_bound, layer.cycles / clock, layer.array_bound_cycles / clock
        )
        for layer in cost.layers
    )
