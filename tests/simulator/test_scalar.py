"""Registers and jumps: arithmetic in 32 bits, the way of control, programs without end and those that need data."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.errors import SimulationError
from tilework.isa.assembly import parse_text
from tilework.isa.instruction import Instruction
from tilework.isa.program import Stream
from tilework.isa.table import OPCODES
from tilework.simulator.scalar import OPERATIONS, Flow, control_flow, effect, wrap
from tilework.simulator.structure import analyse

LOW, HIGH = -(2**31), 2**31 - 1
EDGES = (LOW, LOW + 1, -33, -32, -7, -1, 0, 1, 2, 7, 31, 32, 33, HIGH - 1, HIGH)
EXPECTED = {  # of two sources, by hand
    ("sadd", HIGH, 1): LOW,
    ("ssub", LOW, 1): HIGH,
    ("smul", 65536, 65536): 0,
    ("smul", 46341, 46341): -2147479015,
    ("sdiv", 7, 2): 3,
    ("sdiv", -7, 2): -3,
    ("sdiv", 7, -2): -3,
    ("sdiv", 5, 0): -1,
    ("sdiv", LOW, -1): LOW,
    ("srem", -7, 2): -1,
    ("srem", 7, -2): 1,
    ("srem", 7, 0): 7,
    ("srem", LOW, -1): 0,
    ("smin", -3, 2): -3,
    ("smax", -3, 2): 2,
    ("sand", -2, 7): 6,
    ("sor", LOW, 1): LOW + 1,
    ("sxor", -1, 1): -2,
    ("sshl", 1, 31): LOW,
    ("sshl", 3, 33): 6,
    ("sshl", 1, -1): LOW,
    ("sshr", -8, 1): -4,
    ("sshr", LOW, 31): -1,
    ("sshr", 8, 32): 8,
    ("sless", LOW, HIGH): 1,
    ("sless", 1, 1): 0,
    ("sequal", 4, 4): 1,
    ("sequal", 4, 5): 0,
}


def stream(text: str) -> Stream:
    """Of assembly, without its lines."""
    return Stream(parse_text(text)[0].instructions)


def flow(text: str, loads: dict[int, list[int]] | None = None, limit: int = 10**6) -> Flow:
    made = stream(text)
    return control_flow(made, analyse(made.instructions), loads, limit)


def after(instruction: Instruction, *values: int) -> int:
    registers = [0, *values] + [0] * 29
    change = effect(instruction, Stream(()))
    assert change is not None
    change(registers)
    return registers[0]


@pytest.mark.parametrize(("name", "a", "b", "result"), [(*key, value) for key, value in EXPECTED.items()])
def test_scalar_operations_by_hand(name: str, a: int, b: int, result: int) -> None:
    assert after(Instruction(name, registers=(0, 1, 2)), a, b) == result
    assert after(Instruction(name, registers=(0, 1), constant=b), a) == result


def test_every_scalar_operation_has_been_tried() -> None:
    scalars = {name for name, row in OPCODES.items() if row.form == "scalar"}
    assert set(OPERATIONS) == scalars == {name for name, _, _ in EXPECTED} | {"scopy"}
    assert after(Instruction("scopy", registers=(0, 1)), -5) == -5
    assert after(Instruction("scopy", registers=(0,), constant=LOW)) == LOW


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "scopy"])
def test_results_stay_in_32_bits(name: str) -> None:
    for a, b in product(EDGES, EDGES):
        result = after(Instruction(name, registers=(0, 1, 2)), a, b)
        assert type(result) is int
        assert LOW <= result <= HIGH


@given(st.integers(-(2**70), 2**70))
def test_wrapping_keeps_the_low_bits(value: int) -> None:
    assert LOW <= wrap(value) <= HIGH
    assert (wrap(value) - value) % 2**32 == 0


def test_division_and_remainder_fit_together() -> None:
    for a, b in product(EDGES, EDGES):
        if b:
            quotient = after(Instruction("sdiv", registers=(0, 1, 2)), a, b)
            rest = after(Instruction("srem", registers=(0, 1, 2)), a, b)
            assert wrap(quotient * b + rest) == a
            assert abs(rest) < abs(b)
            assert rest == 0 or (rest < 0) == (a < 0)


def test_a_core_knows_its_place() -> None:
    registers = [0] * 32
    for name, number in (("rank", 1), ("cluster", 2)):
        change = effect(Instruction(name, registers=(number,)), Stream((), "core", 3, 2))
        assert change is not None
        change(registers)
    assert registers[:3] == [0, 2, 3]


def test_without_jumps_the_loops_say_it_all() -> None:
    assert flow("loop 1000000\nloop 1000000\nsadd r1 = r1, #1\nendloop\nendloop\nend") == Flow(
        b"", (1, 10**6, 10**12, 10**12, 10**6, 1)
    )


def test_a_loop_by_jumps() -> None:
    text = "scopy r1 = #5\nagain:\nssub r1 = r1, #1\njumpif r1, again\nend"
    assert flow(text) == Flow(bytes([1, 1, 1, 1, 0]), (1, 5, 5, 1))


def test_either_way_of_a_choice() -> None:
    text = """
        loop 4
          sequal r2 = r1, #2
          jumpifnot r2, other
          fill <1> nram 0x0 {4} = #1
          jump join
        other:
          fill <1> nram 0x0 {4} = #2
        join:
          sadd r1 = r1, #1
        endloop
        end"""
    assert flow(text) == Flow(bytes([1, 1, 0, 1]), (1, 4, 4, 1, 1, 3, 4, 4, 1))


def test_loops_that_matter_to_no_jump_are_multiplied() -> None:
    text = """
        scopy r1 = #3
        again:
        loop 100000
          loop 100000
            sadd r7 = r7, #1
            sload r8 = nram 0x0
          endloop
        endloop
        loop 2
          ssub r1 = r1, #1
          jumpifnot r1, done
          vcopy <1> nram 0x0 {4} = #1
          done:
        endloop
        jumpif r1, out
        jump out
        out:
        end"""
    given = flow(text, limit=30)
    assert given.taken == bytes([0, 0, 1])
    assert given.executions == (1, 1, 10**5, 10**10, 10**10, 10**10, 10**5, 1, 2, 2, 2, 2, 1, 0, 1)


def test_a_jump_over_a_loop_and_back_into_a_loop_body() -> None:
    text = """
        jump over
        loop 9
          sync
        endloop
        over:
        loop 3
          again:
          sadd r1 = r1, #1
          srem r2 = r1, #4
          jumpif r2, again
        endloop
        end"""
    given = flow(text)
    assert given.executions == (1, 0, 0, 0, 1, 12, 12, 12, 3, 1)
    assert given.taken == bytes([1, 1, 1, 0] * 3)


def test_what_sload_reads_decides_if_it_is_given() -> None:
    text = "again:\nsload r1 = nram 0x0\nsless r1 = r1, #3\njumpif r1, again\nend"
    assert flow(text, {0: [1, 2, 3]}) == Flow(bytes([1, 1, 0]), (3, 3, 3, 1))
    for loads in (None, {0: [1, 2]}):
        with pytest.raises(SimulationError) as caught:
            flow(text, loads)
        assert str(caught.value) == (
            "the time of this program depends on its data, which instruction 0 (sload) reads for a jump; "
            "give its inputs"
        )


def test_an_address_that_was_loaded_may_decide_too() -> None:
    text = "sload r1 = nram 0x0\nsload r2 = nram 0x0+r1\njumpif r2, on\non:\nend"
    assert flow(text, {0: [4], 1: [7]}) == Flow(bytes([1]), (1, 1, 1, 1))
    with pytest.raises(SimulationError, match=r"which instruction 0 \(sload\) reads"):
        flow(text)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("again:\njump again\nend", "instruction 0 (jump) all registers come back unchanged"),
        (
            "again:\nsadd r1 = r1, #1\nsand r1 = r1, #63\nloop 2\nsync\nendloop\njumpifnot r9, again\nend",
            "instruction 5 (jumpifnot) all registers come back unchanged",
        ),
        (
            "scopy r1 = #1\nagain:\nsadd r1 = r1, #2\njumpif r1, again\nend",
            "instruction 2 (jumpif) it has not in 100,000 instructions",
        ),
    ],
)
def test_a_program_without_end_is_named(text: str, where: str) -> None:
    with pytest.raises(SimulationError) as caught:
        flow(text, limit=100_000)
    assert str(caught.value) == f"the program must end, but at {where}; change what its jumps depend on"


def test_lines_and_streams_are_named() -> None:
    made = parse_text("; first\nend\n.core 0 1\n\nagain:\njump again\nend")[1]
    with pytest.raises(SimulationError, match=r"at line 6 \(jump\) all registers"):
        control_flow(made, analyse(made.instructions))
    made = Stream(made.instructions, "core", 0, 1)
    with pytest.raises(SimulationError, match=r"at core 0 1, instruction 0 \(jump\) all registers"):
        control_flow(made, analyse(made.instructions))
