"""SCALE-Sim 3.0.0 on its own topologies: cycles of a 32 by 32 array, and words to and from DRAM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tilework.machine.load import load_machine
from tilework.network.topology import LayerShape
from tilework.simulator.layers import simulate_topology
from tilework.validation.case import Case, topology

NAME = "scale-sim"
TITLE = "SCALE-Sim: systolic arrays"
ABOUT = """SCALE-Sim (Samajdar et al., ISPASS 2020) simulates a systolic array cycle by cycle. These are the figures
that version 3.0.0 reports for its own AlexNet and ResNet-50 on a 32 × 32 array with 64 KB for each operand, bandwidth
mode CALC. Ours come from closed forms ([systolic.md](systolic.md)). It reports the number of the last cycle, counted
from 0 (its issue 125), so that ours are one more for each layer."""
SOURCE = "scalesim 3.0.0 (PyPI), configs/scale.cfg, topologies/conv_nets/{}.csv, run and read"

ALEXNET = {  # total cycles that it reports, by dataflow
    "ws": (112_283, 373_799, 185_759, 278_639, 185_759),
}
RESNET_50 = 5_753_486  # all 54 layers, weight-stationary
WORDS = 51_778_658  # of AlexNet to and from DRAM, weight-stationary
SIDE = 32


def cases() -> Iterator[Case]:
    """Cycles of AlexNet's layers, of ResNet-50 in all, and AlexNet's DRAM words."""
    layers = topology("alexnet.csv")
    for flow, reported in ALEXNET.items():
        found = simulate_topology(layers, load_machine(f"scale-32x32-{flow}"))
        for published, time in zip(reported, found.layers, strict=True):
            quantity = f"AlexNet {time.name}, {flow}"
            yield Case(NAME, quantity, "cycles", published, float(time.compute_cycles), SOURCE.format("alexnet"))
    whole = simulate_topology(topology("resnet50.csv"), load_machine("scale-32x32-ws"))
    source = SOURCE.format("Resnet50")
    yield Case(NAME, "ResNet-50, ws", "cycles", RESNET_50, float(whole.compute_cycles), source)
    yield _words(layers)


def _words(layers: Sequence[LayerShape]) -> Case:
    """Ours are the compulsory words; theirs those of an array without accumulators."""
    found = simulate_topology(layers, load_machine("scale-32x32-ws"))
    ours = float(sum(time.dram_bytes for time in found.layers))  # of one byte each
    folded = [(_folds(layer.filters), _folds(layer.summed), layer) for layer in layers]
    inputs = sum(layer.rows * layer.summed * across for across, _, layer in folded)
    sums = sum(layer.rows * layer.filters * down for _, down, layer in folded)
    weights = sum(layer.filters * layer.summed for layer in layers)
    reason = (
        f"SCALE-Sim writes the partial sums of each of ⌈K/32⌉ folds to DRAM, {sums:,} words, and never reads one back; "
        f"inputs it reads for each of ⌈N/32⌉ folds, up to {inputs:,} words. With the weights these are "
        f"{inputs + sums + weights:,}. A real array has accumulators, and so have ours"
    )
    accounted, source = float(inputs + sums + weights), SOURCE.format("alexnet")
    return Case(NAME, "AlexNet, ws, to and from DRAM", "words", WORDS, ours, source, reason, accounted)


def _folds(size: int) -> int:
    return -(-size // SIDE)
