"""`tilework debug --script`: a worked session, its JSON, and one sentence for what can't be done."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tilework.cli import cli

EXAMPLES = Path(__file__).parents[2] / "examples"
PIPELINE, TILES = EXAMPLES / "pipeline.s", EXAMPLES / "ex7_9.tl"


def debug(file: str | Path, script: str, *options: str) -> Result:
    return CliRunner().invoke(cli, ["debug", str(file), "--script", "-", *options], input=script)


def printed(file: str | Path, script: str, *options: str) -> str:
    result = debug(file, script, *options)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def refused(file: str | Path, script: str, *options: str) -> str:
    result = debug(file, script, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    return result.stderr.removeprefix("tilework: ").removesuffix("\n")


# Checked by hand. dlp-s: 64 bytes a cycle, no latency, matrix unit of 16 x 16 with 8 cycles of pipeline. The weights'
# load is issued in 4, so in 5-37 (2048 / 64); the first inputs' 37-69. In 12 control has issued 0 to 11 without `loop`.
SESSION = """\
> step 12
cycle 12 of 453 · at 12: post matrix 1
> explain matrix
core 0 0, instruction 9: wait matrix 0
  meaning   the unit's queue stops until the token is above 0, then 1 is taken from it
  cycles    a unit acts on it between two others, in no time = 0
  issued    1 time so far
  now       1 of 3 in the queue of matrix: it waits for token 0, which load posts at 8; begins in cycle 69
> explain 11
core 0 0, instruction 11: contract <16, 16, 32> nram 0x1000+(1024*i0) mod 2048 {64, 4, 0} = \
nram 0x0+(2048*i0) mod 4096 {128, 0, 4} * wram 0x0 {0, 128, 4}
  meaning   d[j] = sum of a[j] * b[j] over the loops whose stride in d is 0; with += added to d; a in NRAM, b in WRAM
  cycles    16 rows * ceil(16 columns / 16) * ceil(32 summed / 16) + 8 pipeline = 40
  d         nram 0x1000, 16x16 float32
  a         nram 0x0, 16x32 float32
  b         wram 0x0, 16x32 float32
  issued    1 time so far
  now       3 of 3 in the queue of matrix: behind 9 wait, which waits; it begins in cycle 69
