"""Random programs on random machines: the simulation that folds loops must equal the plain one in every number.

    python benchmarks/fuzz_simulator.py [--cases 10000] [--first 0]

Half of the programs are those of tilework.isa.random_program, race-free and with values; the other half contend for
everything: few tokens, one DRAM channel and few SRAM ports among all streams of one or two clusters, barriers in and
between loops, jumps, and now and then what stands still or leaves tokens, which both simulations must refuse alike.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections import Counter
from dataclasses import replace
from random import Random
from time import perf_counter

from tilework.errors import SimulationError
from tilework.isa.instruction import Descriptor, Immediate, Instruction, Operand
from tilework.isa.program import Layer, Program, Stream
from tilework.isa.random_program import Options, random_program
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.simulator.cycle import Result, simulate
from tilework.simulator.scalar import control_flow
from tilework.simulator.structure import analyse

QUEUES = {"core": ("load", "store", "matrix", "vector"), "mover": ("load", "store", "cast")}
DTYPES = ("float32", "float32", "float16", "int8")


def random_machine(random: Random) -> Machine:
    """One or two clusters of one to three cores, small units, odd widths, shallow queues."""
    machine = load_machine("dlp-m4")
    assert machine.sram is not None
    clock = random.choice([1e9, 0.7e9])
    ports, banks = random.choice([0, 0, 8, 40]), random.choice([0, 0, 2, 3, 16])
    return replace(
        machine,
        clock_hz=clock,
        clusters=random.choice([1, 1, 2]),
        cores=random.randint(1, 3),
        transfer_bytes_per_cycle=random.choice([0, 24]),
        dram=replace(
            machine.dram,
            bandwidth_bytes_per_second=random.choice([16e9, 34e9]),
            latency_cycles=random.choice([0, 0, 1, 7]),
            burst_bytes=random.choice([1, 1, 64]),
        ),
        sram=replace(
            machine.sram,
            bandwidth_bytes_per_second=random.choice([16e9, 50e9]),
            latency_cycles=random.choice([0, 0, 2]),
            ports=random.randint(1, 3),
        ),
        nram=replace(machine.nram, port_bytes_per_cycle=ports, banks=banks),
        matrix=replace(machine.matrix, pipeline_cycles=random.choice([0, 2]), zero_skipping=random.random() < 0.5),
        vector=replace(machine.vector, lanes=8, pipeline_cycles=random.choice([0, 3])),
        control=replace(machine.control, queue_depth=random.choice([1, 2, 3, 5])),
    )


def contended_program(seed: int, counts: tuple[int, int] = (1, 20), depth: int = 3, streams: int = 4) -> Program:
    """Up to so many streams, loops of so many iterations, and a layer for each part between two barriers."""
    random = Random(seed)
    machine = random_machine(random)
    chosen = _streams(random, machine, random.choice([1, streams]))
    codes: list[list[Instruction]] = [[] for _ in chosen]
    layers = []
    for name in range(random.randint(1, 3)):
        before = [len(code) for code in codes]
        _add_part(random, chosen, codes, counts, depth)
        spans = [(first, len(code)) for first, code in zip(before, codes, strict=True)]
        layers.append(Layer(str(name), "any", *spans[0], 1, 1, tuple(spans[1:])))
    ended = [_ended(random, stream, code) for stream, code in zip(chosen, codes, strict=True)]
    return Program.of(str(seed), machine, ended, layers=tuple(layers), dram_bytes=4096)


def _streams(random: Random, machine: Machine, most: int) -> list[Stream]:
    clusters = range(machine.clusters)
    others = [Stream((), "core", cluster, core) for cluster in clusters for core in range(machine.cores)][1:]
    others += [Stream((), "mover", cluster) for cluster in clusters]
    kept = random.sample(others, min(len(others), random.randint(0, most - 1)))
    return [Stream(()), *sorted(kept, key=lambda stream: stream.order)]


def _add_part(
    random: Random, streams: list[Stream], codes: list[list[Instruction]], counts: tuple[int, int], depth: int
) -> None:
    """A part of each stream, ended by a sync or by a barrier; perhaps a loop that all have, with a barrier inside."""
    looped, common = random.random() < 0.4 and len(streams) > 1, random.randint(*counts)
    scope = random.choice(["chip", "chip", "cluster"])
    for stream, code in zip(streams, codes, strict=True):
        block = _Block(random, stream.role, counts).make(random.randint(1, 7), depth - looped)
        if looped:
            count = common if random.random() < 0.97 else common + 1
            block = [
                Instruction("loop", count=count),
                *block,
                Instruction("barrier", scope=scope),
                Instruction("endloop"),
            ]
        last = Instruction("barrier", scope="chip") if random.random() < 0.99 else Instruction("sync")
        code += [Instruction("sync"), *block, last if len(streams) > 1 else Instruction("sync")]


def _ended(random: Random, stream: Stream, code: list[Instruction]) -> Stream:
    """The stream with its jumps at their places, and with waits for the tokens that are left."""
    placed = tuple(
        replace(instruction, target=place + instruction.target) if instruction.target else instruction
        for place, instruction in enumerate(code)
    )
    whole = replace(stream, instructions=(*placed, Instruction("end")))
    left = Counter[int]()
    executions = control_flow(whole, analyse(whole.instructions, stream.role)).executions
    for instruction, times in zip(whole.instructions, executions, strict=True):
        if instruction.mnemonic in ("wait", "post"):
            left[instruction.token] += times if instruction.mnemonic == "post" else -times
    for token, number in left.items() if random.random() < 0.97 else ():
        if number > 0:
            wait = Instruction("wait", unit=random.choice(QUEUES[stream.role]), token=token)
            placed = (*placed, Instruction("loop", count=number), wait, Instruction("endloop"))
    return replace(stream, instructions=(*placed, Instruction("end")))


class _Block:
    """Instructions of a stream; the targets of jumps are relative to them."""

    def __init__(self, random: Random, role: str, counts: tuple[int, int]) -> None:
        self.random, self.role, self.counts, self.queues = random, role, counts, QUEUES[role]

    def make(self, size: int, depth: int) -> list[Instruction]:
        """Few tokens, so that many units contend; some programs stop for ever, as they should."""
        random, block = self.random, list[Instruction]()
        for _ in range(size):
            choice = random.random()
            if choice < 0.2 and depth > 0:
                body = self.make(random.randint(1, 4), depth - 1)
                block += [Instruction("loop", count=random.randint(*self.counts)), *body, Instruction("endloop")]
            elif choice < 0.45:
                token, (first, second) = random.randrange(4), random.choices(self.queues, k=2)
                block.append(Instruction("post", unit=first, token=token))
                block.append(self.work())
                block.append(Instruction("wait", unit=second, token=token))
            elif choice < 0.46:
                block.append(Instruction(random.choice(["wait", "post"]), unit=random.choice(self.queues), token=0))
            elif choice < 0.5:
                block.append(Instruction("sync"))
            elif choice < 0.55:
                block += self.jumping(depth)
            else:
                block.append(self.work())
        return block

    def jumping(self, depth: int) -> list[Instruction]:
        """A loop of jumps, or instructions that every other time are jumped over."""
        if self.random.random() < 0.5:
            register = 10 + depth  # of its own at each depth
            body = self.make(self.random.randint(1, 3), depth - 1)
            first = Instruction("scopy", registers=(register,), constant=self.random.randint(1, 5))
            less = Instruction("ssub", registers=(register, register), constant=1)
            return [first, *body, less, Instruction("jumpif", registers=(register,), target=-1 - len(body))]
        passed = [self.work() for _ in range(self.random.randint(1, 3))]
        count = Instruction("sadd", registers=(1, 1), constant=1)
        odd = Instruction("sand", registers=(2, 1), constant=1)
        jump = self.random.choice(["jumpif", "jumpifnot"])
        return [count, odd, Instruction(jump, registers=(2,), target=1 + len(passed)), *passed]

    def work(self) -> Instruction:
        """A transfer or a computation of a few sizes."""
        count, dtype = self.random.choice([1, 4, 20, 50]), self.random.choice(DTYPES)
        extents, size = (self.random.choice([1, 3]), count), {"float32": 4, "float16": 2, "int8": 1}[dtype]

        def at(memory: str) -> Operand:
            return Operand(memory, 0, (size * count * self.random.choice([1, 2]), size), dtype=dtype)

        chip, memory = ("nram", self.random.choice(["dram", "sram"])) if self.role == "core" else ("sram", "dram")
        choices = [
            Instruction("load", Descriptor(extents, at(chip), (at(memory),))),
            Instruction("store", Descriptor(extents, at(memory), (at(chip),))),
            Instruction("fill", Descriptor(extents, at(chip), (Immediate(0.0),))),
        ]
        if self.role == "mover":
            return self.random.choice([*choices, Instruction("cast", Descriptor(extents, at("wram"), (at("sram"),)))])
        one = (Operand("nram", 0, (4, 0)), Operand("nram", 0, (4, 4)), Operand("wram", 0, (0, 4)))
        local = Instruction("load", Descriptor(extents, at("wram"), (at("nram"),)))
        contract = Instruction("contract", Descriptor(extents, one[0], one[1:]))
        vector = Instruction("vmax", Descriptor(extents, at("nram"), (at("nram"), Immediate(0.0))))
        return self.random.choice([*choices, *choices, local, contract, contract, vector, vector])


def outcome(program: Program, *, fold: bool) -> Result | str:
    """What the simulation finds, or the sentence with which it refuses."""
    try:
        return simulate(program, fold=fold)
    except SimulationError as error:
        return str(error)


def drawn(seed: int) -> Program:
    """The program of that seed: even ones contend, odd ones are race-free."""
    if seed % 2 == 0:
        return contended_program(seed)
    return random_program(seed, random_machine(Random(seed)), Options(instructions=16, count=20, elements=64))


def main() -> None:
    parser = ArgumentParser(description="Fold and plain simulation of random programs must be equal.")
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    begun, seen = perf_counter(), Counter[str]()
    for seed in range(arguments.first, arguments.first + arguments.cases):
        program = drawn(seed)
        plain, folded = outcome(program, fold=False), outcome(program, fold=True)
        if plain != folded:
            sys.exit(f"seed {seed}: plain {plain}\n\nfolded {folded}")
        seen["refused" if isinstance(plain, str) else "simulated"] += 1
        seen["of several streams"] += len(program.streams) > 1
    print(f"{arguments.cases} programs in {perf_counter() - begun:.0f} s: all equal; {dict(seen)}")


if __name__ == "__main__":
    main()
