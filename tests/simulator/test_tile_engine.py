"""Several processors in the tile language: who waits for whom, what fits and what many rounds take, by hand."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter

import pytest

from tilework.errors import SimulationError
from tilework.isa.tile_language import parse_tiles
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.simulator.tile_time import TileTime, simulate_tiles

DLP_M4 = load_machine("dlp-m4")  # 128 bytes a cycle off chip, 1000 to each core from SRAM, 256 MACs a cycle


def time(text: str, machine: Machine = DLP_M4) -> TileTime:
    """The program's time, which is the same folded and plain."""
    program = parse_tiles(text)
    folded = simulate_tiles(program, machine)
    assert folded == simulate_tiles(program, machine, fold=False)
    return folded


# By hand.


@pytest.mark.parametrize(
    ("text", "cycles"),
    [
        ("cores\ncompute fp32 512", 2),  # each its own
        ("cores\nmove dram nram 1280", 40),  # one channel for all
        ("cores\nmove sram nram 2000", 2),  # a port for each
        ("mover\nmove dram sram 1280\nmove sram dram 640", 15),
        ("mover\ncast sram nram 2000\ncast sram wram 1000", 3),
        ("mover\ncast sram nram 2000\nmove dram sram 1280", 10),  # the cast needs no channel
        ("mover\nmove dram sram 1280\nsync\ncast sram nram 2000\nbarrier\ncores\nbarrier\ncompute fp32 512", 14),
        ("core 0\nmove dram nram 1280\nsync\ncompute fp32 256\n"
         "core 1\nmove dram nram 1280\nsync\ncompute fp32 256", 21),
        # Core 1's move comes second, and is served before the mover's, which comes at the same time.
        ("core 0\nmove dram nram 128\ncore 1\nmove dram nram 128\nsync\ncompute fp32 2\nmover\nmove dram sram 640", 7),
        # The cast comes at 1 and waits for core 0's port until 3; core 1's move comes at 2 and waits for the cast.
        ("core 0\nmove sram nram 3000\ncore 1\ncompute fp32 512\nsync\nmove sram nram 1000\nmover\n"
         "move dram sram 128\nsync\ncast sram wram 1000", 5),
        ("core 0\nbarrier\ncompute fp32 256\ncore 1\ncompute fp32 2560\nbarrier", 11),
    ],
)  # fmt: skip
def test_who_waits_for_whom(text: str, cycles: int) -> None:
    assert time(text).cycles == cycles


def test_in_a_tie_they_take_turns() -> None:
    first = "core 0\ncompute fp32 2560\nsync\ncompute fp32 2560\nsync\nmove dram nram 1280\n"
    second = "core 1\ncompute fp32 5120\nsync\nmove dram nram 12800\nsync\ncompute fp32 12800\n"
    # At 20 both go on. Core 0 was the last to issue something, at 10, so core 1 is first now.
    assert time(first + second).cycles == 20 + 100 + 50
    # Here core 1 was, at 19: core 0 is first.
    assert time(first + second.replace("5120", "4864\nsync\ncompute fp32 256")).cycles == 20 + 10 + 100 + 50


def test_a_mover_is_as_fast_as_the_slower_side() -> None:
    assert DLP_M4.sram is not None
    slow = replace(DLP_M4, sram=replace(DLP_M4.sram, bandwidth_bytes_per_second=64e9))
    cost = time("mover\nmove dram sram 1280", slow)
    assert cost.cycles == 20
    assert cost.bound_cycles == 10


def test_clusters_have_their_own_ports_and_barriers_and_one_channel() -> None:
    two = replace(DLP_M4, clusters=2)
    assert time("mover\ncast sram nram 1000\ncores\nmove sram nram 1000", two).cycles == 2
    assert time("mover\nmove dram sram 1280", two).cycles == 20
    cost = time("core 0\nbarrier\ncompute fp32 256\ncore 1.0\ncompute fp32 2560\nbarrier", two)
    assert cost.cycles == 10
    assert list(cost.units) == ["channel", "core 0 compute", "core 1.0 compute"]


def test_shares_and_bound() -> None:
    cost = time("mover\nmove dram sram 1280\nsync\ncast sram nram 2000\nbarrier\ncores\nbarrier\ncompute fp32 2048")
    assert cost.cycles == 10 + 2 + 8
    assert cost.bound_cycles == 10  # 4 * 2048 MACs on 4 * 256 take 8
    assert (cost.macs, cost.bytes_in, cost.bytes_out) == (8192, 1280, 0)
    wanted = {"channel": 0.5, "mover 0 cast": 0.1}
    wanted |= {f"core {i} {unit}": share for i in range(4) for unit, share in (("compute", 0.4), ("sram", 0.1))}
    assert cost.units == wanted
    assert time("cores\ncompute fp32 256\ncompute fp16 512\ncompute int8 1024").bound_cycles == 3


FIT = "line {}: what is moved into {} between two syncs must fit into its {} bytes, not come to {} as with this move; "
FIT += "move less, or put a sync before it"