"""


def test_a_session_worked_by_hand() -> None:
    assert printed(PIPELINE, "# the first tile\n\nstep 12\nexplain matrix\nexplain 11\n") == SESSION


def test_the_timeline_so_far() -> None:
    lines = printed(PIPELINE, "run to cycle 72\ntimeline").splitlines()[4:]
    # load: weights 5-37 (4), inputs 37-69 and, their tile free from the start, 69-101 (7); contract from 69 on (11).
    assert lines[0] == "load    .....44444444444444444444444444444444" + "7" * 35
    assert lines[2] == "matrix  " + "." * 69 + "111"


def test_back_is_where_one_was() -> None:
    assert printed(PIPELINE, "step 9\nback 4\nwhere\nback cycle\nstep cycle 2").splitlines()[1::2] == [
        "cycle 9 of 453 · at 9: wait matrix 0",
        "cycle 5 of 453 · at 5: loop 8",
        "cycle 5 of 453 · at 5: loop 8",
        "cycle 4 of 453 · at 4: load <512> wram 0x0 {4} = dram 0x0 {4}",
        "cycle 6 of 453 · at 6: wait load 1",
    ]


def test_registers_breakpoints_and_memory() -> None:
    script = (
        "break r2 == 2\nbreakpoints\nrun\nregisters\nprint r2 + 1\ndelete 1\nbreakpoints\nprint nram.int32 0x408 1\n"
    )
    text = printed(EXAMPLES / "branch.s", script + "run to end\nprint nram.int32 0x408 1\nprint nram 0x100 2x2\n")
    assert "breakpoint 1, if r2 == 2 · cycle " in text
    assert "registers  r2 = 2, r3 = 1" in text
    assert "> print r2 + 1\nr2 + 1 = 3\n" in text
    assert "> breakpoints\nno breakpoints\n" in text
    before, after = text.split("> print nram.int32 0x408 1\n")[1:]
    # Newton's square roots of zeros halve 1 each time: the change is always its whole, so all 40 passes are made.
    assert before.startswith("nram 0x408, 1 int32\n[0]")
    assert after.startswith("nram 0x408, 1 int32\n[40]")
    assert "nram 0x100, 2x2 float32\n[[9.094947e-13 9.094947e-13]" in after  # 2 ** -40


def test_an_executable_with_an_input(tmp_path: Path) -> None:
    tile = tmp_path / "lenet5.tile"
    runner = CliRunner()
    assert runner.invoke(cli, ["compile", "lenet5", "--for", "dlp-s", "-o", str(tile)]).exit_code == 0
    digits = ("--input", str(EXAMPLES / "digits.png"))
    record = json.loads(printed(tile, "layers\nrun to end\nprint softmax", *digits, "--json"))
    ran = json.loads(runner.invoke(cli, ["run", str(tile), *digits, "--json"]).stdout)
    assert record["commands"][1]["cycle"] == record["state"]["end"] == ran["cycles"]
    np.testing.assert_array_equal(record["commands"][2]["values"], np.float32(ran["outputs"][0]["softmax"]).tolist())
    assert refused(tile, "where", "--program", "2") == "--program must be one of 1 to 1, not 2"


def test_the_tile_language() -> None:
    text = printed(TILES, "step\nexplain channel\nqueues\nrun to end", "--on", "dlp-s")
    assert text.endswith("cycle 157,696: the program has ended\n")
    assert "bytes go from one memory to another" in text


def test_one_json_document() -> None:
    record = json.loads(printed(PIPELINE, "step 2\n\nprint token[1]\nqueues\ntiles\nhazards", "--json"))
    assert {key: record[key] for key in ("program", "machine")} == {"program": "pipeline", "machine": "dlp-s"}
    assert [(c["line"], c["command"], c["cycle"]) for c in record["commands"][:2]] == [
        (1, "step 2", 2),
        (3, "print token[1]", 2),
    ]
    assert record["commands"][1]["value"] == 1
    assert record["commands"][4] == {"line": 6, "command": "hazards", "cycle": 2, "hazards": []}
    (stream,) = record["state"]["streams"]
    assert (stream["instruction"], stream["tokens"]) == (2, {"1": 1})


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("where\n\nstpe", "a command must be one of the debugger's, not 'stpe'; did you mean 'step'?"),
        ("step two", "the number of steps must be a whole number that is not negative, not 'two'"),
        ("break", "break must say where to stop; write it as in: break label again, or: break r3 == 4"),
        ("break label", "label must have a name after it; write it as in: break label again"),
        (
            "run until 5",
            "run must stand alone or go on with 'to', not with 'until 5'; write it as in: run to "
            "cycle 500",
        ),
        ("delete 3", "a breakpoint must be one of those set (there is none), not 3; "
         "'breakpoints' lists them"),
        ("stream core 1", "a stream must be one of the program's, core 0 0, not 'core 1'"),
        ("print sram 0x0", "a memory of core 0 0 must be one of dram, nram, wram, not sram"),
        ("print nram 0x0 4y4", "a shape must be written as in 4x8, not as '4y4'"),
        (
            "print nram 0x0 4 float33",
            "a dtype must be one of float32, float16, bfloat16, int8, int32, not 'float33'",
        ),
        (
            "print nram 131072 1",
            "what is looked at must stay inside the 131072 bytes of NRAM, not use 4 bytes at "
            "131072; change its addresses",
        ),
        (
            "print d",
            "an operand of line 13 (post) must be one of those in memory, none, not d",
        ),
        ("explain vektor", "a unit of core 0 0 must be one of load, store, matrix, vector, not "
         "'vektor'"),
        ("explain 99", "an instruction of core 0 0 must be one of 0 to 22, not 99"),
    ],
)  # fmt: skip
def test_commands_that_cannot_be_done(script: str, sentence: str) -> None:
    result = debug(PIPELINE, script)
    line = f"line {1 + script.count(chr(10))} of the script"
    assert (result.exit_code, result.stderr) == (2, f"tilework: {line}: {sentence}\n")


def test_programs_that_cannot_be_debugged(tmp_path: Path) -> None:
    program = tmp_path / "far.s"
    program.write_text("fill <16> nram 0x100000 {4} = #0\nend\n")
    assert refused(program, "where").startswith("line 1 (fill) must stay inside the 131072 bytes of NRAM")
    assert refused(EXAMPLES / "cluster.s", "where", "--on", "dlp-s") == (
        "line 26: store must use memories that dlp-s has, and it has no sram; take another machine"
    )
    assert refused(PIPELINE, "where", "--input", "x.npy") == (
        f"--input must go with an executable (.tile), not with {PIPELINE}; leave it out"
    )


def test_without_a_terminal_or_without_textual(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = CliRunner()
    result = runner.invoke(cli, ["debug", str(PIPELINE)])
    assert (result.exit_code, result.stderr) == (
        2,
        "tilework: the debugger's screen must have a terminal; use --script FILE without one\n",
    )
    assert runner.invoke(cli, ["debug", str(PIPELINE), "--json"]).stderr == (
        "tilework: --json must go with --script; name a file of commands, or leave --json out\n"
    )
    monkeypatch.setitem(sys.modules, "textual", None)
    monkeypatch.delitem(sys.modules, "tilework.debug.app", raising=False)
    monkeypatch.setattr("tilework.commands.debug._is_a_terminal", lambda: True)
    assert runner.invoke(cli, ["debug", str(PIPELINE)]).stderr == (
        "tilework: the debugger's screen needs the package textual: pip install 'tilework[debug]'; "
        "--script needs none\n"
    )


DOCUMENTED = re.findall(
    r"<!-- session: (\S+) (\S+) -->\n```\n(.*?)```\n",
    (EXAMPLES.parent / "docs" / "debugger.md").read_text("utf-8"),
    re.S,
)


@pytest.mark.parametrize(("file", "machine", "text"), DOCUMENTED)
def test_the_documented_sessions(file: str, machine: str, text: str) -> None:
    script = "\n".join(line[2:] for line in text.splitlines() if line.startswith("> "))
    assert printed(EXAMPLES.parent / file, script, "--on", machine) == text


def test_all_documented_sessions_are_found() -> None:
    assert len(DOCUMENTED) == 4
