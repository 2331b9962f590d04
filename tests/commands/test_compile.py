"""`tilework compile` and `tilework simulate`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tilework.cli import cli
from tilework.compiler.pipeline import STAGES
from tilework.isa.assembly import parse_program

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL_MACHINE = """
name = "tiny"
description = "too small for anything"
sources = ["a test"]
clock = "1 GHz"
[dram]
capacity = "1 GiB"
bandwidth = "64 GB/s"
latency_cycles = 0
energy_per_byte = "1 pJ"
[nram]
capacity = "256 B"
energy_per_byte = "1 pJ"
[wram]
capacity = "64 B"
energy_per_byte = "1 pJ"
[matrix]
kind = "inner-product"
neurons = 16
synapses = 16
pipeline_cycles = 8
energy_per_mac = "1 pJ"
[vector]
lanes = 64
pipeline_cycles = 4
energy_per_operation = "1 pJ"
[control]
queue_depth = 16
"""


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


def test_json_contract_and_file(tmp_path: Path) -> None:
    file = tmp_path / "lenet5.tile"
    result = call("compile", "lenet5", "--for", "dlp-s", "-o", file, "--json")
    answer = json.loads(result.stdout)
    assert answer.keys() >= {"instructions", "bytes", "host_operations", "dram_bytes", "dram_bytes_bound"}
    assert answer["bytes"] == file.stat().st_size
    assert answer["dram_bytes"] >= answer["dram_bytes_bound"] > 0
    assert answer["cycles"] >= answer["bound_cycles"] > 0


def test_files_are_deterministic(tmp_path: Path) -> None:
    for name in ("a.tile", "b.tile"):
        call("compile", "lenet5", "-o", tmp_path / name)
    assert (tmp_path / "a.tile").read_bytes() == (tmp_path / "b.tile").read_bytes()


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_prints(stage: str) -> None:
    result = call("compile", "lenet5", "--stage", stage)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip()


def test_the_last_stage_is_assembly_that_takes_the_same_time(tmp_path: Path) -> None:
    text = call("compile", "lenet5", "--stage", "lower").stdout
    assert parse_program(text)
    (tmp_path / "lenet5.s").write_text(text)
    call("compile", "lenet5", "-o", tmp_path / "lenet5.tile")
    from_text = json.loads(call("simulate", tmp_path / "lenet5.s", "--on", "dlp-s", "--json").stdout)
    from_file = json.loads(call("simulate", tmp_path / "lenet5.tile", "--json").stdout)
    assert from_text["cycles"] == from_file["cycles"]
    assert from_text.keys() >= {"cycles", "seconds", "units"}


def test_a_machine_that_is_too_small_says_what_is_missing_and_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(SMALL_MACHINE)
    file = tmp_path / "out.tile"
    result = call("compile", "lenet5", "--for", tmp_path / "tiny.toml", "-o", file)
    assert result.exit_code == 2
    assert result.stderr.startswith("tilework: conv1 needs, for its smallest tile, ")
    assert "use a machine tiny with more" not in result.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tiny.toml"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    result = call("compile", "lenet5", "-o", tmp_path / "no" / "out.tile")
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_program_under_another_name(tmp_path: Path) -> None:
    result = call("compile", "lenet5", "-o", tmp_path / "out.txt")
    assert result.exit_code == 2
    assert result.stderr == f"tilework: the executable's name must end in .tile, unlike {str(tmp_path / 'out.txt')!r}\n"
    assert not list(tmp_path.iterdir())


def test_trace_is_written_whole(tmp_path: Path) -> None:
    call("compile", "lenet5", "-o", tmp_path / "lenet5.tile")
    result = call("simulate", tmp_path / "lenet5.tile", "--trace", tmp_path / "t.json", "--timeline")
    assert result.exit_code == 0, result.stderr
    trace = json.loads((tmp_path / "t.json").read_text())
    assert {event["ph"] for event in trace["traceEvents"]} == {"M", "X"}
    assert "contract" in result.stdout


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a program"])
def test_foreign_program_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tile").write_bytes(content)
    for command in ("simulate", "run"):
        result = call(command, tmp_path / "x.tile")
        assert result.exit_code == 2
        assert len(result.stderr.strip().splitlines()) == 1


def test_bad_assembly_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "x.s").write_text("loop 2\n  frobnicate 3\nendloop\nend\n")
    result = call("simulate", tmp_path / "x.s")
    assert result.exit_code == 2
    assert "line 2" in result.stderr


def test_without_fusion_each_operation_is_a_layer_and_more_is_moved() -> None:
    fused, apart = (json.loads(call("compile", "lenet5", *more, "--json").stdout) for more in ((), ("--no-fusion",)))
    assert apart["dram_bytes"] > fused["dram_bytes"]
    assert apart["dram_bytes_bound"] > fused["dram_bytes_bound"]
    assert "  conv1: conv2d\n" in call("compile", "lenet5", "--no-fusion").stdout
    run = json.loads(call("run", "lenet5", "--no-fusion", "--json").stdout)
    assert (run["dram_bytes"], run["dram_bytes_bound"]) == (apart["dram_bytes"], apart["dram_bytes_bound"])
