"""Eyeriss on AlexNet's convolutions: milliseconds of processing and megabytes of DRAM traffic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil

from tilework.machine.load import load_machine
from tilework.network.topology import LayerShape
from tilework.simulator.layers import ShapeTime, simulate_topology
from tilework.validation.case import Case

NAME = "eyeriss"
TITLE = "Eyeriss: AlexNet, layer by layer"
ABOUT = """Measured on the chip: 168 processing elements at 200 MHz and 1 V, 4 images of AlexNet. Processing is the time
with DRAM traffic hidden behind it. Ours is `eyeriss-class`, which has as many multipliers, all of them always usable,
and counts what must be moved once, uncompressed. Its dataflow, row-stationary, is none of our matrix units; what it
costs is worked out below from the paper's own mapping, with nothing fitted:

- *Elements*. A layer uses R × e × r × t of them for R filter rows and e output rows, so 135 to 156 of 168.
- *Passes*. A pass takes p · t filters and q · r channels. Before it begins, its filters come over a bus of 4 words a
  cycle and the first windows of its images over one of 1 word a cycle.
- *DRAM*. Filters come again for each strip and group of images, images for each m filters. Zeros are left out: the
  paper says that this saves 30 % of the feature maps' traffic in conv1 and 75 % in conv5; between we draw a line.

Tables III and V were written down from memory of them. What the paper's text says agrees with them, and is tested: the
sets of elements, the sizes of their memories, 15.4 MB in all."""
SOURCE = "Y.-H. Chen et al., Eyeriss, IEEE JSSC 52(1), 2017, table V (mapping: tables II and III)"

IMAGES = 4
FILTER_WORDS, IMAGE_WORDS = 4, 1  # of 16 bits in a cycle: buses of 64 and 16 bits (section V-B)
SAVED = (0.30, 0.75)  # of the feature maps' traffic by leaving out zeros, in conv1 and in conv5 (section IV-B)


@dataclass(frozen=True)
class Mapping:
    """A row of table III: how many filters the buffer holds sums of (m), images it takes together (n), output rows in a
    strip (e), filters and channels in an element (p, q), sets of elements for channels and for filters (r, t)."""

    m: int
    n: int
    e: int
    p: int
    q: int
    r: int
    t: int


@dataclass(frozen=True)
class Row:
    """A layer of `groups` equal parts, how it is mapped, and what was measured; `active` elements are table V's too."""

    layer: LayerShape
    groups: int
    mapping: Mapping
    milliseconds: float
    megabytes: float
    active: int


ROWS = (
    Row(LayerShape("conv1", (227, 227), (11, 11), 3, 96, (4, 4), 0), 1, Mapping(96, 1, 7, 16, 1, 1, 2), 16.5, 5.0, 154),
    Row(LayerShape("conv2", (27, 27), (5, 5), 48, 128, padding=2), 2, Mapping(64, 1, 27, 16, 2, 1, 1), 39.2, 4.0, 135),
    Row(LayerShape("conv3", (13, 13), (3, 3), 256, 384, padding=1), 1, Mapping(64, 4, 13, 16, 4, 1, 4), 21.8, 3.0, 156),
    Row(LayerShape("conv4", (13, 13), (3, 3), 192, 192, padding=1), 2, Mapping(64, 4, 13, 16, 3, 2, 2), 16.0, 2.1, 156),
    Row(LayerShape("conv5", (13, 13), (3, 3), 192, 128, padding=1), 2, Mapping(64, 4, 13, 16, 3, 2, 2), 10.0, 1.3, 156),
)


def cases() -> Iterator[Case]:
    """Time and traffic of each of the five layers."""
    machine = load_machine("eyeriss-class")
    for place, row in enumerate(ROWS):
        (time,) = simulate_topology([replace(row.layer, batch=IMAGES)], machine).layers
        yield _processing(row, time, machine.clock_hz)
        yield _traffic(row, time, SAVED[0] + place * (SAVED[1] - SAVED[0]) / (len(ROWS) - 1))


def _processing(row: Row, time: ShapeTime, clock: float) -> Case:
    ours = 1e3 * IMAGES * row.groups * float(time.compute_cycles) / clock
    used = elements(row)
    passes, filling = ramp(row)
    rounded = row.layer.macs * _strips(row) * row.mapping.e / row.layer.output[0]
    busy = IMAGES * row.groups * rounded / used
    accounted = 1e3 * (busy + passes * filling) / clock
    reason = (
        f"{used} of 168 elements are used, which makes {1e3 * busy / clock:.1f} ms; {passes:,} passes wait {filling:,} "
        f"cycles each for their first data, {1e3 * passes * filling / clock:.1f} ms"
    )
    return Case(NAME, f"{row.layer.name}, processing", "ms", row.milliseconds, ours, SOURCE, reason, accounted)


def _traffic(row: Row, time: ShapeTime, saved: float) -> Case:
    ours = IMAGES * row.groups * float(time.dram_bytes) / 1e6
    filters, images, stored = (words * 2 / 1e6 for words in moved(row))
    accounted = filters + (images + stored) * (1 - saved)
    reason = (
        f"the mapping reads filters {filters:.2f} MB, inputs {images:.2f} MB and writes {stored:.2f} MB; zeros left "
        f"out save {saved:.0%} of the feature maps, which leaves {accounted:.2f} MB"
    )
    return Case(NAME, f"{row.layer.name}, DRAM", "MB", row.megabytes, ours, SOURCE, reason, accounted)


def elements(row: Row) -> int:
    """The processing elements that a layer uses: filter rows by output rows, for each set."""
    return row.layer.kernel[0] * row.mapping.e * row.mapping.r * row.mapping.t


def ramp(row: Row) -> tuple[int, int]:
    """Passes of a layer over all images, and the cycles for which each waits: for its filters, then for the window of
    each of its input rows in each of its channels."""
    layer, m = row.layer, row.mapping
    filters, channels = m.p * m.t, m.q * m.r
    passes = ceil(layer.filters / filters) * ceil(layer.channels / channels) * _strips(row) * IMAGES // m.n
    rows = (m.e - 1) * layer.strides[0] + layer.kernel[0]
    weights = filters * channels * layer.kernel[0] * layer.kernel[1]
    return row.groups * passes, weights // FILTER_WORDS + rows * layer.kernel[1] * channels // IMAGE_WORDS


def moved(row: Row) -> tuple[float, float, float]:
    """Words of filters, inputs and outputs to and from DRAM for all images, nothing left out."""
    layer, m = row.layer, row.mapping
    strips = _strips(row)
    filters = layer.filters * layer.summed * strips * IMAGES / m.n
    rows = layer.image[0] if strips == 1 else strips * ((m.e - 1) * layer.strides[0] + layer.kernel[0])
    inputs = rows * layer.image[1] * layer.channels * ceil(layer.filters / m.m) * IMAGES
    outputs = layer.rows * layer.filters * IMAGES
    return row.groups * filters, float(row.groups * inputs), float(row.groups * outputs)


def _strips(row: Row) -> int:
    return ceil(row.layer.output[0] / row.mapping.e)
