"""Conflicts out of order are found when a token is missing, and none when all are there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.isa.program import Program
from tilework.machine.machine import Machine
from tilework.simulator.hazards import find_hazards, find_races
from tilework.simulator.touches import Touch, shared

Build = Callable[..., Program]

PIPELINE = """
    post vector 1
    post vector 1
    post store 3
    loop 9
      wait load 1
      load <16> nram 0x0+(64*i0) mod 128 {4} = dram 0x0+64*i0 {4}
      post load 0
      wait vector 0
      wait vector 3
      vexp <16> nram 0x80 {4} = nram 0x0+(64*i0) mod 128 {4}
      post vector 1
      post vector 2
      wait store 2
      store <16> dram 0x400+64*i0 {4} = nram 0x80 {4}
      post store 3
    endloop
    wait load 1
    wait load 1
    wait vector 3
    end"""


def without(token: int) -> str:
    return "\n".join(line for line in PIPELINE.splitlines() if not line.endswith(f" {token}") or "loop" in line)


def test_a_pipeline_with_all_its_tokens_has_none(program: Build, toy: Machine) -> None:
    for latency in (0, 1, 10, 100):
        machine = replace(toy, dram=replace(toy.dram, latency_cycles=latency))
        assert find_hazards(program(PIPELINE, machine=machine)) == []
    assert find_races(program(PIPELINE)) == []


@pytest.mark.parametrize(("token", "pair"), [(0, ("load", "vexp")), (2, ("vexp", "store")), (3, ("store", "vexp"))])
def test_a_token_that_is_missing_is_found(program: Build, token: int, pair: tuple[str, str]) -> None:
    built = program(without(token))
    hazards = find_hazards(built)
    assert pair in {(h.first.mnemonic, h.second.mnemonic) for h in hazards}
    races = {(h.first.pc, h.second.pc, h.memory) for h in find_races(built)}
    assert {(h.first.pc, h.second.pc, h.memory) for h in hazards} <= races


def test_a_race_is_found_where_this_machine_happens_to_be_in_order(program: Build, toy: Machine) -> None:
    # without token 1 a load may overwrite what the vector unit still reads, if loads are quick and queues deep
    slow = replace(toy, control=replace(toy.control, queue_depth=16), dram=replace(toy.dram, latency_cycles=100))
    quick = replace(slow, dram=replace(toy.dram, latency_cycles=0))
    built = program(without(1), machine=slow)
    assert find_hazards(built) == []
    assert [str(hazard) for hazard in find_races(built)] == [
        "instruction 6 (vexp in vector) must end before instruction 2 (load in load) begins, "
        "for they share bytes 0 to 64 of NRAM; order them with a token"
    ]
    assert find_hazards(replace(built, machine=quick)) != []
    # queues of four places hold the load up: five entries of the vector queue follow before it is issued
    assert find_races(replace(built, machine=toy)) == []


def test_an_order_turned_round_is_found_though_nothing_overlaps(program: Build) -> None:
    # the load waits behind another one until 15, the vmax has read the tile by then: 3-8
    text = """
        load <16> nram 0x100 {4} = dram 0x0 {4}
        load <16> nram 0x0 {4} = dram 0x0 {4}
        vmax <16> nram 0x40 {4} = nram 0x0 {4}, #0
        end"""
    assert [str(hazard) for hazard in find_hazards(program(text))] == [
        "instruction 1 (load in load, cycles 15 to 29) must end before instruction 2 (vmax in vector, cycles 3 to 8) "
        "begins, for they share bytes 0 to 64 of NRAM; order them with a token"
    ]


def test_reading_the_same_bytes_is_no_conflict(program: Build) -> None:
    text = """
        store <16> dram 0x0 {4} = nram 0x0 {4}
        vmax <16> nram 0x40 {4} = nram 0x0 {4}, #0
        end"""
    assert find_hazards(program(text)) == find_races(program(text)) == []


def test_a_store_and_a_load_conflict_in_dram(program: Build) -> None:
    text = """
        store <16> dram 0x0 {4} = nram 0x0 {4}
        load <16> nram 0x40 {4} = dram 0x3c {4}
        end"""
    (hazard,) = find_hazards(program(text))
    assert (hazard.memory, hazard.low, hazard.high) == ("dram", 60, 64)
    assert find_races(program(text.replace("load", "sync\nload"))) == []


def test_a_full_queue_orders_too(program: Build, toy: Machine) -> None:
    # with one place, the second fill is issued only when the first, which the store reads, is at work; the load's
    # queue can't take the third before the first has ended
    text = """
        fill <16> nram 0x0 {4} = #0
        fill <16> nram 0x40 {4} = #0
        fill <16> nram 0x80 {4} = #0
        store <16> dram 0x0 {4} = nram 0x0 {4}
        end"""
    shallow = replace(toy, control=replace(toy.control, queue_depth=1))
    assert find_races(program(text, machine=shallow)) == []
    assert len(find_races(program(text))) == 1


def test_a_token_that_two_other_units_post_orders_nothing(program: Build) -> None:
    text = """
        fill <16> nram 0x0 {4} = #0
        post load 0
        post matrix 0
        wait store 0
        store <16> dram 0x0 {4} = nram 0x0 {4}
        wait store 0
        end"""
    assert [hazard.memory for hazard in find_races(program(text))] == ["nram"]
    assert find_races(program(text.replace("post matrix 0", "post load 0"))) == []


def test_what_the_waiting_unit_posts_lets_as_many_waits_pass(program: Build) -> None:
    text = """
        post store 0
        fill <16> nram 0x0 {4} = #0
        post load 0
        wait store 0
        wait store 0
        store <16> dram 0x0 {4} = nram 0x0 {4}
        end"""
    assert find_races(program(text)) == []
    assert len(find_races(program(text.replace("wait store 0\n", "", 1)))) == 1


def test_a_token_may_have_other_users_after_a_sync(program: Build) -> None:
    text = """
        fill <16> nram 0x0 {4} = #0
        post load 0
        wait vector 0
        vmax <16> nram 0x0 {4} = nram 0x0 {4}, #0
        sync
        vmax <16> nram 0x0 {4} = nram 0x0 {4}, #0
        post vector 0
        wait store 0
        store <16> dram 0x0 {4} = nram 0x0 {4}
        end"""
    assert find_races(program(text)) == []
    # where two units wait for it, it orders neither; that doesn't matter after the sync
    (race,) = find_races(program(text.replace("sync", "post load 0\nwait matrix 0\nsync")))
    assert (race.first.mnemonic, race.second.mnemonic) == ("fill", "vmax")
    # a post that is left over lets the wait after the sync pass too early
    assert len(find_races(program(text.replace("sync", "post load 0\nsync")))) == 1


CORES = """
    .core 0 0
      store <16> dram 0x100 {4} = nram 0x0 {4}
      barrier chip
      end
    .core 0 1
      %s
      load <16> nram 0x0 {4} = dram 0x120 {4}
      end
