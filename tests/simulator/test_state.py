"""Accesses that the processor forbids: each sentence whole, and none that is allowed refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tilework.errors import SimulationError
from tilework.isa.instruction import Operand
from tilework.isa.program import Port, Program, Stream
from tilework.simulator.functional import run
from tilework.simulator.state import State, offsets, span

Build = Callable[..., Program]
# The toy has 1024 bytes of NRAM and 2048 of WRAM; programs here 32 bytes of weights before 4096 bytes of activations.
FORBIDDEN = {
    "vcopy <2> nram 0x3fc {4} = nram 0x0 {4}": (
        "instruction 0 (vcopy) must stay inside the 1024 bytes of NRAM, not use 8 bytes at 1020; change its addresses"
    ),
    "vcopy <2> nram 0x0 {4} = nram 0x0 {-4}": (
        "instruction 0 (vcopy) must stay inside the 1024 bytes of NRAM, not use 8 bytes at -4; change its addresses"
    ),
    "load <513> wram 0x0 {4} = dram 0x20 {4}": (
        "instruction 0 (load) must stay inside the 2048 bytes of WRAM, not use 2052 bytes at 0; change its addresses"
    ),
    "load <1> wram 0x0 {4} = dram 0x1020 {4}": (
        "instruction 0 (load) must stay inside the 4128 bytes of DRAM, not use 4 bytes at 4128; change its addresses"
    ),
    "load <4> nram 0x0 {4} = dram 0x18 {4}": (
        "instruction 0 (load) must not cross the end of the weights at 32 in DRAM with 16 bytes at 24; split it"
    ),
    "store <2> dram 0x18 {4} = nram 0x0 {4}": (
        "instruction 0 (store) must not write the weights, 8 bytes at 24 of DRAM; store after them"
    ),
}


@pytest.mark.parametrize(("line", "sentence"), FORBIDDEN.items())
def test_a_forbidden_access_is_named(program: Build, line: str, sentence: str) -> None:
    with pytest.raises(SimulationError) as caught:
        run(program(f"{line}\nend", weights=range(8)), {})
    assert str(caught.value) == sentence


def test_an_access_that_leaves_its_memory_in_a_later_iteration_is_named(program: Build) -> None:
    fine = "loop 3\nloop 2\nvcopy <64> nram 0x0+256*i0+128*i1 {4} = nram 0x0 {4}\nendloop\nendloop\nend"
    run(program(fine), {})
    with pytest.raises(SimulationError) as caught:
        run(program(fine.replace("128*i1", "260*i1")), {})
    assert str(caught.value) == (
        "instruction 2 (vcopy) must stay inside the 1024 bytes of NRAM, not use 256 bytes at 772; change its addresses"
    )


def test_a_ring_of_buffers_at_the_end_of_a_memory_is_allowed(program: Build) -> None:
    run(program("loop 9\nvcopy <32> nram 0x300+(128*i0) mod 256 {4} = nram 0x0 {4}\nendloop\nend"), {})


def test_a_misaligned_access_is_named(program: Build) -> None:
    state = State(program("end")).memories[0]
    with pytest.raises(SimulationError) as caught:
        state.view(Operand("nram", 2, (4,)), (2,), who="instruction 3 (vadd)")
    assert str(caught.value) == (
        "instruction 3 (vadd) must use multiples of 4 as addresses, not 8 bytes at 2 of NRAM; change its addresses"
    )
    with pytest.raises(SimulationError, match="must use multiples of 4 as addresses"):
        state.view(Operand("nram", 0, (6,)), (2,))


@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("float16", 2), ("bfloat16", 2), ("int32", 4)])
def test_each_dtype_has_its_alignment(program: Build, dtype: str, size: int) -> None:
    state = State(program("end")).memories[0]
    assert state.view(Operand("nram", size, (size,), dtype=dtype), (2,)).itemsize == size
    with pytest.raises(SimulationError) as caught:
        state.view(Operand("nram", size // 2, (size,), dtype=dtype), (2,))
    assert str(caught.value) == (
        f"an access must use multiples of {size} as addresses, not {2 * size} bytes at {size // 2} of NRAM; "
        "change its addresses"
    )


def test_bytes_lie_anywhere(program: Build) -> None:
    state = State(program("end")).memories[0]
    state.view(Operand("nram", 3, (5,), dtype="int8"), (2,), writes=True)[...] = [1, -2]
    np.testing.assert_array_equal(state.segments["nram"][0].data[:9], [0, 0, 0, 1, 0, 0, 0, 0, 254])


def test_registers_that_leave_a_memory_or_the_alignment_are_named(program: Build) -> None:
    text = "scopy r3 = #{}\nvcopy <2> nram 0x40+r3 {{4}} = nram 0x0 {{4}}\nend"
    run(program(text.format(-64)), {})
    with pytest.raises(SimulationError) as caught:
        run(program(text.format(1000)), {})
    assert str(caught.value) == (
        "instruction 1 (vcopy) must stay inside the 1024 bytes of NRAM, not use 8 bytes at 1064; change its addresses"
    )
    with pytest.raises(SimulationError) as caught:
        run(program(text.format(2)), {})
    assert str(caught.value) == (
        "instruction 1 (vcopy) must use multiples of 4 as addresses, not 8 bytes at 66 of NRAM; change its addresses"
    )


def test_errors_name_the_line_or_the_stream(program: Build) -> None:
    code = program("vcopy <2> nram 0x3fc {4} = nram 0x0 {4}\nend")
    with pytest.raises(SimulationError, match=r"^line 7 \(vcopy\) must stay inside"):
        run(replace(code, lines=(7, 8)), {})
    two = replace(code, instructions=code.instructions[1:], machine=replace(code.machine, cores=2))
    with pytest.raises(SimulationError, match=r"^core 0 1, instruction 0 \(vcopy\) must stay inside"):
        run(replace(two, others=(Stream(code.instructions, index=1),)), {})


def test_a_port_outside_its_memory_is_named(program: Build) -> None:
    with pytest.raises(SimulationError) as caught:
        run(program("end", outputs=(Port("z", (2, 3), 4088, (0, 1)),)), {})
    assert str(caught.value) == (
        "the tensor 'z' must stay inside the 4096 bytes of DRAM, not use 24 bytes at 4088; change its addresses"
    )


def test_weights_of_another_size_are_refused(program: Build) -> None:
    built = program("end", weights=range(8))
    with pytest.raises(SimulationError) as caught:
        State(replace(built, weight_bytes=36))
    assert str(caught.value) == "the packed weights must have 36 bytes, not 32; compile it again"
    with pytest.raises(SimulationError) as caught:
        State(replace(built, dram_bytes=16))
    assert str(caught.value) == "dram_bytes must be at least weight_bytes, 32, not 16; raise it"


def test_memories_that_this_computer_has_no_room_for_are_refused(program: Build) -> None:
    built = program("end")
    huge = replace(built.machine, nram=replace(built.machine.nram, capacity_bytes=1 << 60))
    with pytest.raises(SimulationError) as caught:
        State(replace(built, machine=huge))
    assert str(caught.value) == (
        "the 1152921504606846976 bytes of NRAM must fit into this computer's memory, and do not; "
        "simulate the time alone or take a smaller machine"
    )


def test_a_view_is_the_memory_itself(program: Build) -> None:
    state = State(program("end")).memories[0]
    operand = Operand("nram", 8, (16, 4), steps=(256, 4))
    view = state.view(operand, (2, 3), (1, 2), writes=True)
    view[...] = [[1, 2, 3], [4, 5, 6]]
    words = state.segments["nram"][0].data.view(np.float32)
    first = (8 + 256 + 8) // 4
    np.testing.assert_array_equal(words[first : first + 7], [1, 2, 3, 0, 4, 5, 6])


def test_bounds_of_an_operand_are_exact() -> None:
    assert span(Operand("nram", 0, (16, -4)), (3, 5)) == (-16, 36)
    assert offsets(Operand("nram", 100, (4,), steps=(8, -4)), (3, 5)) == (-16, 16)
    # 24 and 16 modulo 64 reach every multiple of 8, plus the phase
    assert offsets(Operand("nram", 0, (4,), steps=(24, 16), phase=4, wrap=64), (9, 9)) == (4, 60)
