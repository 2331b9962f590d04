"""`tilework simulate` of a program in the tile language: what it prints, its JSON contract, and mistakes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tilework.cli import cli
from tilework.isa.tile_language import parse_tiles
from tilework.machine.load import load_machine, to_toml

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
MANUAL = (ROOT / "docs" / "tile-language.md").read_text("utf-8")


def simulate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["simulate", *map(str, arguments)])


@pytest.mark.parametrize(("number", "cycles"), [(7, 33.0625), (8, 6912), (9, 157696)])
def test_exercises(number: int, cycles: float) -> None:
    result = simulate(EXAMPLES / f"ex7_{number}.tl", "--on", "dlp-s", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["cycles"] == cycles
    assert document["seconds"] == cycles / 1e9
    assert document["units"].keys() == {"channel", "compute"}
    assert document["bound_seconds"] < document["seconds"]


def test_the_manual_shows_what_is_printed() -> None:
    blocks = re.findall(r"^```\n(.*?)^```$", MANUAL, re.MULTILINE | re.DOTALL)
    program, printed = blocks[-2:]
    assert parse_tiles(program) == parse_tiles((EXAMPLES / "ex7_7.tl").read_text("utf-8"))
    command, _, output = printed.partition("\n")
    assert command == "$ tilework simulate examples/ex7_7.tl --timeline"
    assert simulate(EXAMPLES / "ex7_7.tl", "--timeline").stdout == output


def test_trace(tmp_path: Path) -> None:
    trace = tmp_path / "t.json"
    assert simulate(EXAMPLES / "ex7_9.tl", "--trace", trace).exit_code == 0
    slices = [event for event in json.loads(trace.read_text("utf-8"))["traceEvents"] if event["ph"] == "X"]
    assert len(slices) == 1 + 16 * 3
    assert max(event["ts"] + event["dur"] for event in slices) == pytest.approx(157.696)


def test_several_cores(tmp_path: Path) -> None:
    trace = tmp_path / "t.json"
    result = simulate(EXAMPLES / "ex7_11.tl", "--on", "dlp-m4", "--json", "--trace", trace)
    document = json.loads(result.stdout)
    assert (document["cycles"], document["bound_seconds"]) == (2571.264, 1.408e-06)
    assert document["units"]["core 3 compute"] == pytest.approx(1024 / 2571.264)
    names = [
        event["args"]["name"] for event in json.loads(trace.read_text("utf-8"))["traceEvents"] if event["ph"] == "M"
    ]
    assert {"chip", "core 0", "core 3", "mover 0", "channel", "compute", "sram", "cast"} <= set(names)
    shown = simulate(EXAMPLES / "ex7_11_fast.tl", "--on", "dlp-m4", "--timeline").stdout
    assert "core 3: compute 71.9 % · sram 9.2 %" in shown
    assert "mover 0 cast    ." in shown


def test_another_machine(tmp_path: Path) -> None:
    machine = tmp_path / "fast.toml"
    machine.write_text(to_toml(load_machine("dlp-s")).replace("64 GB/s", "128 GB/s").replace('"dlp-s"', '"fast"'))
    text = simulate(EXAMPLES / "ex7_7.tl", "--on", machine).stdout
    assert text.startswith("ex7_7 on fast\n\ntime              17.03125 ns = 17.03125 cycles\n")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "sync\nsnyc",
            "line 2: a line must begin with one of move, cast, compute, loop, endloop, sync, barrier, cores, ",
        ),
        ("loop 2\nsync", "line 1: a loop must have its endloop"),
        ("move dram wram 1MB", "line 1: what is moved into wram between two syncs must fit into its 262,144 bytes, "),
        ("core 1\nsync", "line 1: on dlp-s a cluster must be below 1 and a core below 1, not core 1; numbers begin"),
        (
            "mover\nsync",
            "line 1: what uses sram must run on a machine that has one, not on dlp-s; take another machine",
        ),
    ],
)
@pytest.mark.parametrize("option", ["--json", "--timeline"])
def test_mistakes_are_one_sentence(tmp_path: Path, text: str, sentence: str, option: str) -> None:
    file = tmp_path / "p.tl"
    file.write_text(text)
    result = simulate(file, option)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"tilework: {sentence}")
    assert result.stderr.count("\n") == 1


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    missing, binary = tmp_path / "no.tl", tmp_path / "b.tl"
    binary.write_bytes(b"\xff\xfe")
    for file in (missing, binary):
        result = simulate(file)
        assert result.exit_code == 2
        assert result.stderr.startswith(f"tilework: {file} must be a program in the tile language that can be read: ")
