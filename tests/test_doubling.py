"""What if a resource were doubled: hand-worked programs, and that more is never slower where that can be proved."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import tilework as tw
from tilework import doubling
from tilework.cli import cli
from tilework.errors import MachineError
from tilework.isa.assembly import parse_text
from tilework.isa.program import Program
from tilework.isa.random_program import random_program
from tilework.isa.random_stream import DESCRIBED, SCALAR, Options
from tilework.isa.tile_language import parse_tiles
from tilework.machine.load import load_machine
from tilework.simulator.cycle import simulate

EXAMPLES = Path(__file__).parents[1] / "examples"
DLP_S = load_machine("dlp-s")  # 64 bytes and 256 MACs a cycle, no latency
CONTRACT = "contract <64, 16, 64> nram 0x4000 {64, 4, 0} = nram 0x0 {256, 0, 4} * wram 0x0 {0, 256, 4}"


def rows(answer: doubling.WhatIf) -> dict[str, tuple[float, float]]:
    return {row.resource: (float(row.cycles), row.speedup) for row in answer.rows}


def assembled(text: str) -> Program:
    return Program.of("test", DLP_S, parse_text(text), dram_bytes=1 << 20)


def test_a_program_bound_by_the_channel_takes_half_the_time() -> None:
    answer = tw.what_if(parse_tiles("move dram nram 64KB\n"), "dlp-s")
    assert rows(answer) == {"DRAM bandwidth": (512, 2.0), "MACs": (1024, 1.0)}
    assert (answer.cycles, answer.busiest, answer.share) == (1024, "channel", 1.0)


def test_a_program_bound_by_its_macs_takes_half_the_time() -> None:
    answer = tw.what_if(parse_tiles("compute fp32 256000\n"), DLP_S)
    assert rows(answer) == {"DRAM bandwidth": (1000, 1.0), "MACs": (500, 2.0)}


def test_a_program_of_two_parts_saves_what_its_part_takes() -> None:
    # 1024 cycles of channel, then 512 of MACs: Amdahl's law.
    answer = tw.what_if(parse_tiles("move dram nram 64KB\nsync\ncompute fp32 131072\n"), DLP_S)
    assert rows(answer) == {"DRAM bandwidth": (1024, 1.5), "MACs": (1280, 1.2)}


@pytest.mark.parametrize(
    ("text", "cycles", "doubled"),
    [
        # issued in 0, at work from 1 on: 4096 bytes take 64 cycles
        ("load <1024> nram 0x0 {4} = dram 0x0 {4}\nend", 65, {"DRAM bandwidth": 33}),
        # 64 rows * ceil(16 / 16) * ceil(64 / 16) = 256 steps and 8 of pipeline; twice the products: half the steps
        (f"{CONTRACT}\nend", 265, {"MACs": 137}),
        # dlp-s has 64 lanes and 4 cycles of pipeline: ceil(1024 / 64) + 4
        ("vabs <1024> nram 0x0 {4} = nram 0x0 {4}\nend", 21, {"vector lanes": 13}),
    ],
    ids=["channel", "matrix", "vector"],
)  # fmt: skip
def test_instructions_of_one_unit(text: str, cycles: int, doubled: dict[str, int]) -> None:
    answer = tw.what_if(assembled(text))
    assert answer.cycles == cycles
    for resource, (found, speedup) in rows(answer).items():
        wanted = doubled.get(resource, cycles)
        assert (found, speedup) == (wanted, cycles / wanted)


def test_a_deeper_queue_lets_control_go_on() -> None:
    shallow = replace(DLP_S, control=replace(DLP_S.control, queue_depth=1))
    vector = "vabs <64> nram 0x0 {4} = nram 0x0 {4}\n"  # 1 + 4 cycles
    program = replace(assembled(vector * 3 + "load <1024> wram 0x0 {4} = dram 0x0 {4}\nend"), machine=shallow)
    # One place: the third vector is issued when the second begins, in 6, and the load in 7: it is over in 8 + 64.
    # Two places: the third is issued in 2, the load in 3: over in 4 + 64.
    assert rows(tw.what_if(program))["queue depth"] == (68, 72 / 68)


# In one stream without stores only the load unit wants the channel, each token has one poster and one waiter, and jumps
# don't depend on data: every beginning is the latest of sums of durations, so none comes later with shorter ones. Nor
# does an instruction take longer: dlp-s has no banks, in which more lanes can meet more often.
MNEMONICS = tuple(name for name in (*DESCRIBED, *SCALAR) if name not in ("store", "sload", "jumpif", "jumpifnot"))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), depth=st.integers(1, 4))
def test_twice_as_much_is_never_slower_for_one_stream_that_only_loads(seed: int, depth: int) -> None:
    machine = replace(DLP_S, control=replace(DLP_S.control, queue_depth=depth))
    program = random_program(seed, machine, Options(instructions=30, elements=64, count=3, mnemonics=MNEMONICS))
    answer = tw.what_if(program)
    assert answer.cycles == simulate(program, inputs=None).cycles
    assert all(row.cycles <= answer.cycles for row in answer.rows)


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.sampled_from(["move dram nram 1KB", "move nram dram 1KB", "move dram wram 96", "compute fp32 999", "sync"]),
        min_size=1,
        max_size=20,
    )
)
def test_twice_as_much_is_never_slower_for_one_core_of_the_tile_language(steps: list[str]) -> None:
    answer = tw.what_if(parse_tiles("\n".join(steps)), DLP_S)
    assert all(answer.cycles / 2 <= row.cycles <= answer.cycles for row in answer.rows)


def test_a_network_is_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: doubling.COMPILED[name] for name in ("DRAM bandwidth", "SRAM")}
    monkeypatch.setattr(doubling, "COMPILED", few)
    answer = tw.what_if("lenet5", "dlp-s", seed=0)
    assert list(rows(answer)) == ["DRAM bandwidth"]  # dlp-s has no SRAM
    fast = replace(
        DLP_S, dram=replace(DLP_S.dram, bandwidth_bytes_per_second=2 * DLP_S.dram.bandwidth_bytes_per_second)
    )
    assert answer.rows[0].cycles == tw.compile("lenet5", fast, seed=0).cost.cycles
    assert str(answer).startswith("busiest: load, ")
    assert "With the network compiled anew for each machine, twice the DRAM bandwidth saves most." in str(answer)


def test_every_resource_is_doubled_and_nothing_else() -> None:
    chip = load_machine("dlp-m4")
    assert chip.sram is not None
    for name in ("nram", "wram", "sram"):
        changed = doubling.COMPILED[name.upper()](chip)
        assert changed is not None
        there = getattr(chip, name)
        assert changed == replace(chip, **{name: replace(there, capacity_bytes=2 * there.capacity_bytes)})
    wide = doubling.TIMED["SRAM bandwidth"](chip)
    assert wide is not None
    assert wide.sram is not None
    assert wide.sram.bandwidth_bytes_per_second == 2 * chip.sram.bandwidth_bytes_per_second


def test_a_program_has_its_machine() -> None:
    with pytest.raises(MachineError) as error:
        tw.what_if(assembled("end"), "dlp-m4")
    assert str(error.value) == "a program must be looked at on its own machine, not on another; leave the machine out"


def test_simulate_prints_it() -> None:
    runner = CliRunner()
    text = runner.invoke(cli, ["simulate", str(EXAMPLES / "pipeline.s"), "--what-if"]).stdout
    assert "busiest: channel, 91.8 % of the time. With the same program, twice the DRAM bandwidth saves most." in text
    record = json.loads(runner.invoke(cli, ["simulate", str(EXAMPLES / "ex7_9.tl"), "--what-if", "--json"]).stdout)
    assert [row["resource"] for row in record["what_if"]] == ["DRAM bandwidth", "MACs"]
    # 33,554,432 MACs take 131,072 cycles; the rest of the 157,696 stays.
    assert record["what_if"][1]["cycles"] == 157_696 - 131_072 // 2
    refused = runner.invoke(cli, ["simulate", str(EXAMPLES / "alexnet.csv"), "--what-if"])
    assert refused.stderr == "tilework: --what-if must go with a program, not with a topology; leave it out\n"
    assert runner.invoke(cli, ["run", "x.tile", "--what-if"]).stderr == (
        "tilework: --what-if must have a network to compile anew, not x.tile; tilework simulate keeps it\n"
    )
