"""Assembly text: what it looks like, that it comes back, and a sentence with the line for every mistake."""

from __future__ import annotations

import re
from contextlib import suppress
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.errors import AssemblyError
from tilework.isa.assembly import (
    parse_instruction,
    parse_program,
    parse_text,
    print_instruction,
    print_program,
    print_streams,
)
from tilework.isa.instruction import Descriptor, Immediate, Instruction, Operand
from tilework.isa.program import Program, Stream
from tilework.isa.random_program import random_program
from tilework.isa.table import OPCODES
from tilework.machine.load import load_machine

SECTION = "write it as in: .core 0 2 or .mover 0"
DLP_S = load_machine("dlp-s")

TEXT = """\
; conv1 (conv2d)
loop 14
  wait load 3
  load <6, 56, 32> nram 0x0+(7168*i0) mod 14336 {7168, 128, 4} = dram 0x1c000+28672*i0 {57344, 1024, 4}
  post load 4
  loop 2
    ; the sums
    contract <4, 56, 3> nram 0x8000-4096*i1 {7168, 128, 0} += nram 0x40+(-16+4*i0) mod 64 {4, 8, 4} * wram 0x0 {0, 0, 4}
  endloop
  vmax <14336> nram 0x8000 {4} = nram 0x8000 {4}, #0
endloop
end
"""


def test_a_program_prints_with_its_loops_and_names() -> None:
    program = parse_program(TEXT)
    assert print_program(program, {0: "conv1 (conv2d)", 5: "the sums"}) == TEXT
    assert print_program(program, {0: "a\nb"}).startswith("; a\n; b\nloop 14\n  wait")
    assert len(parse_program(print_program(program))) == len(program) == 10


def test_a_line_means_this() -> None:
    line = "contract <2, 3> nram 0x8-4*i1 {4, 0} += nram 64+(12+4*i0-8*i2) mod 32 {12, 4} * wram 0x0 {0, -4}"
    a = Operand("nram", 64, (12, 4), (4, 0, -8), 12, 32)
    descriptor = Descriptor((2, 3), Operand("nram", 8, (4, 0), (0, -4)), (a, Operand("wram", 0, (0, -4))))
    assert parse_instruction(line) == Instruction("contract", descriptor, accumulate=True)


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("nram 16 {+4}", "nram 0x10 {4}"),
        ("nram 0X10{4}", "nram 0x10 {4}"),
        ("nram 0x0 + 0*i0 {4}", "nram 0x0 {4}"),
        ("nram 0+(0) mod 8 {4}", "nram 0x0+(0) mod 8 {4}"),
        ("nram 0+( 0+4*i0 ) mod 8 {4}", "nram 0x0+(4*i0) mod 8 {4}"),
        ("nram 0+(-4*i0) mod 8 {4}", "nram 0x0+(-4*i0) mod 8 {4}"),
        ("nram 0+(-4-4*i1) mod 8 {4}", "nram 0x0+(-4-4*i1) mod 8 {4}"),
        ("nram 0+(8*i1+4*i0) mod 8 {4}", "nram 0x0+(4*i0+8*i1) mod 8 {4}"),
        ("nram 4+(8) mod 0 {4}", None),
    ],
)
def test_addresses(written: str, printed: str | None) -> None:
    if printed is None:
        with pytest.raises(AssemblyError, match=r"^line 1: vcopy must have no phase without a wrap"):
            parse_instruction(f"vcopy <4> nram 0 {{4}} = {written}")
    else:
        instruction = parse_instruction(f"vcopy <4> nram 0 {{4}} = {written}")
        assert print_instruction(instruction) == f"vcopy <4> nram 0x0 {{4}} = {printed}"


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("#1", "#1"),
        ("#-0.0", "#-0"),
        ("#+.5", "#0.5"),
        ("#5.", "#5"),
        ("#1e-5", "#1e-05"),
        ("#1E20", "#1e+20"),
        ("#inf", "#inf"),
        ("#-inf", "#-inf"),
        ("#0.1", "#0.1"),
    ],
)
def test_constants(written: str, printed: str) -> None:
    instruction = parse_instruction(f"fill <4> nram 0x0 {{4}} = {written}")
    assert print_instruction(instruction) == f"fill <4> nram 0x0 {{4}} = {printed}"


@given(st.floats(allow_nan=False))
def test_every_constant_comes_back(value: float) -> None:
    fill = Instruction("fill", Descriptor((1,), Operand("nram", 0, (4,)), (Immediate(value),)))
    assert repr(parse_instruction(print_instruction(fill))) == repr(fill)


@pytest.mark.parametrize(
    "text",
    ["end", "end\r\n", "\n\n  ;x\n#x\n \t end ; x\n#", "end # x", "end #", "#3 tiles\nend", "  # x = nram\nend"],
)
def test_comments_and_blanks(text: str) -> None:
    assert parse_program(text) == (Instruction("end"),)


