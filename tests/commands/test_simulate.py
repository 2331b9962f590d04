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
    wanted = "--cycles must go with a program of at most 2000 cycles, not a longer one; use --timeline or -o"
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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "loop 3\nload <16> nram 0x1ff80+64*i0 {4} = dram 0x0 {4}\nendloop\nend\n",
            "line 2 (load) must stay inside the 131072 bytes of NRAM, not use bytes 130944 to 131136; "
            "change its addresses",
        ),
        (
            "end\n.mover 0\nload <4> sram 0x0 {4} = dram 0x0 {4}\nend\n",
            "a stream must be for one of the 1 x 1 cores of dlp-s, not for mover 0; take another machine",
        ),
        (
            "again:\njump again\nend\n",
            "the program must end, but at line 2 (jump) all registers come back unchanged; "
            "change what its jumps depend on",
        ),
        (
            "post load 5\nend\n",
            "every post must be waited for before the end, but 1 of token 5, first posted at line 1, is left; "
            "wait for it or drop posts",
        ),
    ],
)
def test_a_program_with_a_mistake_ends_with_one_sentence(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "wrong.s"
    file.write_text(text)
    result = simulate(file)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"tilework: {expected}\n")


def test_text_may_use_all_of_the_machines_dram(tmp_path: Path) -> None:
    file = tmp_path / "far.s"
    file.write_text("load <16> nram 0x0 {4} = dram 0x3ffffffc0 {4}\nend\n")
    assert json.loads(printed(file, "--json"))["dram_bytes"] == 64
    file.write_text("load <16> nram 0x0 {4} = dram 0x3ffffffc4 {4}\nend\n")
    wanted = "line 1 (load) must stay inside the 17179869184 bytes of DRAM, not use bytes 17179869124 to 17179869188"
    assert simulate(file).stderr == f"tilework: {wanted}; change its addresses\n"


def test_a_byte_order_mark_makes_no_difference(tmp_path: Path) -> None:
    assembly, tiles = tmp_path / "marked.s", tmp_path / "marked.tl"
    assembly.write_bytes(b"\xef\xbb\xbfsync\r\nend\r\n")
    tiles.write_bytes(b"\xef\xbb\xbfcompute fp32 256\r\n")
    assert [json.loads(printed(file, "--json"))["cycles"] for file in (assembly, tiles)] == [1, 1]
