"""Out-of-order issue against a simulator that looks at every cycle and every byte, and times worked by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.errors import SimulationError
from tilework.isa.blocks import stored
from tilework.isa.instruction import Instruction, Operand
from tilework.isa.program import Program
from tilework.isa.random_program import Options, random_program
from tilework.isa.random_stream import DESCRIBED
from tilework.isa.table import OPCODES
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.simulator.cycle import plan_of
from tilework.simulator.issue import out_of_order
from tilework.simulator.structure import queue_of, walk
from tilework.simulator.timing import Cost, timing

MOVING = tuple(name for name in DESCRIBED if name not in ("sload", "sstore"))

Build = Callable[..., Program]
Bytes = tuple[frozenset[tuple[str, int]], frozenset[tuple[str, int]]]  # read, written

INDEPENDENT = """
load <4> nram 0x0 {4} = dram 0x0 {4}
fill <4> nram 0x40 {4} = #1
vadd <4> nram 0x80 {4} = nram 0xC0 {4}, nram 0x100 {4}
end
"""
CHAIN = """
load <4> nram 0x0 {4} = dram 0x0 {4}
vadd <4> nram 0x80 {4} = nram 0x0 {4}, nram 0x100 {4}
store <4> dram 0x40 {4} = nram 0x80 {4}
end
"""


def touched(instruction: Instruction, counters: tuple[int, ...]) -> Bytes:
    """The bytes read and written, counted one by one."""
    assert instruction.descriptor is not None
    destination, *sources = instruction.descriptor.operands
    each = [_bytes(operand, instruction.descriptor.extents, counters) for operand in sources]
    return frozenset().union(*each), _bytes(destination, instruction.descriptor.extents, counters)


def _bytes(operand: Operand, extents: Sequence[int], counters: tuple[int, ...]) -> frozenset[tuple[str, int]]:
    first = operand.address(counters)
    operand, extents = stored(operand, extents)
    places = (sum(s * j for s, j in zip(operand.strides, at, strict=True)) for at in product(*map(range, extents)))
    return frozenset((operand.memory, first + place + b) for place in places for b in range(operand.element_bytes))


def in_each_cycle(program: Program, window: int) -> int:
    """The time by the rules alone: every cycle ends what is done, starts what may start, and decodes one more."""
    (stream,), machine = program.streams, program.machine
    code = [
        (stream.instructions[place], counters)
        for place, counters in walk(stream.instructions, plan_of(program, None).streams[0].structure)
        if stream.instructions[place].mnemonic not in ("wait", "post", "sync")
    ]
    entered: list[tuple[Instruction, Bytes, Cost]] = []
    starts: dict[int, int] = {}
    channel = now = 0

    def ended(index: int) -> bool:
        return index in starts and starts[index] + entered[index][2].cycles <= now

    def may_start(index: int) -> bool:
        instruction, (reads, writes), cost = entered[index]
        unit = queue_of(instruction)
        if any(queue_of(entered[o][0]) == unit and not ended(o) for o in starts):
            return False
        older = (entered[o][1] for o in range(index) if not ended(o))
        clash = any(writes & (r | w) or reads & w for r, w in older)
        return not clash and not (cost.channel_cycles and channel > now)

    def first_unended() -> int:
        return next((index for index in range(len(entered)) if not ended(index)), len(entered))

    while True:
        moved = True
        while moved:
            moved = False
            for unit in range(5):
                for index in range(len(entered)):
                    if queue_of(entered[index][0]) == unit and index not in starts and may_start(index):
                        starts[index] = now
                        channel = (
                            now + entered[index][2].channel_cycles if entered[index][2].channel_cycles else channel
                        )
                        moved = True
                        break
        while code and code[0][0].mnemonic == "endloop":
            code.pop(0)
        if not code or code[0][0].mnemonic == "end":
            if first_unended() == len(entered):
                return now
        elif OPCODES[code[0][0].mnemonic].unit == "control":
            if code[0][0].mnemonic not in ("sload", "sstore") or first_unended() == len(entered):
                code.pop(0)
        elif len(entered) - first_unended() < window:
            instruction, counters = code.pop(0)
            entered.append((instruction, touched(instruction, counters), timing(instruction, machine)))
        now += 1


@pytest.mark.parametrize("window", [1, 2, 3, 8])
def test_the_example_as_cycle_by_cycle(program: Build, window: int) -> None:
    for text in (INDEPENDENT, CHAIN):
        built = program(text)
        assert out_of_order(built, window).cycles == in_each_cycle(built, window)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), window=st.sampled_from([1, 2, 3, 5, 9]))
def test_random_programs_as_cycle_by_cycle(toy: Machine, seed: int, window: int) -> None:
    built = random_program(seed, toy, Options(instructions=12, elements=24, count=2, mnemonics=MOVING, streams=1))
    assert out_of_order(built, window).cycles == in_each_cycle(built, window)


@pytest.mark.parametrize(("window", "cycles"), [(1, 29), (2, 27), (3, 27), (64, 27)])
def test_a_chain_by_hand(program: Build, window: int, cycles: int) -> None:
    """The load takes 11 cycles from the one after it is decoded, the addition 4, the store 11."""
    assert out_of_order(program(CHAIN), window).cycles == cycles


def test_independent_instructions_overlap_without_tokens(program: Build) -> None:
    """One after another they take 11, 1 and 4 cycles and one each to be decoded; the addition hides behind the load."""
    assert [out_of_order(program(INDEPENDENT), window).cycles for window in (1, 8)] == [19, 13]


def test_one_after_another_is_the_sum(program: Build) -> None:
    built = program(CHAIN)
    costs = [timing(i, built.machine).cycles for i in built.streams[0].instructions[:-1]]
    assert out_of_order(built, 1).cycles == sum(costs) + len(costs)


def test_no_order_beats_the_busiest_unit(toy: Machine) -> None:
    for seed in range(20):
        built = random_program(seed, toy, Options(mnemonics=MOVING, streams=1))
        found = [out_of_order(built, window) for window in (1, 4, 64)]
        assert all(max(one.busy_cycles.values()) <= one.cycles for one in found)


def test_a_program_with_tokens_needs_none_of_them(program: Build) -> None:
    text = "post vector 0\nwait load 0\n" + CHAIN
    assert out_of_order(program(text), 8).cycles == out_of_order(program(CHAIN), 8).cycles


def test_what_cannot_be_timed(program: Build) -> None:
    with pytest.raises(SimulationError) as found:
        out_of_order(program(CHAIN), 0)
    assert str(found.value) == "a window must hold 1 instruction or more, not 0; give a larger one"
    with pytest.raises(SimulationError) as found:
        out_of_order(program(CHAIN), 4, limit=2)
    assert str(found.value) == (
        "out-of-order issue is timed for at most 2 executed instructions, and test has more; "
        "take a smaller network or one of its layers"
    )
    with pytest.raises(SimulationError) as found:
        out_of_order(program(".core 0 0\nend\n.core 0 1\nend\n"), 4)
    assert str(found.value) == ("another core is tried on a program of one stream, not on one of 2; take one core")


def test_a_dram_with_rows_is_refused(program: Build) -> None:
    machine = load_machine("dlp-s-ddr4")
    with pytest.raises(SimulationError) as found:
        out_of_order(program(CHAIN, machine), 4)
    assert str(found.value) == (
        "another core is tried beside an ideal DRAM, and that of dlp-s-ddr4 has rows or refreshes; "
        "take a machine without"
    )
