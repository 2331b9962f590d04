"""The tile language: what it looks like, that it comes back, and a sentence with the line for every mistake."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.errors import AssemblyError
from tilework.isa.tile_language import (
    MAX_DEPTH,
    MAX_NUMBER,
    Compute,
    Loop,
    Move,
    Statement,
    Sync,
    parse_tiles,
    print_tiles,
)

TEXT = """\
move dram wram 128KB
loop 16
  move dram nram 64KB
  sync
  loop 2
    compute fp32 1048576
  endloop
endloop
move nram dram 4B
"""

SIZES = st.one_of(st.integers(1, 4096), st.integers(1, MAX_NUMBER), st.integers(1, 1 << 20).map(lambda n: n << 10))
PLACES = st.sampled_from([("dram", "nram"), ("dram", "wram"), ("nram", "dram"), ("wram", "dram")])
STEPS = st.one_of(
    st.builds(lambda places, size: Move(*places, size), PLACES, SIZES),
    st.builds(Compute, st.sampled_from(["fp32", "fp16", "bf16", "int8"]), st.integers(1, MAX_NUMBER)),
    st.just(Sync()),
)


def loops(bodies: st.SearchStrategy[Statement]) -> st.SearchStrategy[Loop]:
    return st.builds(Loop, st.integers(1, 1000), st.lists(bodies, min_size=1, max_size=4).map(tuple))


PROGRAMS = st.lists(st.recursive(STEPS, loops, max_leaves=12), min_size=1, max_size=6).map(tuple)


def test_a_program_prints_with_its_loops() -> None:
    program = parse_tiles(TEXT)
    assert print_tiles(program) == TEXT
    inner = Loop(2, (Compute("fp32", 1048576),))
    loop = Loop(16, (Move("dram", "nram", 65536), Sync(), inner))
    assert program == (Move("dram", "wram", 131072), loop, Move("nram", "dram", 4))


@given(PROGRAMS)
def test_what_is_printed_reads_back(program: tuple[Statement, ...]) -> None:
    assert parse_tiles(print_tiles(program)) == program


@given(st.text(alphabet="movecputlnds ramfp3216KB#;/-\n\t0é²", max_size=60) | st.text(max_size=60))
def test_any_text_is_a_program_or_an_assembly_error(text: str) -> None:
    with suppress(AssemblyError):
        assert parse_tiles(print_tiles(parse_tiles(text))) == parse_tiles(text)


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("4", 4),
        ("4B", 4),
        ("1KB", 1024),
        ("1kib", 1024),
        ("3 KB", 3072),
        ("2MB", 2097152),
        ("2MiB", 2097152),
        ("0016", 16),
        (str(MAX_NUMBER), MAX_NUMBER),
    ],
)
def test_sizes(written: str, size: int) -> None:
    assert parse_tiles(f"move dram nram {written}") == (Move("dram", "nram", size),)


@pytest.mark.parametrize("comment", ["# all", "; all", "// all", "#", "//"])
def test_comments_capitals_and_blank_lines(comment: str) -> None:
    text = f"{comment}\r\n\n \tMOVE  DRAM\tNram 1Kb{comment}\nCompute Float32 8 {comment}\r\nSYNC"
    program = parse_tiles(text)
    assert program == (Move("dram", "nram", 1024), Compute("fp32", 8), Sync())
    assert [statement.line for statement in program] == [3, 4, 5]


MNEMONICS = "move, compute, loop, endloop, sync"
TYPES = "fp32, float32, fp16, float16, bf16, bfloat16, int8"
AS_MOVE, AS_COMPUTE = "write it as in: move dram nram 1KB", "write it as in: compute fp32 256"
SIZE = "a size in bytes above 0 such as 4, 1KB or 2MB (KB = 1024 bytes)"
MORE = "write 1 or more, or remove the line"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", f"line 1: a program must hold an instruction, not nothing; {AS_MOVE}"),
        ("#\n\nmvoe dram", f"line 3: a line must begin with one of {MNEMONICS}, not 'mvoe'; did you mean move?"),
        ("12", f"line 1: a line must begin with one of {MNEMONICS}, not '12'; correct it or begin the line with #"),
        (
            "move",
            "line 1: after move must stand the memory to move from, one of dram, nram, wram, not the end of the line; "
            + AS_MOVE,
        ),
        (
            "move dram sram 4",
            f"line 1: after dram must stand the memory to move to, one of dram, nram, wram, not 'sram'; {AS_MOVE}",
        ),
        (
            "sync\nmove nram wram 4",
            "line 2: a move must have dram on one side, not nram to wram; move from dram or to dram",
        ),
        ("move dram dram 4", "line 1: a move must have dram on one side, not dram to dram; move from dram or to dram"),
        ("move dram nram", f"line 1: after nram must stand {SIZE}, not the end of the line; {AS_MOVE}"),
        ("move dram nram 1.5KB", f"line 1: after nram must stand {SIZE}, not '1.5KB'; {AS_MOVE}"),
        ("move dram nram 1Kb s", f"line 1: after nram must stand {SIZE}, not '1Kb s'; {AS_MOVE}"),
        ("move dram nram 1 2", f"line 1: after nram must stand {SIZE}, not '1 2'; {AS_MOVE}"),
        ("move dram nram 1TB", f"line 1: after nram must stand {SIZE}, not '1TB'; {AS_MOVE}"),
        ("move dram nram 0KB", f"line 1: here must stand {SIZE}, not 0; {MORE}"),
        ("move dram nram -4", f"line 1: here must stand {SIZE}, not -4; {MORE}"),
        (
            f"move dram nram {MAX_NUMBER}KB",
            f"line 1: numbers must be at most {MAX_NUMBER}, not {MAX_NUMBER * 1024}; divide the work over a loop",
        ),
        ("move dram nram " + 50 * "9", f"line 1: after nram must stand {SIZE}, not '{39 * '9'}…'; {AS_MOVE}"),
        ("compute fp8 4", f"line 1: after compute must stand a type, one of {TYPES}, not 'fp8'; {AS_COMPUTE}"),
        ("compute 256", f"line 1: after compute must stand a type, one of {TYPES}, not '256'; {AS_COMPUTE}"),
        (
            "compute fp32",
            f"line 1: after fp32 must stand a number of multiply-accumulates, not the end of the line; {AS_COMPUTE}",
        ),
        (
            "compute fp32 4KB",
            f"line 1: after fp32 must stand a number of multiply-accumulates, not '4KB'; {AS_COMPUTE}",
        ),
        ("compute fp32 0", f"line 1: here must stand a number of multiply-accumulates above 0, not 0; {MORE}"),
        ("compute fp32 4 5", f"line 1: after 4 must stand the end of the line, not '5'; {AS_COMPUTE}"),
        ("loop\nsync", "line 1: after loop must stand a number of iterations, not the end of the line; "),
        ("loop -2\nsync", f"line 1: here must stand a number of iterations above 0, not -2; {MORE}"),
        ("loop 2 3\nsync", "line 1: after 2 must stand the end of the line, not '3'; write it as in: loop 16"),
        ("loop 2\nloop 3\nsync\nendloop", "line 1: a loop must have its endloop, not the end of the program; "),
        (
            "sync\nendloop",
            "line 2: an endloop must end a loop, not stand without one; remove it or write its loop",
        ),
        (
            "loop 2\n#\nendloop",
            "line 3: a loop must hold an instruction, not nothing; remove the loop or write its body",
        ),
        ("sync 1", "line 1: after sync must stand the end of the line, not '1'; write it alone"),
        (
            f"loop {2**32}\nloop {2**31}\nsync",
            f"line 2: loops together must repeat a line at most {MAX_NUMBER} times, not more; repeat it less",
        ),
        (
            "loop 1\n" * (MAX_DEPTH + 1),
            "line 65: loops must nest at most 64 deep, not 65 deep; join two loops",
        ),
    ],
)
def test_mistakes(text: str, sentence: str) -> None:
    with pytest.raises(AssemblyError) as caught:
        parse_tiles(text)
    assert str(caught.value).startswith(sentence) if sentence.endswith("; ") else str(caught.value) == sentence


def test_loops_nest_as_deep_as_they_may() -> None:
    text = "loop 1\n" * MAX_DEPTH + "sync\n" + "endloop\n" * MAX_DEPTH
    program = parse_tiles(text)
    assert parse_tiles(print_tiles(program)) == program