"""


def test_what_two_streams_share_needs_a_barrier(program: Build) -> None:
    (race,) = find_races(program(CORES % ""))
    assert str(race) == (
        "line 3 (store in store) and line 8 (load in load) must have a barrier between them, for they share bytes 288 "
        "to 320 of DRAM; add it"
    )
    assert find_races(program(CORES % "barrier chip")) == []


def test_streams_that_were_not_at_work_at_the_same_time_ran_without_a_hazard(program: Build) -> None:
    # the store 1-15; the load behind a fill of 512 bytes that takes 26 cycles
    ended = program((CORES % "fill <128> nram 0x0 {4} = #0").replace("barrier chip", ""))
    assert find_hazards(ended) == []
    assert [hazard.memory for hazard in find_races(ended)] == ["dram"]
    (hazard,) = find_hazards(program((CORES % "").replace("barrier chip", "")))
    assert str(hazard).startswith(
        "line 3 (store in store, cycles 1 to 15) and line 8 (load in load, cycles 5 to 19) must"
    )


def test_a_barrier_of_another_cluster_orders_nothing(program: Build, cluster: Machine) -> None:
    text = """
        .core 0 0
        store <16> dram 0x0 {4} = nram 0x0 {4}
        barrier cluster
        end
        .core 1 0
        barrier cluster
        load <16> nram 0x0 {4} = dram 0x0 {4}
        end"""
    two = replace(cluster, clusters=2)
    assert len(find_races(program(text, machine=two))) == 1
    assert find_races(program(text.replace("barrier cluster", "barrier chip"), machine=two)) == []


def test_a_cast_writes_in_every_core(program: Build) -> None:
    text = """
        .core 0 0
        end
        .core 0 1
        contract <4> nram 0x0 {0} = nram 0x40 {4} * wram 0x0 {4}
        end
        .mover 0
        cast <16> wram 0x0 {4} = sram 0x0 {4}
        end"""
    (race,) = find_races(program(text))
    assert (race.first.mnemonic, race.second.mnemonic, race.memory, race.low, race.high) == (
        *("contract", "cast", "wram"),
        *(0, 16),
    )


def test_the_memories_of_two_cores_are_two(program: Build) -> None:
    text = ".core 0 0\nfill <16> nram 0x0 {4} = #0\nend\n.core 0 1\nfill <16> nram 0x0 {4} = #0\nend"
    assert find_races(program(text)) == []


def test_rows_that_interleave_share_nothing(program: Build) -> None:
    # each core stores one half of the columns of four rows
    rows = "store <4, 8> dram {base} {{64, 4}} = nram 0x0 {{32, 4}}\nend"
    text = f".core 0 0\n{rows.format(base='0x0')}\n.core 0 1\n{rows.format(base='0x20')}"
    assert find_races(program(text)) == []
    (race,) = find_races(program(text.replace("0x20", "0x1c")))
    assert (race.low, race.high) == (28, 32)


REGISTERS = """
    scopy r1 = #{first}
    again:
    store <16> dram {written} {{4}} = nram 0x0 {{4}}
    load <16> nram 0x40 {{4}} = dram {read} {{4}}
    ssub r1 = r1, #64
    {end}
    end"""


def test_registers_move_what_is_touched(program: Build) -> None:
    apart = {"first": 64, "written": "0x0+r1", "read": "0x0", "end": "jumpif r1, again"}
    assert find_races(program(REGISTERS.format(**apart))) == []
    # the store to [128, 192) and the load behind it; that load and the next store, to [64, 128)
    races = find_races(program(REGISTERS.format(**apart | {"first": 128, "read": "0x50"})))
    assert [(race.low, race.high) for race in races] == [(128, 144), (80, 128)]


def test_where_a_register_holds_data_it_may_touch_anything(program: Build) -> None:
    loaded = {"first": 64, "written": "0x0+r2", "read": "0x100", "end": ""}
    (race,) = find_races(program(REGISTERS.format(**loaded).replace("again:", "sload r2 = nram 0x0")))
    assert (race.memory, race.low, race.high) == ("dram", 256, 320)


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(-12, 12)), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(1, 4), st.integers(-12, 12)), min_size=1, max_size=3),
    st.integers(-40, 40),
    st.sampled_from([1, 2, 4]),
)
def test_shared_bytes_are_those_of_both(
    one: list[tuple[int, int]], two: list[tuple[int, int]], distance: int, size: int
) -> None:
    def touched(loops: list[tuple[int, int]], address: int) -> set[int]:
        starts = [
            address + sum(j * s for j, (_, s) in zip(js, loops, strict=True))
            for js in product(*[range(n) for n, _ in loops])
        ]
        return {start + byte for start in starts for byte in range(size)}

    def touch(loops: list[tuple[int, int]], address: int) -> Touch:
        places = touched(loops, address)
        shape = (size, tuple((s, n) for n, s in loops if s and n > 1))
        return Touch("dram", min(places), max(places) + 1, True, address, shape)

    common = touched(one, 100) & touched(two, 100 + distance)
    found = shared(touch(one, 100), touch(two, 100 + distance))
    assert (found is not None) == bool(common)
    if found:
        assert set(range(*found)) <= common
        assert found[0] == min(common)
