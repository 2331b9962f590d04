"""Energy and area of arithmetic and memories from published tables, and how they change with the process.

Everything is stated for 45 nm at 0.9 V, as Horowitz has it, and scaled from there. The machines of the catalogue have
the energies of this table at 45 nm; docs/machines.md says more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import log2, sqrt
from typing import Any

from tilework.errors import MachineError
from tilework.machine.machine import Machine, Scratchpad
from tilework.plain import columns, quantity

SCALING = (
    "A. Stillmaker and B. Baas, Scaling equations for the accurate prediction of CMOS device performance from 180 nm "
    "to 7 nm, Integration 58, 2017"
)
SOURCES = (
    "M. Horowitz, Computing's energy problem (and what we can do about it), ISSCC 2014, figure 1.1.9: energies, 45 nm",
    "W. Dally, in J. Hennessy and D. Patterson, Computer Architecture, 6th edition, figure 1.13: areas, TSMC 45 nm",
    "K. Mistry et al., IEDM 2007: 0.346 square micrometres for a bit of SRAM at 45 nm",
    f"{SCALING}, coefficients as in Accelergy's hwcomponents: energies and areas of other nodes",
)

NODE, VOLTAGE = 45, 0.9  # what the tables below are for

ENERGIES = {  # picojoules of a product and of an addition to the sum that it goes to; int16 is between int8 and int32
    "float32": (3.7, 0.9),
    "float16": (1.1, 0.9),
    "bfloat16": (1.1, 0.9),
    "int16": (sqrt(0.2 * 3.1), 0.1),
    "int8": (0.2, 0.1),
}
AREAS = {  # square micrometres of a multiplier and of the adder for its sum
    "float32": (7700.0, 4184.0),
    "float16": (1640.0, 4184.0),
    "bfloat16": (1640.0, 4184.0),
    "int16": (sqrt(282.0 * 3495.0), 137.0),
    "int8": (282.0, 137.0),
}
BYTE_AREA = 8 * 0.346 / 0.5  # of SRAM; that half of a memory is its cells is chosen
SCRATCHPADS = ((8 << 10, 10.0), (32 << 10, 20.0), (1 << 20, 100.0))  # bytes, picojoules of 64 bits
DRAM_BYTE, HBM_BYTE = 162.5, 31.36  # picojoules: 1.3 nJ for 64 bits; 3.92 pJ for a bit of HBM2 (O'Connor, MICRO 2017)

PROCESSES = {  # nm: volts, the energy of a switch as a polynomial of the volts, area as a multiple of 45 nm's
    130: (1.3, (7.171, -6.709, 2.904), 6.4),
    90: (1.2, (4.762, -4.781, 2.092), 2.8),
    65: (1.1, (3.755, -4.398, 1.975), 1.5),
    45: (0.9, (1.103, -0.362, 0.2767), 1.0),
    32: (0.9, (0.9559, -0.7823, 0.471), 0.46),
    20: (0.9, (0.373, -0.1582, 0.04104), 0.21),
    16: (0.85, (0.2958, -0.1241, 0.03024), 0.19),
    14: (0.8, (0.2363, -0.09675, 0.02239), 0.17),
    10: (0.75, (0.2068, -0.09311, 0.02375), 0.1),
    7: (0.7, (0.1776, -0.09097, 0.02447), 0.059),
}


@dataclass(frozen=True)
class EnergyTable:
    """What arithmetic of a dtype, and memories, take at a process node: joules, and as an estimate square millimetres.

    `factor` and `area_factor` are what figures for 45 nm are multiplied by. DRAM isn't on the chip and isn't scaled.
    """

    node: int
    dtype: str
    factor: float
    area_factor: float
    dram_byte_joules: float = DRAM_BYTE * 1e-12
    hbm_byte_joules: float = HBM_BYTE * 1e-12

    @property
    def multiply_joules(self) -> float:
        return self.factor * ENERGIES[self.dtype][0] * 1e-12

    @property
    def add_joules(self) -> float:
        """Of an addition to a sum, which is float32 for floats and int32 for integers."""
        return self.factor * ENERGIES[self.dtype][1] * 1e-12

    @property
    def mac_joules(self) -> float:
        return self.multiply_joules + self.add_joules

    @property
    def lane_joules(self) -> float:
        """Of one lane's cycle of a vector unit: a float32 addition, taken for any function."""
        return self.factor * ENERGIES["float32"][1] * 1e-12

    def byte_joules(self, capacity_bytes: int) -> float:
        """Of a byte read or written in a memory on chip: linear in the logarithm of its size between the published
        ones, flat below them and with the last slope above."""
        return self.factor * _picojoules(capacity_bytes) * 1e-12 / 8

    @property
    def mac_area_mm2(self) -> float:
        return self.area_factor * sum(AREAS[self.dtype]) * 1e-6

    @property
    def byte_area_mm2(self) -> float:
        return self.area_factor * BYTE_AREA * 1e-6

    def to_dict(self) -> dict[str, Any]:
        """Every figure by its name, memories on chip by the published sizes in KiB, and the sources."""
        arithmetic = ("node", "dtype", "multiply_joules", "add_joules", "mac_joules", "lane_joules")
        names = (*arithmetic, "dram_byte_joules", "hbm_byte_joules", "mac_area_mm2", "byte_area_mm2")
        memories = {str(size >> 10): self.byte_joules(size) for size, _ in SCRATCHPADS}
        return {name: getattr(self, name) for name in names} | {"byte_joules": memories, "sources": list(SOURCES)}

    def __str__(self) -> str:
        sizes = [(f"byte of {size >> 10} KiB", self.byte_joules(size)) for size, _ in SCRATCHPADS]
        outside = [("byte of DRAM", self.dram_byte_joules), ("byte of HBM", self.hbm_byte_joules)]
        rows = [(f"{self.dtype} MAC", self.mac_joules), ("cycle of a vector lane", self.lane_joules), *sizes, *outside]
        return columns((f"at {self.node} nm", "energy"), [(what, quantity(joules, "J")) for what, joules in rows])


