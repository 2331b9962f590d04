"""Exact times of single cores in the tile language: the exercises by hand, the rules, folded loops against plain."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.errors import SimulationError
from tilework.isa.tile_language import Compute, Loop, Move, Section, Statement, Sync, parse_tiles
from tilework.machine.load import load_machine
from tilework.machine.machine import Dram, Machine, Scratchpad
from tilework.machine.matrix import ScalarMacArray
from tilework.simulator.tile_steps import decimal
from tilework.simulator.tile_time import TileTime, simulate_tiles, tile_table
from tilework.simulator.tile_timeline import tile_events

EXAMPLES = Path(__file__).parents[2] / "examples"
DLP_S = load_machine("dlp-s")
SMALL = replace(  # nothing divides anything: 7/3 bytes a cycle, 5 MACs
    DLP_S,
    name="small",
    clock_hz=3e9,
    dram=Dram(1 << 20, 7e9, 0, 0.0),
    nram=Scratchpad(40, 0.0),
    wram=Scratchpad(90, 0.0),
    matrix=ScalarMacArray(macs=5, pipeline_cycles=0, energy_per_mac_joules={"float32": 0.0}, rates={"float32": 1}),
)


def time(text: str, machine: Machine = DLP_S) -> TileTime:
    """The program's time, which is the same folded and plain."""
    program = parse_tiles(text)
    folded = simulate_tiles(program, machine)
    assert folded == simulate_tiles(program, machine, fold=False)
    return folded


def example(number: int) -> TileTime:
    return time((EXAMPLES / f"ex7_{number}.tl").read_text("utf-8"))


# dlp-s: 64 GB/s at 1 GHz are 64 bytes a cycle, a cycle is 1 ns, and 256 MACs take one.


def test_exercise_7_7() -> None:
    # 1024 / 64 + 1024 / 64 = 32; 256 / 256 = 1; 4 / 64 = 1/16
    cost = example(7)
    assert cost.cycles == 32 + 1 + Fraction(1, 16)
    assert cost.seconds * 10**9 == Fraction("33.0625")
    assert cost.bound_cycles == 32 + Fraction(1, 16)
    assert cost.units == {"channel": float(Fraction(513, 529)), "compute": float(Fraction(16, 529))}
    assert (cost.bytes_in, cost.bytes_out, cost.macs) == (2048, 4, 256)


def test_exercise_7_8() -> None:
    # 32 x 256 x 4 / 64 = 512; 256 x 128 x 4 / 64 = 2048; 32 x 256 x 128 / 256 = 4096; 32 x 128 x 4 / 64 = 256
    cost = example(8)
    assert cost.cycles == 512 + 2048 + 4096 + 256 == 6912
    assert cost.seconds * 10**9 == 6912
    assert cost.bound_cycles == 4096


def test_exercise_7_9() -> None:
    # 1024 x 256 x 4 / 64 = 16384; 2048; 1024 x 256 x 128 / 256 = 131072; 1024 x 128 x 4 / 64 = 8192
    cost = example(9)
    assert cost.cycles == 16384 + 2048 + 131072 + 8192 == 157696
    assert cost.seconds * 10**9 == 157696
    assert cost.bound_cycles == 131072
    assert cost.bytes_in == (1024 * 256 + 256 * 128) * 4
    assert cost.bytes_out == 1024 * 128 * 4
    assert cost.macs == 1024 * 256 * 128


@pytest.mark.parametrize(
    ("text", "cycles"),
    [
        ("move dram nram 64\nmove nram dram 64", 2),  # loads and stores share the channel
        ("move dram nram 640\ncompute fp32 256", 10),  # the channel and the compute unit do not
        ("move dram nram 640\nsync\ncompute fp32 256", 11),
        ("compute fp32 256\ncompute fp32 512\nmove dram wram 64", 3),
        ("loop 4\nmove dram nram 64\ncompute fp32 512\nendloop", 8),  # without a sync: 4 moves beside 8 cycles
        ("loop 4\nmove dram nram 64\nsync\ncompute fp32 512\nendloop", 1 + 3 * 2 + 2),  # the next load beside it
        ("loop 4\nmove dram nram 64\nsync\ncompute fp32 512\nsync\nendloop", 4 * 3),
        ("loop 3\nloop 2\nmove dram nram 64\nendloop\nsync\nendloop", 6),
        ("sync", 0),
    ],
)
def test_what_overlaps(text: str, cycles: int) -> None:
    assert time(text).cycles == cycles


