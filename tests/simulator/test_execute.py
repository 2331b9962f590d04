"""Every instruction against the manual read literally: bytes, one element after the other, nothing shared with ours."""

from __future__ import annotations

import math
import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from tilework.isa.instruction import DTYPES, Descriptor, Immediate, Instruction, Operand
from tilework.isa.program import Program, Stream
from tilework.isa.random_program import random_program
from tilework.isa.random_stream import SCALAR, Options
from tilework.isa.table import OPCODES
from tilework.machine.machine import Machine, Sram
from tilework.machine.matrix import InnerProductArray
from tilework.simulator.execute import MEANING, action
from tilework.simulator.functional import Interpreter
from tilework.simulator.scalar import control_flow

FLOATS = ("float32", "float16", "bfloat16")
Single = np.float32


@pytest.fixture(scope="module")
def chip(toy: Machine) -> Machine:
    """Two clusters of two toys with an SRAM."""
    matrix = InnerProductArray(
        neurons=4,
        synapses=4,
        pipeline_cycles=2,
        energy_per_mac_joules=dict.fromkeys(DTYPES, 1.0),
        rates=dict.fromkeys([name for name in DTYPES if name != "int32"], 1),
        zero_skipping=True,
    )
    return replace(toy, matrix=matrix, clusters=2, cores=2, sram=Sram(2048, 16e9, 2, 1.0, 2))


def get(memory: bytearray, address: int, dtype: str) -> Any:
    """An element as a float32, or as a Python integer."""
    raw = bytes(memory[address : address + DTYPES[dtype]])
    assert len(raw) == DTYPES[dtype]
    if dtype == "bfloat16":
        raw = b"\0\0" + raw
    kind = {"float32": "f", "bfloat16": "f", "float16": "e", "int8": "b", "int32": "i"}[dtype]
    value = struct.unpack(f"<{kind}", raw)[0]
    return value if "int" in dtype else Single(value)


def put(memory: bytearray, address: int, dtype: str, value: Any) -> None:
    """Round a float32 and write it; an integer dtype also takes Python integers. Bytes are written as they are."""
    if isinstance(value, bytes):
        memory[address : address + len(value)] = value
        return
    if "int" in dtype:
        high = 2 ** (8 * DTYPES[dtype] - 1) - 1
        whole = (
            0
            if math.isnan(value)
            else round(min(max(float(value), -1e10), 1e10))
            if not isinstance(value, int)
            else value
        )
        raw = min(max(whole, -high - 1), high).to_bytes(DTYPES[dtype], "little", signed=True)
    elif dtype == "bfloat16":
        raw = brain(Single(value))
    else:
        raw = np.dtype(dtype).type(Single(value)).tobytes()
    memory[address : address + len(raw)] = raw


def brain(value: np.float32) -> bytes:
    """The nearer of the two bfloat16 around a float32, the even one if both are as near."""
    bits = struct.unpack("<I", value.tobytes())[0]
    if math.isnan(value):
        return b"\xc0\x7f"
    down, up = bits & 0xFFFF0000, (bits & 0xFFFF0000) + 0x10000
    below, above = bits - down, up - bits
    chosen = down if below < above or (below == above and not down >> 16 & 1) else up
    return struct.pack("<H", chosen >> 16)


def double(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda a: Single(function(np.float64(a)))


def larger(a: Any, b: Any) -> Any:
    return a + b if math.isnan(a) or math.isnan(b) else max(a, b)


def smaller(a: Any, b: Any) -> Any:
    return a + b if math.isnan(a) or math.isnan(b) else min(a, b)


ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "vcopy": lambda a: a,
    "vadd": lambda a, b: a + b,
    "vsub": lambda a, b: a - b,
    "vmul": lambda a, b: a * b,
    "vdiv": lambda a, b: a / b,
    "vmax": larger,
    "vmin": smaller,
    "vclip": lambda a, b: smaller(larger(a, Single(0)), b),
    "vabs": lambda a: -a if math.copysign(1, a) < 0 else a,
    "vfloor": np.floor,
    "vround": np.rint,
    "vless": lambda a, b: Single(a < b),
    "vequal": lambda a, b: Single(a == b),
    "vand": lambda a, b: Single(a != 0 and b != 0),
    "vor": lambda a, b: Single(a != 0 or b != 0),
    "vnot": lambda a: Single(a == 0),
    "vrecip": lambda a: Single(1) / a,
    "vsqrt": lambda a: np.sqrt(a),
}
ROUGHLY: dict[str, Callable[..., Any]] = {  # may differ in the last places
    "vpow": lambda a, b: Single(np.float64(a) ** np.float64(b)),
    "vexp": double(np.exp),
    "vlog": double(np.log),
    "vtanh": double(np.tanh),
    "verf": double(math.erf),
    "vsin": double(np.sin),
    "vcos": double(np.cos),
    "vsigmoid": double(lambda a: 1 / (1 + np.exp(-a))),
}
KNOWN = ELEMENTWISE | ROUGHLY
REDUCTIONS: dict[str, Callable[..., Any]] = {"rsum": lambda a, b: a + b, "rmax": larger, "rmin": smaller}
EXACT = (*ELEMENTWISE, "vwhere", "load", "store", "fill", "cast", "rmax", "rmin")


