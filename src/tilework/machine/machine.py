"""The processor that a user describes: frozen, checked, in base units (bytes, hertz, joules, cycles)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tilework.machine.matrix import MatrixUnit


@dataclass(frozen=True)
class Rows:
    """The DRAM's banks, each with one row open at a time: a burst in another row takes `miss_cycles` more.

    Consecutive rows of `size_bytes` lie in consecutive banks.
    """

    size_bytes: int
    banks: int
    miss_cycles: int


@dataclass(frozen=True)
class Refresh:
    """Once in `interval_cycles` the DRAM stands still for `duration_cycles`, and closes its rows."""

    interval_cycles: int
    duration_cycles: int


@dataclass(frozen=True)
class Dram:
    """Off-chip memory: one channel shared by the loads and stores of all cores.

    A transfer moves whole bursts: each of its contiguous runs of bytes is rounded up to a multiple of `burst_bytes`.
    Without `rows` and `refresh` it is ideal: where the bytes lie and when they are moved makes no difference.
    """

    capacity_bytes: int
    bandwidth_bytes_per_second: float
    latency_cycles: int
    energy_per_byte_joules: float
    burst_bytes: int = 1
    rows: Rows | None = None
    refresh: Refresh | None = None

    @property
    def is_ideal(self) -> bool:
        return self.rows is None and self.refresh is None


@dataclass(frozen=True)
class Scratchpad:
    """An on-chip memory that the program manages (NRAM or WRAM).

    `port_bytes_per_cycle` is what the matrix or the vector unit can read, and what it can write, in a cycle; `banks`
    are interleaved by words of 4 bytes and each serves one lane of the vector unit a cycle. 0 stands for no limit.
    """

    capacity_bytes: int
    energy_per_byte_joules: float
    port_bytes_per_cycle: int = 0
    banks: int = 0


@dataclass(frozen=True)
class Sram:
    """The memory that the cores of a cluster share. Each core's own port has the `bandwidth`, and so has the mover's.

    At most `ports` transfers use it at the same time.
    """

    capacity_bytes: int
    bandwidth_bytes_per_second: float
    latency_cycles: int
    energy_per_byte_joules: float
    ports: int


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
    """A deep learning processor: `clusters` of `cores` on one DRAM; the cores of a cluster share its SRAM, if any.

    `transfer_bytes_per_cycle` is what a core's transfer units move between its own memories, and fill, in a cycle; 0
    stands for the DRAM's bandwidth.
    """

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
    clusters: int = 1
    cores: int = 1
    sram: Sram | None = None
    transfer_bytes_per_cycle: int = 0

    @property
    def dram_bytes_per_cycle(self) -> float:
        return self.dram.bandwidth_bytes_per_second / self.clock_hz

    @property
    def on_chip_bytes(self) -> int:
        """All memory on chip, of every core and cluster."""
        core = self.nram.capacity_bytes + self.wram.capacity_bytes
        return self.clusters * (self.cores * core + (self.sram.capacity_bytes if self.sram else 0))

    @property
    def dtype(self) -> str:
        """The dtype that the matrix unit is stated for."""
        return self.matrix.dtypes[0]

    def with_ideal_dram(self) -> Machine:
        """The same machine without the DRAM's rows and refreshes; itself if it has none."""
        return self if self.dram.is_ideal else replace(self, dram=replace(self.dram, rows=None, refresh=None))

    def macs_per_cycle(self, dtype: str | None = None) -> int:
        """Multiply-accumulates of one core's matrix unit at its peak, of its own dtype if none is named."""
        return self.matrix.multipliers * self.matrix.rates[dtype or self.dtype]
