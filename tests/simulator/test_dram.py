"""The DRAM's rows and refreshes: programs whose cycles were worked out by hand from docs/processor.md alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tilework.errors import SimulationError
from tilework.executable import measure
from tilework.isa.program import Layer, Program
from tilework.machine.machine import Machine, Refresh, Rows
from tilework.simulator.cycle import simulate
from tilework.simulator.dram import DramTime
from tilework.simulator.tables import totals
from tilework.simulator.together import together

Build = Callable[..., Program]

# 16 bytes a cycle and a latency of 10; a burst takes a cycle, a row has 4 of them.
ROWS, REFRESH = Rows(size_bytes=64, banks=2, miss_cycles=5), Refresh(interval_cycles=20, duration_cycles=6)
LOAD = "load <16> nram 0x0 {4} = dram 0x0 {4}"


def changed(machine: Machine, rows: Rows | None = ROWS, refresh: Refresh | None = None) -> Machine:
    return replace(machine, dram=replace(machine.dram, burst_bytes=16, rows=rows, refresh=refresh))


@pytest.mark.parametrize(
    ("text", "cycles", "misses", "hits"),
    [
        # Row 0 is opened: 4 + 5 of the channel, 1-20. Then it is open: 4, 20-34.
        (f"{LOAD}\nend", 20, 1, 3),
        (f"{LOAD}\n{LOAD}\nend", 34, 1, 7),
        # Rows 0, 2, 4 and 6, all in bank 0: 4 + 20, 1-35.
        ("load <4> nram 0x0 {4} = dram 0x0 {128}\nend", 35, 4, 0),
        # Rows 0, 1, 2, 3 in banks 0, 1, 0, 1; then rows 0 and 1 in turns, each open in its bank: 4 + 10.
        ("load <4> nram 0x0 {4} = dram 0x0 {64}\nend", 35, 4, 0),
        ("load <2, 2> nram 0x0 {8, 4} = dram 0x0 {0, 64}\nend", 25, 2, 2),
        # A run of 8 bursts from 32 on lies in rows 0, 1 and 2: 8 + 15.
        ("load <32> nram 0x0 {4} = dram 0x20 {4}\nend", 34, 3, 5),
        # A burst counts for the row of its first byte: 60 for row 0.
        ("load <4> nram 0x0 {4} = dram 0x3c {4}\nload <1> nram 0x0 {4} = dram 0x0 {4}\nend", 28, 1, 1),
        # Backwards it is one run too, from 192 on.
        ("load <16> nram 0x0 {4} = dram 0xfc {-4}\nend", 20, 1, 3),
        # Rows 0, 2, 4: the counter is that of the time when control passed. 16 cycles each, 2-50.
        ("loop 3\nload <4> nram 0x0 {4} = dram 0x0+128*i0 {4}\nendloop\nend", 50, 3, 0),
        # A ring of two rows of one bank, 0 and 2: each is gone when it comes back.
        ("loop 4\nload <4> nram 0x0 {4} = dram 0x0+(128*i0) mod 256 {4}\nendloop\nend", 66, 4, 0),
        # A register, as it was when control passed: row 2, then row 0 of the same bank. 3-19, 19-35.
        (
            "scopy r1 = #128\nload <4> nram 0x0 {4} = dram 0x0+r1 {4}\nscopy r1 = #0\n"
            "load <4> nram 0x0 {4} = dram 0x0+r1 {4}\nend",
            34,
            2,
            0,
        ),
        # A store finds what a load has opened: issued in 1, it has the channel from 10 on, 10-24.
        (f"{LOAD}\nstore <16> dram 0x0 {{4}} = nram 0x40 {{4}}\nend", 24, 1, 7),
        # A compressed source is one run of blocks: 2 of 20 bytes from 0x20 on, 3 bursts at 32, 48 and 64.
        ("load <20> wram 0x0 {4} = dram:4 0x20 {4}\nend", 24, 2, 1),
        # Nothing of DRAM.
        ("fill <16> nram 0x0 {4} = #0\nend", 5, 0, 0),
    ],
)
def test_rows_by_hand(program: Build, toy: Machine, text: str, cycles: int, misses: int, hits: int) -> None:
    result = simulate(program(text, changed(toy)))
    assert result.cycles == cycles
    assert result.dram_time == DramTime(hits, misses, 5 * misses, 0)


@pytest.mark.parametrize(
    ("text", "rows", "cycles", "waited", "misses"),
    [
        # 4 of the channel and 10: 1-15, 15-29, 29-43; the fourth begins in the refresh of 40-46: 3 + 4, 43-60; the
        # fifth with that of 60-66: 6 + 4, 60-80.
        (f"{5 * f'{LOAD}|'}end".replace("|", "\n"), None, 80, 9, 0),
        # 24 cycles from 1 on: 19, a refresh, 5: until 31, and 10.
        ("load <96> nram 0x0 {4} = dram 0x0 {4}\nend", None, 41, 6, 0),
        # 19 cycles end as the refresh begins, and so wait for nothing.
        ("load <76> nram 0x0 {4} = dram 0x0 {4}\nend", None, 30, 0, 0),
        # 1 + 9 + 10; the second begins with the refresh 20-26, which has closed row 0: 6 + 4 + 5 + 10.
        (f"{LOAD}\n{LOAD}\nend", ROWS, 45, 6, 2),
        # Rows of a transfer that a refresh holds up are open again behind it: 24 + 6 * 5 = 54 cycles, four refreshes.
        ("load <96> nram 0x0 {4} = dram 0x0 {4}\nend", ROWS, 1 + 54 + 18 + 10, 18, 6),
    ],
)
def test_refreshes_by_hand(
    program: Build, toy: Machine, text: str, rows: Rows | None, cycles: int, waited: int, misses: int
) -> None:
    result = simulate(program(text, changed(toy, rows, REFRESH)))
    assert result.cycles == cycles
    assert result.dram_time is not None
    assert (result.dram_time.refresh_cycles, result.dram_time.row_misses) == (waited, misses)


@pytest.mark.parametrize(
    ("move", "misses", "hits"),
    [
        ("load <4> nram 0x0 {4} = dram 0x0+r1 {4}", 1, 0),
        ("load <4> nram 0x0 {4} = dram 0x0+r1 {64}", 4, 0),
        ("load <16> nram 0x0 {4} = dram 0x0+r1 {4}", 1, 3),
        ("load <4, 20> nram 0x0 {80, 4} = dram 0x0+r1 {0, 4}", 8, 12),
    ],
)
def test_a_run_whose_place_is_unknown_opens_its_rows(
    program: Build, toy: Machine, move: str, misses: int, hits: int
) -> None:
    # Before it row 0 is open, afterwards none: 1 miss and 3 hits more each time.
    result = simulate(program(f"sload r1 = nram 0x0\n{LOAD}\n{move}\n{LOAD}\nend", changed(toy)))
    assert result.dram_time == DramTime(hits + 6, misses + 2, 5 * (misses + 2), 0)


def test_streams_take_each_others_rows(program: Build, cluster: Machine) -> None:
    # A burst of 64 bytes takes 4 cycles, a row is two. Core 0 loads rows 0, 0, core 1 rows 2, 2 of the same bank. The
    # channel: core 0 1-10, core 1 10-19, core 0 20-29 as its latency is over, core 1 29-38, and 10 more.
    lines = (".core 0 0", *2 * ["load <16> nram 0x0 {4} = dram 0x0 {4}"], "end")
    other = (".core 0 1", *2 * ["load <16> nram 0x0 {4} = dram 0x100 {4}"], "end")
    rows = replace(cluster, dram=replace(cluster.dram, rows=Rows(128, 2, 5)))
    result = simulate(program("\n".join((*lines, *other)), rows))
    assert (result.cycles, result.dram_time) == (48, DramTime(0, 4, 20, 0))
    alone = simulate(program("\n".join((*lines, ".core 0 1", "end")), rows))
    assert (alone.cycles, alone.dram_time) == (34, DramTime(1, 1, 5, 0))


def test_a_mover_waits_for_the_longer_of_channel_and_port(program: Build, cluster: Machine) -> None:
    # 256 bytes: 16 of the channel, 8 of the port. Two rows: 26 of the channel, then latencies of 10 and 3.
    text = ".core 0 0\nend\n.mover 0\nload <64> sram 0x0 {4} = dram 0x0 {4}\nend"
    result = simulate(program(text, replace(cluster, dram=replace(cluster.dram, rows=Rows(128, 2, 5)))))
    assert result.cycles == 1 + 26 + 13
    assert (result.busy_cycles["load"], result.busy_cycles["channel"], result.busy_cycles["sram"]) == (39, 26, 8)
    assert result.streams["mover 0"]["load"] == 39


def test_layers_and_instructions_count_what_was_added(program: Build, toy: Machine) -> None:
    column = "load <4> nram 0x0 {4} = dram 0x0 {128}"
    layers = (Layer("first", "x", 0, 2, 0, 0), Layer("second", "x", 2, 4, 0, 0))
    result = simulate(program(f"{LOAD}\nsync\n{column}\nsync\nend", changed(toy), layers=layers))
    assert [layer.busy_cycles["channel"] for layer in result.layers] == [9, 19]  # row 0 is still open for the second
    assert [layer.busy_cycles["load"] for layer in result.layers] == [19, 29]
    assert result.instruction_cycles["load"] == {19: 1, 29: 1}


def test_the_result_says_it_where_it_is_so(program: Build, toy: Machine) -> None:
    ideal, rows = simulate(program(f"{LOAD}\nend")), simulate(program(f"{LOAD}\nend", changed(toy)))
    both, waits = (simulate(program(f"{LOAD}\nend", changed(toy, kind, REFRESH))) for kind in (ROWS, None))
    assert "dram_time" not in ideal.to_dict()
    assert rows.to_dict()["dram_time"] == {"row_hits": 3, "row_misses": 1, "miss_cycles": 5, "refresh_cycles": 0}
    assert [line for line in totals(ideal).splitlines() if line.startswith("DRAM ")] == ["DRAM bytes    64"]
    assert totals(both).splitlines()[-3] == "DRAM rows     1 of 4 bursts open a row, 5 cycles; refresh 0 cycles"
    assert totals(waits).splitlines()[-3] == "DRAM          refresh 0 cycles"
    assert together([rows, ideal, rows]).dram_time == DramTime(6, 2, 10, 0)
    assert together([ideal, ideal]).dram_time is None


def test_loops_are_done_one_by_one(program: Build, toy: Machine) -> None:
    text = f"loop 1000000\n{LOAD}\nendloop\nend"
    assert simulate(program(text, changed(toy, None)), max_instructions=100).cycles > 10**6
    with pytest.raises(SimulationError) as caught:
        simulate(program(text, changed(toy)), max_instructions=100)
    assert str(caught.value) == (
        "a simulation must end within 100 instructions of a stream done one by one, and at instruction 2 "
        "(endloop) it has not; take a machine whose DRAM is ideal, lower the loops' counts or raise max_instructions"
    )


def test_tilings_are_compared_on_the_ideal_dram(program: Build, toy: Machine) -> None:
    text = f"loop 1000000000\n{LOAD}\nendloop\nend"
    assert measure(program(text, changed(toy))) == measure(program(text, changed(toy, None)))
