"""Google's first TPU: tera-operations a second of production networks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt

from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.machine.matrix import SystolicArray
from tilework.network.topology import LayerShape
from tilework.simulator.layers import simulate_topology
from tilework.validation.case import Case

NAME = "tpu"
TITLE = "TPU v1: production networks"
ABOUT = """The paper names the networks' number of layers, their weights and their batch, but not their layers' sizes.
Ours are therefore stacks of equal layers with those totals, products of square matrices for the MLPs and LSTMs. CNN0
makes 2,888 products with each weight in a batch of 8, so 361 for each image: 16 equal 3 × 3 convolutions over 19 × 19
places. CNN1's layers can't be told from its totals; it is left out. Ours are on `tpu-v1`, where activations come from
DRAM beside the weights and the array is filled anew for each tile of weights."""
SOURCE = "N. Jouppi et al., In-datacenter performance analysis of a tensor processing unit, ISCA 2017, tables 1 and 3"
SPATIAL = 19  # squared, the places of CNN0's images


@dataclass(frozen=True)
class App:
    """A network's layers with weights, their number of weights in all, its batch, and from table 3 the products that
    its counters find useful, as a share of the peak, and the TOPS measured."""

    name: str
    layers: int
    weights: float
    batch: int
    useful: float
    tops: float


APPS = (
    App("MLP0", 5, 20e6, 200, 0.125, 12.3),
    App("MLP1", 4, 5e6, 168, 0.094, 9.7),
    App("LSTM0", 24, 52e6, 64, 0.082, 3.7),
    App("LSTM1", 37, 34e6, 96, 0.063, 2.8),
    App("CNN0", 16, 8e6, 8, 0.782, 86.0),
)


def cases() -> Iterator[Case]:
    """The TOPS of five networks."""
    machine = load_machine("tpu-v1")
    for app in APPS:
        layer = equal_layer(app)
        (time,) = simulate_topology([layer], machine).layers
        ours = 2e-12 * layer.macs * machine.clock_hz / float(time.cycles)
        reason, accounted = _why(app, layer, machine, ours)
        yield Case(NAME, app.name, "TOPS", app.tops, ours, SOURCE, reason, accounted)


def equal_layer(app: App) -> LayerShape:
    """One of the equal layers that a network is taken for."""
    each = app.weights / app.layers
    if app.name.startswith("CNN"):
        side = isqrt(round(each / 9))
        return LayerShape(app.name, (SPATIAL, SPATIAL), (3, 3), side, side, padding=1, batch=app.batch)
    side = isqrt(round(each))
    return LayerShape(app.name, (1, 1), (1, 1), side, side, batch=app.batch)


def _why(app: App, layer: LayerShape, machine: Machine, ours: float) -> tuple[str, float | None]:
    """Of the apps that are off, what the paper's own counters and our array's formula say."""
    peak = machine.macs_per_cycle() * 2e-12 * machine.clock_hz
    if app.name == "CNN0":
        return _filling(app, layer, machine, peak)
    if app.name == "LSTM1":
        reason = (
            f"the paper's two counts disagree: its counters find useful products on {app.useful:.1%} of the array, "
            f"which are {app.useful * peak:.2f} TOPS, and ours is {ours / (app.useful * peak):.2f} of that; {app.tops} "
            "are those measured. Its 600 × 600 matrices also leave tiles of 256 × 256 part empty"
        )
        return reason, None
    return "", None


def _filling(app: App, layer: LayerShape, machine: Machine, peak: float) -> tuple[str, float]:
    unit = machine.matrix
    assert isinstance(unit, SystolicArray)
    rows = layer.rows * layer.batch
    idle = 2 * unit.array_rows + unit.array_columns - 2
    tiles = -(-layer.summed // unit.array_rows) * -(-layer.filters // unit.array_columns)
    filled = layer.summed * layer.filters / (tiles * unit.multipliers)
    reason = (
        f"SCALE-Sim's array fills and drains {idle} of {rows + idle:,} cycles for each tile; the TPU shifts the next "
        f"weights in while it multiplies. Without this, {layer.filters} channels in tiles of 256 give {filled:.0%} of "
        f"the peak, {filled * peak:.1f} TOPS. The paper's counters find {app.useful:.1%}, {app.useful * peak:.1f} TOPS"
    )
    return reason, filled * peak
