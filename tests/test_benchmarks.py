"""The benchmarks of the compiler: their tables, and the machine and the layers that ZigZag is given."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from subprocess import run
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def zigzag(script: Callable[[str], Any]) -> Any:
    return script("benchmarks/zigzag.py")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_compiler_prints_a_line_for_each_network() -> None:
    command = [sys.executable, str(BENCHMARKS / "compiler.py"), "--quick"]
    lines = run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert cells(lines[0])[:5] == ["network", "machine", "batch", "cycles", "of the bound"]
    rows = [cells(line) for line in lines[2:]]
    assert [row[:3] for row in rows] == [["alexnet", "dlp-s", "1"], ["encoder", "dlp-s", "1"]]
    assert all(float(row[4]) >= 1 and float(row[6]) >= 1 for row in rows)
    assert all(int(row[3].replace(",", "")) > 0 and row[7].endswith(" s") and row[8].endswith(" MB") for row in rows)


def test_layers_of_resnet50(zigzag: Any) -> None:
    layers = zigzag.layers_of("resnet50")
    assert (len(layers), layers.total()) == (24, 54)
    macs = [
        n * layer.filters * layer.channels * layer.rows * layer.columns * layer.kernel**2 for layer, n in layers.items()
    ]
    assert sum(macs) == 4_089_184_256
    assert str(next(iter(layers))) == "3→64 7x7/2 on 112x112"
    last = zigzag.zigzag_layer(list(layers)[-1])
    assert last["loop_sizes"] == [1, 1000, 1, 1, 1, 2048, 1, 1]


def test_our_layer_does_that_work(zigzag: Any) -> None:
    layer = zigzag.Layer(filters=8, channels=16, rows=6, columns=5, kernel=3, stride=2, padding=1)
    assert zigzag.zigzag_layer(layer)["pr_loop_sizes"] == [9, 11]
    cost = zigzag.ours(layer)
    assert cost.cycles >= 6 * 5 * 9  # rows · ceil(8 / 16) · ceil(16 · 9 / 16)
    assert cost.joules > 8 * 16 * 6 * 5 * 9 * 4.6e-12


def test_the_machine_has_our_costs(zigzag: Any) -> None:
    machine = zigzag.accelerator()
    memories = machine["memories"]
    assert machine["operational_array"]["sizes"] == [16, 16]
    assert machine["operational_array"]["unit_energy"] == pytest.approx(4.6)
    assert [memories[name]["size"] for name in ("wram", "nram")] == [256 * 1024 * 8, 128 * 1024 * 8]
    # 256 weights of 4 bytes a cycle, 16 inputs of 4 bytes, 64 bytes of DRAM
    assert memories["wram"]["r_cost"] == pytest.approx(256 * 4 * 8.5)
    assert memories["nram"]["r_cost"] == pytest.approx(16 * 4 * 6.5)
    assert memories["dram"]["r_cost"] == memories["dram"]["w_cost"] == pytest.approx(64 * 162.5)
    assert {use for port in memories["dram"]["ports"] for use in port["allocation"]} == {
        *(f"I{operand}, {way}" for operand in (1, 2) for way in ("fh", "tl")),
        *(f"O, {way}" for way in ("fh", "tl", "fl", "th")),
    }


def test_few_channels_are_spread_over_the_kernel(zigzag: Any) -> None:
    first, second, *_ = zigzag.layers_of("resnet50")
    default, told = zigzag.mapping([first, second], 16, 16)
    assert default["spatial_mapping_hint"] == {"D1": ["K"], "D2": ["C", "FX", "FY"]}
    assert (told["name"], told["spatial_mapping"]) == (str(first), {"D1": ["K, 16"], "D2": ["FX, 7", "FY, 2"]})


def test_report(zigzag: Any, capsys: pytest.CaptureFixture[str]) -> None:
    layer = zigzag.Layer(1, 1, 1, 1, 1, 1, 0)
    ours, theirs = zigzag.Cost(2e-3, 10, 0.5), zigzag.Cost(1e-3, 40, 100.0)
    zigzag.report(Counter({layer: 3}), [ours], [theirs], zigzag.Cost(7e-3, 35, 2.0), each=True)
    lines = capsys.readouterr().out.splitlines()
    assert cells(lines[2]) == ["1→1 1x1/1 on 1x1", "3", "2.000", "1.000", "10", "40", "0.500"]
    assert [cells(line) for line in lines[6:11]] == [
        ["1 distinct layers: time", "0.50 s", "100 s", "200×", ""],
        ["all 3 layers: time", "2.00 s", "300 s", "150×", "≥ 100×"],
        ["energy", "6.00 mJ", "3.00 mJ", "2.000", ""],
        ["cycles", "30", "120", "0.250", ""],
        ["energy-delay product", "1.800e-10 J·s", "3.600e-10 J·s", "0.500", "≤ 1"],
    ]


def test_training_takes_the_same_steps_as_pytorch() -> None:
    """It ends with an error where the losses differ."""
    pytest.importorskip("torch", reason="PyTorch is not installed")
    command = [sys.executable, str(BENCHMARKS / "training.py"), "--turns", "1", "--steps", "3"]
    lines = run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [cells(line)[0] for line in lines[2:]] == ["mlp", "lenet5"]
    assert all(float(cell) > 0 for line in lines[2:] for cell in cells(line)[1:4])
