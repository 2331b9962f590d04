"""Words and descriptors: layout, round trip, and refusal of every malformed byte."""

from __future__ import annotations

import gc
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.errors import ProgramError
from tilework.isa.assembly import parse_instruction, parse_program, parse_text, print_instruction
from tilework.isa.encode import DESCRIPTOR_BYTES, decode, encode
from tilework.isa.instruction import Descriptor, Immediate, Instruction, Operand
from tilework.isa.program import Header, Stream
from tilework.isa.random_program import random_program
from tilework.isa.random_stream import Options
from tilework.isa.table import OPCODES
from tilework.machine.load import load_machine

DLP_S = load_machine("dlp-s")
END = Instruction("end")

EXAMPLES = {
    "none": "{0}",
    "count": "{0} 14",
    "token": "{0} load 255",
    "scope": "{0} chip",
    "register": "{0} r31",
    "jump": "{0} L0",
    "branch": "{0} r9, L0",
    "scalar 1": "{0} r31 = r1",
    "scalar 2": "{0} r1 = r31, #-5",
    "sload": "{0} r1 = nram.int8 0x43+r2",
    "sstore": "{0} nram.float16 0x42+r31+(2) mod 6 = r30",
    "fill": "{0} <2, 3> wram 0x40 {{12, 4}} = #-0.1",
    "load": "{0} <2, 3> nram.int8 0x41+r0 {{12, 4}} = dram.int8 0x300000000 {{0, -4}}",
    "store": "{0} <2, 3> dram 0x300000000 {{12, 4}} = wram 0x40 {{12, 4}}",
    "cast": "{0} <2, 3> wram.bfloat16 0x40 {{12, 2}} = sram.bfloat16 0x40+r7 {{12, 2}}",
    "contract": "{0} <2, 3> nram.int32 0x40 {{4, 0}} += nram.int8 0x80+(4) mod 64 {{12, 4}} * wram.int8 0x1 {{0, 4}}",
    "vector 1": "{0} <7> nram.bfloat16 0x42 {{4}} = #inf",
    "vector 2": "{0} <7> nram 0x40 {{4}} = #1, nram.int8 0x81 {{8}}",
    "reduce 1": "{0} <2, 3> nram 0x40 {{4, 0}} += nram.float16 0x82 {{12, 4}}",
    "reduce 2": "{0} <2, 3> nram 0x40 {{4, 0}} += nram.float16 0x82 {{12, 4}}, nram.int8 0x1 {{0, 3}}",
}


def example(mnemonic: str) -> str:
    row = OPCODES[mnemonic]
    numbered = row.form in ("vector", "scalar", "reduce")
    form = {"move": mnemonic}.get(row.form, f"{row.form} {row.sources}" if numbered else row.form)
    return EXAMPLES[form].format(mnemonic)


def role_of(mnemonic: str) -> str:
    return "mover" if OPCODES[mnemonic].core is None else "core"


def program_of(instruction: Instruction) -> tuple[Instruction, ...]:
    if instruction.mnemonic in ("loop", "endloop"):
        return Instruction("loop", count=instruction.count or 1), Instruction("endloop"), END
    return (END,) if instruction == END else (instruction, END)


def encoded(program: Sequence[Instruction], role: str = "core") -> tuple[bytes, bytes]:
    return encode([Stream(tuple(program), role)])


