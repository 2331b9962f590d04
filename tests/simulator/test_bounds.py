"""Addresses outside of a memory are found without a run, and exactly then."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.errors import SimulationError
from tilework.isa.assembly import parse_text
from tilework.isa.instruction import Descriptor, Instruction, Operand
from tilework.isa.program import Program
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.simulator.bounds import check_addresses

DRAM = 4096


def problem(program: Program) -> str:
    try:
        check_addresses(program, DRAM)
    except SimulationError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "vadd <16> nram 0x3c4 {4} = nram 0x0 {4}, #1",
            "line 1 (vadd) must stay inside the 1024 bytes of NRAM, not use bytes 964 to 1028; change its addresses",
        ),
        (
            "loop 4\nload <16> wram 0x0 {4} = dram 0x80-64*i0 {4}\nendloop",
            "line 2 (load) must stay inside the 4096 bytes of DRAM, not use bytes -64 to 192; change its addresses",
        ),
        (
            "store <2, 4> dram 0xff0 {-2048, 4} = wram 0x7f4 {0, 4}",
            "line 1 (store) must stay inside the 2048 bytes of WRAM, not use bytes 2036 to 2052; change its addresses",
        ),
        (
            "loop 3\nvcopy <16> nram 0x0 {4} = nram 0x340+(64*i0) mod 192 {4}\nendloop",
            "",
        ),
        (
            "loop 3\nvcopy <16> nram 0x0 {4} = nram 0x344+(64*i0) mod 192 {4}\nendloop",
            "line 2 (vcopy) must stay inside the 1024 bytes of NRAM, not use bytes 836 to 1028; change its addresses",
        ),
        # only two of the ring's places are used
        ("loop 2\nvcopy <16> nram 0x0 {4} = nram 0x380+(64*i0) mod 1024 {4}\nendloop", ""),
        # the jump may pass over it; the register may bring it back
        ("jump past\nvcopy <16> nram 0x400 {4} = nram 0x0 {4}\npast:", ""),
        ("scopy r1 = #-1024\nvcopy <16> nram 0x400+r1 {4} = nram 0x0 {4}", ""),
        (
            "again:\nvcopy <16> nram 0x400 {4} = nram 0x0 {4}\njumpif r1, again",
            "line 2 (vcopy) must stay inside the 1024 bytes of NRAM, not use bytes 1024 to 1088; change its addresses",
        ),
        (
            "sload r1 = nram.int8 0x400",
            "line 1 (sload) must stay inside the 1024 bytes of NRAM, not use bytes 1024 to 1025; change its addresses",
        ),
    ],
)
def test_accesses_outside_are_named_by_their_line(toy: Machine, text: str, expected: str) -> None:
    assert problem(Program.of("text", toy, parse_text(f"{text}\nend\n"))) == expected


def test_every_stream_and_its_memories_are_looked_at(cluster: Machine) -> None:
    text = "end\n.mover 0\ncast <16> wram 0x7c4 {4} = sram 0x0 {4}\nend\n"
    built = Program.of("text", cluster, parse_text(text))
    complaint = "must stay inside the 2048 bytes of WRAM, not use bytes 1988 to 2052; change its addresses"
    assert problem(built) == f"line 3 (cast) {complaint}"
    bare = replace(built, others=(replace(built.others[0], lines=()),), lines=())
    assert problem(bare) == f"mover 0, instruction 0 (cast) {complaint}"


def test_a_ring_of_any_size_takes_no_time() -> None:
    text = "loop 4294967295\nvcopy <16> nram 0x0 {4} = nram 0x0+(4*i0) mod 281474976710652 {4}\nendloop\nend\n"
    check_addresses(Program.of("text", load_machine("dlp-s"), parse_text(text)), 0)


@given(
    st.data(),
    st.lists(st.integers(1, 5), max_size=3),
    st.integers(0, 20),
    st.integers(0, 12),
)
def test_the_bounds_are_those_of_every_iteration(data: Any, counts: list[int], base: int, wrap: int) -> None:
    small = st.integers(-6, 6)
    steps = tuple(data.draw(st.lists(small, min_size=len(counts), max_size=len(counts))))
    phase, stride, extent = data.draw(small) if wrap else 0, data.draw(st.integers(-3, 3)), data.draw(st.integers(1, 4))
    operand = Operand("nram", base, (stride,), steps, phase, wrap, dtype="int8")
    machine = load_machine("dlp-s")
    machine = replace(machine, nram=replace(machine.nram, capacity_bytes=data.draw(st.integers(1, 40))))
    copy = Instruction("rsum", Descriptor((extent,), Operand("nram", 0, (0,), dtype="int8"), (operand,)))
    opened = [Instruction("loop", count=count) for count in counts]
    code = (*opened, copy, *[Instruction("endloop")] * len(counts), Instruction("end"))
    used = {
        operand.address(place) + stride * inner for place in product(*map(range, counts)) for inner in range(extent)
    }
    inside = min(used) >= 0 and max(used) < machine.nram.capacity_bytes
    assert (problem(Program("random", machine, code)) == "") == inside
