"""NVDLA's performance sheet and primer: cycles of AlexNet's layers and ResNet-50's images a second."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from math import ceil

from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.machine.matrix import ConvolutionCore
from tilework.network.topology import LayerShape
from tilework.simulator.convolution_core import WINOGRAD_WEIGHTS, core_cycles
from tilework.simulator.layers import simulate_topology
from tilework.validation.case import Case, topology

NAME = "nvdla"
TITLE = "NVDLA: performance sheet and primer"
ABOUT = """The sheet (repository nvdla/hw) gives the cycles of each layer on nv_full, 2048 int8 MACs at 1 GHz with 10
GB/s, the primer (repository nvdla/doc) ResNet-50's images a second for seven sizes. Ours are `nvdla-full`,
whose MACs and bandwidth are replaced by those of the row, nothing else. `tilework simulate` counts the
least traffic; for ResNet-50 the sheet has four rules more, which the accounted figure follows: the tensor
that a residual adds is read from DRAM; what doesn't fit into the convolution buffer is read again; filters
are rounded up to 128, not to 16; the last layer's weights are read for each image, its batch
notwithstanding. Its ResNet-50 (examples/resnet50-nvdla.csv) is the network but for res2a_branch2a, to which
it gives 256 channels in place of 64."""
SHEET = "nvdla/hw, perf/NVDLA_OpenSource_Performance.xlsx, page {}"
PRIMER = "nvdla/doc, doc/primer.rst, Example Area and Performance with NVDLA"

ALEXNET = {  # cycles per image of the page AlexNet, without a second memory
    "conv1": 49_617.5625,
    "conv2a": 54_675,
    "conv2b": 54_675,
    "conv3": 164_163,
    "conv4a": 63_938,
    "conv4b": 63_938,
    "conv5a": 42_019,
    "conv5b": 42_019,
    "fc6": 231_700,
    "fc7": 103_200,
    "fc8": 25_499,
}
RESNET_50 = 7_113_691
IMAGES = {  # by MACs, KB of the convolution buffer and GB/s: ResNet-50's images a second
    (2048, 512, 20.0): 269,
    (1024, 256, 15.0): 153,
    (512, 256, 10.0): 93,
    (256, 256, 5.0): 46,
    (128, 256, 2.0): 20,
    (64, 128, 1.0): 7.3,
    (32, 128, 0.5): 3.6,
}
FILTERS = 128  # to a multiple of which the page ResNet50 rounds them
GROUP = 32  # filters whose weights the buffer holds at a time


def cases() -> Iterator[Case]:
    """AlexNet layer by layer and in all, ResNet-50 in all, and on each size of the primer."""
    machine = load_machine("nvdla-full")
    time = simulate_topology(topology("alexnet-nvdla.csv"), machine)
    for layer in time.layers:
        published = ALEXNET[layer.name]
        yield Case(NAME, f"AlexNet {layer.name}", "cycles", published, float(layer.cycles), SHEET.format("AlexNet"))
    total = sum(ALEXNET.values())
    yield Case(NAME, "AlexNet", "cycles", total, float(time.cycles), SHEET.format("AlexNet"))
    yield _resnet(machine)
    for (macs, kilobytes, gigabytes), published in IMAGES.items():
        yield _primer(machine, macs, kilobytes, gigabytes, published)


def _resnet(machine: Machine) -> Case:
    layers = topology("resnet50-nvdla.csv")
    ours = simulate_topology(layers, machine)
    exact = sum(sheet_cycles(layer, machine, 512 * 1024) for layer in layers)
    reason = f"the least traffic, without the four rules of the page ResNet50; with them {float(exact):,.0f} cycles"
    source = SHEET.format("ResNet50")
    return Case(NAME, "ResNet-50", "cycles", RESNET_50, float(ours.cycles), source, reason, float(exact))


def _primer(machine: Machine, macs: int, kilobytes: int, gigabytes: float, published: float) -> Case:
    layers, sized = topology("resnet50-nvdla.csv"), of_size(machine, macs, gigabytes)
    images = 1 / simulate_topology(layers, sized).seconds
    exact = sized.clock_hz / float(sum(sheet_cycles(layer, sized, kilobytes * 1024) for layer in layers))
    times = sum(float(_words(layer, kilobytes * 1024)) for layer in layers)
    least = sum(float(_words(layer, 1 << 40)) for layer in layers)
    reason = (
        f"the least traffic; a buffer of {kilobytes} KB makes it {times / least:.2f} times as much, and filters are "
        f"rounded up to {FILTERS}. With the four rules {exact:.4g} images/s"
    )
    quantity = f"ResNet-50 at {macs} MACs, {kilobytes} KB, {gigabytes:g} GB/s"
    return Case(NAME, quantity, "images/s", published, images, PRIMER, reason, exact)


def of_size(machine: Machine, macs: int, gigabytes: float) -> Machine:
    """The machine with so many MACs and the sheet's GB/s, which are 1024 million bytes."""
    matrix = replace(machine.matrix, macs=macs)  # type: ignore[call-arg]
    dram = replace(machine.dram, bandwidth_bytes_per_second=gigabytes * 1.024e9)
    return replace(machine, matrix=matrix, dram=dram)


def sheet_cycles(layer: LayerShape, machine: Machine, buffer_bytes: int) -> Fraction:
    """Cycles of a layer by the page ResNet50, columns AQ (DRAM) and AR (MACs): the longer ones."""
    core = machine.matrix
    assert isinstance(core, ConvolutionCore)
    rounded = replace(layer, filters=-(-layer.filters * layer.batch // FILTERS) * FILTERS, batch=1)
    computed = core_cycles(rounded, core, 1) / layer.batch
    moved = ceil(_words(layer, buffer_bytes) / (Fraction(machine.dram.bandwidth_bytes_per_second) / 10**9))
    return max(computed, Fraction(moved))


def _words(layer: LayerShape, buffer_bytes: int) -> Fraction:
    """Bytes to and from DRAM by the sheet's column AO: of image and weights, the smaller is held and the other streams;
    where the smaller doesn't fit beside a piece of the other, the other is read once for each part of it."""
    down, across = layer.strides
    channels = _up(layer.channels * down * across, 16)
    width = -(-layer.image[1] // across)
    image = Fraction(channels * -(-layer.image[0] // down) * width)
    kernel = channels * -(-layer.kernel[0] // down) * -(-layer.kernel[1] // across)
    weights = kernel * layer.filters * (WINOGRAD_WEIGHTS if layer.kernel == (3, 3) else Fraction(1))
    stored = layer.stored[0] * layer.stored[1] * _up(layer.filters, 16)
    stored *= 2 if layer.name.endswith("branch2c") else 1  # what is added to it is read
    if image >= weights:
        piece = channels * min(layer.kernel[0], layer.image[0]) * width
        return weights + stored + image * _parts(weights, buffer_bytes - piece)
    some = kernel * GROUP if kernel * GROUP < buffer_bytes else buffer_bytes // 2
    return image + stored + weights * _parts(image, buffer_bytes - some)


def _parts(size: Fraction, room: int) -> int:
    return ceil(size / room)


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
