"""What a well-formed program is: one sentence for each thing that must hold."""

from __future__ import annotations

import pytest

from tilework.errors import ProgramError
from tilework.isa.instruction import Descriptor, Immediate, Instruction, Operand
from tilework.isa.program import Stream
from tilework.isa.table import OPCODES
from tilework.isa.validate import check, check_streams, structure_problem
from tilework.isa.wellformed import instruction_problem
from tilework.machine.load import load_machine

NRAM, WRAM, DRAM = (Operand(memory, 0, (4,)) for memory in ("nram", "wram", "dram"))
END = Instruction("end")


def described(
    mnemonic: str, destination: Operand, *sources: Operand | Immediate, extents: tuple[int, ...] = (4,)
) -> Instruction:
    return Instruction(mnemonic, Descriptor(extents, destination, sources))


def of(memory: str, dtype: str) -> Operand:
    return Operand(memory, 0, (4,), dtype=dtype)


SOURCES = "must have sources of one dtype other than int32, not"
MULTIPLES = "copy must have addresses, steps and strides that are multiples of 4, not {} in nram; align it"


@pytest.mark.parametrize(
    ("instruction", "problem"),
    [
        (Instruction("halt"), f"the mnemonic must be one of {', '.join(OPCODES)}, not 'halt'; correct it"),
        (Instruction("cast"), "cast must stand in the stream of a mover, not of a core; move it there"),
        (Instruction("sync", count=3), "sync must have no count, not 3; remove it"),
        (Instruction("sync", token=3), "sync must have no token, not 3; remove it"),
        (Instruction("sync", accumulate=True), "sync must not accumulate; write = in place of +="),
        (Instruction("sync", Descriptor((4,), NRAM)), "sync must have no descriptor; remove it"),
        (Instruction("vexp"), "vexp must have a descriptor, not None; add it"),
        (Instruction("loop", count=1 << 32), "loop must have a count from 1 to 4294967295, not 4294967296; correct it"),
        (
            Instruction("post", unit="dma"),
            "post must name one of a core's queues, load, store, matrix, vector, not 'dma'; correct it",
        ),
        (Instruction("post", unit="load", token=-1), "post must have a token from 0 to 255, not -1; correct it"),
        (described("vcopy", NRAM, NRAM, extents=()), "vcopy must have 1 to 8 extents, not 0; merge or add loops"),
        (
            described("vcopy", NRAM, NRAM, extents=(2,) * 9),
            "vcopy must have 1 to 8 extents, not 9; merge or add loops",
        ),
        (
            described("vcopy", NRAM, NRAM, extents=(4, 0)),
            "vcopy must have extents from 1 to 4294967295, not 4, 0; correct them",
        ),
        (
            described("rsum", NRAM, NRAM, extents=(1 << 21, 1 << 20)),
            "rsum must do at most 1099511627776 iterations, not 2199023255552; split it",
        ),
        (
            described("vcopy", Operand("disk", 0, (4,)), NRAM),
            "vcopy must name one of the memories dram, nram, wram, sram, not 'disk'; correct it",
        ),
        (
            described("vcopy", NRAM, NRAM, extents=(4, 4)),
            "vcopy must have as many strides as extents, 2, not 1 in nram; make them equal",
        ),
        (
            described("vcopy", Operand("nram", 0, (4,), (4,) * 7), NRAM),
            "vcopy must have at most 6 steps, not 7 in nram; remove some",
        ),
        (
            described("vcopy", Operand("nram", -4, (4,)), NRAM),
            "vcopy must have a base and a wrap of 0 or more, not -4 and 0 in nram; correct them",
        ),
        (
            described("vcopy", Operand("nram", 0, (4,), wrap=-8), NRAM),
            "vcopy must have a base and a wrap of 0 or more, not 0 and -8 in nram; correct them",
        ),
        (
            described("vcopy", Operand("nram", 0, (4,), phase=8), NRAM),
            "vcopy must have no phase without a wrap, not 8 in nram; add it to the base",
        ),
        *(
            (described("vcopy", operand, NRAM), f"v{MULTIPLES.format(6)}")
            for operand in (
                Operand("nram", 6, (4,)),
                Operand("nram", 0, (6,)),
                Operand("nram", 0, (4,), (4, 6)),
                Operand("nram", 0, (4,), wrap=6),
                Operand("nram", 0, (4,), phase=6, wrap=8),
            )
        ),
        (
            described("vcopy", Operand("nram", 1 << 48, (4,)), NRAM),
            "vcopy must have addresses, steps and strides below 2^48, not 281474976710656 in nram; correct it",
        ),
        (
            described("fill", NRAM, Immediate(float("nan"))),
            "fill must have constants that are numbers, not NaN; correct it",
        ),
        (described("vadd", NRAM, NRAM), "vadd must have 2 sources, not 1; correct them"),
        (described("vexp", NRAM, NRAM, NRAM), "vexp must have 1 source, not 2; correct them"),
        (
            described("store", DRAM, DRAM),
            "store must have as its first source an operand in nram or an operand in wram, not an operand in dram; "
            "change it",
        ),
        (
            described("load", DRAM, DRAM),
            "load must have as its destination an operand in nram or an operand in wram, not an operand in dram; "
            "change it",
        ),
        (
            described("fill", NRAM, NRAM),
            "fill must have as its first source a constant, not an operand in nram; change it",
        ),
        (
            described("contract", NRAM, NRAM, NRAM),
            "contract must have as its second source an operand in wram, not an operand in nram; change it",
        ),
        (
            described("vadd", NRAM, NRAM, WRAM),
            "vadd must have as its second source an operand in nram or a constant, not an operand in wram; change it",
        ),
        (
            described("rsum", NRAM, Immediate(1)),
            "rsum must have as its first source an operand in nram, not a constant; change it",
        ),
        (
            described("vcopy", Operand("nram", 0, (4, 0)), Immediate(1), extents=(1, 2)),
            "vcopy must write every element once, and its destination stays in loop 1; give it a stride",
        ),
        (
            described("contract", NRAM, Operand("nram", 0, (0,)), Operand("wram", 0, (0,))),
            "contract must move two of its three operands in every loop, and does not in loop 0; give them strides",
        ),
        (Instruction("barrier"), "barrier must have a scope, one of cluster, chip, not ''; correct it"),
        (Instruction("sync", scope="chip"), "sync must have no scope, not 'chip'; remove it"),
        (Instruction("sync", target=3), "sync must have no target, not 3; remove it"),
        (Instruction("sync", registers=(1,)), "sync must have no registers, not (1,); remove it"),
        (Instruction("rank", registers=(1,), constant=3), "rank must have no constant, not 3; remove it"),
        (Instruction("rank"), "rank must have 1 register, not 0; correct them"),
        (Instruction("sadd", registers=(1, 2)), "sadd must have 3 registers, not 2; correct them"),
        (Instruction("sadd", registers=(1, 2, 3), constant=4), "sadd must have 2 registers, not 3; correct them"),
        (Instruction("scopy", registers=(1, 32)), "scopy must have registers from r0 to r31, not r32; correct it"),
        (
            Instruction("scopy", registers=(1,), constant=1 << 31),
            "scopy must have a constant from -2147483648 to 2147483647, not 2147483648; correct it",
        ),
        (
            described("vcopy", Operand("nram", 0, (4,), dtype="int4"), NRAM),
            "vcopy must have a dtype, one of float32, float16, bfloat16, int8, int32, not 'int4' in nram; correct it",
        ),
        (
            described("vcopy", Operand("nram", 0, (4,), register=32), NRAM),
            "vcopy must have registers from r0 to r31, not r32 in nram; correct it",
        ),
        (
            described("vcopy", Operand("nram", 1, (2,), dtype="float16"), NRAM),
            "vcopy must have addresses, steps and strides that are multiples of 2, not 1 in nram; align it",
        ),
        (
            described("load", NRAM, Operand("dram", 0, (2,), dtype="float16")),
            "load must have operands of one dtype, not float32 and float16; convert with vcopy",
        ),
        *(
            (
                described("contract", Operand("nram", 0, (4,), dtype=d), of("nram", a), of("wram", b)),
                f"contract {sentence}",
            )
            for d, a, b, sentence in (
                ("float32", "float16", "int8", f"{SOURCES} float16 and int8; convert with vcopy"),
                ("int32", "int32", "int32", f"{SOURCES} int32 and int32; convert with vcopy"),
                (
                    *("float32", "int8", "int8"),
                    "must have a destination of int32 for sources of int8, not of float32; change it",
                ),
                (
                    *("int32", "bfloat16", "bfloat16"),
                    "must have a destination of float32 or float16 or bfloat16 for sources of bfloat16, not of int32; "
                    "change it",
                ),
            )
        ),
        (
            Instruction("sload", Descriptor((1,), WRAM), registers=(1,)),
            "sload must have an operand of one element, extents (1,) and strides (0,), and no sources; correct it",
        ),
        (
            Instruction("sstore", Descriptor((1,), Operand("wram", 0, (0,))), registers=(1,)),
            "sstore must have its element in nram, not in wram; change it",
        ),
        (Instruction("sload", registers=(1,)), "sload must have a descriptor, not None; add it"),
    ],
)
def test_every_fault_of_an_instruction_has_its_sentence(instruction: Instruction, problem: str) -> None:
    assert instruction_problem(instruction) == problem
    with pytest.raises(ProgramError) as caught:
        check([instruction, END])
    assert str(caught.value) == f"instruction 0: {problem}"


