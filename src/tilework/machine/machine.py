"""The processor that a user describes: frozen, checked, in base units (bytes, hertz, joules, cycles)."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Dram:
    """Off-chip memory: one channel shared by loads and stores."""

    capacity_bytes: int
    bandwidth_bytes_per_second: float
    latency_cycles: int
    energy_per_byte_joules: float


@dataclass(frozen=True)
class Scratchpad:
    """An on-chip memory that the program manages (NRAM or WRAM)."""

    capacity_bytes: int
    energy_per_byte_joules: float


@dataclass(frozen=True)
class MatrixUnit:
    """An inner-product array: each cycle, `neurons` sums of `synapses` products (DianNao's NFU, Chen et al. 2014)."""

    kind: str
    neurons: int
    synapses: int
    pipeline_cycles: int
    energy_per_mac_joules: float


@dataclass(frozen=True)
class VectorUnit:
    """`lanes` elements at a time; `cycles` gives, for slower functions, the cycles that one group of lanes takes."""

    lanes: int
    pipeline_cycles: int
    energy_per_operation_joules: float
    cycles: dict[str, int] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Control:
    """The front end: issues one instruction a cycle into queues of `queue_depth` places, one queue per unit."""

    queue_depth: int


@dataclass(frozen=True)
class Machine:
    """A deep learning processor of one core."""

    name: str
    description: str
    sources: tuple[str, ...]
    clock_hz: float
    dram: Dram
    nram: Scratchpad
    wram: Scratchpad
    matrix: MatrixUnit
    vector: VectorUnit
    control: Control

    @property
    def dram_bytes_per_cycle(self) -> float:
        return self.dram.bandwidth_bytes_per_second / self.clock_hz

    @property
    def macs_per_cycle(self) -> int:
        return self.matrix.neurons * self.matrix.synapses
