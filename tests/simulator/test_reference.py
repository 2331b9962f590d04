"""The engine against a second simulator that looks at every cycle, as docs/processor.md says; and fold == plain."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

import pytest

from tilework.errors import SimulationError
from tilework.isa.instruction import Descriptor, Immediate, Instruction, Operand
from tilework.isa.program import Layer, Program
from tilework.isa.random_program import Options, random_program
from tilework.isa.table import OPCODES
from tilework.machine.machine import Machine
from tilework.simulator.cycle import simulate
from tilework.simulator.hazards import Hazard, find_hazards, find_races
from tilework.simulator.timing import timing

UNITS = ("load", "store", "matrix", "vector")


@dataclass
class Unit:
    queue: list[tuple[Instruction, int]] = field(default_factory=list)
    finished: int = 0


class Naive:
    """Every cycle, every unit, one action at a visit; no jumps, no decoding, nothing shared with the engine."""

    def __init__(self, program: Program) -> None:
        self.program, self.machine = program, program.machine
        self.units = {name: Unit() for name in UNITS}
        self.tokens = [0] * 256
        self.channel_free = self.control_free = self.place = 0
        self.loops: list[list[int]] = []
        self.passed: dict[int, int] = {}

    def run(self, patience: int = 2000) -> int:
        """The cycle at which `end` passes. No instruction here takes longer than `patience` cycles: then it's stuck."""
        now = last = 0
        while now - last < patience:
            while any([self.visit(name, now) for name in UNITS] + [self.control(now)]):
                last = now
                if self.place == len(self.program.instructions):
                    return now
            now += 1
        raise TimeoutError

    def visit(self, name: str, now: int) -> bool:
        unit = self.units[name]
        if unit.finished > now or not unit.queue or unit.queue[0][1] >= now:
            return False
        instruction = unit.queue[0][0]
        if instruction.mnemonic == "wait":
            if self.tokens[instruction.token] == 0:
                return False
            self.tokens[instruction.token] -= 1
        elif instruction.mnemonic == "post":
            self.tokens[instruction.token] += 1
        else:
            cost = timing(instruction, self.machine)
            if cost.channel_cycles:
                if self.channel_free > now:
                    return False
                self.channel_free = now + cost.channel_cycles
            unit.finished = now + cost.cycles
        unit.queue.pop(0)
        return True

    def control(self, now: int) -> bool:
        if self.control_free > now or self.place == len(self.program.instructions):
            return False
        instruction = self.program.instructions[self.place]
        self.passed[self.place] = now
        if instruction.mnemonic in ("sync", "end"):
            if any(unit.queue or unit.finished > now for unit in self.units.values()):
                return False
            self.place += 1
        elif instruction.mnemonic == "loop":
            self.loops.append([self.place + 1, instruction.count])
            self.place += 1
        elif instruction.mnemonic == "endloop":
            self.loops[-1][1] -= 1
            self.place = self.loops[-1][0] if self.loops[-1][1] else self.place + 1
            if not self.loops[-1][1]:
                self.loops.pop()
            return True
        else:
            unit = OPCODES[instruction.mnemonic].unit
            queue = self.units[instruction.unit if unit == "any" else unit].queue
            if len(queue) == self.machine.control.queue_depth:
                return False
            queue.append((instruction, now))
            self.place += 1
        self.control_free = now + 1
        return True


def random_machine(random: Random, toy: Machine) -> Machine:
    return replace(
        toy,
        clock_hz=random.choice([1e9, 0.7e9]),
        dram=replace(toy.dram, latency_cycles=random.choice([0, 0, 1, 7])),
        matrix=replace(toy.matrix, pipeline_cycles=random.choice([0, 2])),
        control=replace(toy.control, queue_depth=random.choice([1, 2, 3, 5])),
    )