@dataclass(frozen=True)
class AreaEstimate:
    """Square millimetres of a machine's multipliers, vector lanes and memories at a node: a low estimate."""

    node: int
    matrix: float
    vector: float
    memory: float

    @property
    def total(self) -> float:
        return self.matrix + self.vector + self.memory

    def to_dict(self) -> dict[str, float]:
        """By part, and in total."""
        return {"matrix": self.matrix, "vector": self.vector, "memory": self.memory, "total": self.total}


def energy_table(node: int = NODE, dtype: str = "float32", voltage: float | None = None) -> EnergyTable:
    """The energies at a node of 7 to 130 nm, by default at the voltage usual there, of a dtype of `ENERGIES`.

    Raises MachineError for a dtype or a node out of the tables.
    """
    if dtype not in ENERGIES:
        raise MachineError(f"the dtype must be one of {', '.join(ENERGIES)}, not {dtype!r}; choose one")
    return EnergyTable(node, dtype, energy_factor(node, voltage), area_factor(node))


def energy_factor(node: int, voltage: float | None = None) -> float:
    """The energy of a switch as a multiple of that at 45 nm and 0.9 V (Stillmaker and Baas); between nodes linear."""
    return _between(node, lambda known: _switch(known, voltage)) / _switch(NODE, VOLTAGE)


def area_factor(node: int) -> float:
    """Area as a multiple of that at 45 nm (Stillmaker and Baas); between nodes linear."""
    return _between(node, lambda known: PROCESSES[known][2])


def at_node(machine: Machine, node: int, voltage: float | None = None) -> Machine:
    """The machine with all energies on chip as at another node; they are taken for those of 45 nm. Times stay."""
    factor = energy_factor(node, voltage)
    macs = {dtype: factor * joules for dtype, joules in machine.matrix.energy_per_mac_joules.items()}
    return replace(
        machine,
        sources=(*machine.sources, f"{SCALING}: energies on chip scaled from {NODE} to {node} nm"),
        nram=_scaled(machine.nram, factor),
        wram=_scaled(machine.wram, factor),
        sram=machine.sram
        and replace(machine.sram, energy_per_byte_joules=factor * machine.sram.energy_per_byte_joules),
        matrix=replace(machine.matrix, energy_per_mac_joules=macs),
        vector=replace(machine.vector, energy_per_operation_joules=factor * machine.vector.energy_per_operation_joules),
    )


def area_estimate(machine: Machine, node: int = NODE, dtype: str | None = None) -> AreaEstimate:
    """An estimate of the chip's multipliers, vector lanes and memories alone.

    A multiplier is as large as its largest dtype, `rates` of it side by side, a vector lane as a float32 MAC; with a
    `dtype` both are MACs of that. Left out: control, registers, wires, filler, ports, pads.
    """
    cores = machine.clusters * machine.cores
    rates = {dtype: 1} if dtype else machine.matrix.rates
    largest = max(rate * energy_table(node, kind).mac_area_mm2 for kind, rate in rates.items())
    lane, byte = energy_table(node, dtype or "float32").mac_area_mm2, energy_table(node).byte_area_mm2
    return AreaEstimate(
        node=node,
        matrix=cores * machine.matrix.multipliers * largest,
        vector=cores * machine.vector.lanes * lane,
        memory=machine.on_chip_bytes * byte,
    )


def _scaled(memory: Scratchpad, factor: float) -> Scratchpad:
    return replace(memory, energy_per_byte_joules=factor * memory.energy_per_byte_joules)


def _switch(node: int, voltage: float | None) -> float:
    nominal, (square, linear, constant), _ = PROCESSES[node]
    volts = voltage or nominal
    return square * volts * volts + linear * volts + constant


def _between(node: int, figure: Callable[[int], float]) -> float:
    """A figure of the table's nodes, linear between two of them."""
    larger = [known for known in PROCESSES if known >= node]
    smaller = [known for known in PROCESSES if known <= node]
    if not larger or not smaller:
        raise MachineError(f"the process must be from {min(PROCESSES)} to {max(PROCESSES)} nm, not {node}; choose one")
    above, below = min(larger), max(smaller)
    if above == below:
        return figure(node)
    share = (node - below) / (above - below)
    return share * figure(above) + (1 - share) * figure(below)


def _picojoules(capacity_bytes: int) -> float:
    """Of 64 bits, in a memory of this size."""
    (small, least), (middle, more), (large, most) = SCRATCHPADS
    if capacity_bytes <= middle:
        return least + (more - least) * log2(max(capacity_bytes, small) / small) / log2(middle / small)
    return more + (most - more) * log2(capacity_bytes / middle) / log2(large / middle)
