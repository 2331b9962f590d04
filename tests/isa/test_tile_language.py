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
    PLACES,
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
TYPES_MEANT = st.sampled_from(["fp32", "fp16", "bf16", "int8"])
ROLES = {
    "core": st.builds(Compute, TYPES_MEANT, st.integers(1, MAX_NUMBER)),
    "mover": st.builds(Cast, st.sampled_from(["nram", "wram"]), SIZES),
}


def steps(role: str) -> st.SearchStrategy[Statement]:
    moves = st.builds(lambda places, size: Move(places[0], places[1], size), st.sampled_from(PLACES[role]), SIZES)
    return st.one_of(moves, ROLES[role], st.just(Sync()), st.just(Barrier()))


def loops(bodies: st.SearchStrategy[Statement]) -> st.SearchStrategy[Loop]:
    return st.builds(Loop, st.integers(1, 1000), st.lists(bodies, min_size=1, max_size=4).map(tuple))


BODIES = {
    role: st.lists(st.recursive(steps(role), loops, max_leaves=9), min_size=1, max_size=5).map(tuple) for role in ROLES
}


@st.composite
def programs(draw: st.DrawFn) -> tuple[Section, ...]:
    sections = []
    for _ in range(draw(st.integers(1, 3))):
        role, cluster = draw(st.sampled_from(["core", "mover"])), draw(st.integers(0, 3) | st.none())
        index = None if role == "mover" or cluster is None else draw(st.integers(0, 99))
        sections.append(Section(role, cluster, index, draw(BODIES[role])))
    return tuple(sections)


def alone(*statements: Statement) -> tuple[Section, ...]:
    return (Section("core", 0, 0, statements),)


def test_a_program_prints_with_its_loops() -> None:
    program = parse_tiles(TEXT)
    assert print_tiles(program) == TEXT
    inner = Loop(2, (Compute("fp32", 1048576),))
    loop = Loop(16, (Move("dram", "nram", 65536), Sync(), inner))
    assert program == alone(Move("dram", "wram", 131072), loop, Move("nram", "dram", 4))


def test_sections() -> None:
    text = (
        "mover\n  move dram sram 2MB\n  cast sram wram 1KB\n  barrier\n"
        "cores\n  loop 2\n    barrier\n  endloop\n"
        "core 1.2\n  move sram nram 4B\ncore 3\n  move wram sram 5B\nmover 1\n  move sram dram 6B\n"
    )
    program = parse_tiles(text)
    assert program == (
        Section("mover", None, None, (Move("dram", "sram", 2 << 20), Cast("wram", 1024), Barrier())),
        Section("core", None, None, (Loop(2, (Barrier(),)),)),
        Section("core", 1, 2, (Move("sram", "nram", 4),)),
        Section("core", 0, 3, (Move("wram", "sram", 5),)),
        Section("mover", 1, None, (Move("sram", "dram", 6),)),
    )
    assert print_tiles(program) == text
    assert [section.line for section in program] == [1, 5, 9, 11, 13]


def test_what_stands_before_the_first_section_line_is_for_core_0() -> None:
    assert parse_tiles("sync\nCore 2\nsync") == (*alone(Sync()), Section("core", 0, 2, (Sync(),)))
    assert parse_tiles("core 0\nsync") == parse_tiles("core 0.0\nsync") == alone(Sync())


@given(programs())
def test_what_is_printed_reads_back(program: tuple[Section, ...]) -> None:
    assert parse_tiles(print_tiles(program)) == program


KNOWN = "move cast compute loop endloop sync barrier cores core mover dram sram nram fp32 2 1.2 4KB \n"
WORDS = KNOWN.split(" ")


@given(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join) | st.text(max_size=60))
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
    assert parse_tiles(f"move dram nram {written}") == alone(Move("dram", "nram", size))


@pytest.mark.parametrize("comment", ["# all", "; all", "// all", "#", "//"])
def test_comments_capitals_and_blank_lines(comment: str) -> None:
    text = f"{comment}\r\n\n \tMOVE  DRAM\tNram 1Kb{comment}\nCompute Float32 8 {comment}\r\nSYNC"
    program = parse_tiles(text)
    assert program == alone(Move("dram", "nram", 1024), Compute("fp32", 8), Sync())
    assert [statement.line for statement in program[0].body] == [3, 4, 5]


MNEMONICS = "move, cast, compute, loop, endloop, sync, barrier, cores, core, mover"
TYPES = "fp32, float32, fp16, float16, bf16, bfloat16, int8"
AS_MOVE, AS_COMPUTE = "write it as in: move dram nram 1KB", "write it as in: compute fp32 256"
AS_CAST, AS_CORE = "write it as in: cast sram nram 1KB", "write it as in: core 2, or: core 1.2 for that of cluster 1"
SIDES = "a core must move between dram or sram and nram or wram"
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
            "line 1: after move must stand the memory to move from, one of dram, sram, nram, wram, not the end of the "
            f"line; {AS_MOVE}",
        ),
        (
            "move dram dmem 4",
            "line 1: after dram must stand the memory to move to, one of dram, sram, nram, wram, not 'dmem'; "
            f"{AS_MOVE}",
        ),
        ("sync\nmove nram wram 4", f"line 2: {SIDES}, not from nram to wram; move by way of one"),
        ("move dram sram 4", f"line 1: {SIDES}, not from dram to sram; move by way of one"),
        (
            "mover\nmove dram nram 4",
            "line 2: a mover must move between dram and sram, not from dram to nram; let a core do it, or cast",
        ),
        ("mover\ncompute fp32 4", "line 2: compute must be for a core, not for a mover; write it in a core's section"),
        ("cast sram nram 4", "line 1: cast must be for a mover, not for a core; write it in a mover's section"),
        ("mover\ncast dram", f"line 2: after cast must stand the memory to cast from, sram, not 'dram'; {AS_CAST}"),
        (
            "mover\ncast sram dram",
            f"line 2: after sram must stand the cores' memory, one of nram, wram, not 'dram'; {AS_CAST}",
        ),
        ("mover\ncast sram nram", f"line 2: after nram must stand {SIZE}, not the end of the line; {AS_CAST}"),
        ("core", f"line 1: after core must stand the number of a core, not the end of the line; {AS_CORE}"),
        ("core x", f"line 1: after core must stand the number of a core, not 'x'; {AS_CORE}"),
        ("core 1 2", f"line 1: after 1 must stand the end of the line, not '2'; {AS_CORE}"),
        ("cores 2", "line 1: after cores must stand the end of the line, not '2'; write it alone"),
        (
            "mover 1.2",
            "line 1: after mover must stand the number of a cluster, not '1.2'; write it alone, or as in: mover 1",
        ),
        (
            "sync\ncore 1\n#\ncore 2\nsync",
            "line 2: a section must hold an instruction, not nothing; remove it or write its lines",
        ),
        (
            "loop 2\nsync\ncores\nendloop",
            "line 1: a loop must have its endloop in its section, not none before the section's end; write endloop",
        ),
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
        ("loop 2\nloop 3\nsync\nendloop", "line 1: a loop must have its endloop in its section, not none before "),
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
    assert str(caught.value).startswith(sentence) if sentence.endswith(" ") else str(caught.value) == sentence


def test_loops_nest_as_deep_as_they_may() -> None:
    text = "loop 1\n" * MAX_DEPTH + "sync\n" + "endloop\n" * MAX_DEPTH
    program = parse_tiles(text)
    assert parse_tiles(print_tiles(program)) == program