def random_instruction(random: Random) -> Instruction:
    count = random.choice([1, 4, 20, 50])
    chip, dram = Operand("nram", 0, (4,)), Operand("dram", 0, (4,))
    weights = Operand("wram", 0, (4,))
    return random.choice(
        [
            Instruction("load", Descriptor((count,), chip, (dram,))),
            Instruction("store", Descriptor((count,), dram, (chip,))),
            Instruction("fill", Descriptor((count,), chip, (Immediate(0.0),))),
            Instruction("contract", Descriptor((count,), Operand("nram", 0, (0,)), (chip, weights))),
            Instruction("vmax", Descriptor((count,), chip, (chip, Immediate(0.0)))),
        ]
    )


def random_block(random: Random, size: int, depth: int, counts: tuple[int, int]) -> list[Instruction]:
    """Instructions with few tokens, for which many units contend; some programs stop for ever, as they should."""
    block: list[Instruction] = []
    for _ in range(size):
        choice = random.random()
        if choice < 0.2 and depth:
            body = random_block(random, random.randint(1, 4), depth - 1, counts)
            block += [Instruction("loop", count=random.randint(*counts)), *body, Instruction("endloop")]
        elif choice < 0.45:
            token, (first, second) = random.randrange(4), random.choices(UNITS, k=2)
            block.append(Instruction("post", unit=first, token=token))
            block.append(random_instruction(random))
            block.append(Instruction("wait", unit=second, token=token))
        elif choice < 0.47:
            block.append(Instruction(random.choice(["wait", "post"]), unit=random.choice(UNITS), token=0))
        elif choice < 0.52:
            block.append(Instruction("sync"))
        else:
            block.append(random_instruction(random))
    return block


def contended_program(seed: int, toy: Machine, counts: tuple[int, int], depth: int = 2) -> Program:
    random = Random(seed)
    instructions: list[Instruction] = []
    layers = []
    for name in range(random.randint(1, 3)):
        block = [*random_block(random, random.randint(1, 9), depth, counts), Instruction("sync")]
        layers.append(Layer(str(name), "any", len(instructions), len(instructions) + len(block), 1, 1))
        instructions += block
    return Program(
        str(seed),
        random_machine(random, toy),
        (*instructions, Instruction("end")),
        layers=tuple(layers),
        dram_bytes=4096,
    )


def check_against_naive(program: Program) -> None:
    naive = Naive(program)
    try:
        cycles = naive.run()
    except TimeoutError:
        with pytest.raises(SimulationError, match="every wait must get its post"):
            simulate(program, fold=False)
        return
    result = simulate(program, fold=False)
    assert result.cycles == cycles
    for layer, times in zip(program.layers, result.layers, strict=True):
        assert (times.start, times.end) == (naive.passed[layer.first], naive.passed[layer.last - 1] + 1)


def check_folding(program: Program) -> None:
    try:
        plain = simulate(program, fold=False)
    except SimulationError:
        with pytest.raises(SimulationError, match="every wait must get its post"):
            simulate(program)
        return
    assert simulate(program) == plain


@pytest.mark.parametrize("seed", range(250))
def test_the_engine_equals_the_simulator_that_looks_at_every_cycle(seed: int, toy: Machine) -> None:
    check_against_naive(contended_program(seed, toy, counts=(1, 5)))
    machine = random_machine(Random(seed), toy)
    check_against_naive(random_program(seed, machine, Options(instructions=12, elements=64)))


@pytest.mark.parametrize("seed", range(1000, 1350))
def test_folding_changes_nothing(seed: int, toy: Machine) -> None:
    check_folding(contended_program(seed, toy, counts=(1, 20), depth=3))


@pytest.mark.parametrize("seed", range(350))
def test_folding_changes_nothing_where_tokens_go_round(seed: int, toy: Machine) -> None:
    machine = random_machine(Random(seed), toy)
    check_folding(random_program(seed, machine, Options(instructions=12, count=30, elements=64)))


def places(hazards: list[Hazard]) -> set[tuple[int, int, str]]:
    return {(hazard.first.pc, hazard.second.pc, hazard.memory) for hazard in hazards}


@pytest.mark.parametrize("seed", range(100))
def test_what_went_wrong_on_a_machine_is_always_a_race(seed: int, toy: Machine) -> None:
    program = random_program(seed, random_machine(Random(seed), toy))
    assert places(find_hazards(program)) <= places(find_races(program))
