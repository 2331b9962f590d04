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


def test_a_layer() -> None:
    record = json.loads(run("alexnet:conv2", "--on", "dlp-m4", "--batch", "2", "--json").stdout)
    assert (record["layer"], record["groups"]) == ("alexnet:conv2, conv2d+relu", 2)
    assert (record["rows"], record["summed"], record["columns"]) == (2 * 27 * 27, 48 * 25, 128)
    assert record["macs"] == 2 * 2 * 27 * 27 * 48 * 25 * 128
    assert record["bound_seconds"] <= record["seconds"] <= 1.01 * record["bound_seconds"]
    assert record["seconds"] < record["serial_seconds"]
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
        (
            ["1,2"],
            "sizes must be three whole numbers M,K,N, not '1,2'; write them as in: 1024,256,128, or a layer as in: "
            "alexnet:conv2",
        ),
        (
            ["lenet5:conf1"],
            "the layer must be a node of lenet5, not 'conf1'; the nearest are conv1, conv2, fc1",
        ),
        (
            ["lenet5:pool1"],
            "pool1 must be a sum of products, or pointwise work after one, to be mapped; name another",
        ),
        (
            ["alexnet:norm1"],
            "norm1 must be a sum of products to be mapped, not local_response_norm; name another layer",
        ),
        (["1,1,1", "--batch", "2"], "--batch must go with a layer, not with M,K,N; leave it out"),
        (
            ["lenet5:conv1", "--weight-share", "2"],
            "a share must be above 0 and at most 1, not 2; write it as 0.25 or 1/4",
        ),
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
