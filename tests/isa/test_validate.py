"""What a well-formed program is: one sentence for each thing that must hold."""

from __future__ import annotations

import pytest

from tilework.errors import ProgramError
from tilework.isa.instruction import Descriptor, Immediate, Instruction, Operand
from tilework.isa.table import OPCODES
from tilework.isa.validate import allowed_places, check, instruction_problem, structure_problem

NRAM, WRAM, DRAM = (Operand(memory, 0, (4,)) for memory in ("nram", "wram", "dram"))
END = Instruction("end")


def described(
    mnemonic: str, destination: Operand, *sources: Operand | Immediate, extents: tuple[int, ...] = (4,)
) -> Instruction:
    return Instruction(mnemonic, Descriptor(extents, destination, sources))


MULTIPLES = "copy must have addresses, steps and strides that are multiples of 4, not {} in nram; align it"


@pytest.mark.parametrize(
    ("instruction", "problem"),
    [
        (Instruction("jump"), f"the mnemonic must be one of {', '.join(OPCODES)}, not 'jump'; correct it"),
        (Instruction("sync", count=3), "sync must have no count, not 3; remove it"),
        (Instruction("sync", token=3), "sync must have no token, not control 3; remove it"),
        (Instruction("sync", accumulate=True), "sync must not accumulate; write = in place of +="),
        (Instruction("sync", Descriptor((4,), NRAM)), "sync must have no descriptor; remove it"),
        (Instruction("vexp"), "vexp must have a descriptor, not None; add it"),
        (Instruction("loop", count=1 << 32), "loop must have a count from 1 to 4294967295, not 4294967296; correct it"),
        (
            Instruction("post", unit="dma"),
            "post must name the queue of one of load, store, matrix, vector, not 'dma'; correct it",
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
            described("vcopy", Operand("sram", 0, (4,)), NRAM),
            "vcopy must name one of the memories dram, nram, wram, not 'sram'; correct it",
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
            described("load", NRAM, WRAM),
            "load must have as its first source an operand in dram, not an operand in wram; change it",
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
        described("fill", Operand("wram", 0, (-4,), phase=-8, wrap=16), Immediate(0)),
    ],
)
def test_well_formed_instructions_have_no_problem(instruction: Instruction) -> None:
    assert instruction_problem(instruction) is None


def test_the_places_of_operands_follow_the_table() -> None:
    assert {
        name: allowed_places(row) for name, row in OPCODES.items() if row.has_descriptor and row.unit != "vector"
    } == {
        "load": (("nram", "wram"), ("dram",)),
        "store": (("dram",), ("nram", "wram")),
        "fill": (("nram", "wram"), ("#",)),
        "contract": (("nram",), ("nram",), ("wram",)),
    }


LOOP, ENDLOOP = Instruction("loop", count=2), Instruction("endloop")
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
    ],
)
def test_the_structure_of_a_program(program: list[Instruction], found: tuple[int, str] | None) -> None:
    assert structure_problem(program) == found
