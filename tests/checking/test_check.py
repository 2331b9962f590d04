"""A student's program: the solutions are right, and whatever breaks one is found and named."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from math import prod
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.checking.check import Checked, check_program
from tilework.cli import cli
from tilework.commands.exercise import load_exercise
from tilework.isa.tile_language import (
    Barrier,
    Cast,
    Compute,
    Loop,
    Move,
    Section,
    Statement,
    Sync,
    parse_tiles,
    print_tiles,
)
from tilework.mapping import Assignment

EXAMPLES = Path(__file__).parents[2] / "examples"
NUMBERS = ("7.7", "7.8", "7.9", "7.10", "7.11", "7.12")
FILES = [(number, f"ex{number.replace('.', '_')}{end}.tl") for number in NUMBERS for end in ("", "_fast")]
CAPACITY = {"nram": 128 << 10, "wram": 256 << 10, "sram": 2 << 20}


@cache
def work(number: str) -> Assignment:
    found = load_exercise(number).work
    assert found is not None
    return found


def check(number: str, text: str) -> Checked:
    return check_program(number, work(number), text)


def example(file: str) -> str:
    return (EXAMPLES / file).read_text("utf-8")


@pytest.mark.parametrize(("number", "file"), FILES)
def test_the_solutions_are_right(number: str, file: str) -> None:
    checked = check(number, example(file))
    assert checked.mistakes == ()
    assert checked.time is not None
    assert checked.bound <= checked.time.cycles
    assert checked.hint
    assert all(part.done == part.wanted for part in checked.work.values())
    assert all(0 < peak.size <= CAPACITY[memory] for memory, peak in checked.peaks.items())


@pytest.mark.parametrize("number", NUMBERS)
def test_what_the_system_finds_is_right_and_at_the_bound(number: str) -> None:
    for skip in work(number).skips:
        checked = check(number, work(number).mapped(skip).program)
        assert (checked.skip, checked.mistakes) == (skip, ())
        assert checked.hint == "you are at the bound: no program can be more than 0.2 % faster"


def test_the_work_is_that_of_the_question() -> None:
    sizes = {number: re.findall(r"(\d+) x (\d+)", load_exercise(number).question) for number in NUMBERS}
    for number, found in sizes.items():
        if number != "7.10":
            assert found[:2] == [(str(a), str(b)) for a, b in ((work(number).rows, 256), (256, work(number).columns))]


SMALL = "move dram nram 32KB\nmove dram wram 128KB\nsync\ncompute fp32 1048576\nsync\nmove nram dram 16KB\n"


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        (
            "fp32 1048576",
            "fp32 1024000",
            "the program must compute every product once, not 1,024,000 of 1,048,576 MACs; add the rest",
        ),
        (
            "fp32 1048576",
            "fp32 1048577",
            "the program must compute every product once, not 1,048,577 MACs, 1 more than the 1,048,576 there are; "
            "leave them out",
        ),
        (
            "nram 32KB",
            "nram 28KB",
            "the program must load all inputs at least once, not 28,672 of their 32,768 bytes, 87.5 %; load the rest",
        ),
        (
            "dram 16KB",
            "dram 8KB",
            "the program must store every output exactly once, not 50.0 % of them, 8,192 of 16,384 bytes; "
            "store the rest",
        ),
        (
            "dram 16KB",
            "dram 32KB",
            "the program must store every output exactly once, not 200.0 % of them, 32,768 of 16,384 bytes; "
            "store each when it is complete",
        ),
        (
            "nram 32KB",
            "nram 132KB",
            "line 1: what is moved into nram between two syncs must fit into its 131,072 bytes, not come to 135,168 as "
            "with this move; move less, or put a sync before it",
        ),
        (
            "128KB\nsync",
            "128KB",
            "line 3: the operands of a computation must have come before a sync, not be 0 bytes of inputs in nram, "
            "which allow 0 multiply-accumulates of 1,048,576; load them before, and put a sync between",
        ),
        (
            "1048576\nsync",
            "1048576",
            "line 5: what is stored must have been computed before a sync, not be 16,384 bytes where 0 are; "
            "store it later",
        ),
        ("fp32", "fp16", "line 4: the numbers must be fp32, not fp16; write fp32"),
    ],
)
def test_mistakes(old: str, new: str, mistake: str) -> None:
    assert old in SMALL
    assert check("7.8", SMALL.replace(old, new)).mistakes == (mistake,)


def test_inputs_that_cannot_all_be_kept() -> None:
    text = "move dram wram 128KB\nloop 8\nmove dram nram 128KB\nsync\nendloop\ncompute fp32 33554432\nsync\nloop 8\n"
    (mistake,) = check("7.9", text + "move nram dram 64KB\nsync\nendloop\n").mistakes
    assert mistake == (
        "line 6: the inputs of the 33,554,432 multiply-accumulates that are left must be in nram or still come, not be "
        "more than its 131,072 bytes hold; compute with them before others take their place, or load them again"
    )


HINTS = {
    "serial 7.9": "the matrix unit waits for loads 9.7 % of the time: load the next tile while this one is computed "
    "(double buffering)",
    "again": "every weight is loaded 32 times, so that the channel alone takes 3.19 times the bound: keep more of them "
    "in wram (or sram), or compute all that needs a tile while it is there",
    "one core": "only 1 of 4 cores compute: divide the rows or the columns among all",
    "no slices": "the first computation begins after 37.0 % of the time: begin with a smaller load, a few of the "
    "places that are summed, and load what comes next while they are computed",
}


def test_hints() -> None:
    again = (
        "loop 32\nmove dram wram 128KB\nmove dram nram 1KB\nsync\ncompute fp32 32768\nsync\nmove nram dram 512B\nsync\n"
    )
    assert check("7.9", example("ex7_9.tl")).hint == HINTS["serial 7.9"]
    assert check("7.8", SMALL).hint == HINTS["no slices"]
    assert check("7.8", again + "endloop\n").hint == HINTS["again"].replace("3.19", "16.2")
    one = "move dram wram 128KB\n" + example("ex7_9.tl").partition("move dram wram")[2].partition("\n")[2]
    one = one.replace("loop 16", "loop 256\nmove dram wram 128KB").replace("endloop", "endloop")
    assert check("7.12", one).hint == HINTS["one core"]


Steps = tuple[Statement, ...]
BROKEN: dict[str, tuple[type, ...]] = {
    "drop": (Move, Cast, Compute),
    "halve": (Move, Compute),
    "double": (Move, Compute),
}


def changed(statements: Steps, place: int, change: Callable[[Statement], Steps]) -> tuple[Steps, int]:
    """The statements with that step, of those that aren't loops, changed; and the places that are left to go."""
    found: list[Statement] = []
    for statement in statements:
        if isinstance(statement, Loop):
            body, place = changed(statement.body, place, change)
            found += [replace(statement, body=body)] if body else []
        else:
            found += change(statement) if place == 0 else (statement,)
            place -= 1
    return tuple(found), place


