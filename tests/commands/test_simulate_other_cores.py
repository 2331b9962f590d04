"""`tilework simulate --window` and `--cache`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tilework.cli import cli

EXAMPLES = Path(__file__).parents[2] / "examples"


def simulate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["simulate", *map(str, arguments)])


def test_a_window_and_a_cache() -> None:
    found = simulate(EXAMPLES / "pipeline.s", "--window", "16", "--cache", "4KiB/64/2")
    assert "with a window of 16 instructions, out of order: 449 cycles, 0.99 times those of the queues" in found.stdout
    assert "640 lookups, 17.5 % of them hits; 33,792 bytes from and to DRAM" in found.stdout


def test_json_has_both() -> None:
    found = json.loads(simulate(EXAMPLES / "pipeline.s", "--window", "1", "--cache", "64KiB", "--json").stdout)
    assert found["window"]["cycles"] > found["cycles"]
    assert found["cache"]["cache"] == {"size_bytes": 65536, "line_bytes": 64, "ways": 8}
    assert found["cache"]["dram_bytes"] == 4 * (128 * 32 + 32 * 16 + 128 * 16)  # all that must be, once


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("pipeline.s", "--cache", "4KiB/64/2/1"),
            "a cache must be given as size/line/ways, as in 96KiB/64/8, not as '4KiB/64/2/1'; write it so",
        ),
        (
            ("pipeline.s", "--cache", "4KiB/64/3"),
            "a cache must be a multiple of its line times its ways, 192 bytes, and 4096 is none; change one of them",
        ),
        (("pipeline.s", "--window", "0"), "a window must hold 1 instruction or more, not 0; give a larger one"),
        (
            ("ex7_9.tl", "--window", "4"),
            "--window must go with a program of instructions, not with one in the tile language; leave it out",
        ),
    ],
)
def test_what_cannot_be(arguments: tuple[str, ...], sentence: str) -> None:
    file, *options = arguments
    found = simulate(EXAMPLES / file, *options)
    assert (found.exit_code, found.stderr) == (2, f"tilework: {sentence}\n")
