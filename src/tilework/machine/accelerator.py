"""Accelerators as their makers publish them: peaks, memories, links and power, each figure with its source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tilework.machine.machine import Machine


@dataclass(frozen=True)
class Memory:
    """A memory; None stands for what isn't published."""

    kind: str = ""
    capacity_bytes: int | None = None
    bandwidth_bytes_per_second: float | None = None


@dataclass(frozen=True)
class Link:
    """All links to other accelerators together, both directions added."""

    kind: str = ""
    bandwidth_bytes_per_second: float | None = None


KINDS = (  # of layers: cost/kinds.py
    *("convolution", "depthwise", "product", "vector-product"),
    *("normalisation", "reduction", "elementwise", "copy"),
)


@dataclass(frozen=True)
class Reached:
    """What single layers reach in a runtime, measured: docs/measure.md.

    A layer takes `overhead_seconds`, its bound over the `share` of it that layers of its kind reach, and for each
    function, such as exp, its number over the `rate` in operations per second.
    """

    runtime: str
    threads: int
    overhead_seconds: float
    share: dict[str, float] = field(default_factory=dict, hash=False)
    rate: dict[str, float] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Accelerator:
    """What is published of one device, or measured; None and a missing dtype stand for what isn't.

    A multiply-accumulate is two operations. `peak` is the highest dense rate for operands of a dtype, the device's main
    dtype first; `sparse_peak` the one that its maker states for weights with zeros left out. `memory` is where weights
    and activations lie: off chip, unless the device has memory on chip only. `sources` has for each source the figures
    that are from it, by the keys of the file; `unchecked` those that nobody has compared with it yet.
    `reached` is there only for a machine that was measured.
    """

    name: str
    description: str = ""
    maker: str = ""
    year: int | None = None
    process: str = ""
    power_watts: float | None = None
    peak: dict[str, float] = field(default_factory=dict, hash=False)
    sparse_peak: dict[str, float] = field(default_factory=dict, hash=False)
    memory: Memory = Memory()
    on_chip: Memory = Memory()
    link: Link = Link()
    sources: dict[str, str] = field(default_factory=dict, hash=False)
    unchecked: str = ""
    reached: Reached | None = None

    @property
    def dtype(self) -> str | None:
        """The main dtype, if any peak is known."""
        return next(iter(self.peak), None)

    def intensity(self, dtype: str) -> float | None:
        """Operations for each byte of memory traffic from which on the peak is the bound: the roofline's knee."""
        bandwidth = self.memory.bandwidth_bytes_per_second
        return self.peak[dtype] / bandwidth if bandwidth and dtype in self.peak else None


def accelerator_of(machine: Machine) -> Accelerator:
    """A described processor as an accelerator: its peaks, DRAM and on-chip memory."""
    cores = machine.clusters * machine.cores
    return Accelerator(
        name=machine.name,
        description=machine.description,
        peak={dtype: 2.0 * cores * machine.macs_per_cycle(dtype) * machine.clock_hz for dtype in machine.matrix.dtypes},
        memory=Memory("DRAM", machine.dram.capacity_bytes, machine.dram.bandwidth_bytes_per_second),
        on_chip=Memory("NRAM, WRAM and SRAM" if machine.sram else "NRAM and WRAM", machine.on_chip_bytes),
        sources=dict.fromkeys(machine.sources, ""),
    )


def figures(accelerator: Accelerator) -> Iterator[str]:
    """The figures that are there, by their keys in the file, such as 'peak.float16'."""
    alone = {"year": accelerator.year, "process": accelerator.process, "power": accelerator.power_watts}
    yield from (key for key, value in alone.items() if value)
    for table in ("peak", "sparse_peak"):
        yield from (f"{table}.{dtype}" for dtype in getattr(accelerator, table))
    for name in ("memory", "on_chip", "link"):
        part = getattr(accelerator, name)
        for key in ("capacity", "bandwidth"):
            unit = "_bytes" if key == "capacity" else "_bytes_per_second"
            if getattr(part, key + unit, None):
                yield f"{name}.{key}"


def covers(listed: str, figure: str) -> bool:
    """Whether a list of keys, such as 'peak, memory.bandwidth', has this figure or the table that it is in."""
    return any(figure == key or figure.startswith(f"{key}.") for key in listed.split(", "))


def rate_unit(dtype: str) -> str:
    """How rates in a dtype are written: floating-point operations apart from others."""
    return "FLOP/s" if "float" in dtype else "OP/s"
