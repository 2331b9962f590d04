"""`tilework machines` as a user meets it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tilework.cli import cli
from tilework.machine.convert import from_dict
from tilework.machine.load import from_toml, load_machine, machine_names


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["machines", *arguments])


def test_machines_lists_the_catalogue() -> None:
    lines = run().stdout.splitlines()
    rows = lines[2:-2]
    assert [line.split()[0] for line in rows] == list(machine_names())
    assert rows[machine_names().index("dlp-s")].split()[-7:] == [
        *("inner-product", "float32", "1", "512", "GFLOP/s", "64", "GB/s")
    ]
    assert rows[machine_names().index("tpu-v1")].split()[-5:] == ["1", "91.75", "TOP/s", "34", "GB/s"]
    assert max(map(len, lines)) <= 120
    assert lines[-1] == "Peaks are of the whole chip. Its other dtypes, memories and keys: tilework machines NAME"


def test_machines_as_json() -> None:
    entries = {entry["name"]: entry for entry in json.loads(run("--json").stdout)["machines"]}
    assert list(entries) == list(machine_names())
    chip = entries["dlp-m4"]
    assert chip["kind"] == "dlp"
    assert chip["matrix_unit"] == "inner-product"
    assert (chip["clusters"], chip["cores"]) == (1, 4)
    peaks = {"float32": 4 * 512e9, "float16": 4 * 1024e9, "bfloat16": 4 * 1024e9, "int8": 4 * 2048e9}
    assert chip["peak_operations_per_second"] == peaks
    assert chip["bandwidth_bytes_per_second"] == 128e9
    assert chip["memory_bytes"] == {"nram": 1 << 17, "wram": 1 << 18, "sram": 1 << 21, "dram": 1 << 34}
    assert chip["sources"] == list(load_machine("dlp-m4").sources)
    assert entries["dlp-s"]["memory_bytes"].keys() == {"nram", "wram", "dram"}
    assert entries["dlp-s"]["peak_operations_per_second"]["float32"] == 512e9


@pytest.mark.parametrize("name", machine_names())
def test_one_machine_prints_as_its_toml(name: str, tmp_path: Path) -> None:
    text = run(name).stdout
    assert from_toml(text) == load_machine(name)
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(f'name = "{name}"', 'name = "mine"'), encoding="utf-8")
    (entry,) = json.loads(run(str(path), "--json").stdout)["machines"]
    assert entry["name"] == "mine"
    assert from_dict(entry["machine"]) == replace(load_machine(name), name="mine")


def test_one_machine_begins_with_what_it_is() -> None:
    assert run("dlp-m16").stdout.splitlines()[:6] == [
        "# dlp-m16: four clusters like dlp-m4's",
        "# 4 clusters of 4 cores, each core with 256 multipliers (inner-product)",
        "# Peak: 8.192 TFLOP/s in float32, 16.38 TFLOP/s in float16, 16.38 TFLOP/s in bfloat16, 32.77 TOP/s in int8 "
        "(a MAC is 2)",
        "# NRAM 128 KiB and WRAM 256 KiB in each core, SRAM 2 MiB in each cluster, DRAM 64 GiB",
        "# 512 GB/s off chip: the roofline bends at 16 float32 operations a byte",
        "",
    ]
    assert run("dlp-m4").stdout.splitlines()[1] == (
        "# One cluster of 4 cores, each core with 256 multipliers (inner-product)"
    )
    assert run("dlp-s").stdout.splitlines()[1] == "# One core with 256 multipliers (inner-product)"


def test_an_unknown_machine_is_one_sentence() -> None:
    result = run("tpu")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("tilework: a machine must be one of ")
    assert result.stderr.count("\n") == 1
