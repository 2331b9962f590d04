"""The DRAM's rows and refreshes against a replay of random programs burst by burst, and against the ideal DRAM."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import astuple, replace
from fractions import Fraction
from itertools import product
from math import ceil
from random import Random
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.errors import SimulationError
from tilework.isa.instruction import Instruction, Operand
from tilework.isa.program import Program
from tilework.isa.random_program import Options, random_program
from tilework.machine.machine import Dram, Machine, Refresh, Rows
from tilework.simulator.cycle import Result, simulate
from tilework.simulator.dram import DramTime, standstill
from tilework.simulator.timeline import Event, events
from tilework.simulator.timing import timing

Build = Callable[..., Program]

MOVES = ("load", "store", "fill", "cast", "vcopy", "contract", "scopy")


def standing(refresh: Refresh | None, cycle: int) -> bool:
    if refresh is None or cycle < refresh.interval_cycles:
        return False
    return cycle % refresh.interval_cycles < refresh.duration_cycles


def finished(refresh: Refresh | None, now: int, work: int) -> int:
    """The cycle in which so many cycles of work have been done, one by one, but none in a refresh."""
    while work:
        work -= not standing(refresh, now)
        now += 1
    return now


@given(st.integers(1, 30), st.integers(0, 29), st.integers(0, 200), st.integers(1, 200))
def test_standing_still_is_counted_cycle_by_cycle(interval: int, duration: int, now: int, work: int) -> None:
    refresh = Refresh(interval, duration % interval)
    assert standstill(refresh, now, work) == finished(refresh, now, work) - now - work


def bursts_of(operand: Operand, extents: tuple[int, ...], address: int, burst: int) -> Iterator[int]:
    """The first byte of each burst, by docs/processor.md: runs are merged from the innermost loop on."""
    size, loops = operand.element_bytes, list(zip(operand.strides, extents, strict=True))
    merged = []
    if operand.kept:
        last = sum(stride * (extent - 1) for stride, extent in loops) // size
        size *= (last // 16 + 1) * (operand.kept + -(-operand.kept // (2 * size)))
        loops = []
    while fitting := [n for n, (stride, extent) in enumerate(loops) if stride in (size, -size) and extent > 1]:
        merged.append(loops.pop(fitting[-1]))
        size *= merged[-1][1]
    first = address + min(sum(corner) for corner in product(*((0, stride * (n - 1)) for stride, n in merged)))
    for counters in product(*(range(extent) for _, extent in loops)):
        start = first + sum(c * stride for c, (stride, _) in zip(counters, loops, strict=True))
        yield from range(start, start + size, burst)


class Replay:
    """Bank by bank and burst by burst, what the transfers of a timeline meet; nothing is shared with the engine."""

    def __init__(self, program: Program) -> None:
        self.program, self.dram = program, program.machine.dram
        self.open: dict[int, int] = {}
        self.hits = self.misses = self.refreshing = self.free = self.before = 0
        self.registers = {s.name: constants(program, number) for number, s in enumerate(program.streams)}

    def run(self) -> DramTime:
        for event in sorted(events(self.program), key=lambda event: event.start):
            descriptor = self.instruction(event).descriptor
            if event.unit in ("load", "store") and descriptor is not None:
                for operand in descriptor.operands:
                    if operand.memory == "dram":
                        self.transfer(event, operand, descriptor.extents)
        rows = self.dram.rows
        return DramTime(self.hits, self.misses, self.misses * rows.miss_cycles if rows else 0, self.refreshing)

    def transfer(self, event: Event, operand: Operand, extents: tuple[int, ...]) -> None:
        refresh, machine = self.dram.refresh, self.program.machine
        if refresh and event.start // refresh.interval_cycles > self.before // refresh.interval_cycles:
            self.open.clear()
        self.before = event.start
        register = 0 if operand.register is None else self.registers[event.stream][operand.register]
        bursts = list(bursts_of(operand, extents, operand.address(event.tile) + register, self.dram.burst_bytes))
        width = Fraction(self.dram.bandwidth_bytes_per_second) / Fraction(machine.clock_hz)
        work = self.visit(bursts) + ceil(len(bursts) * self.dram.burst_bytes / width)
        assert event.start >= self.free
        self.free = finished(refresh, event.start, work)
        self.refreshing += self.free - event.start - work
        ideal = timing(self.instruction(event), machine)  # which test_timing.py holds against the manual
        latency = ideal.cycles - max(ideal.channel_cycles, ideal.sram_cycles)
        assert event.end - event.start == latency + max(self.free - event.start, ideal.sram_cycles)

    def instruction(self, event: Event) -> Instruction:
        return next(s for s in self.program.streams if s.name == event.stream).instructions[event.pc]

    def visit(self, bursts: list[int]) -> int:
        if self.dram.rows is None:
            return 0
        before = self.misses
        for first in bursts:
            row = first // self.dram.rows.size_bytes
            if self.open.get(row % self.dram.rows.banks) == row:
                self.hits += 1
            else:
                self.misses += 1
                self.open[row % self.dram.rows.banks] = row
        return (self.misses - before) * self.dram.rows.miss_cycles


def constants(program: Program, stream: int) -> dict[int, int]:
    """The registers of addresses, which random programs set once, at the beginning."""
    instructions = program.streams[stream].instructions
    return {i.registers[0]: i.constant or 0 for i in reversed(instructions) if i.mnemonic == "scopy"}


def random_dram(random: Random, dram: Dram) -> Dram:
    burst = random.choice([1, 16, 64])
    rows = Rows(burst * random.choice([1, 2, 16]), random.choice([1, 2, 3, 8]), random.choice([0, 1, 9]))
    refresh = Refresh(random.choice([30, 101]), random.choice([1, 17]))
    kinds = [(rows, None), (None, refresh), (rows, refresh)]
    chosen = random.choice(kinds)
    return replace(dram, burst_bytes=burst, rows=chosen[0], refresh=chosen[1])


def with_random_dram(program: Program, seed: int) -> Program:
    machine = program.machine
    return replace(program, machine=replace(machine, dram=random_dram(Random(seed), machine.dram)))


def check_against_replay(program: Program) -> DramTime:
    result, replayed = simulate(program), Replay(program).run()
    assert result.dram_time == replayed
    timeline = events(program)
    assert max(event.end for event in timeline) == result.cycles
    for unit in ("load", "store", "matrix", "vector"):
        assert sum(e.end - e.start for e in timeline if e.unit == unit) == result.busy_cycles[unit]
    for name, taken in result.instruction_cycles.items():
        lasting = sorted(e.end - e.start for e in timeline if e.mnemonic == name and e.unit != "control")
        if lasting:
            assert lasting == [cycles for cycles, times in sorted(taken.items()) for _ in range(times)]
    return replayed


@pytest.mark.parametrize("seeds", [range(first, first + 20) for first in range(0, 60, 20)], ids=str)
def test_the_engine_equals_a_replay_burst_by_burst(seeds: range, fuzz: ModuleType) -> None:
    met = DramTime(0, 0, 0, 0)
    for seed in seeds:
        program = random_program(seed, fuzz.random_machine(Random(seed)), Options(mnemonics=MOVES, count=4))
        time = check_against_replay(with_random_dram(program, seed))
        met = DramTime(*(a + b for a, b in zip(astuple(met), astuple(time), strict=True)))
    assert min(astuple(met)) > 0


@given(st.integers(0, 1 << 32))
@settings(max_examples=30)
def test_what_contends_equals_a_replay(fuzz: ModuleType, seed: int) -> None:
    program = with_random_dram(fuzz.contended_program(seed, counts=(1, 4), depth=2), seed)
    try:
        simulate(program)
    except SimulationError:
        return
    check_against_replay(program)


@given(st.integers(0, 1 << 32))
@settings(max_examples=30)
def test_endless_rows_that_cost_nothing_are_ideal(fuzz: ModuleType, seed: int) -> None:
    program = fuzz.contended_program(seed, counts=(1, 4), depth=2)
    machine = program.machine
    rows, late = Rows(machine.dram.capacity_bytes, 1, 0), Refresh(1_000_000, 999_999)
    other = replace(program, machine=replace(machine, dram=replace(machine.dram, rows=rows, refresh=late)))
    found = fuzz.outcome(other, fold=True)
    if isinstance(found, Result):
        assert found.dram_time is not None
        assert (found.dram_time.miss_cycles, found.dram_time.refresh_cycles) == (0, 0)
        found = replace(found, dram_time=None)
    assert found == fuzz.outcome(program, fold=True)


def loads(random: Random) -> str:
    """One stream whose only transfers are loads, with tokens to the vector unit: nothing can overtake."""
    lines = [f"loop {random.randint(1, 6)}"]
    for token in range(random.randint(1, 4)):
        step, stride = 4 * random.randrange(64), 4 * random.randint(1, 80)
        lines += [f"load <{random.randint(1, 8)}, 4> nram 0x0 {{16, 4}} = dram 0x0+{step}*i0 {{{stride}, 4}}"]
        lines += [f"post load {token}", f"wait vector {token}", "vmax <16> nram 0x0 {4} = nram 0x0 {4}, #0"]
    return "\n".join([*lines, "endloop", "end"])


@given(st.integers(0, 1 << 32))
@settings(max_examples=100)
def test_where_nothing_overtakes_it_is_never_faster_than_the_ideal(program: Build, toy: Machine, seed: int) -> None:
    ideal = program(loads(Random(seed)), toy)
    real = replace(ideal, machine=replace(toy, dram=random_dram(Random(seed), toy.dram)))
    without = simulate(replace(real, machine=real.machine.with_ideal_dram()))
    found = simulate(real)
    assert found.cycles >= without.cycles
    assert (found.dram_bytes, found.energy) == (without.dram_bytes, without.energy)
    assert found.dram_time is not None
    more = found.dram_time.miss_cycles + found.dram_time.refresh_cycles
    assert found.busy_cycles["channel"] == without.busy_cycles["channel"] + more
    assert found.cycles <= without.cycles + more