@pytest.mark.parametrize(
    "instruction",
    [
        described("rsum", Operand("nram", 0, (0,)), NRAM),
        described("vadd", NRAM, Immediate(1), Immediate(float("-inf"))),
        described("vcopy", Operand("nram", 0, (4, 0)), Operand("nram", 0, (0, 0)), extents=(4, 1)),
        described("store", DRAM, WRAM),
        described("load", NRAM, WRAM),
        described("store", Operand("sram", 0, (4,)), WRAM),
        described("vadd", of("nram", "int8"), of("nram", "float16"), of("nram", "int32")),
        described("contract", of("nram", "int32"), of("nram", "int8"), of("wram", "int8")),
        described("contract", of("nram", "float16"), of("nram", "bfloat16"), of("wram", "bfloat16")),
        Instruction("sadd", registers=(1, 2), constant=-(1 << 31)),
        Instruction("sload", Descriptor((1,), Operand("nram", 1, (0,), dtype="int8", register=3)), registers=(0,)),
        described("fill", Operand("wram", 0, (-4,), phase=-8, wrap=16), Immediate(0)),
    ],
)
def test_well_formed_instructions_have_no_problem(instruction: Instruction) -> None:
    assert instruction_problem(instruction) is None


def test_a_mover_has_its_own_instructions_and_places() -> None:
    sram, load, fill = Operand("sram", 0, (4,)), "load must have as its", "fill must have as its"
    for instruction, problem in (
        (described("load", sram, DRAM), None),
        (described("cast", WRAM, sram), None),
        (described("store", DRAM, sram), None),
        (described("fill", sram, Immediate(1)), None),
        (Instruction("post", unit="cast"), None),
        (described("load", NRAM, DRAM), f"{load} destination an operand in sram, not an operand in nram; change it"),
        (
            described("fill", NRAM, Immediate(1)),
            f"{fill} destination an operand in sram, not an operand in nram; change it",
        ),
        (described("vexp", NRAM, NRAM), "vexp must stand in the stream of a core, not of a mover; move it there"),
        (
            Instruction("wait", unit="vector"),
            "wait must name one of a mover's queues, load, store, cast, not 'vector'; correct it",
        ),
    ):
        assert instruction_problem(instruction, "mover") == problem


