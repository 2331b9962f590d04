"""The random programs: what they promise to every test that uses them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.isa.instruction import Instruction, Operand
from tilework.isa.manifest import check_program
from tilework.isa.program import Program
from tilework.isa.random_program import DESCRIBED, Options, random_program
from tilework.isa.table import OPCODES
from tilework.isa.validate import check
from tilework.machine.load import from_toml, load_machine, to_toml
from tilework.machine.machine import Machine

DLP_S = load_machine("dlp-s")
TINY = from_toml(to_toml(DLP_S).replace("128 KiB", "64 B").replace("256 KiB", "8 B"))
SEEDS = st.integers(0, 1 << 32)
MACHINES = st.sampled_from([(DLP_S, Options(instructions=8)), (TINY, Options(instructions=8, depth=6, dram_bytes=24))])


def executed(instructions: Sequence[Instruction]) -> Iterator[tuple[Instruction, tuple[int, ...]]]:
    """Every executed instruction in program order, with the counters of its loops."""
    opened: list[list[int]] = []  # of each loop: its place, its count, its counter
    place = 0
    while place < len(instructions):
        instruction = instructions[place]
        if instruction.mnemonic == "loop":
            opened.append([place, instruction.count, 0])
        elif instruction.mnemonic == "endloop":
            opened[-1][2] += 1
            if opened[-1][2] < opened[-1][1]:
                place = opened[-1][0]
            else:
                opened.pop()
        else:
            yield instruction, tuple(loop[2] for loop in opened)
        place += 1


@given(SEEDS, MACHINES)
def test_they_are_well_formed(seed: int, on: tuple[Machine, Options]) -> None:
    program = random_program(seed, *on)
    check(program.instructions)
    check_program(program)
    assert program.weights().nbytes == program.weight_bytes
    assert random_program(seed, *on) == program


@given(SEEDS, MACHINES)
def test_every_wait_has_its_post_before_it_from_one_unit_for_one_unit(seed: int, on: tuple[Machine, Options]) -> None:
    program = random_program(seed, *on)
    tokens: Counter[int] = Counter()
    for instruction, _ in executed(program.instructions):
        tokens[instruction.token] += {"post": 1, "wait": -1}.get(instruction.mnemonic, 0)
        assert tokens[instruction.token] >= 0
    users = {(i.mnemonic, i.token, i.unit) for i in program.instructions if i.mnemonic in ("wait", "post")}
    assert len(users) == len({user[:2] for user in users})


def places(operand: Operand, extents: tuple[int, ...], counters: tuple[int, ...]) -> list[int]:
    first = operand.address(counters)
    return [
        first + sum(stride * j for stride, j in zip(operand.strides, inner, strict=True))
        for inner in product(*map(range, extents))
    ]


def size_of(memory: str, program: Program) -> int:
    if memory == "dram":
        return program.dram_bytes
    capacities = {"nram": program.machine.nram.capacity_bytes, "wram": program.machine.wram.capacity_bytes}
    return capacities[memory]


@given(SEEDS, MACHINES)
def test_every_access_lies_in_its_memory_and_is_written_once(seed: int, on: tuple[Machine, Options]) -> None:
    program = random_program(seed, *on)
    border = program.weight_bytes
    for instruction, counters in executed(program.instructions):
        if instruction.descriptor is None:
            continue
        extents, destination = instruction.descriptor.extents, instruction.descriptor.destination
        for operand in instruction.descriptor.operands:
            touched = places(operand, extents, counters)
            assert min(touched) >= 0
            assert max(touched) + 4 <= size_of(operand.memory, program)
            assert operand.memory != "dram" or max(touched) < border or min(touched) >= border
        written = places(destination, extents, counters)
        kept = [n for n, stride in zip(extents, destination.strides, strict=True) if stride]
        expected = 1
        for extent in kept:
            expected *= extent
        assert len(set(written)) == expected
        assert destination.memory != "dram" or min(written) >= border
        others = [s for s in instruction.descriptor.sources if isinstance(s, Operand) and s != destination]
        for source in others:
            if source.memory == destination.memory:
                assert not set(written) & set(places(source, extents, counters))


def test_every_instruction_comes_up() -> None:
    found = Counter(i.mnemonic for seed in range(200) for i in random_program(seed, DLP_S).instructions)
    assert set(found) == set(OPCODES)
    accumulating = {i.mnemonic for seed in range(200) for i in random_program(seed, DLP_S).instructions if i.accumulate}
    assert accumulating == {"contract", "rsum", "rmax", "rmin"}


@pytest.mark.parametrize("mnemonic", DESCRIBED)
def test_only_wanted_instructions_come_up(mnemonic: str) -> None:
    program = random_program(1, DLP_S, Options(mnemonics=(mnemonic,)))
    assert {i.mnemonic for i in program.instructions if i.descriptor} == {mnemonic}