def signed(value: int) -> int:
    return int.from_bytes((value & 0xFFFFFFFF).to_bytes(4, "little"), "little", signed=True)


def divided(a: int, b: int) -> int:
    return -1 if b == 0 else int(math.copysign(1, a) * math.copysign(1, b)) * (abs(a) // abs(b))


SCALARS: dict[str, Callable[..., int]] = {
    "scopy": lambda a: a,
    "sadd": lambda a, b: a + b,
    "ssub": lambda a, b: a - b,
    "smul": lambda a, b: a * b,
    "sdiv": divided,
    "srem": lambda a, b: a if b == 0 else int(math.fmod(a, b)),
    "smin": lambda a, b: a if a < b else b,
    "smax": lambda a, b: b if a < b else a,
    "sand": lambda a, b: a & b,
    "sor": lambda a, b: a | b,
    "sxor": lambda a, b: a ^ b,
    "sshl": lambda a, b: a * 2 ** (b % 32),
    "sshr": lambda a, b: math.floor(a / 2 ** (b % 32)),
    "sless": lambda a, b: 1 if a < b else 0,
    "sequal": lambda a, b: 1 if a == b else 0,
}
ORDER = {"end", "loop", "endloop", "sync", "barrier", "jump", "jumpif", "jumpifnot", "wait", "post"}
OTHERS = {"load", "store", "fill", "cast", "contract", "rdot", "vwhere", "sload", "sstore", "rank", "cluster"}


@dataclass
class Processor:
    """One stream: its memories, registers and loops, and what control did."""

    stream: Stream
    memories: dict[str, bytearray]
    cores: list[dict[str, bytearray]]
    place: int = 0
    registers: list[int] = field(default_factory=lambda: [0] * 32)
    loops: list[list[int]] = field(default_factory=list)  # place and counter
    executed: Counter[int] = field(default_factory=Counter)
    taken: list[int] = field(default_factory=list)

    def run(self) -> Iterator[str]:
        """To the end, stopping at barriers."""
        while self.place < len(self.stream.instructions):
            instruction = self.stream.instructions[self.place]
            self.executed[self.place] += 1
            self.place += 1
            if instruction.mnemonic == "barrier":
                yield instruction.scope
            elif OPCODES[instruction.mnemonic].unit == "control":
                self.control(instruction)
            elif instruction.descriptor:
                self.compute(instruction, instruction.descriptor)

    def control(self, i: Instruction) -> None:
        values = [self.registers[r] for r in i.registers[1:]] + ([] if i.constant is None else [i.constant])
        if i.mnemonic == "loop":
            self.loops.append([self.place, 0])
        elif i.mnemonic == "endloop":
            first, counter = self.loops[-1]
            if counter + 1 < self.stream.instructions[first - 1].count:
                self.loops[-1][1], self.place = counter + 1, first
            else:
                self.loops.pop()
        elif i.mnemonic == "jump":
            self.place = i.target
        elif i.mnemonic in ("jumpif", "jumpifnot"):
            self.taken.append((self.registers[i.registers[0]] != 0) == (i.mnemonic == "jumpif"))
            self.place = i.target if self.taken[-1] else self.place
        elif i.mnemonic in SCALARS:
            self.registers[i.registers[0]] = signed(SCALARS[i.mnemonic](*values))
        elif i.mnemonic in ("rank", "cluster"):
            self.registers[i.registers[0]] = getattr(self.stream, {"rank": "index"}.get(i.mnemonic, i.mnemonic))
        elif i.descriptor:
            self.element(i, i.descriptor.destination)

    def element(self, i: Instruction, operand: Operand) -> None:
        nram, address = self.memories["nram"], self.address(operand, (0,))
        if i.mnemonic == "sstore":
            value = self.registers[i.registers[0]]
            put(nram, address, operand.dtype, value if "int" in operand.dtype else Single(value))
            return
        value = get(nram, address, operand.dtype)
        whole = 0 if math.isnan(value) else math.trunc(max(min(float(value), 2**31 - 1), -(2**31)))
        self.registers[i.registers[0]] = int(whole)

    def address(self, operand: Operand, point: tuple[int, ...]) -> int:
        offset = operand.phase + sum(s * c for s, (_, c) in zip(operand.steps, self.loops, strict=False))
        if operand.wrap:
            offset %= operand.wrap
        register = 0 if operand.register is None else self.registers[operand.register]
        return operand.base + register + offset + sum(s * j for s, j in zip(operand.strides, point, strict=True))

    def read(self, source: Operand | Immediate, point: tuple[int, ...]) -> Any:
        if isinstance(source, Immediate):
            return Single(source.value)
        return get(bytearray(self.raw(source, point)), 0, source.dtype)

    def raw(self, source: Operand, point: tuple[int, ...]) -> bytes:
        size, memory = DTYPES[source.dtype], self.memories[source.memory]
        address = self.address(source, point)
        if not source.kept:
            return bytes(memory[address : address + size])
        first = self.address(source, (0,) * len(point))
        block, wanted = divmod((address - first) // size, 16)
        places = math.ceil(math.ceil(source.kept / 2) / size)
        start = first + block * (source.kept + places) * size
        found = bytes(size)
        for n in range(source.kept):
            byte = memory[start + source.kept * size + n // 2]
            if (byte >> 4 if n % 2 else byte % 16) == wanted:
                found = bytes(memory[start + n * size : start + (n + 1) * size])
        return found

    def compute(self, i: Instruction, descriptor: Descriptor) -> None:
        form, d, points = (
            OPCODES[i.mnemonic].form,
            descriptor.destination,
            list(product(*map(range, descriptor.extents))),
        )
        read: Callable[..., Any] = self.raw if form == "move" else self.read
        rows = [[read(source, point) for source in descriptor.sources] for point in points]
        places = [self.address(d, point) for point in points]
        if form in ("contract", "reduce"):
            return self.combine(i, d, places, rows)
        for values, place in zip(rows, places, strict=True):
            if i.mnemonic == "vwhere" and values[0] == 0:
                continue
            function: Callable[..., Any] = KNOWN.get(i.mnemonic, lambda *values: values[-1])
            result = function(*[Single(value) for value in values]) if form == "vector" else values[0]
            for memories in self.cores if i.mnemonic == "cast" else [self.memories]:
                put(memories[d.memory], place, d.dtype, result)

    def combine(self, i: Instruction, d: Operand, places: list[int], rows: list[list[Any]]) -> None:
        """Sums are exact where they are whole, else in float64; the largest and the smallest are exact."""
        found: dict[int, Any] = {}
        memory = self.memories[d.memory]
        combine = REDUCTIONS.get(i.mnemonic, REDUCTIONS["rsum"])
        whole = i.mnemonic == "contract" and d.dtype == "int32"
        for values, place in zip(rows, places, strict=True):
            term = values[0] * values[1] if whole else math.prod(map(np.float64, values), start=np.float64(1))
            found[place] = combine(found[place], term) if place in found else term
        for place, value in found.items():
            old = get(memory, place, d.dtype)
            total = combine(value, old if whole else np.float64(Single(old))) if i.accumulate else value
            put(memory, place, d.dtype, signed(total) if whole else Single(total))


class Chip:
    """All streams of a program, and their memories."""

    def __init__(self, program: Program) -> None:
        machine = program.machine
        dram = bytearray(program.dram_bytes)
        dram[: program.weight_bytes] = program.weights().tobytes()
        srams: defaultdict[int, bytearray] = defaultdict(
            lambda: bytearray(machine.sram.capacity_bytes if machine.sram else 0)
        )
        self.processors: list[Processor] = []
        cores: dict[int, list[dict[str, bytearray]]] = defaultdict(list)
        for stream in program.streams:
            memories = {"dram": dram, "sram": srams[stream.cluster]}
            if stream.role == "core":
                memories["nram"] = bytearray(machine.nram.capacity_bytes)
                memories["wram"] = bytearray(machine.wram.capacity_bytes)
                cores[stream.cluster].append(memories)
            self.processors.append(Processor(stream, memories, cores[stream.cluster]))

    def run(self) -> None:
        with np.errstate(all="ignore"):
            walks = [processor.run() for processor in self.processors]
            stands = [next(walk, None) for walk in walks]
            while any(stands):
                go = [n for n, scope in enumerate(stands) if scope and self.together(n, scope, stands)]
                assert go
                for n in go:
                    stands[n] = next(walks[n], None)

    def together(self, number: int, scope: str, stands: list[str | None]) -> bool:
        own = self.processors[number].stream.cluster
        near = [n for n, p in enumerate(self.processors) if scope == "chip" or p.stream.cluster == own]
        return all(stands[n] == scope for n in near)


def values_of(memory: Any, dtype: str) -> Any:
    """All elements of a memory, as float64."""
    with np.errstate(invalid="ignore"):  # of NaN with the bit for signals
        if dtype == "bfloat16":
            return (np.frombuffer(memory, np.uint16).astype(np.uint32) << 16).view(np.float32).astype(np.float64)
        return np.frombuffer(memory, dtype).astype(np.float64)


def contents(size: int, seed: int, wild: bool) -> bytes:
    """Any bytes, or such that every float in them is between 2**-15 and 32 in size."""
    random = np.random.default_rng(seed)
    halves = random.integers(0x3C00, 0x4100, size // 2) | random.integers(0, 2, size // 2) << 15
    return random.bytes(size) if wild else halves.astype(np.uint16).tobytes()


def on_both(program: Program, seed: int, wild: bool) -> tuple[Interpreter, Chip]:
    """The program run by ours and by the oracle, on chip from the same bytes."""
    ours, theirs = Interpreter(program), Chip(program)
    for number, (mine, processor) in enumerate(zip(ours.state.memories, theirs.processors, strict=True)):
        for name in ("sram", "nram", "wram"):
            for segment in mine.segments.get(name, ()):
                data = contents(segment.stop, seed + number, wild)
                segment.data[:] = np.frombuffer(data, np.uint8)
                processor.memories[name][:] = data
    shape, dtype = program.inputs[0].shape, program.inputs[0].dtype
    x = np.random.default_rng(seed).integers(-99, 99, shape).astype(np.float32)
    for number, value in enumerate(x):
        put(theirs.processors[0].memories["dram"], program.weight_bytes + number * DTYPES[dtype], dtype, value)
    ours.run({"x": x})
    theirs.run()
    return ours, theirs


def test_the_oracle_knows_every_instruction() -> None:
    assert {*ELEMENTWISE, *ROUGHLY, *REDUCTIONS, *SCALARS, *ORDER, *OTHERS} == set(OPCODES)
    assert set(MEANING) == {row.form for row in OPCODES.values() if "nest" in row.fields}
    assert action(Instruction("sync")) is None


@pytest.mark.parametrize("name", [name for name, row in OPCODES.items() if "nest" in row.fields])
def test_every_instruction_on_random_operands(chip: Machine, name: str) -> None:
    exact, streams = name in EXACT, 5 if name in ("load", "store", "fill", "cast") else 1
    for seed in range(24):
        options = Options(
            instructions=streams, depth=1, elements=48, streams=streams, mnemonics=(name,), dram_bytes=2048
        )
        program = random_program(seed, chip, options)
        ours, theirs = on_both(program, seed, wild=exact and streams == 1 and seed % 2 > 0)
        for mine, processor in zip(ours.state.memories, theirs.processors, strict=True):
            for memory, segments in mine.segments.items():
                given, expected = b"".join(s.data.tobytes() for s in segments), bytes(processor.memories[memory])
                written = [i.descriptor.destination.dtype for i in program.instructions if i.descriptor]
                if streams > 1:
                    assert given == expected
                elif given != expected and len(set(written)) == 1:
                    compare(written[0], given, expected, exact)


def compare(dtype: str, given: bytes, expected: bytes, exact: bool) -> None:
    """Equal as numbers, or nearly; NaN may have any bits."""
    a, b = values_of(given, dtype), values_of(expected, dtype)
    if exact:
        np.testing.assert_array_equal(a, b)
    else:
        largest = np.max(np.abs(b), where=np.isfinite(b), initial=1)
        rounding = {"float16": 1e-3, "bfloat16": 8e-3, "int8": 1 / largest}.get(dtype, 1e-6)
        np.testing.assert_allclose(a, b, rtol=2 * rounding, atol=1e-6 * largest + (dtype == "int8"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("data", [False, True])
def test_random_programs_of_several_streams(chip: Machine, dtype: str, data: bool) -> None:
    names = (*EXACT, *SCALAR, *(["contract"] if dtype == "int8" else []))
    for seed in range(12):
        program = random_program(seed, chip, Options(30, elements=32, dtypes=(dtype,), mnemonics=names, data=data))
        ours, theirs = on_both(program, seed, wild=False)
        (port,) = program.outputs
        given = ours.state.memories[0].segments["dram"][1].data
        expected = theirs.processors[0].memories["dram"][port.address :]
        np.testing.assert_array_equal(values_of(given, dtype), values_of(expected, dtype))
        for decoder, processor in zip(ours.decoders, theirs.processors, strict=True):
            flow = control_flow(decoder.stream, decoder.structure, decoder.loads)
            assert list(flow.taken) == processor.taken
            assert flow.executions == tuple(processor.executed[n] for n in range(len(decoder.stream.instructions)))
            assert decoder.registers == processor.registers