def test_the_places_of_operands_are_those_of_the_manual() -> None:
    on_chip, anywhere = ("nram", "wram"), ("dram", "sram", "nram", "wram")
    assert {
        name: (row.core, row.mover) for name, row in OPCODES.items() if "nest" in row.fields and row.unit != "vector"
    } == {
        "load": ((on_chip, anywhere), (("sram",), ("dram", "sram"))),
        "store": ((("dram", "sram"), on_chip), (("dram",), ("sram",))),
        "cast": (None, (on_chip, ("sram",))),
        "fill": ((on_chip, ("#",)), (("sram",), ("#",))),
        "contract": ((("nram",), ("nram",), ("wram",)), None),
    }


LOOP, ENDLOOP = Instruction("loop", count=2), Instruction("endloop")
STEP, JUMP_3 = Instruction("sync"), Instruction("jump", target=3)
OUTSIDE = "jump must stay in its innermost loop's body, and instruction {} is not in it; move it"
STEPPED = described("vcopy", Operand("nram", 0, (4,), (0, 4)), NRAM)


@pytest.mark.parametrize(
    ("program", "found"),
    [
        ([], (0, "a program must end with `end`, and this one does not; add it")),
        ([Instruction("sync")], (0, "a program must end with `end`, and this one does not; add it")),
        ([END, END], (0, "end must be the last instruction, and others follow it; remove it or them")),
        ([LOOP, END, ENDLOOP], (1, "end must be the last instruction, and others follow it; remove it or them")),
        ([LOOP, END], (0, "loop must be closed by an endloop, and none follows; add it")),
        ([ENDLOOP, END], (0, "endloop must close a loop, and none is open; remove it or add its loop")),
        (
            [*[LOOP] * 7, *[ENDLOOP] * 7, END],
            (6, "loops must be at most 6 deep, and this is one more; unroll one of them"),
        ),
        ([LOOP, STEPPED, ENDLOOP, END], (1, "a step for i1 must stand inside 2 loops, not 1; remove the step")),
        ([*[LOOP] * 6, STEPPED, *[ENDLOOP] * 6, END], None),
        ([Instruction("jump", target=2), END], (0, "jump must go to one of the 2 instructions, not to 2; correct it")),
        (
            [Instruction("jumpif", registers=(1,), target=-1), END],
            (0, "jumpif must go to one of the 2 instructions, not to -1; correct it"),
        ),
        ([JUMP_3, LOOP, ENDLOOP, END], None),
        ([LOOP, ENDLOOP, JUMP_3, END], None),
        ([LOOP, JUMP_3, STEP, ENDLOOP, END], None),
        ([JUMP_3, LOOP, STEP, ENDLOOP, END], (0, OUTSIDE.format(3))),
        ([LOOP, JUMP_3, ENDLOOP, END], (1, OUTSIDE.format(3))),
        ([LOOP, JUMP_3, LOOP, STEP, ENDLOOP, ENDLOOP, END], (1, OUTSIDE.format(3))),
    ],
)
def test_the_structure_of_a_program(program: list[Instruction], found: tuple[int, str] | None) -> None:
    assert structure_problem(program) == found