def test_a_bound_is_never_beaten_and_a_program_without_work_has_none() -> None:
    nothing = time("loop 3\nsync\nendloop")
    assert nothing.units == {"channel": 0, "compute": 0}
    assert "achieved / bound  -, the bound is 0 ns" in str(nothing)


# What fits: NRAM 131,072 bytes, WRAM 262,144.


@pytest.mark.parametrize(
    ("text", "line", "memory", "wanted", "there"),
    [
        ("\nmove dram nram 131073", 2, "nram", "131,073", "131,072"),
        ("move dram nram 100KB\nmove dram wram 256KB\nmove dram nram 28KB\nmove dram nram 1", 4, "nram", "131,073", 0),
        ("move dram wram 1MB", 1, "wram", "1,048,576", "262,144"),
        ("loop 5\nmove dram nram 4B\nmove dram nram 32KB\nendloop", 3, "nram", "131,088", 0),
        ("loop 2\nmove dram nram 64KB\nsync\nmove dram nram 65KB\nendloop", 2, "nram", "132,096", 0),
        ("sync\nmove dram nram 1\nloop 1000000000\nloop 1000000\nmove dram nram 1\nendloop\nendloop", 5, "nram", 0, 0),
        ("loop 4\nmove dram nram 32KB\nendloop\nloop 9\nmove dram wram 1\nmove dram nram 1\nendloop", 6, "nram", 0, 0),
    ],
)
def test_what_does_not_fit(text: str, line: int, memory: str, wanted: str, there: str) -> None:
    sentences = []
    for fold in (True, False):
        with pytest.raises(SimulationError) as caught:
            simulate_tiles(parse_tiles(text), DLP_S, fold=fold)
        sentences.append(str(caught.value))
    assert (
        sentences[0]
        == sentences[1]
        == (
            f"line {line}: what is moved into {memory} between two syncs must fit into its {there or '131,072'} bytes, "
            f"not come to {wanted or '131,073'} as with this move; move less, or put a sync before it"
        )
    )


def test_what_fits() -> None:
    full = "move dram nram 128KB\nmove dram wram 256KB\ncompute fp32 1\nmove nram dram 1MB"
    assert time(f"{full}\nsync\n{full}").bytes_in == 2 * 384 * 1024
    assert time(f"loop 3\nloop 4\nmove dram nram 32KB\nendloop\nsync\nendloop\n{full}").macs == 1


@pytest.mark.parametrize("fold", [True, False])
def test_types_that_the_machine_lacks(fold: bool) -> None:
    program = parse_tiles("compute float32 1\nloop 2\n compute fp16 1\nendloop")
    with pytest.raises(SimulationError) as caught:
        simulate_tiles(program, SMALL, fold=fold)
    sentence = "line 3: a computation on small must be of fp32, not fp16; write compute fp32"
    assert str(caught.value) == sentence
    with pytest.raises(SimulationError, match=r"^line 3: a computation"):
        tile_events(program, SMALL)
    assert DLP_S.matrix.rates["int8"] == 4
    assert time("compute int8 2048\ncompute fp32 256").cycles == 3


# Folded and plain.

MOVES = st.builds(Move, st.just("dram"), st.sampled_from(["nram", "wram"]), st.integers(1, 12))
STORES = st.builds(Move, st.sampled_from(["nram", "wram"]), st.just("dram"), st.integers(1, 30))
COMPUTES = st.builds(Compute, st.just("fp32"), st.integers(1, 60))
STEPS = st.one_of(MOVES, STORES, COMPUTES, st.just(Sync()), st.just(Sync()))


def loops(bodies: st.SearchStrategy[Statement]) -> st.SearchStrategy[Loop]:
    return st.builds(Loop, st.integers(1, 4), st.lists(bodies, min_size=1, max_size=4).map(tuple))


PROGRAMS = st.lists(st.recursive(STEPS, loops, max_leaves=8), min_size=1, max_size=4).map(tuple)


