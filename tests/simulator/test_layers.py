"""Whole layers on systolic arrays against SCALE-Sim, on NVDLA's core against its sheet, on others against the unit."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from tilework.frontend.topology import parse_topology, read_topology
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.machine.matrix import DATAFLOWS, ConvolutionCore, ScalarMacArray, SystolicArray
from tilework.network.topology import LayerShape
from tilework.simulator.convolution_core import core_cycles
from tilework.simulator.layers import simulate_topology

EXAMPLES = Path(__file__).parents[2] / "examples"
CONV = """Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,
a, 12, 10, 3, 3, 5, 20, 1,
b, 13, 14, 5, 3, 2, 7, 2,
c, 9, 9, 1, 1, 33, 40, 2,
d, 8, 8, 8, 8, 3, 10, 1,
e, 1, 1, 1, 1, 100, 50, 1,
f, 16, 7, 3, 3, 16, 16, 3,
"""
GEMM = "Layer, M, N, K,\np, 20, 30, 40,\nq, 1, 70, 33,\nr, 65, 1, 9,\ns, 33, 17, 16,\n"
SCALE_SIM = {  # total cycles of the layers as SCALE-Sim 3.0.0 reports them, one less than they are (its issue 125)
    (CONV, "ws", 8, 8): (1835, 227, 1174, 1103, 2092, 1439),
    (CONV, "ws", 4, 16): (2447, 455, 1268, 1103, 2299, 1439),
    (CONV, "ws", 16, 4): (1709, 275, 1769, 1259, 3184, 1871),
    (CONV, "ws", 5, 7): (2564, 299, 1679, 1247, 2559, 2870),
    (CONV, "os", 8, 8): (1769, 219, 939, 411, 797, 947),
    (CONV, "os", 4, 16): (2519, 431, 1070, 209, 471, 809),
    (CONV, "os", 16, 4): (1574, 287, 1019, 629, 1533, 1295),
    (CONV, "os", 5, 7): (2639, 279, 1289, 403, 879, 1847),
    (CONV, "is", 8, 8): (2519, 579, 1239, 767, 935, 2051),
    (CONV, "is", 4, 16): (2519, 695, 1115, 1535, 1799, 2735),
    (CONV, "is", 16, 4): (3239, 737, 1553, 527, 587, 2249),
    (CONV, "is", 5, 7): (3779, 659, 1539, 974, 1299, 2696),
    (GEMM, "ws", 8, 8): (839, 1034, 173, 329),
    (GEMM, "ws", 16, 4): (1295, 1889, 98, 334),
    (GEMM, "os", 4, 16): (579, 254, 458, 611),
    (GEMM, "os", 5, 7): (999, 429, 246, 545),
    (GEMM, "is", 16, 4): (959, 311, 594, 458),
    (GEMM, "is", 5, 7): (1079, 594, 319, 639),
}
FLOWS = dict(zip(("ws", "os", "is"), DATAFLOWS, strict=True))


def systolic(dataflow: str, rows: int, columns: int) -> Machine:
    machine = load_machine("scale-32x32-ws")
    assert isinstance(machine.matrix, SystolicArray)
    unit = replace(machine.matrix, array_rows=rows, array_columns=columns, dataflow=FLOWS[dataflow])
    return replace(machine, matrix=unit)


@pytest.mark.parametrize("case", SCALE_SIM, ids=lambda case: f"{case[0][:8]} {case[1]} {case[2]}x{case[3]}")
def test_small_layers_take_scale_sims_cycles(case: tuple[str, str, int, int]) -> None:
    time = simulate_topology(parse_topology(case[0]), systolic(*case[1:]))
    assert tuple(layer.compute_cycles - 1 for layer in time.layers) == SCALE_SIM[case]


def test_alexnet_takes_scale_sims_cycles() -> None:
    """SCALE-Sim 3.0.0 with configs/scale.cfg, a run of two minutes."""
    time = simulate_topology(read_topology(EXAMPLES / "alexnet.csv"), load_machine("scale-32x32-ws"))
    reported = (112_283, 373_799, 185_759, 278_639, 185_759)
    assert tuple(layer.compute_cycles - 1 for layer in time.layers) == reported
    assert time.cycles == time.compute_cycles == sum(reported) + 5
    assert time.seconds == float(time.cycles) / 1e9


@pytest.mark.parametrize("flow", FLOWS)
def test_the_catalogues_arrays_have_their_dataflow(flow: str) -> None:
    assert load_machine(f"scale-32x32-{flow}").matrix == systolic(flow, 32, 32).matrix


SHEET = {  # page AlexNet, columns AQ (MAC cycles) and AP (DRAM cycles) of NVDLA's sheet
    "conv1": (49_617.5625, 25_585),
    "conv2a": (54_675, 20_530),
    "conv2b": (54_675, 20_530),
    "conv3": (32_448, 164_163),
    "conv4a": (12_168, 63_938),
    "conv4b": (12_168, 63_938),
    "conv5a": (8_112, 42_019),
    "conv5b": (8_112, 42_019),
    "fc6": (18_432, 231_700),
    "fc7": (8_192, 103_200),
    "fc8": (2_000, 25_499),
}


def test_alexnet_takes_the_cycles_of_nvdlas_sheet() -> None:
    time = simulate_topology(read_topology(EXAMPLES / "alexnet-nvdla.csv"), load_machine("nvdla-full"))
    assert {layer.name: (layer.compute_cycles, layer.dram_cycles) for layer in time.layers} == SHEET
    assert time.cycles == 895_443.5625
    assert time.utilisation == pytest.approx(0.3950156999704825)
    assert time.units["matrix"] == pytest.approx(0.2910284616625406)


@pytest.mark.parametrize(
    ("layer", "cycles"),
    [  # pages GoogLeNet and ResNet50 of the sheet
        (LayerShape("conv1", (224, 224), (7, 7), 3, 64, (2, 2), 3), 76_832),
        (LayerShape("res2a_branch1", (56, 56), (1, 1), 64, 256, (1, 1), 0), 25_088),
        (LayerShape("by hand: 2 x 2 places of 1 x 1, both atoms ragged", (2, 2), (1, 1), 17, 1), 32 * 4 * 16 / 2048),
    ],
)
def test_other_layers_on_nvdlas_core(layer: LayerShape, cycles: float) -> None:
    core = load_machine("nvdla-full").matrix
    assert isinstance(core, ConvolutionCore)
    assert core_cycles(layer, core, 1) == cycles
    assert core_cycles(layer, core, 2) == cycles / 2


def test_winograd_is_for_3_by_3_of_stride_1_and_where_the_core_has_it() -> None:
    core = load_machine("nvdla-full").matrix
    assert isinstance(core, ConvolutionCore)
    plain = replace(core, winograd=False)
    for strides, factor in (((1, 1), Fraction(9, 4)), ((2, 2), 1)):
        layer = LayerShape("x", (16, 16), (3, 3), 16, 16, strides, 1)
        assert core_cycles(layer, plain, 1) == factor * core_cycles(layer, core, 1)


def test_a_layer_takes_the_longer_of_unit_and_channel() -> None:
    machine = load_machine("dlp-s")  # 64 bytes a cycle, float32
    unit = ScalarMacArray(macs=8, pipeline_cycles=3, rates={"float32": 1}, energy_per_mac_joules={"float32": 1e-12})
    layers = (LayerShape("work", (8, 8), (1, 1), 32, 4), LayerShape("words", (1, 1), (1, 1), 512, 16))
    work, words = simulate_topology(layers, replace(machine, matrix=unit)).layers
    assert (work.compute_cycles, work.dram_cycles) == (8 * 8 * 4 // 8 * 32 + 3, 4 * (64 * 32 + 128 + 64 * 4) // 64)
    assert (words.compute_cycles, words.dram_cycles) == (2 * 512 + 3, 4 * (512 + 512 * 16 + 16) // 64)
    assert (work.cycles, words.cycles) == (1027, 1027)
    wide = simulate_topology(layers, replace(machine, matrix=replace(unit, macs=64)))
    assert [layer.cycles for layer in wide.layers] == [work.dram_cycles, words.dram_cycles]


def test_a_batch_shares_its_weights() -> None:
    array = systolic("ws", 8, 8)
    single, batch = (LayerShape("fc", (1, 1), (1, 1), 64, 64, batch=number) for number in (1, 16))
    alone = simulate_topology([single], array).layers[0]
    shared = simulate_topology([batch], array).layers[0]
    assert alone.compute_cycles == (2 * 8 + 8 + 1 - 2) * 64
    assert shared.compute_cycles == Fraction((2 * 8 + 8 + 16 - 2) * 64, 16)
    assert alone.dram_bytes == 64 + 64 + 64 * 64
    assert shared.dram_bytes == 64 + 64 + 64 * 64 / 16
