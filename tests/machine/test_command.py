"""`tilework machines` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from tilework.cli import cli
from tilework.machine.load import from_toml, load_machine, machine_names


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["machines", *arguments])


def test_machines_lists_the_catalogue() -> None:
    lines = run().stdout.splitlines()
    assert [line.split()[0] for line in lines[2:]] == list(machine_names())
    assert lines[2:][machine_names().index("dlp-s")].split()[-4:] == ["512", "GFLOP/s", "64", "GB/s"]


def test_machines_as_json() -> None:
    entries = {entry["name"]: entry for entry in json.loads(run("--json").stdout)["machines"]}
    assert list(entries) == list(machine_names())
    dlp = entries["dlp-s"]
    assert dlp["kind"] == "dlp"
    assert dlp["peak_operations_per_second"] == {"float32": 512e9}
    assert dlp["bandwidth_bytes_per_second"] == 64e9
    assert dlp["sources"] == list(load_machine("dlp-s").sources)


def test_one_machine_prints_as_its_toml(tmp_path: Path) -> None:
    text = run("dlp-s").stdout
    assert text.startswith("# Peak 512 GFLOP/s in float32: 256 MACs per cycle\n")
    assert from_toml(text) == load_machine("dlp-s")
    path = tmp_path / "mine.toml"
    path.write_text(text.replace('name = "dlp-s"', 'name = "mine"'), encoding="utf-8")
    (entry,) = json.loads(run(str(path), "--json").stdout)["machines"]
    assert entry["name"] == "mine"
    assert entry["machine"]["nram"] == {"capacity": "128 KiB", "energy_per_byte": "6.5 pJ"}


def test_an_unknown_machine_is_one_sentence() -> None:
    result = run("tpu")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("tilework: a machine must be one of ")
    assert result.stderr.count("\n") == 1