def decoded(code: bytes, descriptors: bytes, role: str = "core") -> tuple[Instruction, ...]:
    (stream,) = decode(code, descriptors, [Header(role, 0, 0, len(code) // 8)])
    return stream.instructions


def read(line: str) -> Instruction:
    """One instruction; a jump goes to itself."""
    label = line.split()[-1] if OPCODES[line.split()[0]].form in ("jump", "branch") else ""
    return parse_program(f"{label}:\n{line}\nend")[0] if label else parse_instruction(line, role_of(line.split()[0]))


@pytest.mark.parametrize("mnemonic", OPCODES)
def test_every_row_of_the_table_prints_parses_encodes_and_decodes(mnemonic: str) -> None:
    line = example(mnemonic)
    instruction = read(line)
    assert print_instruction(instruction) == str(instruction) == line
    program, role = program_of(instruction), role_of(mnemonic)
    code, descriptors = encoded(program, role)
    assert decoded(code, descriptors, role) == program
    assert code[0] == OPCODES[program[0].mnemonic].code
    assert len(descriptors) == (DESCRIPTOR_BYTES if OPCODES[mnemonic].has_descriptor else 0)


@pytest.mark.parametrize("mnemonic", OPCODES)
def test_the_example_of_every_row_parses_and_prints_as_it_is(mnemonic: str) -> None:
    line = OPCODES[mnemonic].example
    assert print_instruction(read(line)).replace("L0", "again") == line


def test_words_have_the_documented_layout() -> None:
    reduce = parse_instruction("rsum <4> nram 0x40 {0} += nram 0x80 {4}")
    program = (Instruction("loop", count=3), Instruction("wait", unit="matrix", token=7), reduce)
    code, _ = encoded((*program, Instruction("endloop"), END))
    assert struct.unpack("<5Q", code) == (3 << 32 | 0x01, 7 << 32 | 3 << 16 | 0x08, 0x140, 0x02, 0x00)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("barrier cluster", 0x04),
        ("barrier chip", 1 << 32 | 0x04),
        ("jumpif r9, L0", 9 << 16 | 0x06),
        ("scopy r1 = r2", 2 << 24 | 1 << 16 | 0x60),
        ("scopy r1 = #-5", 0xFFFFFFFB << 32 | 1 << 16 | 2 << 8 | 0x60),
        ("sadd r1 = r2, r3", 3 << 32 | 2 << 24 | 1 << 16 | 0x61),
        ("sadd r31 = r2, #2147483647", 0x7FFFFFFF << 32 | 2 << 24 | 31 << 16 | 2 << 8 | 0x61),
        ("sload r5 = nram 0x0", 5 << 16 | 0x70),
        ("sstore nram 0x0 = r5", 5 << 16 | 0x71),
        ("rank r7", 7 << 16 | 0x72),
    ],
)
def test_registers_and_scopes_have_the_documented_layout(line: str, word: int) -> None:
    program = (read(line), END)
    code, descriptors = encoded(program)
    assert struct.unpack("<2Q", code) == (word, 0)
    assert decoded(code, descriptors) == program


def test_a_jump_s_payload_is_its_target() -> None:
    code, _ = encoded(parse_program("sync\njump over\nsync\nover:\nend"))
    assert struct.unpack("<4Q", code) == (0x03, 3 << 32 | 0x05, 0x03, 0x00)


def test_streams_follow_each_other_and_share_descriptors() -> None:
    streams = parse_text("fill <4> nram 0 {4} = #0\nend\n.core 1 3\nsync\nfill <4> nram 0 {4} = #0\nend\n.mover 2\nend")
    code, descriptors = encode(streams)
    assert struct.unpack("<6Q", code) == (0x12, 0, 0x03, 0x12, 0, 0)
    assert len(descriptors) == DESCRIPTOR_BYTES
    headers = [Header("core", 0, 0, 2), Header("core", 1, 3, 3), Header("mover", 2, 0, 1)]
    assert [stream.header for stream in streams] == headers
    assert decode(code, descriptors, headers) == streams


def test_descriptors_have_the_documented_layout() -> None:
    operand = Operand("wram", 1 << 40, (-4, 8), (12, 0, 16), -20, 24, "int32", 6)
    loops, ends = [Instruction("loop", count=1)] * 3, [Instruction("endloop")] * 3
    _, record = encoded([*loops, Instruction("fill", Descriptor((5, 6), operand, (Immediate(0.1),))), *ends, END])
    assert struct.unpack_from("<II8I", record) == (2, 1, 5, 6, 0, 0, 0, 0, 0, 0)
    assert struct.unpack_from("<IIQqq6q8q", record, 40) == (
        *(3, 7 << 8 | 4, 1 << 40, -20, 24),
        *(12, 0, 16, 0, 0, 0),
        *(-4, 8, 0, 0, 0, 0, 0, 0),
    )
    assert struct.unpack_from("<IId", record, 184) == (0, 0, 0.1)
    assert not any(record[200:])


def test_equal_descriptors_are_kept_once() -> None:
    lines = ["fill <4> nram 0 {4} = #0", "vcopy <4> nram 0 {4} = #0", "fill <4> nram 0 {4} = #0.0", "end"]
    program = parse_program("\n".join(lines))
    code, descriptors = encoded(program)
    assert len(descriptors) == DESCRIPTOR_BYTES
    assert decoded(code, descriptors) == program


def test_the_two_zeros_are_kept_apart() -> None:
    program = parse_program("fill <4> nram 0 {4} = #0\nfill <4> nram 0 {4} = #-0\nend")
    code, descriptors = encoded(program)
    assert len(descriptors) == 2 * DESCRIPTOR_BYTES
    assert [str(i) for i in decoded(code, descriptors)] == [str(i) for i in program]


def test_zero_steps_at_the_end_mean_nothing() -> None:
    assert Operand("nram", 0, (4,), (8, 0, 0)) == Operand("nram", 0, (4,), (8,))
    assert Operand("nram", 0, (4,), (0, 0)).steps == ()
    assert Operand("nram", 0, (4,), (0, 8)).steps == (0, 8)


@given(st.integers(0, 1 << 32), st.sampled_from(["dlp-s", "dlp-m4", "dlp-m16"]))
def test_random_programs_come_back(seed: int, machine: str) -> None:
    streams = random_program(seed, load_machine(machine)).streams
    code, descriptors = encode(streams)
    assert decode(code, descriptors, [stream.header for stream in streams]) == streams


CODE, DESCRIPTORS = encoded(parse_program("loop 2\nfill <4> nram 0+4*i0 {4} = #0\nwait load 3\nendloop\nend"))


def altered(data: bytes, offset: int, value: int) -> bytes:
    return data[:offset] + bytes([value]) + data[offset + 1 :]


WORD = "must have {}; compile the program again"
UNUSED = WORD.format("0 in all bits that it does not use")
COMPRESSED = "must have no compressed operand but a move's source or a contract's weights; correct it"
RECORD = "descriptor 0 must be a record that `encode` makes, not one with {}; compile again"


@pytest.mark.parametrize(
    ("offset", "value", "sentence"),
    [
        (8, 0x77, "instruction 1, word 0x0000000000000077, " + WORD.format("an opcode of the table, not 0x77")),
        (12, 1, "instruction 1, word 0x0000000100000012, " + WORD.format("one of the 1 descriptors, not number 1")),
        (18, 9, "instruction 2, word 0x0000000300090008, " + WORD.format("one of the 6 units, not number 9")),
        (9, 2, f"instruction 1, word 0x0000000000000212, {UNUSED}"),
        (10, 1, f"instruction 1, word 0x0000000000010012, {UNUSED}"),
        (11, 1, f"instruction 1, word 0x0000000001000012, {UNUSED}"),
        (1, 1, f"instruction 0, word 0x0000000200000101, {UNUSED}"),
        (39, 1, f"instruction 4, word 0x0100000000000000, {UNUSED}"),
        (9, 1, f"instruction 1, word 0x0000000000000112, {UNUSED}"),
        (4, 0, "instruction 0: loop must have a count from 1 to 4294967295, not 0; correct it"),
        (21, 1, "instruction 2: wait must have a token from 0 to 255, not 259; correct it"),
        (24, 3, "instruction 0: loop must be closed by an endloop, and none follows; add it"),
        (32, 3, "instruction 4: a program must end with `end`, and this one does not; add it"),
        (
            18,
            0,
            "instruction 2: wait must name one of a core's queues, load, store, matrix, vector, not 'control'; "
            "correct it",
        ),
    ],
)
def test_a_malformed_word_is_refused(offset: int, value: int, sentence: str) -> None:
    with pytest.raises(ProgramError) as caught:
        decoded(altered(CODE, offset, value), DESCRIPTORS)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("offset", "value", "sentence"),
    [
        (0, 9, RECORD.format("a rank of 9 with 1 sources and extents (4, 0, 0, 0, 0, 0, 0, 0)")),
        (4, 3, RECORD.format("a rank of 1 with 3 sources and extents (4, 0, 0, 0, 0, 0, 0, 0)")),
        (12, 1, RECORD.format("a rank of 1 with 1 sources and extents (4, 1, 0, 0, 0, 0, 0, 0)")),
        (40, 5, RECORD.format("memory 5")),
        (44, 5, RECORD.format("dtype 5")),
        (47, 1, RECORD.format("bits set that its operands do not use")),
        (46, 1, f"instruction 1: fill {COMPRESSED}"),
        (188, 1, RECORD.format("bits set that its operands do not use")),
        (45, 33, "instruction 1: fill must have registers from r0 to r31, not r32 in nram; correct it"),
        (40, 0, RECORD.format("bits set that its operands do not use")),
        (128, 1, RECORD.format("bits set that its operands do not use")),
        (328, 1, RECORD.format("bits set beyond its last operand")),
        (479, 1, RECORD.format("a rank of 1 with 1 sources and extents (4, 0, 0, 0, 0, 0, 0, 0)")),
        (
            40,
            1,
            "instruction 1: fill must have as its destination an operand in nram or an operand in wram, "
            "not an operand in dram; change it",
        ),
        (8, 0, "instruction 1: fill must have extents from 1 to 4294967295, not 0; correct them"),
        (
            48,
            2,
            "instruction 1: fill must have addresses, steps and strides that are multiples of 4, not 2 in nram; "
            "align it",
        ),
        (80, 8, "instruction 1: a step for i1 must stand inside 2 loops, not 1; remove the step"),
    ],
)
def test_a_malformed_descriptor_is_refused(offset: int, value: int, sentence: str) -> None:
    with pytest.raises(ProgramError) as caught:
        decoded(CODE, altered(DESCRIPTORS, offset, value))
    assert str(caught.value) == sentence