def mutated(program: tuple[Section, ...], place: int, change: Callable[[Statement], Steps]) -> str | None:
    """The text of a program with one step changed, None if there is no step there."""
    sections = []
    for section in program:
        body, place = changed(section.body, place, change)
        sections += [replace(section, body=body)] if body else []
    return print_tiles(sections) if place < 0 and sections else None


def scaled(statement: Statement, by: str) -> Steps:
    """A step without, with half or with twice of what it moves or computes."""
    if isinstance(statement, Sync | Barrier) or by == "drop":
        return () if by == "drop" and not isinstance(statement, Sync | Barrier) else (statement,)
    name = "macs" if isinstance(statement, Compute) else "size"
    amount = getattr(statement, name)
    return (replace(statement, **{name: amount * 2 if by == "double" else -(-amount // 2)}),)


def totals(program: tuple[Section, ...], cores: int) -> list[int]:
    """MACs; bytes into nram and wram, each with what comes through SRAM; bytes into DRAM: counted by hand."""
    sums = [0, 0, 0, 0]

    def add(statements: Steps, times: int) -> None:
        for statement in statements:
            if isinstance(statement, Loop):
                add(statement.body, times * statement.count)
            elif isinstance(statement, Compute):
                sums[0] += times * statement.macs
            elif isinstance(statement, Move):
                into = {"nram": (1,), "wram": (2,), "sram": (1, 2), "dram": (3,)}[statement.destination]
                for place in into if "dram" in (statement.source, statement.destination) else ():
                    sums[place] += times * statement.size

    for section in program:
        add(section.body, cores if section.role == "core" and section.index is None else 1)
    return sums


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(FILES), st.integers(0, 40), st.sampled_from(["drop", "halve", "double"]))
def test_a_wrong_amount_is_found(which: tuple[str, str], place: int, by: str) -> None:
    number, file = which
    program = parse_tiles(example(file))
    text = mutated(program, place, lambda statement: scaled(statement, by))
    if text is None:
        return
    task, cores = work(number), 4 if work(number).machine == "dlp-m4" else 1
    checked, now = check(number, text), totals(parse_tiles(text), cores)
    found = " ".join(checked.mistakes)
    sizes = (prod((task.rows, task.summed, task.columns)), task.rows * task.columns * 4)
    assert (now[0] != sizes[0]) == ("every product" in found)
    assert (now[3] != sizes[1]) == ("every output" in found)
    shares = float(task.input_share), float(task.weight_share)
    if now[1] < task.rows * task.summed * 4 * shares[0] or now[2] < task.summed * task.columns * 4 * shares[1]:
        assert "must load all" in found
    if checked.right:
        assert checked.time is not None
        assert checked.time.cycles >= checked.bound
        assert checked.hint


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FILES), st.integers(0, 40))
def test_a_sync_left_out_is_wrong_or_harmless(which: tuple[str, str], place: int) -> None:
    """What a sync orders is named where the order can't be right; a program in which it can stays right."""
    number, file = which
    text = mutated(parse_tiles(example(file)), place, lambda s: () if isinstance(s, Sync) else (s,))
    if text is not None:
        checked = check(number, text)
        assert all(re.match(r"line \d+: ", mistake) for mistake in checked.mistakes)


@pytest.mark.parametrize(("number", "file"), [file for file in FILES if not file[1].endswith("_fast.tl")])
def test_without_the_syncs_a_serial_program_is_wrong(number: str, file: str) -> None:
    text = "\n".join(line for line in example(file).splitlines() if line.split()[:1] != ["sync"])
    assert check(number, text).mistakes


@pytest.mark.parametrize(("number", "memory"), [("7.8", "wram"), ("7.9", "nram"), ("7.12", "sram")])
def test_too_large_tiles_name_their_line(number: str, memory: str) -> None:
    size = CAPACITY[memory] + 1
    role = "mover\n" if memory == "sram" else ""
    checked = check(number, f"{role}move dram {memory} {size}\n")
    assert checked.time is None
    assert checked.mistakes[-1].startswith(
        f"line {2 if role else 1}: what is moved into {memory} between two syncs must"
    )


def run(tmp_path: Path, text: str, *more: str, number: str = "7.8") -> tuple[int, str, str]:
    file = tmp_path / "my.tl"
    file.write_text(text, "utf-8")
    result = CliRunner().invoke(cli, ["exercise", number, "--mine", str(file), *more])
    return result.exit_code, result.stdout, result.stderr.replace(str(file), "my.tl")


def test_command(tmp_path: Path) -> None:
    code, out, err = run(tmp_path, SMALL)
    assert (code, err) == (0, "")
    assert out.splitlines()[:2] == ["exercise 7.8 on dlp-s: right", ""]
    assert "time / bound 1.6875" in out
    assert f"hint: {HINTS['no slices']}" in out


def test_command_as_json(tmp_path: Path) -> None:
    code, out, err = run(tmp_path, SMALL.replace("1048576", "1000000"), "--json")
    mistake = "the program must compute every product once, not 1,000,000 of 1,048,576 MACs; add the rest"
    assert (code, err) == (2, f"tilework: my.tl: {mistake}\n")
    record = json.loads(out)
    assert (record["right"], record["mistakes"], record["hint"]) == (False, [mistake], None)
    assert record["work"]["macs"] == {"done": 1_000_000, "wanted": 1_048_576, "times": 1_000_000 / 1_048_576}
    assert record["peaks"]["wram"] == {"bytes": 128 << 10, "capacity_bytes": 256 << 10, "line": 2}
    assert record["bound_cycles"] == 4096
    assert 4096 <= record["found_cycles"] < 4110
    assert set(record["units"]) == {"channel", "compute"}


@pytest.mark.parametrize(
    ("text", "number", "message"),
    [
        ("move dram nram", "7.8", "line 1: after nram must stand a size in bytes above 0 such as 4, 1KB or 2MB (KB"),
        (SMALL, "7.99", "the exercise must be one of"),
        (SMALL, "3.1", "--mine goes with an exercise that asks for a program, not with 3.1;"),
        (
            "mover\nmove dram sram 1KB",
            "7.8",
            "line 1: what uses sram must run on a machine that has one, not on dlp-s;",
        ),
    ],
)
def test_what_cannot_be_checked(tmp_path: Path, text: str, number: str, message: str) -> None:
    code, out, err = run(tmp_path, text, number=number)
    assert (code, out) == (2, "")
    assert err.startswith(f"tilework: {message}")


def test_too_many_rounds_are_timed_but_not_followed() -> None:
    pieces = (
        "loop 262144\nmove dram wram 2B\nmove dram nram 1B\nsync\ncompute fp32 128\nsync\nendloop\nmove nram dram 512KB"
    )
    text = "loop 2\nmove dram wram 64KB\nsync\nendloop\nmove dram nram 1B\n" + pieces
    assert check("7.9", text).time is not None
