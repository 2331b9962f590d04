"""`tilework map`: what it prints, its JSON contract, and mistakes."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from tilework.cli import cli
from tilework.isa.tile_language import parse_tiles


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["map", *arguments])


def test_json() -> None:
    result = run("32,256,128", "--on", "dlp-m4", "--json")
    assert result.exit_code == 0, result.stderr
    record = json.loads(result.stdout)
    assert record["bound_seconds"] == 1.408e-06
    assert 1 <= record["seconds"] / record["bound_seconds"] < 1.03
    assert record["serial_seconds"] > record["seconds"]
    assert record["nram_peak_bytes"] > 0
    assert record["wram_peak_bytes"] > 0
    assert parse_tiles(record["program"])


def test_text_is_a_program_and_its_figures() -> None:
    result = run("1024,256,128", "--input-share", "1/2", "--weight-share", "0.25", "--skip", "both")
    program, _, figures = result.stdout.rpartition("\n\n")
    assert parse_tiles(program)
    assert "achieved / bound  1.000" in figures
    assert "DRAM bytes        1,081,344, compulsory 1,081,344" in figures


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["1,2"], "sizes must be three whole numbers M,K,N, not '1,2'; write them as in: 1024,256,128"),
        (["0,1,2"], "a size must be between 1 and 1,000,000, not 0; take another product"),
        (
            ["1,1,1", "--input-share", "1/0"],
            "a share must be above 0 and at most 1, not '1/0'; write it as 0.25 or 1/4",
        ),
        (["1,1,1", "--weight-share", "0"], "a share must be above 0 and at most 1, not 0; write it as 0.25 or 1/4"),
        (["1,1,1", "--skip", "x"], "zeros are skipped of none, weights, inputs, both, not of 'x'; take one of these"),
    ],
)
def test_mistakes(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stderr) == (2, f"tilework: {message}\n")