@given(st.integers(0, 1 << 32), st.sampled_from(["dlp-s", "dlp-m4", "dlp-m16"]))
def test_random_programs_come_back(seed: int, machine: str) -> None:
    streams = random_program(seed, load_machine(machine)).streams
    text = print_streams(streams)
    assert parse_text(text) == streams
    assert print_streams(parse_text(text)) == text
    for stream in streams:
        for instruction in stream.instructions:
            if "target" not in OPCODES[instruction.mnemonic].fields:
                assert parse_instruction(print_instruction(instruction), stream.role) == instruction


SECTIONS = """\
scopy r1 = #-5
loop 3
  L2:
  sadd r1 = r1, #1
  jumpif r1, L5
  load <4> nram.int8 0x3+r1 {1} = sram.int8 0x0+r2+(1-3*i0) mod 8 {1}
  L5:
  sload r2 = nram.float16 0x2+2*i0
  jumpifnot r2, L2
endloop
barrier cluster
sstore nram 0x4 = r1
jump L11
L11:
end

.core 0 3
barrier cluster
rank r31
end

.mover 0
cast <4> wram.bfloat16 0x0 {2} = sram.bfloat16 0x10 {2}
wait cast 7
barrier cluster
end
"""


def test_streams_print_with_their_labels_and_keep_their_lines() -> None:
    streams = parse_text(SECTIONS)
    assert print_streams(streams) == SECTIONS
    assert [stream.name for stream in streams] == ["core 0 0", "core 0 3", "mover 0"]
    assert streams[1].lines == (18, 19, 20)
    assert [stream.where(1) for stream in streams] == ["line 2", "line 19", "line 24"]
    assert streams[0].instructions[3].target == 5
    assert Program.of("p", load_machine("dlp-m4"), streams).streams[0].lines == streams[0].lines


def test_sections_stand_in_any_order_and_labels_have_any_name() -> None:
    text = ".mover 0\nend\n; x\n.core 0 0 ; y\nend : # z\njump end\nend\n.core 0 1\nend:\nend"
    streams = parse_text(text)
    assert [stream.name for stream in streams] == ["core 0 0", "core 0 1", "mover 0"]
    assert streams[0].instructions == (Instruction("jump", target=0), Instruction("end"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (".core 0 1\nend", "line 1: a text must have a stream of core 0 0, and this one has none; add it"),
        (
            "end\n.core 0 0\nend",
            "line 2: core 0 0 must have one section, and line 1 began it; put them together",
        ),
        ("end\n.mover 0", "line 2: a program must end with `end`, and this one does not; add it"),
        (
            "end\n.mover 0\nvexp <4> nram 0 {4} = #0\nend",
            "line 3: vexp must stand in the stream of a core, not of a mover; move it there",
        ),
        ("end\n.gpu 0", f"line 2: after '.' must stand 'core' or 'mover', not 'gpu'; {SECTION}"),
        ("end\n.core 0", f"line 2: after '0' must stand a core's number, not the end of the line; {SECTION}"),
        ("end\n.mover 0 1", f"line 2: after '0' must stand the end of the line, not '1'; {SECTION}"),
        ("jump x\nend", "line 1: a jump must go to a label of its stream, not to 'x'; add the line 'x:'"),
        (
            "again:\njump agian\nend",
            "line 2: a jump must go to a label of its stream, not to 'agian'; did you mean 'again'?",
        ),
        ("x:\nx:\nend", "line 2: a label must stand once in a stream, and 'x' stands on line 1; rename it"),
        ("end\nx:", "line 2: the label 'x' must stand before an instruction; move it up"),
        (
            "jump x\nloop 2\nx:\nendloop\nend",
            "line 1: jump must stay in its innermost loop's body, and instruction 2 is not in it; move it",
        ),
    ],
)
def test_mistakes_in_sections_and_labels(text: str, sentence: str) -> None:
    with pytest.raises(AssemblyError) as caught:
        parse_text(text)
    assert str(caught.value) == sentence


def test_a_text_of_one_stream_has_no_other() -> None:
    with pytest.raises(AssemblyError) as caught:
        parse_program("end\n.core 0 2\n\nend")
    assert str(caught.value) == ("line 4: a text must have one stream here, core 0 0, not core 0 2 too; remove it")