def test_a_constant_is_no_destination() -> None:
    record = DESCRIPTORS[:40] + bytes(144) + DESCRIPTORS[184:]
    with pytest.raises(ProgramError) as caught:
        decoded(CODE, record)
    assert str(caught.value) == RECORD.format("a constant as its destination")


@pytest.mark.parametrize(
    ("code", "descriptors", "sentence"),
    [
        (CODE[:-1], DESCRIPTORS, "the code must be records of 8 bytes, not 39 bytes in all; compile again"),
        (CODE, DESCRIPTORS[1:], "the descriptors must be records of 480 bytes, not 479 bytes in all; compile again"),
        (
            CODE,
            DESCRIPTORS * 6,
            "the descriptors must be no more than the instructions, but are; compile the program again",
        ),
        (b"", b"", "instruction 0: a program must end with `end`, and this one does not; add it"),
    ],
)
def test_wrong_lengths_are_refused(code: bytes, descriptors: bytes, sentence: str) -> None:
    with pytest.raises(ProgramError) as caught:
        decoded(code, descriptors)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ([], "the streams must share the 5 words among them, not []; compile again"),
        ([Header("core", 0, 0, 4)], "the streams must share the 5 words among them, not [4]; compile again"),
        (
            [Header("core", 0, 0, 6), Header("core", 0, 1, -1)],
            "the streams must share the 5 words among them, not [6, -1]; compile again",
        ),
        ([Header("dma", 0, 0, 5)], "a stream must be of one of the roles core, mover, not 'dma'; correct it"),
        (
            [Header("core", 0, 0, 4), Header("core", 0, 1, 1)],
            "core 0 0, instruction 3: a program must end with `end`, and this one does not; add it",
        ),
    ],
)
def test_headers_that_do_not_fit_are_refused(headers: list[Header], sentence: str) -> None:
    with pytest.raises(ProgramError) as caught:
        decode(CODE, DESCRIPTORS, headers)
    assert str(caught.value) == sentence