CORE_00, CORE_01, MOVER = Stream((END,)), Stream((END,), "core", 0, 1), Stream((END,), "mover")
ORDER = (
    "a program's streams must be core 0 0, then other cores, then movers, each once and by their numbers, not {}; "
    "put them in order"
)


@pytest.mark.parametrize(
    ("streams", "sentence"),
    [
        ([], ORDER.format("none")),
        ([CORE_01], ORDER.format("core 0 1")),
        ([CORE_00, MOVER, CORE_01], ORDER.format("core 0 0, mover 0, core 0 1")),
        ([CORE_00, CORE_01, CORE_01], ORDER.format("core 0 0, core 0 1, core 0 1")),
        (
            [CORE_00, Stream((END,), "core", 0, 4)],
            "a stream must be for one of the 1 x 4 cores of dlp-m4 or its movers, not for core 0 4; "
            "take another machine",
        ),
        (
            [CORE_00, Stream((END,), "mover", 1)],
            "a stream must be for one of the 1 x 4 cores of dlp-m4 or its movers, not for mover 1; "
            "take another machine",
        ),
    ],
)
def test_streams_that_do_not_fit_each_other_or_the_machine(streams: list[Stream], sentence: str) -> None:
    with pytest.raises(ProgramError) as caught:
        check_streams(streams, load_machine("dlp-m4"))
    assert str(caught.value) == sentence


def test_a_machine_without_sram_refuses_it() -> None:
    to_sram = described("store", Operand("sram", 0, (4,)), NRAM)
    for stream, where in (
        (Stream((to_sram, END)), "instruction 0"),
        (Stream((to_sram, END), lines=(7, 8)), "line 7"),
    ):
        check_streams([stream], load_machine("dlp-m4"))
        with pytest.raises(ProgramError) as caught:
            check_streams([stream], load_machine("dlp-s"))
        assert str(caught.value) == (
            f"{where}: store must use memories that dlp-s has, and it has no sram; take another machine"
        )
    assert Stream((END,), "core", 1, 2).where(0) == "core 1 2, instruction 0"