ALL = f"a mnemonic, one of {', '.join(OPCODES)}"
FILL = "write it as in: fill <32> nram 0x0 {4} = #0"
LOAD = "write it as in: load <8, 16> nram 0x0 {64, 4} = dram 0x100+512*i0 {64, 4}"
STORE = "write it as in: store <8, 16> dram 0x100+512*i0 {64, 4} = nram 0x0 {64, 4}"
VADD = "write it as in: vadd <32> nram 0x0 {4} = nram 0x80 {4}, #1"
VEXP = "write it as in: vexp <32> nram 0x0 {4} = nram 0x80 {4}"
RSUM = "write it as in: rsum <8, 16> nram 0x0 {4, 0} = nram 0x80 {64, 4}"
CONTRACT = "write it as in: contract <8, 16> nram 0x0 {4, 0} += nram 0x20 {64, 4} * wram 0x0 {0, 4}"
OPERAND = "an operand in dram, nram, wram, sram"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("vaddd <4>", f"a line must begin with {ALL}, not 'vaddd'; did you mean 'vadd'?"),
        ("9", f"a line must begin with {ALL}, not '9'; correct it or begin the line with ;"),
        ("x" * 50, f"a line must begin with {ALL}, not '{'x' * 39}…'; correct it or begin the line with ;"),
        ("loop", "after 'loop' must stand a count, not the end of the line; write it as in: loop 14"),
        ("loop -1", "after 'loop' must stand a count, not '-'; write it as in: loop 14"),
        ("loop 2 3", "after '2' must stand the end of the line, not '3'; write it as in: loop 14"),
        ("sync now", "after 'sync' must stand the end of the line, not 'now'; write: sync"),
        ("sync #now", "after 'sync' must stand the end of the line, not '#now'; write: sync"),
        (
            "wait dma 3",
            "after 'wait' must stand a queue, one of load, store, matrix, vector, cast, not 'dma'; "
            "write it as in: wait load 3",
        ),
        (
            "barrier all",
            "after 'barrier' must stand a scope, one of cluster, chip, not 'all'; write it as in: barrier cluster",
        ),
        ("jump", "after 'jump' must stand a label, not the end of the line; write it as in: jump again"),
        (
            "jumpif 1, x",
            "after 'jumpif' must stand a register, r0 to r31, not '1'; write it as in: jumpif r1, again",
        ),
        ("rank r32", "after 'rank' must stand a register, r0 to r31, not 'r32'; write it as in: rank r1"),
        (
            "sadd r1 = r2, 5",
            "after ',' must stand a register, r0 to r31 or a constant such as #5, not '5'; "
            "write it as in: sadd r1 = r2, #5",
        ),
        (
            "scopy r1 = #0.5",
            "after '=' must stand a whole constant such as #5, not '#0.5'; write it as in: scopy r1 = #5",
        ),
        (
            "sload r1 = nram 0 {0}",
            "after '0' must stand the end of the line, not '{'; write it as in: sload r1 = nram 0x40+4*i0",
        ),
        (
            "fill <4> nram.half 0 {2} = #0",
            f"after '.' must stand a dtype, one of float32, float16, bfloat16, int8, int32, not 'half'; {FILL}",
        ),
        ("fill <4> nram 0+s1 {4} = #0", f"after '+' must stand a register, r0 to r31, not 's1'; {FILL}"),
        ("post load x", "after 'load' must stand a token, not 'x'; write it as in: post load 3"),
        ("fill 32", f"after 'fill' must stand '<', not '32'; {FILL}"),
        ("fill <> nram", f"after '<' must stand an extent, not '>'; {FILL}"),
        ("fill <-4> nram", f"after '<' must stand an extent, not '-'; {FILL}"),
        ("fill <4; 4>", f"after '4' must stand ',' or '>', not the end of the line; {FILL}"),
        ("fill <4> 0x0", f"after '>' must stand {OPERAND}, not '0x0'; {FILL}"),
        ("fill <4> nram {4}", f"after 'nram' must stand a base address, not '{{'; {FILL}"),
        ("fill <4> nram 0x0 = #0", f"after '0x0' must stand '{{', not '='; {FILL}"),
        (
            "fill <4> nram 0x0 {4} = #nan",
            f"after '=' must stand {OPERAND} or a constant such as #0, not '#nan'; {FILL}",
        ),
        ("fill <4> nram 0x0 {4} = 0", f"after '=' must stand {OPERAND} or a constant such as #0, not '0'; {FILL}"),
        ("fill <4> nram 0x0 {4} = #1e999", "a constant must be below 1.8e308, not '#1e999'; write #inf"),
        (
            "fill <4> nram 0x0+4*i0 mod 8 {4} = #0",
            "'mod' must follow an offset in brackets, not a step; write base+(step*i0) mod wrap",
        ),
        ("fill <4> nram 0x0+(4*i0 mod 8) {4} = #0", f"after 'i0' must stand ')', not 'mod'; {FILL}"),
        ("fill <4> nram 0x0+(4*i0) {4} = #0", f"after ')' must stand 'mod', not '{{'; {FILL}"),
        ("fill <4> nram 0x0+() mod 8 {4} = #0", f"after '(' must stand a phase or a step, not ')'; {FILL}"),
        (
            "load <4> nram 0+4*i0+4*i0 {4} = dram 0 {4}",
            "an address must have one step for i0, not two; add them",
        ),
        ("load <4> nram 0+4 {4} = dram 0 {4}", f"after '4' must stand '*', not '{{'; {LOAD}"),
        ("load <4> nram 0+4*i6 {4}", f"after '*' must stand a loop counter, i0 to i5, not 'i6'; {LOAD}"),
        ("store <4> dram 0 {4} <- nram 0 {4}", f"after '}}' must stand '=' or '+=', not '<'; {STORE}"),
        ("vadd <4> nram 0 {4} = #1", f"after '#1' must stand ',', not the end of the line; {VADD}"),
        ("vexp <4> nram 0 {4} = #1, #2", f"after '#1' must stand the end of the line, not ','; {VEXP}"),
        ("rsum <4> nram 0 {0} = nram 0 {a}", f"after '{{' must stand a stride, not 'a'; {RSUM}"),
        ("contract <4> nram 0 {0} = nram 0 {4}, wram 0 {4}", f"after '}}' must stand '*', not ','; {CONTRACT}"),
        (
            "fill <4> nram 0 {4} = dram 0 {4}",
            "fill must have as its first source a constant, not an operand in dram; change it",
        ),
        ("fill <4> nram 0 {4} += #0", "fill must not accumulate; write = in place of +="),
        ("loop 0", "loop must have a count from 1 to 4294967295, not 0; correct it"),
        (
            "fill <4> nram 2 {4} = #0",
            "fill must have addresses, steps and strides that are multiples of 4, not 2 in nram; align it",
        ),
        ("end\nend", "end must be the last instruction, and others follow it; remove it or them"),
        ("fill <4> nram 0+4*i0 {4} = #0", "a step for i0 must stand inside 1 loops, not 0; remove the step"),
        ("loop 3", "loop must be closed by an endloop, and none follows; add it"),
        ("endloop", "endloop must close a loop, and none is open; remove it or add its loop"),
    ],
)
def test_every_mistake_has_its_sentence_with_the_line(line: str, sentence: str) -> None:
    with pytest.raises(AssemblyError) as caught:
        parse_program(f"; a comment\n\n{line}\nend")
    assert str(caught.value) == f"line 3: {sentence}"