def outcome(program: tuple[Statement, ...], fold: bool) -> TileTime | str:
    try:
        return simulate_tiles([Section("core", 0, 0, program)], SMALL, fold=fold)
    except SimulationError as error:
        return str(error)


def numbered(program: tuple[Statement, ...], first: int = 1) -> tuple[tuple[Statement, ...], int]:
    """The program with a line number for each statement, so that errors tell where they come from."""
    statements: list[Statement] = []
    for statement in program:
        own, first = first, first + 1
        if isinstance(statement, Loop):
            body, first = numbered(statement.body, first)
            statement = replace(statement, body=body)
        statements.append(replace(statement, line=own))
    return tuple(statements), first


def step_by_step(program: tuple[Statement, ...]) -> Fraction:
    """The larger of both units' work between two syncs, summed up: 7/3 bytes a cycle, 5 MACs."""
    total, channel, compute = Fraction(0), Fraction(0), Fraction(0)
    waiting = [*reversed(program)]
    while waiting:
        statement = waiting.pop()
        if isinstance(statement, Loop):
            waiting += [*reversed(statement.body)] * statement.count
        elif isinstance(statement, Move):
            channel += statement.size / Fraction(7, 3)
        elif isinstance(statement, Compute):
            compute += Fraction(statement.macs, 5)
        else:
            total, channel, compute = total + max(channel, compute), Fraction(0), Fraction(0)
    return total + max(channel, compute)


@settings(max_examples=300)
@given(PROGRAMS)
def test_folded_is_plain(program: tuple[Statement, ...]) -> None:
    program, _ = numbered(program)
    folded = outcome(program, fold=True)
    assert folded == outcome(program, fold=False)
    if isinstance(folded, TileTime):
        assert folded.cycles == step_by_step(program)
        assert folded.bound_cycles <= folded.cycles <= sum(folded.busy_cycles.values())


def test_many_iterations_take_no_time() -> None:
    began = perf_counter()
    body = "move dram nram 64\nsync\nloop 1000000\ncompute fp32 512\nsync\nendloop"
    program = parse_tiles(f"loop 1000000\n{body}\nendloop")
    # An outer iteration: a load of 1 cycle, then 1,000,000 computations of 2.
    assert simulate_tiles(program, DLP_S).cycles == 10**6 * (1 + 10**6 * 2)
    deep = parse_tiles("loop 1\n" * 63 + "loop 1000000000\nmove nram dram 1\nsync\n" + "endloop\n" * 64)
    assert simulate_tiles(deep, DLP_S).cycles == Fraction(10**9, 64)
    assert perf_counter() - began < 5


# What is shown.


def test_record() -> None:
    record = example(7).to_dict()
    assert json.loads(json.dumps(record)) == record
    assert (record["cycles"], record["exact_cycles"]) == (33.0625, "529/16")
    assert (record["seconds"], record["exact_seconds"]) == (3.30625e-08, "529/16000000000")
    assert record["bound_seconds"] == float(Fraction(record["exact_bound_seconds"])) == 3.20625e-08
    assert isinstance(example(8).to_dict()["cycles"], int)


def test_text() -> None:
    assert str(example(7)) == (
        "time              33.0625 ns = 33.0625 cycles\n"
        "achieved / bound  1.031, the bound is 32.0625 ns\n"
        "busy              channel 97.0 % · compute 3.0 %\n"
        "DRAM bytes        2,052: 2,048 in, 4 out\n"
        "MACs              256"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(0), "0"),
        (Fraction(1234567), "1,234,567"),
        (Fraction(1, 512), "0.001953125"),
        (Fraction(20, 3), "~6.666667"),
        (Fraction(1, 1024), "~0.000977"),
    ],
)
def test_decimals(value: Fraction, text: str) -> None:
    assert decimal(value) == text


def test_table() -> None:
    table = tile_table({"serial": example(7).to_dict(), "nothing": time("sync").to_dict()}).splitlines()
    assert table[0] == "program  time, ns  bound, ns  time / bound  channel busy  compute busy"
    assert table[2] == "serial    33.0625    32.0625        1.0312        97.0 %         3.0 %"
    assert table[3] == "nothing         0          0             -         0.0 %         0.0 %"
