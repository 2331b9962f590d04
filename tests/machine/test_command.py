"""`tilework machines` as a user meets it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tilework.cli import cli
from tilework.machine.convert import from_dict
from tilework.machine.load import accelerator_names, from_toml, load_accelerator, load_machine, machine_names


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["machines", *arguments])


def test_machines_lists_the_catalogue() -> None:
    lines = run().stdout.splitlines()
    rows = {line.split()[0]: line.split() for line in lines[2:-3]}
    assert list(rows) == [*machine_names(), *accelerator_names()]
    assert rows["dlp-s"][-8:] == ["16", "GiB", "64", "GB/s", "float32", "512", "GFLOP/s", "8"]
    assert rows["a100-40gb"][-11:] == [
        "2020",
        "400",
        "W",
        "40",
        "GB",
        "1.555",
        "TB/s",
        "float16",
        "312",
        "TFLOP/s",
        "201",
    ]
    assert rows["wse-2"][-6:] == ["GB", "20", "PB/s", "-", "-", "-"]
    assert max(map(len, lines)) <= 120
    assert lines[-1].endswith("The other figures, and the sources: tilework machines NAME")


def test_the_list_is_filtered_and_sorted() -> None:
    def names(*arguments: str) -> list[str]:
        return [one["name"] for one in json.loads(run("--json", *arguments).stdout)["machines"]]

    assert names("--kind", "dlp") == list(machine_names())
    assert names("--kind", "accelerator") == list(accelerator_names())
    assert names("--maker", "groq") == ["groq-tsp"]
    assert set(names("--dtype", "float4")) == {"b200", "gb200", "mi355x", "rtx-5090", "trainium3"}
    assert names("t4", "v100-sxm2", "a10", "--sort", "power") == ["v100-sxm2", "a10", "t4"]
    assert names("t4", "v100-sxm2", "a10", "--sort", "year") == ["a10", "t4", "v100-sxm2"]
    assert names("t4", "v100-sxm2", "a10", "--sort", "peak", "--dtype", "float32") == ["a10", "v100-sxm2", "t4"]
    assert names("wse-2", "t4", "groq-tsp", "--sort", "bandwidth") == ["wse-2", "groq-tsp", "t4"]
    assert names("wse-2", "t4", "groq-tsp", "--sort", "intensity") == ["t4", "groq-tsp", "wse-2"]


def test_machines_side_by_side() -> None:
    lines = run("t4", "dlp-s").stdout.splitlines()
    assert lines[0].split() == ["t4", "dlp-s"]
    rows = {line.split("  ")[0]: line for line in lines}
    assert rows["peak, float32"].split() == ["peak,", "float32", "8.1", "TFLOP/s", "512", "GFLOP/s"]
    assert rows["peak, int4"].split() == ["peak,", "int4", "260", "TOP/s", "-"]
    assert rows["power"].split() == ["power", "70", "W", "-"]
    assert not any(line.startswith("sparse") for line in lines)


@pytest.mark.parametrize("name", accelerator_names())
def test_one_accelerator_prints_as_its_toml(name: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(run(name).stdout, encoding="utf-8")
    assert load_accelerator(path) == load_accelerator(name)


def test_an_accelerator_as_json() -> None:
    (entry,) = json.loads(run("mi300x", "--json").stdout)["machines"]
    assert (entry["kind"], entry["maker"], entry["year"], entry["power_watts"]) == ("accelerator", "AMD", 2023, 750)
    assert entry["peak_operations_per_second"]["float8"] == 2614.9e12
    assert entry["sparse_peak_operations_per_second"]["float8"] == 5229.8e12
    assert entry["bandwidth_bytes_per_second"] == 5.3e12
    assert entry["memory_bytes"] == 192 * 10**9
    assert any(source.startswith("AMD, Instinct MI300X") for source in entry["sources"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["h100-smx"],
            "a machine must be a name in the catalogue or a path that ends in .toml, not 'h100-smx'; "
            "did you mean 'h100-sxm'?",
        ),
        (
            ["--kind", "dlp", "--dtype", "float4"],
            "--kind, --maker and --dtype must leave at least one machine, not none; drop one of them",
        ),
        (["measure", "tpu"], "what is measured must be one of cpu, cuda, not 'tpu'; choose one"),
        (
            ["wse-2", "-o", "a.svg"],
            "a picture needs a machine with a peak and a bandwidth, and none of these has both; add one",
        ),
    ],
)
def test_a_mistake_is_one_sentence(arguments: list[str], sentence: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"tilework: {sentence}\n")


def test_an_unknown_maker_is_told_the_others() -> None:
    result = run("--maker", "foo")
    assert result.stderr.startswith("tilework: --maker must be one of AMD, Alibaba, Amazon, ")
    assert result.stderr.endswith(", not 'foo'; choose one\n")


def test_machines_as_json() -> None:
    entries = {entry["name"]: entry for entry in json.loads(run("--json").stdout)["machines"]}
    assert list(entries) == [*machine_names(), *accelerator_names()]
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
    assert run("dlp-m16").stdout.splitlines()[:7] == [
        "# dlp-m16: four clusters like dlp-m4's",
        "# 4 clusters of 4 cores, each core with 256 multipliers (inner-product)",
        "# Peak: 8.192 TFLOP/s in float32, 16.38 TFLOP/s in float16, 16.38 TFLOP/s in bfloat16, 32.77 TOP/s in int8 "
        "(a MAC is 2)",
        "# NRAM 128 KiB and WRAM 256 KiB in each core, SRAM 2 MiB in each cluster, DRAM 64 GiB",
        "# 512 GB/s off chip: the roofline bends at 16 float32 operations a byte",
        "# Area: an estimate of 142 mm² at 45 nm for MACs, vector lanes and memory cells alone; chips take about four "
        "times that",
        "",
    ]
    assert run("dlp-m4").stdout.splitlines()[1] == (
        "# One cluster of 4 cores, each core with 256 multipliers (inner-product)"
    )
    assert run("dlp-s").stdout.splitlines()[1] == "# One core with 256 multipliers (inner-product)"
