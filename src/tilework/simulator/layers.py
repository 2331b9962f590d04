"""The time of a topology: of whole layers, one after the other, on a machine's matrix unit.

A layer takes what its matrix unit takes, or what the DRAM channel takes to move its image, weights and output once,
whichever is longer. The unit's cycles are exact; that transfers hide behind them is the best case. docs/systolic.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tilework.isa.instruction import DTYPES
from tilework.machine.machine import Machine
from tilework.machine.matrix import ConvolutionCore
from tilework.network.topology import LayerShape
from tilework.plain import columns, percent, quantity
from tilework.simulator.convolution_core import core_cycles, core_words


@dataclass(frozen=True, slots=True)
class ShapeTime:
    """One layer's time per image, in cycles: those of the matrix unit, those of the DRAM channel, and the longer ones.

    `rows`, `columns` and `summed` are the sizes of its matrix product, `utilisation` its MACs by the unit's peak.
    """

    name: str
    rows: int
    columns: int
    summed: int
    macs: int
    compute_cycles: Fraction
    dram_bytes: Fraction
    dram_cycles: int
    utilisation: float

    @property
    def cycles(self) -> Fraction:
        return max(self.compute_cycles, Fraction(self.dram_cycles))

    def to_dict(self) -> dict[str, Any]:
        """The record of a layer in `tilework simulate --json`."""
        return {
            "name": self.name,
            "rows": self.rows,
            "columns": self.columns,
            "summed": self.summed,
            "macs": self.macs,
            "compute_cycles": _number(self.compute_cycles),
            "dram_bytes": _number(self.dram_bytes),
            "dram_cycles": self.dram_cycles,
            "cycles": _number(self.cycles),
            "bound_by": _bound_by(self),
            "utilisation": self.utilisation,
        }


@dataclass(frozen=True)
class TopologyTime:
    """A network's time per image: its layers one after the other."""

    machine: str
    clock_hz: float
    layers: tuple[ShapeTime, ...]
    utilisation: float

    @property
    def cycles(self) -> Fraction:
        return sum((layer.cycles for layer in self.layers), Fraction(0))

    @property
    def compute_cycles(self) -> Fraction:
        return sum((layer.compute_cycles for layer in self.layers), Fraction(0))

    @property
    def dram_cycles(self) -> int:
        return sum(layer.dram_cycles for layer in self.layers)

    @property
    def seconds(self) -> float:
        return float(self.cycles) / self.clock_hz

    @property
    def units(self) -> dict[str, float]:
        """The share of the time for which each unit is busy."""
        busy = {"matrix": self.compute_cycles, "channel": Fraction(self.dram_cycles)}
        return {unit: float(cycles / self.cycles) for unit, cycles in busy.items()}

    def to_dict(self) -> dict[str, Any]:
        """The record of `tilework simulate --json`."""
        return {
            "machine": self.machine,
            "cycles": _number(self.cycles),
            "seconds": self.seconds,
            "compute_cycles": _number(self.compute_cycles),
            "dram_cycles": self.dram_cycles,
            "dram_bytes": _number(sum((layer.dram_bytes for layer in self.layers), Fraction(0))),
            "macs": sum(layer.macs for layer in self.layers),
            "utilisation": self.utilisation,
            "units": self.units,
            "layers": [layer.to_dict() for layer in self.layers],
        }

    def __str__(self) -> str:
        head = ("layer", "rows", "columns", "summed", "MACs", "compute", "DRAM", "cycles", "bound by", "utilisation")
        total = ("total", "", "", "", f"{sum(layer.macs for layer in self.layers):,}")
        cycles = (_shown(self.compute_cycles), f"{self.dram_cycles:,}", _shown(self.cycles))
        rows = [*map(_cells, self.layers), (*total, *cycles, "", percent(self.utilisation))]
        busy = " · ".join(f"{unit} {percent(share)}" for unit, share in self.units.items())
        rate = f"{quantity(self.seconds, 's')} per image, {1 / self.seconds:,.4g} images a second"
        return f"{columns(head, rows)}\n\n{rate}; busy: {busy}"


def simulate_topology(layers: Sequence[LayerShape], machine: Machine) -> TopologyTime:
    """The time of layers in the machine's own dtype, per image; of the whole chip only the first core works."""
    times = tuple(_layer(layer, machine) for layer in layers)
    cycles = sum((time.cycles for time in times), Fraction(0))
    macs = sum(time.macs for time in times)
    return TopologyTime(machine.name, machine.clock_hz, times, float(macs / (machine.macs_per_cycle() * cycles)))


def _layer(layer: LayerShape, machine: Machine) -> ShapeTime:
    compute, words = _compute(layer, machine), _words(layer, machine)
    moved = words * DTYPES[machine.dtype]
    channel = -(-moved * Fraction(machine.clock_hz) // Fraction(machine.dram.bandwidth_bytes_per_second))
    longest = max(compute, Fraction(channel))
    return ShapeTime(
        name=layer.name,
        rows=layer.rows,
        columns=layer.filters,
        summed=layer.summed,
        macs=layer.macs,
        compute_cycles=compute,
        dram_bytes=moved,
        dram_cycles=channel,
        utilisation=float(layer.macs / (machine.macs_per_cycle() * longest)),
    )


def _compute(layer: LayerShape, machine: Machine) -> Fraction:
    unit, dtype = machine.matrix, machine.dtype
    if isinstance(unit, ConvolutionCore):
        return core_cycles(layer, unit, unit.rates[dtype])
    cycles = unit.cycles(layer.rows * layer.batch, layer.filters, layer.summed, dtype)
    return Fraction(cycles, layer.batch)


def _words(layer: LayerShape, machine: Machine) -> Fraction:
    """Words to and from DRAM: the whole image once, each weight once per batch, what is stored once."""
    if isinstance(machine.matrix, ConvolutionCore):
        return core_words(layer, machine.matrix)
    image = layer.image[0] * layer.image[1] * layer.channels
    stored = layer.stored[0] * layer.stored[1] * layer.filters
    return image + stored + Fraction(layer.filters * layer.summed, layer.batch)


def _bound_by(layer: ShapeTime) -> str:
    return "matrix" if layer.compute_cycles >= layer.dram_cycles else "channel"


def _cells(layer: ShapeTime) -> tuple[str, ...]:
    sizes = (layer.rows, layer.columns, layer.summed, layer.macs)
    cycles = (_shown(layer.compute_cycles), f"{layer.dram_cycles:,}", _shown(layer.cycles))
    return (layer.name, *(f"{size:,}" for size in sizes), *cycles, _bound_by(layer), percent(layer.utilisation))


def _shown(value: Fraction) -> str:
    return f"{value.numerator:,}" if value.denominator == 1 else f"{float(value):,.1f}"


def _number(value: Fraction) -> int | float:
    return value.numerator if value.denominator == 1 else float(value)
