"""The engine against a second simulator that looks at every cycle, as docs/processor.md says; and fold == plain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.errors import SimulationError
from tilework.isa.instruction import Instruction
from tilework.isa.program import Program, Stream
from tilework.isa.random_program import Options, random_program
from tilework.isa.table import OPCODES
from tilework.simulator.cycle import Result, simulate
from tilework.simulator.hazards import find_hazards, find_races
from tilework.simulator.occurrence import Hazard
from tilework.simulator.timing import timing

UNITS = ("load", "store", "matrix", "vector", "cast")
DRAINS = ("sync", "barrier", "sload", "sstore", "end")
PATIENCE = 2000  # no instruction here takes longer: a program that does nothing for so many cycles stands still


@dataclass
class Unit:
    queue: list[tuple[Instruction, int]] = field(default_factory=list)
    finished: int = 0


@dataclass
class NaiveStream:
    """One stream of the naive simulator."""

    stream: Stream
    units: dict[str, Unit] = field(default_factory=lambda: {name: Unit() for name in UNITS})
    tokens: list[int] = field(default_factory=lambda: [0] * 256)
    registers: list[int] = field(default_factory=lambda: [0] * 32)
    loops: list[list[int]] = field(default_factory=list)
    ready: int = 0
    place: int = 0
    arrived: bool = False
    ended: int | None = None
    passed: dict[int, int] = field(default_factory=dict)
    first_passed: dict[int, int] = field(default_factory=dict)

    @property
    def instruction(self) -> Instruction:
        return self.stream.instructions[self.place]

    def idle(self, now: int) -> bool:
        return not any(unit.queue or unit.finished > now for unit in self.units.values())


class Naive:
    """Every cycle, every stream, every unit, one action at a visit; nothing shared with the engine but costs."""

    def __init__(self, program: Program) -> None:
        self.machine, self.program = program.machine, program
        self.streams = [NaiveStream(stream) for stream in program.streams]
        self.channel_free = 0
        ports = self.machine.sram.ports if self.machine.sram else 0
        self.ports_free = [[0] * ports for _ in range(self.machine.clusters)]
        self.last = len(self.streams) - 1
        self.executed: Counter[str] = Counter()

    def run(self) -> int:
        """The cycle at which the last `end` passes."""
        now = last = 0
        while now - last < PATIENCE:
            if self.cycle(now):
                last = now
            if all(stream.ended is not None for stream in self.streams):
                return now
            now += 1
        raise TimeoutError

    def cycle(self, now: int) -> bool:
        acted = False
        while self.round(now):
            acted = True
        for stream in self.streams:
            while self.control(stream, now):
                acted = True
        return self.meet(now) or acted

    def round(self, now: int) -> bool:
        size, first = len(self.streams), self.last + 1
        order = [(first + number) % size for number in range(size)]
        return any([self.visit(number, name, now) for number in order for name in UNITS])  # noqa: C419 - visits all

    def visit(self, number: int, name: str, now: int) -> bool:
        stream = self.streams[number]
        unit = stream.units[name]
        if unit.finished > now or not unit.queue or unit.queue[0][1] >= now:
            return False
        instruction = unit.queue[0][0]
        if instruction.mnemonic == "wait":
            if stream.tokens[instruction.token] == 0:
                return False
            stream.tokens[instruction.token] -= 1
        elif instruction.mnemonic == "post":
            stream.tokens[instruction.token] += 1
        elif not self.start(number, unit, instruction, now):
            return False
        unit.queue.pop(0)
        return True

    def start(self, number: int, unit: Unit, instruction: Instruction, now: int) -> bool:
        cost = timing(instruction, self.machine)
        ports = self.ports_free[self.streams[number].stream.cluster]
        free = [place for place, until in enumerate(ports) if until <= now]
        if (cost.channel_cycles and self.channel_free > now) or (cost.sram_cycles and not free):
            return False
        if cost.channel_cycles:
            self.channel_free = now + cost.channel_cycles
        if cost.sram_cycles:
            ports[free[-1]] = now + cost.sram_cycles
        if cost.channel_cycles or cost.sram_cycles:
            self.last = number
        unit.finished = now + cost.cycles
        return True

    def control(self, stream: NaiveStream, now: int) -> bool:
        if stream.ready > now or stream.ended is not None or stream.arrived:
            return False
        instruction, name = stream.instruction, stream.instruction.mnemonic
        unit = OPCODES[name].unit
        if name in DRAINS and not stream.idle(now):
            return False
        if name == "barrier":
            stream.arrived = True
            return True
        if unit != "control":
            queue = stream.units[instruction.unit if unit == "any" else unit].queue
            if len(queue) == self.machine.control.queue_depth:
                return False
            queue.append((instruction, now))
        self.go(stream, self.following(stream, instruction), now)
        return True

    def go(self, stream: NaiveStream, place: int, now: int) -> None:
        name = stream.instruction.mnemonic
        self.executed[name] += 1
        stream.passed[stream.place] = now
        stream.first_passed.setdefault(stream.place, now)
        if name == "end":
            stream.ended = now
        elif name != "endloop":
            stream.ready = now + 1
        stream.place = place

    def following(self, stream: NaiveStream, instruction: Instruction) -> int:
        after, r, numbers = stream.place + 1, stream.registers, instruction.registers
        match instruction.mnemonic:
            case "loop":
                stream.loops.append([after, instruction.count])
            case "endloop":
                stream.loops[-1][1] -= 1
                if stream.loops[-1][1]:
                    return stream.loops[-1][0]
                stream.loops.pop()
            case "scopy":
                r[numbers[0]] = instruction.constant or 0
            case "sadd":
                r[numbers[0]] = r[numbers[1]] + (instruction.constant or 0)
            case "ssub":
                r[numbers[0]] = r[numbers[1]] - (instruction.constant or 0)
            case "sand":
                r[numbers[0]] = r[numbers[1]] & (instruction.constant or 0)
            case "jumpif" if r[numbers[0]]:
                return instruction.target
            case "jumpifnot" if not r[numbers[0]]:
                return instruction.target
        return after

    def meet(self, now: int) -> bool:
        """Let those pass whose barrier is complete."""
        met = [stream for stream in self.streams if stream.arrived and all(map(self.stands_with(stream), self.streams))]
        for stream in met:
            stream.arrived = False
            self.go(stream, stream.place + 1, now)
        return bool(met)

    def stands_with(self, stream: NaiveStream) -> Callable[[NaiveStream], bool]:
        scope = stream.instruction.scope

        def stands(other: NaiveStream) -> bool:
            outside = scope == "cluster" and other.stream.cluster != stream.stream.cluster
            return outside or (other.arrived and other.instruction.scope == scope)

        return stands


def check_against_naive(program: Program) -> bool:
    naive = Naive(program)
    try:
        cycles = naive.run()
    except TimeoutError:
        with pytest.raises(SimulationError, match="every wait must get its post"):
            simulate(program, fold=False)
        return False
    if any(any(stream.tokens) for stream in naive.streams):
        with pytest.raises(SimulationError, match="every post must be waited for before the end"):
            simulate(program, fold=False)
        return False
    result = simulate(program, fold=False)
    assert result.cycles == cycles
    assert result.instruction_counts == naive.executed
    check_layers(program, result, naive)
    return True


def check_layers(program: Program, result: Result, naive: Naive) -> None:
    for layer, times in zip(program.layers, result.layers, strict=True):
        both = [(s, first, last) for s, (first, last) in zip(naive.streams, layer.ranges, strict=True) if first < last]
        assert times.start == min(stream.first_passed[first] for stream, first, _ in both)
        assert times.end == max(stream.passed[last - 1] + 1 for stream, _, last in both)


def check_folding(program: Program, fuzz: ModuleType) -> None:
    assert fuzz.outcome(program, fold=True) == fuzz.outcome(program, fold=False)


def random_case(seed: int, fuzz: ModuleType, count: int) -> Program:
    """A race-free program on a random machine."""
    return random_program(seed, fuzz.random_machine(Random(seed)), Options(instructions=12, count=count, elements=64))


@pytest.mark.parametrize("seeds", [range(first, first + 25) for first in range(0, 300, 25)], ids=str)
def test_the_engine_equals_the_simulator_that_looks_at_every_cycle(seeds: range, fuzz: ModuleType) -> None:
    simulated = [check_against_naive(fuzz.contended_program(seed, counts=(1, 4), depth=2)) for seed in seeds]
    assert sum(simulated) > len(seeds) / 2


@given(st.integers(0, 1 << 32))
@settings(max_examples=150)
def test_folding_changes_nothing(fuzz: ModuleType, seed: int) -> None:
    check_folding(fuzz.contended_program(seed, depth=2), fuzz)


@given(st.integers(0, 1 << 32))
@settings(max_examples=150)
def test_folding_changes_nothing_where_tokens_go_round(fuzz: ModuleType, seed: int) -> None:
    check_folding(random_case(seed, fuzz, count=20), fuzz)


def places(hazards: list[Hazard]) -> set[tuple[int, int, int, int, str]]:
    return {(h.first.stream, h.first.pc, h.second.stream, h.second.pc, h.memory) for h in hazards}


@pytest.mark.parametrize("seeds", [range(first, first + 20) for first in range(0, 100, 20)], ids=str)
def test_what_went_wrong_on_a_machine_is_always_a_race(seeds: range, fuzz: ModuleType) -> None:
    for seed in seeds:
        program = random_case(seed, fuzz, count=4)
        assert places(find_hazards(program)) <= places(find_races(program))