@pytest.mark.parametrize(("text", "line"), [("", 1), ("; nothing\n", 1), ("sync\nsync\n\n", 2)])
def test_a_program_without_end(text: str, line: int) -> None:
    with pytest.raises(AssemblyError) as caught:
        parse_program(text)
    assert str(caught.value) == f"line {line}: a program must end with `end`, and this one does not; add it"


@pytest.mark.parametrize("line", [" ; nothing", "again:"])
def test_a_line_without_instruction(line: str) -> None:
    with pytest.raises(AssemblyError) as caught:
        parse_instruction(line)
    assert str(caught.value) == "line 1: a line must hold an instruction here, not nothing; write one"


def read(text: str) -> tuple[tuple[Stream, ...], str]:
    """The streams, or the error."""
    try:
        return parse_text(text), ""
    except AssemblyError as error:
        return (), str(error)


@given(st.integers(0, 999), st.integers(0, 1 << 32))
def test_mutated_text_is_a_program_or_an_error(program_seed: int, seed: int) -> None:
    text = print_streams(random_program(program_seed, load_machine("dlp-m4")).streams)
    random = Random(seed)
    for _ in range(random.randint(1, 3)):
        start = random.randrange(len(text))
        end = min(len(text), start + random.choice((0, 1, 1, 5)))
        inserted = "".join(random.choices("0123456789<>{}()+-*=,;#.: \nximodnrwaL\0é", k=random.randint(0, 2)))
        text = text[:start] + inserted + text[end:]
    streams, error = read(text)
    assert re.match(r"line \d+: " if error else "$", error)
    assert not streams or parse_text(print_streams(streams)) == streams


@given(st.lists(st.sampled_from([*TEXT.split(), *SECTIONS.split(), "\n", "\n", "\n"])).map(" ".join) | st.text())
def test_any_text_is_a_program_or_an_error(text: str) -> None:
    with suppress(AssemblyError):
        parse_text(text)


def test_very_long_numbers_are_refused() -> None:
    with pytest.raises(AssemblyError, match=r"^line 1: after 'loop' must stand a count, not '9'"):
        parse_program("loop " + "9" * 10_000)
    with pytest.raises(AssemblyError, match=r"^line 1: after '=' must stand an operand"):
        parse_program("fill <4> nram 0 {4} = #" + "9" * 10_000)
