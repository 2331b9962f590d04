"""Reads of bytes that nothing has written, and none reported where all are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tilework.errors import SimulationError
from tilework.isa.assembly import parse_text
from tilework.isa.program import Port, Program
from tilework.machine.machine import Sram
from tilework.simulator.functional import run, unwritten_reads
from tilework.simulator.unwritten import UnwrittenRead

Build = Callable[..., Program]
X = Port("x", (4,), 16, (0,))


def test_what_is_written_first_is_not_reported(program: Build) -> None:
    text = """
        load <4> nram 0x0 {4} = dram 0x0 {4}
        load <4> nram 0x10 {4} = dram 0x10 {4}
        fill <4> wram 0x0 {4} = #2
        contract <4> nram 0x40 {0} = nram 0x0 {4} * wram 0x0 {4}
        rsum <4> nram 0x40 {0} += nram 0x10 {4}
        store <1> dram 0x20 {4} = nram 0x40 {4}
        end"""
    built = program(text, weights=[1, 2, 3, 4], inputs=(X,), outputs=(Port("y", (1,), 32, (0,)),))
    assert unwritten_reads(built, {"x": np.ones(4)}) == []
    assert run(built, {"x": np.ones(4)}, check_reads=True)["y"] == 24


def test_each_operand_is_reported_once_with_its_bytes(program: Build) -> None:
    text = """
        fill <2> nram 0x4 {4} = #1
        loop 3
          vadd <4> nram 0x40 {4} = nram 0x0 {4}, nram 0x10+16*i0 {4}
        endloop
        rsum <2> nram.float16 0x80 {0} += nram 0x4 {4}
        sload r1 = nram.int8 0x91
        end"""
    assert unwritten_reads(program(text, outputs=(X,)), {}) == [
        UnwrittenRead("instruction 2 (vadd)", 1, "nram", 0, 16),
        UnwrittenRead("instruction 2 (vadd)", 2, "nram", 16, 32),
        UnwrittenRead("instruction 4 (rsum)", 0, "nram", 128, 130),
        UnwrittenRead("instruction 5 (sload)", 0, "nram", 145, 146),
        UnwrittenRead("the output 'x'", 1, "dram", 16, 32),
    ]
    assert len(unwritten_reads(program(text), {}, most=2)) == 2


def test_the_first_may_be_an_error(program: Build) -> None:
    built = program("load <4> nram 0x0 {4} = dram 0xc {4}\nend", inputs=(X,))
    run(built, {"x": np.ones(4)})
    with pytest.raises(SimulationError) as caught:
        run(built, {"x": np.ones(4)}, check_reads=True)
    assert str(caught.value) == (
        "instruction 0 (load) must read what was written before, not bytes 12 to 16 of DRAM; "
        "write them first or don't read them"
    )


def test_half_an_element_is_not_written(program: Build) -> None:
    text = "fill <1> nram.float16 0x0 {2} = #1\nvcopy <1> nram 0x40 {4} = nram 0x0 {4}\nend"
    assert unwritten_reads(program(text), {}) == [UnwrittenRead("instruction 1 (vcopy)", 1, "nram", 0, 4)]


def test_a_choice_writes_where_it_chooses(program: Build) -> None:
    text = """
        fill <1> nram 0x0 {4} = #1
        fill <1> nram 0x4 {4} = #0
        vwhere <2> nram 0x10 {4} = nram 0x0 {4}, #5
        sstore nram 0x20 = r1
        vadd <1> nram 0x30 {4} = nram 0x10 {4}, nram 0x20 {4}
        vcopy <2> nram 0x30 {4} = nram 0x10 {4}
        end"""
    assert unwritten_reads(program(text), {}) == [UnwrittenRead("instruction 5 (vcopy)", 1, "nram", 20, 24)]


def test_streams_write_for_each_other(program: Build) -> None:
    text = """
        barrier cluster
        vcopy <2> nram 0x40 {4} = nram 0x0 {4}
        end
        .core 0 1
        barrier cluster
        vcopy <3> nram 0x40 {4} = nram 0x0 {4}
        end
        .mover 0
        fill <2> sram 0x0 {4} = #1
        cast <2> nram 0x0 {4} = sram 0x0 {4}
        barrier cluster
        end"""
    streams = parse_text(text)
    built = program("end")
    machine = replace(built.machine, cores=2, sram=Sram(64, 1e9, 1, 1.0, 1))
    chip = replace(built, machine=machine, instructions=streams[0].instructions, others=streams[1:])
    assert unwritten_reads(chip, {}) == [UnwrittenRead("line 7 (vcopy)", 1, "nram", 8, 12)]
