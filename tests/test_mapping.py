"""Mapped products: the search's time is the simulator's, near the bound, within the memories."""

from __future__ import annotations

import re
from fractions import Fraction
from math import prod
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tilework.frontend.weight_files import seeded
from tilework.frontend.zoo import network
from tilework.isa.tile_language import parse_tiles
from tilework.machine.load import load_machine
from tilework.mapping import MappedProduct, map_layer, map_product
from tilework.simulator.tile_time import simulate_tiles

RANDOM = Random(7)
SIZES = [tuple(RANDOM.randint(low, high) for _ in range(3)) for low, high in ((100, 2000), (1, 60)) for _ in range(12)]
SIZES += [(1, 1, 1), (2000, 1, 2000), (1999, 1997, 101), (1_000_000, 5, 1_000_000)]


def check(mapped: MappedProduct) -> float:
    """That all figures agree with the simulator's; achieved over bound."""
    record, machine, problem = mapped.to_dict(), mapped.machine, mapped.found.problem
    time = simulate_tiles(parse_tiles(mapped.program), machine)
    assert (mapped.found.cycles, mapped.serial.cycles) == (time.cycles, mapped.serial_time.cycles)
    assert simulate_tiles(parse_tiles(mapped.serial_program), machine).cycles == mapped.serial.cycles
    assert time.macs == mapped.serial_time.macs == problem.rows * problem.summed * problem.columns
    assert time.bytes_out == problem.rows * problem.columns * problem.output_bytes
    assert time.bytes_in + time.bytes_out >= problem.compulsory_bytes
    cores, rate = machine.clusters * machine.cores, machine.macs_per_cycle(machine.dtype)
    bytes_moved = 4 * (
        problem.rows * problem.summed + problem.summed * problem.columns + problem.rows * problem.columns
    )
    bound = max(time.macs / (cores * rate), bytes_moved / machine.dram_bytes_per_cycle)
    assert record["bound_cycles"] == pytest.approx(bound)
    assert record["seconds"] == pytest.approx(record["cycles"] / machine.clock_hz)
    assert record["bound_seconds"] <= record["seconds"] <= record["serial_seconds"]
    assert record["nram_peak_bytes"] <= machine.nram.capacity_bytes
    assert record["wram_peak_bytes"] <= machine.wram.capacity_bytes
    return float(record["achieved_over_bound"])


@pytest.mark.parametrize("machine", ["dlp-s", "dlp-m4"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_search_knows_the_time(sizes: tuple[int, int, int], machine: str) -> None:
    ratio = check(map_product(*sizes, machine))
    if min(sizes) >= 100 and max(sizes) <= 2000:
        assert ratio < 1.005


@pytest.mark.parametrize(
    ("sizes", "machine", "most"),
    [
        ((1, 256, 1), "dlp-s", 1.0002),
        ((32, 256, 128), "dlp-s", 1.002),
        ((1024, 256, 128), "dlp-s", 1.001),
        ((32, 256, 128), "dlp-m4", 1.001),
        ((1024, 256, 2048), "dlp-m4", 1.001),
    ],
)
def test_the_exercises(sizes: tuple[int, int, int], machine: str, most: float) -> None:
    assert check(map_product(*sizes, machine)) < most


@pytest.mark.parametrize(("skip", "part"), [("none", 1), ("inputs", 2), ("weights", 4), ("both", 8)])
def test_compressed_operands(skip: str, part: int) -> None:
    mapped = map_product(1024, 256, 128, input_share=Fraction(1, 2), weight_share=Fraction(1, 4), skip=skip)
    moved = 1024 * 256 * 2 + 256 * 128 + 1024 * 128 * 4
    assert (mapped.time.macs, mapped.found.problem.compulsory_bytes) == (1024 * 256 * 128 // part, moved)
    assert mapped.found.bound_cycles == max(Fraction(1024 * 256 * 128, part * 256), Fraction(moved, 64))
    assert mapped.time.cycles < mapped.found.bound_cycles * Fraction(1001, 1000)
    assert mapped.time.cycles == mapped.found.cycles


@pytest.mark.parametrize("machine", ["dlp-s", "dlp-m4"])
@pytest.mark.parametrize(("skip", "part"), [("none", 1), ("inputs", 2), ("weights", 4), ("both", 8)])
def test_a_layer_with_compressed_operands(skip: str, part: int, machine: str) -> None:
    """Half of the inputs and a fourth of the weights come in; bias and outputs are whole."""
    graph = network("alexnet")
    shares: dict[str, Any] = {"input_share": Fraction(1, 2), "weight_share": Fraction(1, 4), "skip": skip}
    mapped = map_layer(graph, seeded(graph), "conv2", machine, **shares)
    (node,) = (node for node in graph.nodes if node.name == "conv2")
    inputs, weights, bias, outputs = (graph.tensors[name].elements for name in (*node.inputs, "conv2"))
    record, time = mapped.to_dict(), simulate_tiles(parse_tiles(mapped.program), mapped.machine)
    assert record["compulsory_bytes"] == 2 * inputs + weights + 4 * bias + 4 * outputs
    assert time.bytes_in + time.bytes_out >= record["compulsory_bytes"]
    assert time.bytes_out == 4 * outputs
    macs = graph.tensors["conv2"].elements * prod(graph.tensors[node.inputs[1]].shape[1:])
    assert macs / part <= time.macs < 1.001 * macs / part
    assert mapped.found.cycles == time.cycles
    assert record["achieved_over_bound"] < 1.01
    for memory, size in mapped.capacities.items():
        assert mapped.found.peak_bytes[memory] <= size


@pytest.mark.parametrize(("dtype", "each", "output"), [("fp16", 2, 2), ("int8", 1, 4)])
def test_dtypes(dtype: str, each: int, output: int) -> None:
    mapped = map_product(300, 200, 150, "dlp-s", dtype=dtype)
    moved = each * 200 * (300 + 150) + output * 300 * 150
    assert (mapped.time.bytes_in, mapped.time.bytes_out) == (moved - output * 300 * 150, output * 300 * 150)
    assert mapped.time.cycles == mapped.found.cycles


def test_bytes_that_are_not_whole() -> None:
    mapped = map_product(100, 90, 80, "dlp-m4", input_share=Fraction(1, 3), weight_share=Fraction(1, 7), skip="both")
    assert mapped.time.macs >= mapped.found.problem.macs == -(-100 * 90 * 80 // 21)
    assert mapped.time.cycles == mapped.found.cycles


@pytest.mark.parametrize("machine", ["dlp-m16", "mlu-class", "tpu-v1", "eyeriss-class", "diannao"])
def test_other_machines(machine: str) -> None:
    record = map_product(200, 150, 170, machine).to_dict()
    on = load_machine(machine)
    assert record["macs"] == 200 * 150 * 170
    assert record["achieved_over_bound"] >= 1
    assert record["seconds"] < record["serial_seconds"]
    assert record["nram_peak_bytes"] <= on.nram.capacity_bytes


def test_the_manual_shows_what_is_printed() -> None:
    manual = (Path(__file__).parents[1] / "docs" / "mapping.md").read_text("utf-8")
    printed = re.search(r"^```\n\$ tilework map 32,256,128\n(.*?)^```$", manual, re.MULTILINE | re.DOTALL)
    assert printed
    assert printed[1] == f"{map_product(32, 256, 128)}\n"
