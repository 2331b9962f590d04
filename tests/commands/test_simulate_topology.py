"""`tilework simulate` of a topology: what it prints, its JSON contract, and mistakes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tilework.cli import cli

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
MANUAL = (ROOT / "docs" / "systolic.md").read_text("utf-8")


def simulate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["simulate", *map(str, arguments)])


def test_json() -> None:
    result = simulate(EXAMPLES / "alexnet.csv", "--on", "scale-32x32-ws", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert [layer["name"] for layer in document["layers"]] == ["Conv1", "Conv2", "Conv3", "Conv4", "Conv5"]
    assert [layer["compute_cycles"] for layer in document["layers"]] == [112_284, 373_800, 185_760, 278_640, 185_760]
    assert document["cycles"] == document["compute_cycles"] == 1_136_244
    assert document["seconds"] == document["cycles"] / 1e9
    assert document["units"] == {"matrix": 1.0, "channel": document["dram_cycles"] / 1_136_244}
    assert document["macs"] == sum(layer["macs"] for layer in document["layers"]) == 805_118_496
    first = document["layers"][0]
    assert (first["rows"], first["columns"], first["summed"], first["bound_by"]) == (3025, 96, 363, "matrix")
    assert first["utilisation"] == pytest.approx(105_415_200 / (1024 * 112_284))
    words = 224 * 224 * 3 + 96 * 363 + 3025 * 96
    assert (first["dram_bytes"], first["dram_cycles"]) == (words, -(-words // 52))


@pytest.mark.parametrize(
    ("flow", "cycles"),
    [("ws", (64 + 32 + 32 - 2) * 3 * 2), ("os", (96 + 32 + 32 - 2) * 1 * 2), ("is", (64 + 32 + 64 - 2) * 3 * 1)],
)
def test_a_product_of_matrices(flow: str, cycles: int, tmp_path: Path) -> None:
    """32 by 96 and 96 by 64 on 32 by 32: the array is filled 3 by 2, 1 by 2 and 3 by 1 times."""
    path = tmp_path / "gemm.csv"
    path.write_text("Layer, M, N, K,\nq, 32, 64, 96,\n", "utf-8")
    document = json.loads(simulate(path, "--on", f"scale-32x32-{flow}", "--json").stdout)
    assert document["layers"][0]["compute_cycles"] == cycles


@pytest.mark.parametrize("block", re.findall(r"^```\n(\$ .*?)^```$", MANUAL, re.MULTILINE | re.DOTALL))
def test_the_manual_shows_what_is_printed(block: str) -> None:
    command, _, output = block.partition("\n")
    words = command.removeprefix("$ tilework simulate ").split()
    assert simulate(ROOT / words[0], *words[1:]).stdout == output


def test_text() -> None:
    result = simulate(EXAMPLES / "alexnet-nvdla.csv", "--on", "nvdla-full")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "alexnet-nvdla on nvdla-full"
    assert " ".join(lines[4].split()) == "conv1 3,025 96 363 105,415,200 49,617.6 25,585 49,617.6 matrix 103.7 %"
    assert " ".join(lines[15].split()) == "total 724,406,816 260,599.6 803,121 895,443.6 39.5 %"
    assert lines[-1] == "895.4 µs per image, 1,117 images a second; busy: matrix 29.1 % · channel 89.7 %"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--timeline",), "--timeline must go with a program, not with a topology; leave it out"),
        (("--trace", "t.json"), "--trace must go with a program, not with a topology; leave it out"),
        (("-o", "t.svg"), "-o must go with a program, not with a topology; leave it out"),
        (("--cycles",), "--cycles must go with a program of instructions, not with a topology; leave it out"),
    ],
)
def test_mistakes(arguments: tuple[str, ...], message: str) -> None:
    result = simulate(EXAMPLES / "alexnet.csv", *arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"tilework: {message}\n")


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("Layer, M, N, K,\nq, 32, 0, 96,\n", "utf-8")
    result = simulate(path, "--on", "scale-32x32-ws")
    assert result.exit_code == 2
    assert result.stderr == f"tilework: {path}, line 2: n must be a whole number from 1 to 999,999,999, not '0'\n"
