"""The random programs: what they promise to every test that uses them."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import permutations, product
from math import prod
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.isa.instruction import DTYPES, MEMORIES, Instruction, Operand
from tilework.isa.manifest import check_program
from tilework.isa.program import Program, Stream
from tilework.isa.random_program import random_program
from tilework.isa.random_stream import DESCRIBED, Options
from tilework.isa.table import OPCODES
from tilework.isa.validate import check_each
from tilework.machine.load import from_toml, load_machine, to_toml
from tilework.machine.machine import Machine

DLP_S, DLP_M4, DLP_M16 = (load_machine(name) for name in ("dlp-s", "dlp-m4", "dlp-m16"))
TINY = from_toml(to_toml(DLP_S).replace("128 KiB", "64 B").replace("256 KiB", "8 B"))
SEEDS = st.integers(0, 1 << 32)
SMALL = Options(instructions=8)
MACHINES = st.sampled_from(
    [
        (DLP_S, SMALL),
        (TINY, Options(instructions=8, depth=6, dram_bytes=24)),
        (DLP_M4, Options(instructions=24, streams=5)),
        (DLP_M16, Options(instructions=24, streams=8)),
        (DLP_S, Options(instructions=8, data=True, dtypes=("float16",))),
    ]
)
SCALARS: dict[str, Callable[[int, int], int]] = {
    "scopy": lambda a, b: a,
    "sadd": operator.add,
    "ssub": operator.sub,
    "smul": operator.mul,
    "sdiv": lambda a, b: (-1 if (a < 0) != (b < 0) else 1) * (abs(a) // abs(b)) if b else -1,
    "srem": lambda a, b: (-1 if a < 0 else 1) * (abs(a) % abs(b)) if b else a,
    "smin": min,
    "smax": max,
    "sand": operator.and_,
    "sor": operator.or_,
    "sxor": operator.xor,
    "sshl": lambda a, b: a << b % 32,
    "sshr": lambda a, b: a >> b % 32,
    "sless": lambda a, b: int(a < b),
    "sequal": lambda a, b: int(a == b),
}


def wrapped(value: int) -> int:
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


def taken(instruction: Instruction, registers: Sequence[int]) -> bool:
    return {"jump": True, "jumpif": any(registers), "jumpifnot": not any(registers)}[instruction.mnemonic]


def executed(stream: Stream, read: int = 0) -> Iterator[tuple[Instruction, tuple[int, ...], list[int]]]:
    """Every executed instruction in order, the counters of its loops, and the registers; `sload` reads this number."""
    opened: list[list[int]] = []  # of each loop: its place, its count, its counter
    registers = [0] * 32
    place, instructions = 0, stream.instructions
    while place < len(instructions):
        instruction = instructions[place]
        values = [registers[number] for number in instruction.registers]
        if instruction.mnemonic == "loop":
            opened.append([place, instruction.count, 0])
        elif instruction.mnemonic == "endloop":
            opened[-1][2] += 1
            if opened[-1][2] < opened[-1][1]:
                place = opened[-1][0]
            else:
                opened.pop()
        elif instruction.mnemonic.startswith("jump"):
            place = instruction.target - 1 if taken(instruction, values) else place
        else:
            yield instruction, tuple(loop[2] for loop in opened), registers
            result = {"rank": stream.index, "cluster": stream.cluster, "sload": read}.get(instruction.mnemonic)
            if instruction.mnemonic in SCALARS:
                sources = [*values[1:], *([] if instruction.constant is None else [instruction.constant])]
                result = wrapped(SCALARS[instruction.mnemonic](sources[0], sources[-1]))
            if result is not None:
                registers[instruction.registers[0]] = result
        place += 1


@given(SEEDS, MACHINES)
def test_they_are_well_formed(seed: int, on: tuple[Machine, Options]) -> None:
    program = random_program(seed, *on)
    check_program(program)
    check_each(program.streams)
    assert len(program.streams) <= on[1].streams
    assert program.weights().nbytes == program.weight_bytes
    assert random_program(seed, *on) == program


@given(SEEDS, MACHINES)
def test_every_wait_has_its_post_before_it_from_one_unit_for_one_unit(seed: int, on: tuple[Machine, Options]) -> None:
    for stream in random_program(seed, *on).streams:
        tokens: Counter[int] = Counter()
        for instruction, _, _ in executed(stream, seed):
            tokens[instruction.token] += {"post": 1, "wait": -1}.get(instruction.mnemonic, 0)
            assert tokens[instruction.token] >= 0
        assert not any(tokens.values())
        users = {(i.mnemonic, i.token, i.unit) for i in stream.instructions if i.mnemonic in ("wait", "post")}
        assert len(users) == len({user[:2] for user in users})


@given(SEEDS, MACHINES)
def test_all_streams_pass_the_same_barriers(seed: int, on: tuple[Machine, Options]) -> None:
    barriers = [
        [i.scope for i, _, _ in executed(stream, seed) if i.mnemonic == "barrier"]
        for stream in random_program(seed, *on).streams
    ]
    assert all(barrier == barriers[0] for barrier in barriers)


def places(operand: Operand, extents: tuple[int, ...], counters: tuple[int, ...], registers: list[int]) -> list[int]:
    first = operand.address(counters) + (0 if operand.register is None else registers[operand.register])
    return [
        first + sum(stride * j for stride, j in zip(operand.strides, inner, strict=True))
        for inner in product(*map(range, extents))
    ]


def size_of(memory: str, program: Program) -> int:
    machine = program.machine
    sizes = {"nram": machine.nram.capacity_bytes, "wram": machine.wram.capacity_bytes, "dram": program.dram_bytes}
    return machine.sram.capacity_bytes if memory == "sram" and machine.sram else sizes[memory]


@settings(max_examples=50)
@given(SEEDS, MACHINES)
def test_every_access_lies_in_its_memory_and_is_written_once(seed: int, on: tuple[Machine, Options]) -> None:
    program = random_program(seed, *on)
    border = program.weight_bytes
    for stream in program.streams:
        for instruction, counters, registers in executed(stream, seed):
            if instruction.descriptor is None:
                continue
            extents, destination = instruction.descriptor.extents, instruction.descriptor.destination
            for operand in instruction.descriptor.operands:
                touched = places(operand, extents, counters, registers)
                assert min(touched) >= 0
                assert max(touched) + operand.element_bytes <= size_of(operand.memory, program)
                assert not any(place % operand.element_bytes for place in touched)
                assert operand.memory != "dram" or max(touched) < border or min(touched) >= border
            written = places(destination, extents, counters, registers)
            kept = [n for n, stride in zip(extents, destination.strides, strict=True) if stride]
            assert len(set(written)) == prod(kept)
            assert destination.memory != "dram" or min(written) >= border
            check_sources(instruction, set(bytes_of(destination, extents, counters, registers)), counters, registers)


def bytes_of(operand: Operand, *where: Any) -> Iterator[int]:
    return (place + k for place in places(operand, *where) for k in range(operand.element_bytes))


def check_sources(instruction: Instruction, written: set[int], counters: tuple[int, ...], registers: list[int]) -> None:
    """No source but the destination itself shares bytes with it."""
    assert instruction.descriptor is not None
    extents, destination = instruction.descriptor.extents, instruction.descriptor.destination
    for source in instruction.descriptor.sources:
        if isinstance(source, Operand) and source != destination and source.memory == destination.memory:
            assert not written & set(bytes_of(source, extents, counters, registers))


Access = tuple[str, int, int]  # a memory, whose it is, and a byte
Phase = tuple[set[Access], set[Access]]


def phases(stream: Stream, machine: Machine, seed: int) -> list[Phase]:
    """What the stream reads and what it writes before each barrier, and at last."""
    found: list[Phase] = [(set(), set())]
    for instruction, *where in executed(stream, seed):
        if instruction.mnemonic == "barrier":
            found.append((set(), set()))
        if instruction.descriptor is None:
            continue
        descriptor = instruction.descriptor
        for number, operand in enumerate(descriptor.operands):
            whose = {"dram": [0], "sram": [stream.cluster]}.get(operand.memory, [stream.cluster * 99 + stream.index])
            if instruction.mnemonic == "cast" and not number:
                whose = [stream.cluster * 99 + core for core in range(machine.cores)]
            writes = not number and instruction.mnemonic != "sload"
            touched = list(bytes_of(operand, descriptor.extents, *where))
            found[-1][writes].update((operand.memory, owner, byte) for owner in whose for byte in touched)
    return found


@settings(max_examples=30)
@given(SEEDS, st.sampled_from([DLP_M4, DLP_M16]))
def test_streams_share_no_bytes_that_one_writes_between_barriers(seed: int, machine: Machine) -> None:
    """Held for chip-wide barriers; between those of clusters the phases of two clusters overlap in any way."""
    program = random_program(seed, machine, Options(instructions=24, elements=32, count=3))
    scopes = [i.scope for i, _, _ in executed(program.streams[0], seed) if i.mnemonic == "barrier"]
    parts = [(stream.cluster, phases(stream, machine, seed)) for stream in program.streams]
    for (mine, first), (theirs, second) in permutations(parts, 2):
        for (_, written), (read, also) in together(first, second, scopes, mine == theirs):
            assert not written & (read | also)


def together(
    first: list[Phase], second: list[Phase], scopes: list[str], same_cluster: bool
) -> Iterator[tuple[Phase, Phase]]:
    """Phases of two streams that may run at the same time."""
    epochs = [0]
    for scope in scopes:
        epochs.append(epochs[-1] + (same_cluster or scope == "chip"))
    for n, m in product(range(len(epochs)), repeat=2):
        if epochs[n] == epochs[m]:
            yield first[n], second[m]


def test_every_instruction_comes_up() -> None:
    programs = [random_program(seed, machine) for machine in (DLP_S, DLP_M4) for seed in range(80)]
    found = [i for program in programs for stream in program.streams for i in stream.instructions]
    assert {i.mnemonic for i in found} == set(OPCODES)
    assert {i.mnemonic for i in found if i.accumulate} == {"contract", "rsum", "rmax", "rmin", "rdot"}
    operands = [o for i in found if i.descriptor for o in i.descriptor.operands]
    assert {(o.memory, o.dtype) for o in operands} >= {(m, d) for m in ("dram", "nram", "sram") for d in DTYPES}
    assert {o.memory for o in operands if o.register is not None} == set(MEMORIES)
    back = [i for p in programs for n, i in enumerate(p.instructions) if i.mnemonic == "jumpif" and i.target < n]
    assert back


@pytest.mark.parametrize("mnemonic", [name for name in DESCRIBED if name != "cast"])
def test_only_wanted_instructions_come_up(mnemonic: str) -> None:
    program = random_program(1, DLP_S, Options(mnemonics=(mnemonic,)))
    assert {i.mnemonic for i in program.instructions if i.descriptor} == {mnemonic}
    assert not any(i.registers for i in program.instructions)


@given(SEEDS)
def test_only_wanted_dtypes_come_up(seed: int) -> None:
    program = random_program(seed, DLP_M4, Options(dtypes=("bfloat16",)))
    found = {o.dtype for s in program.streams for i in s.instructions if i.descriptor for o in i.descriptor.operands}
    assert found <= {"bfloat16"}
    assert {port.dtype for port in (*program.inputs, *program.outputs)} == {"bfloat16"}


def test_the_values_of_loaded_registers_decide_jumps_only_if_wanted() -> None:
    def decided(data: bool) -> int:
        return sum(
            max(i.registers, default=0) >= 20
            for seed in range(200)
            for i in random_program(seed, DLP_S, Options(data=data)).instructions
            if i.mnemonic in ("jumpif", "jumpifnot")
        )

    assert not decided(False)
    assert decided(True)