def test_a_program_that_is_not_well_formed_is_not_encoded() -> None:
    with pytest.raises(ProgramError, match=r"^instruction 0: loop must have a count from 1 to 4294967295, not 0"):
        encoded([Instruction("loop"), Instruction("endloop"), END])


@given(st.binary(max_size=200), st.binary(max_size=2 * DESCRIPTOR_BYTES))
def test_any_bytes_are_a_program_or_an_error(code: bytes, descriptors: bytes) -> None:
    with suppress(ProgramError):
        decoded(code, descriptors)


@given(st.integers(0, 999), st.data())
def test_flipped_bits_give_a_program_or_an_error(seed: int, data: st.DataObject) -> None:
    parts = [bytearray(part) for part in encoded(random_program(seed, DLP_S).instructions)]
    for _ in range(data.draw(st.integers(1, 3))):
        part = data.draw(st.sampled_from([part for part in parts if part]))
        part[data.draw(st.integers(0, len(part) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with suppress(ProgramError):
        program = decoded(bytes(parts[0]), bytes(parts[1]))
        assert decoded(*encoded(program)) == program


def test_collection_is_back_on_after_an_error() -> None:
    with pytest.raises(ProgramError):
        decoded(CODE, bytes(DESCRIPTOR_BYTES))
    assert gc.isenabled()


def test_twenty_thousand_instructions_take_less_than_a_second() -> None:
    """0.1 s for a compiler's program, whose descriptors repeat; here every one is another."""
    fill = parse_instruction("load <6, 56, 32> nram 0 {7168, 128, 4} = dram 0 {57344, 1024, 4}")
    assert fill.descriptor is not None
    first = fill.descriptor
    program = [
        replace(fill, descriptor=replace(first, destination=replace(first.destination, base=4 * n)))
        if n % 2
        else Instruction("post", unit="load", token=n % 256)
        for n in range(20_000)
    ]
    start = time.process_time()
    assert decoded(*encoded([*program, END])) == (*program, END)
    assert time.process_time() - start < 1


def test_random_programs_can_be_as_large_as_wanted() -> None:
    program = random_program(1, DLP_S, Options(instructions=2000, depth=6)).instructions
    assert decoded(*encoded(program)) == program