@pytest.mark.parametrize(
    ("text", "line", "memory", "there", "wanted"),
    [
        ("mover\nmove dram sram 2MB\nmove dram sram 1", 3, "sram", "2,097,152", "2,097,153"),
        # All go on at 0, the cores before the mover: 1 MB and 3 * 64 KB are in when its second 1 MB comes.
        ("mover\nmove dram sram 512KB\nmove dram sram 1MB\ncore 0\nmove nram sram 1MB\ncore 1\n"
         "loop 3\nmove nram sram 64KB\nendloop", 3, "sram", "2,097,152", "2,818,048"),
        ("cores\nmove dram nram 100KB\nmover\ncast sram nram 20KB\ncast sram nram 8KB\ncast sram nram 1",
         6, "nram", "131,072", "131,073"),
        ("mover\ncast sram wram 200KB\ncast sram wram 60KB", 3, "wram", "262,144", "266,240"),
        ("loop 9\nmove dram wram 30KB\nmove dram nram 30KB\nendloop", 3, "nram", "131,072", "153,600"),
    ],
)  # fmt: skip
def test_what_does_not_fit(text: str, line: int, memory: str, there: str, wanted: str) -> None:
    for fold in (True, False):
        with pytest.raises(SimulationError) as caught:
            simulate_tiles(parse_tiles(text), DLP_M4, fold=fold)
        assert str(caught.value) == FIT.format(line, memory, there, wanted)


def test_what_has_been_waited_for_counts_no_longer() -> None:
    mover = "mover\nmove dram sram 2MB\nsync\nmove dram sram 2MB\nbarrier\n"
    assert time(f"{mover}cores\nbarrier\nmove nram sram 512KB").bytes_in == 4 << 20
    with pytest.raises(SimulationError, match=r"^line 2: what is moved into sram .* not come to 2,097,153 as"):
        time(f"{mover}core 1\nmove nram sram 1\nbarrier")  # long before the mover's first sync


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "core 0\nbarrier\nbarrier\nmover\nbarrier",
            "line 3: barriers must be as many for all processors of a cluster, not 2 for core 0, which waits here for "
            "ever, and 1 for mover 0 (line 4); let each come to a barrier as often",
        ),
        (
            "core 0\nsync\nmover\nloop 1000000000\nsync\nbarrier\nendloop",
            "line 6: barriers must be as many for all processors of a cluster, not 1,000,000,000 for mover 0, which "
            "waits here for ever, and 0 for core 0 (line 1); let each come to a barrier as often",
        ),
        (
            "cores\nsync\ncore 3\nsync",
            "line 3: a processor must have one section, not a second for core 3 beside that of line 1; join them",
        ),
        (
            "sync\ncores\nsync",
            "line 2: a processor must have one section, not a second for core 0 beside the lines above all sections; "
            "join them",
        ),
        (
            "core 4\nsync",
            "line 1: on dlp-m4 a cluster must be below 1 and a core below 4, not core 4; numbers begin at 0, so name "
            "another, or take another machine",
        ),
    ],
)
def test_mistakes(text: str, sentence: str) -> None:
    with pytest.raises(SimulationError) as caught:
        simulate_tiles(parse_tiles(text), DLP_M4)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("text", ["mover\nsync", "mover 0\nmove dram sram 4", "cores\nmove sram nram 4"])
def test_sram_must_be_there(text: str) -> None:
    with pytest.raises(SimulationError) as caught:
        simulate_tiles(parse_tiles(text), load_machine("dlp-s"))
    line = 2 if text.startswith("cores") else 1
    assert str(caught.value) == (
        f"line {line}: what uses sram must run on a machine that has one, not on dlp-s; take another machine, or move "
        "from and to dram"
    )


# Many rounds.


def test_many_rounds_take_no_time() -> None:
    began = perf_counter()
    mover = "mover\nloop 1000000000\nmove dram sram 1280\nbarrier\nendloop\n"
    cores = "cores\nloop 1000000\nloop 1000\nmove sram nram 500\ncompute fp32 512\nbarrier\nendloop\nendloop"
    assert simulate_tiles(parse_tiles(mover + cores), DLP_M4).cycles == 10 * 10**9
    alone = "core 0\nloop 1000000000\nmove dram nram 1280\nsync\ncompute fp32 {}\nsync\nendloop\n"
    # 13 cycles a round for core 0, 17 for core 1, whose moves of 10 sometimes meet.
    both = simulate_tiles(parse_tiles(alone.format(768) + alone.replace("core 0", "core 1").format(1792)), DLP_M4)
    assert both.cycles >= 20 * 10**9
    assert perf_counter() - began < 5


def test_too_many_rounds() -> None:
    text = "core 0\nloop 1000\nloop 1000\ncompute fp32 256\nsync\nendloop\nsync\nendloop"
    with pytest.raises(SimulationError) as caught:
        simulate_tiles(parse_tiles(text), DLP_M4, fold=False, max_rounds=1000)
    assert str(caught.value) == (
        "the loops of a program must repeat themselves within 1,000 rounds, not go on; write fewer rounds, or barriers "
        "that let the processors go in step"
    )
    assert simulate_tiles(parse_tiles(text), DLP_M4, max_rounds=20).cycles == 10**6
