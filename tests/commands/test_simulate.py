"""`tilework simulate` of a program of instructions: tables, timelines, and reads of what nothing has written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tilework.cli import cli

EXAMPLES = Path(__file__).parents[2] / "examples"
CONVNET = EXAMPLES / "convnet.s"


def simulate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["simulate", *map(str, arguments)])


def printed(*arguments: str | Path) -> str:
    result = simulate(*arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_the_histogram_counts_every_instruction_that_takes_time() -> None:
    rows = {line.split()[0]: line.split()[1:] for line in printed(CONVNET, "--histogram").splitlines() if line}
    # Four tiles and the fully connected layer: 16 * 3 + 8 cycles each, and 8 + 8.
    assert rows["contract"] == ["-", "-", "5", "56"]
    assert rows["vadd"] == ["-", "5", "-", "6"]
    assert "wait" not in rows


def test_a_line_for_each_cycle() -> None:
    lines = printed(CONVNET, "--cycles").splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("cycle "))
    rows = lines[head + 2 :]
    assert [row.split()[0] for row in rows] == [str(cycle) for cycle in range(301)]
    assert lines[head].split() == ["cycle", "load", "store", "matrix", "vector", "control"]


def test_a_line_for_each_cycle_is_for_short_programs(tmp_path: Path) -> None:
    long = tmp_path / "long.s"
    long.write_text("fill <4096> nram 0x0 {4} = #0\n" * 20 + "end\n")
    result = simulate(long, "--cycles")
    assert result.exit_code == 2
    wanted = "--cycles must go with a program of at most 2000 cycles, not 5121; use --timeline or -o"
    assert result.stderr == f"tilework: {wanted}\n"


@pytest.mark.parametrize("name", ["convnet.s", "cluster.s", "branch.s"])
def test_the_timeline_as_picture_and_as_trace(tmp_path: Path, name: str) -> None:
    machine = "dlp-m4" if name == "cluster.s" else "dlp-s"
    picture, trace = tmp_path / "t.svg", tmp_path / "t.json"
    printed(EXAMPLES / name, "--on", machine, "-o", picture, "--trace", trace)
    drawn, slices = picture.read_text("utf-8"), json.loads(trace.read_text("utf-8"))["traceEvents"]
    for row in ("load", "store", "matrix", "mover 0 · cast") if name == "cluster.s" else ("vector", "load"):
        assert row in drawn
    assert {event["args"]["layer"] for event in slices if event["ph"] == "X"} == {""}
    assert all({"layer", "tile", "instruction", "pc"} == event["args"].keys() for event in slices if event["ph"] == "X")


def test_reads_of_what_nothing_has_written(tmp_path: Path) -> None:
    assert printed(CONVNET, "--reads", "error").endswith("nothing is read on chip before it is written\n")
    bad = tmp_path / "bad.s"
    bad.write_text("fill <4> nram 0x0 {4} = #0\nvadd <8> nram 0x40 {4} = nram 0x0 {4}, #1\nend\n")
    said = (
        "line 2 (vadd) must read what was written before, not bytes 16 to 32 of NRAM; "
        "write them first or don't read them"
    )
    assert said in printed(bad, "--reads", "report")
    assert json.loads(printed(bad, "--reads", "report", "--json"))["unwritten_reads"] == [said]
    result = simulate(bad, "--reads", "error")
    assert (result.exit_code, result.stderr) == (2, f"tilework: {said}\n")


@pytest.mark.parametrize("option", [("--cycles",), ("--histogram",), ("--reads", "report")])
def test_what_needs_instructions_is_refused_for_the_tile_language(option: tuple[str, ...]) -> None:
    result = simulate(EXAMPLES / "ex7_7.tl", *option)
    assert result.exit_code == 2
    wanted = f"{option[0]} must go with a program of instructions, not with one in the tile language; leave it out"
    assert result.stderr == f"tilework: {wanted}\n"
