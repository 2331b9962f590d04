"""`tilework compile` and `run` for several cores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import tilework as tw
from tilework.cli import cli


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


@pytest.mark.parametrize(("options", "cores"), [((), 4), (("--cores", "3"), 2), (("--split", "model"), 4)])
def test_a_file_runs_on_the_cores_it_was_compiled_for(options: tuple[str, ...], cores: int, tmp_path: Path) -> None:
    """Of 3 cores 2 share a batch of 4, by twos."""
    file = tmp_path / "lenet5.tile"
    split = () if "--split" in options else ("--split", "data")
    made = json.loads(
        call("compile", "lenet5", "--batch", "4", "--for", "dlp-m4", "-o", file, *options, *split, "--json").stdout
    )
    assert made["cores"] == cores
    several = json.loads(call("run", file, "--json").stdout)
    assert several["cycles"] == made["cycles"]
    alone = json.loads(call("run", "lenet5", "--batch", "4", "--for", "dlp-m4", "--cores", "1", "--json").stdout)
    assert several["cycles"] < alone["cycles"]
    for name, values in alone["outputs"][0].items():
        np.testing.assert_allclose(several["outputs"][0][name], values, rtol=1e-4, atol=1e-6)


def test_all_cores_are_the_default_and_are_named() -> None:
    result = call("compile", "lenet5", "--batch", "4", "--for", "dlp-m4")
    assert result.stdout.startswith("lenet5 for dlp-m4 (4 cores), weights trained on MNIST")
    assert "parts of n" in call("compile", "lenet5", "--batch", "4", "--for", "dlp-m4", "--stage", "tile").stdout


def test_the_last_stage_is_assembly_of_all_streams(tmp_path: Path) -> None:
    options = ("lenet5", "--batch", "4", "--for", "dlp-m4", "--split", "data")
    text = call("compile", *options, "--stage", "lower").stdout
    headers = [line for line in text.splitlines() if line.startswith(".")]
    assert headers == [".core 0 1", ".core 0 2", ".core 0 3", ".mover 0"]
    (tmp_path / "lenet5.s").write_text(text)
    cycles = json.loads(call("simulate", tmp_path / "lenet5.s", "--on", "dlp-m4", "--json").stdout)["cycles"]
    assert cycles == json.loads(call("compile", *options, "--json").stdout)["cycles"]


def test_python() -> None:
    executable = tw.compile("mlp", "dlp-m4", cores=2, split="model")
    assert [stream.name for stream in executable.program.streams] == ["core 0 0", "core 0 1"]


def test_too_many_cores_and_an_unknown_split() -> None:
    result = call("compile", "mlp", "--cores", "2")
    assert result.exit_code == 2
    assert result.stderr == "tilework: cores must be from 1 to the 1 of dlp-s, not 2; correct it\n"
    assert call("compile", "mlp", "--split", "rows").exit_code == 2
