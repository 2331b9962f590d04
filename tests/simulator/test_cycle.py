"""Small programs whose cycles are worked by hand, what `simulate` reports about them, and programs that stand still."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter

import pytest

from tilework.errors import ProgramError, SimulationError
from tilework.isa.program import Layer, Program
from tilework.machine.machine import Machine
from tilework.simulator.cycle import simulate

Build = Callable[..., Program]

# The toy: 16 bytes a cycle, latency 10, lanes 8, pipeline 3, depth 4. LOAD and STORE: 64 bytes, 10 + 4 = 14 cycles.
LOAD = "load <16> nram 0x0 {4} = dram 0x0 {4}"
STORE = "store <16> dram 0x40 {4} = nram 0x0 {4}"
FILL = "fill <16> nram 0x0 {4} = #0"  # 4 cycles, without the channel
VECTOR = "vmax <16> nram 0x0 {4} = nram 0x0 {4}, #0"  # 5 cycles

WORKED = {
    "nothing": ("end", 0),
    # issued in 0, starts in 1
    "one load": (f"{LOAD}\nend", 15),
    # one unit: 1-15, 15-29
    "two loads": (f"{LOAD}\n{LOAD}\nend", 29),
    # load 1-15, its channel 1-5; store issued in 1, waits for the channel until 5: 5-19
    "the channel is shared": (f"{LOAD}\n{STORE}\nend", 19),
    # store 1-15, channel until 5; load issued in 1, starts in 5: 5-19
    "the channel is shared the other way": (f"{STORE}\n{LOAD}\nend", 19),
    # fill 1-5; the load behind it 5-19; the store issued in 2 has the channel at once: 3-17, channel until 7; load 7-21
    "a fill leaves the channel alone": (f"{FILL}\n{LOAD}\n{STORE}\nend", 21),
    # load 1-15; vector issued in 1: 2-7; both at once
    "units overlap": (f"{LOAD}\n{VECTOR}\nend", 15),
    # load 1-15; sync passes in 15 and takes a cycle; vector issued in 16: 17-22
    "sync orders them": (f"{LOAD}\nsync\n{VECTOR}\nend", 22),
    # load 1-15; the post in 15, the wait in the same cycle, and vector 15-20
    "a token orders them": (f"{LOAD}\npost load 0\nwait vector 0\n{VECTOR}\nend", 20),
    # loop in 0, vector issued in 1, 2, 3, endloop free: 2-7, 7-12, 12-17
    "a loop": (f"loop 3\n{VECTOR}\nendloop\nend", 17),
    # loop in 0, 1 and 3, vector issued in 2, 4: 3-8, 8-13
    "nested loops": (f"loop 2\nloop 1\n{VECTOR}\nendloop\nendloop\nend", 13),
    # eight vectors back to back from 1 on; issue never holds them up: 1 + 8*5
    "a queue": ("\n".join([VECTOR] * 8) + "\nend", 41),
    # vectors issued in 0-4: 1-6, then the queue (4 places) is full until 6, 11, … The load is issued after the eighth
    # vector: the fifth is issued in 4, the sixth in 6, the seventh in 11, the eighth in 16; load in 17, 18-32.
    "a full queue stalls control": ("\n".join([VECTOR] * 8) + f"\n{LOAD}\nend", 41),
    "a full queue stalls control, and the load behind": ("\n".join([VECTOR] * 12) + f"\n{LOAD}\nend", 61),
    # the twelfth is issued in 36, the loads in 37 and 38: 38-52, 52-66
    "a full queue stalls control, and the loads behind": ("\n".join([VECTOR] * 12) + f"\n{LOAD}\n{LOAD}\nend", 66),
    # vector 2-7 (issued in 1), post in 7; the wait at the load queue's head held the load up until 7: 7-21
    "a wait holds up what is behind it": (f"wait load 0\n{VECTOR}\npost vector 0\n{LOAD}\nend", 21),
    # tokens count: both posts by cycle 2; wait issued in 2 and 3, taken in 3 and 4; vector issued in 4: 5-10
    "tokens count": (f"post load 0\npost load 0\nwait vector 0\nwait vector 0\n{VECTOR}\nend", 10),
    # posts issued in 1-5 and taken by 6; the second loop in 6, its first vector issued in 8: 9-14, and so on: 9 + 5*5
    "tokens add up over a loop": (
        f"loop 5\npost load 0\nendloop\nloop 5\nwait vector 0\n{VECTOR}\nendloop\nend",
        34,
    ),
    # both waits stand from cycle 2 on; the post is issued in 4 and taken in 5 by matrix; vector is visited next, before
    # load: 5-10; its post in 10 lets load's wait pass: 10-24
    "the first to be visited gets the token": (
        f"wait vector 0\nwait load 0\n{VECTOR}\n{LOAD}\npost matrix 0\npost vector 0\nend",
        24,
    ),
}


@pytest.mark.parametrize(("text", "cycles"), WORKED.values(), ids=WORKED.keys())
@pytest.mark.parametrize("fold", [False, True], ids=["plain", "fold"])
def test_a_program_worked_by_hand(program: Build, text: str, cycles: int, fold: bool) -> None:
    assert simulate(program(text), fold=fold).cycles == cycles


def test_folding_goes_on_after_many_states_that_do_not_come_back(program: Build) -> None:
    # As many tokens as iterations; an instruction a cycle from 0 on: the first load is issued in 80,003.
    counted = "loop 40000\npost load 0\nendloop\nloop 40000\nwait load 0\nendloop"
    built = program(f"{counted}\nloop 1000000000\n{LOAD}\nendloop\nend")
    assert simulate(built).cycles == 80_004 + 14 * 10**9


def test_folding_tells_a_busy_unit_from_a_busy_channel(program: Build, toy: Machine) -> None:
    # While the fill keeps the load unit busy, 1-9, three stores of a cycle each have the channel. From 9 on it never
    # rests: nine loads of 4 cycles and six stores, 9 + 36 + 6.
    machine = replace(toy, dram=replace(toy.dram, latency_cycles=0), control=replace(toy.control, queue_depth=2))
    text = f"""
        fill <32> nram 0x0 {{4}} = #0
        loop 9
          store <4> dram 0x40 {{4}} = nram 0x0 {{4}}
          {LOAD}
        endloop
        end"""
    built = program(text, machine=machine)
    assert simulate(built).cycles == simulate(built, fold=False).cycles == 51


def test_the_result_says_what_every_unit_did(program: Build) -> None:
    # loop 0; load issued in 1 and 3, store in 2 and 4: load 2-16, store 6-20 (channel until 6), load 16-30, store 20-34
    built = program(f"loop 2\n{LOAD}\n{STORE}\nendloop\nsync\nend")
    result = simulate(built)
    assert (result.cycles, result.seconds) == (35, 35e-9)
    assert result.busy_cycles == {"load": 28, "store": 28, "matrix": 0, "vector": 0, "control": 6, "channel": 16}
    assert result.units["load"] == 28 / 35
    assert (result.instructions, result.dram_bytes, result.macs, result.utilisation) == (9, 256, 0, 0.0)
    assert result.instruction_counts == {"loop": 1, "load": 2, "store": 2, "endloop": 2, "sync": 1, "end": 1}
    # 256 DRAM bytes at 100 J, 128 NRAM bytes written and 128 read at 2 J
    energy = {"dram": 25600.0, "nram": 512.0, "wram": 0.0, "sram": 0.0, "matrix": 0.0, "vector": 0.0}
    assert result.energy == energy
    assert result.energy_joules == 26112.0


def test_layers_follow_each_other(program: Build) -> None:
    # the load 1-15, sync passes in 15; the contract issued in 16: 17-23 (16 products a cycle, 4 cycles, pipeline 2)
    contract = "contract <4, 4, 4> nram 0x0 {16, 4, 0} = nram 0x40 {16, 0, 4} * wram 0x0 {0, 16, 4}"
    layers = (Layer("a", "copy", 0, 2, 0, 64), Layer("b", "linear", 2, 4, 64, 32), Layer("c", "alias", 4, 4, 0, 0))
    result = simulate(program(f"{LOAD}\nsync\n{contract}\nsync\nend", layers=layers))
    a, b, c = result.layers
    assert (a.start, a.end, a.cycles, a.dram_bytes, a.bound_cycles) == (0, 16, 16, 64, 4.0)
    assert (b.start, b.end, b.cycles, b.macs, b.bound_cycles) == (16, 24, 8, 64, 4.0)
    assert (c.start, c.end, c.cycles, c.bound_cycles) == (24, 24, 0, 0.0)
    assert (a.busy_cycles["load"], b.busy_cycles["matrix"], b.busy_cycles["load"]) == (14, 6, 0)
    assert (result.cycles, result.bound_cycles, result.bound_seconds) == (24, 8.0, 8e-9)
    assert result.utilisation == 64 / (16 * 24)


def test_a_layer_must_not_begin_or_end_in_a_loop(program: Build) -> None:
    with pytest.raises(SimulationError) as caught:
        simulate(program(f"loop 2\n{LOAD}\nendloop\nend", layers=(Layer("a", "copy", 0, 2, 0, 0),)))
    assert str(caught.value) == "the layer 'a' must begin and end outside of loops; move its borders"


def test_the_result_is_one_json_document(program: Build) -> None:
    result = simulate(program(f"{LOAD}\nsync\nend", layers=(Layer("a", "copy", 0, 2, 0, 64),)))
    record = json.loads(json.dumps(result.to_dict()))
    assert (record["cycles"], record["seconds"], record["units"]["load"]) == (16, 16e-9, 14 / 16)
    assert record["layers"][0]["name"] == "a"
    assert record["energy_joules"] == sum(record["energy"].values())


def test_energy_of_layers_adds_up_to_the_whole(program: Build) -> None:
    text = f"{LOAD}\nsync\nloop 7\n{VECTOR}\n{STORE}\nendloop\nsync\nend"
    whole = simulate(program(text))
    alone = [simulate(program(f"{part}\nend")) for part in text.removesuffix("\nend").split("\nsync\n")]
    assert whole.energy == {name: sum(part.energy[name] for part in alone) for name in whole.energy}


DEADLOCKS = {
    f"wait load 7\n{LOAD}\nend": (
        "every wait must get its post, but from cycle 2 on load waits for token 7 at instruction 0 and control waits "
        "at instruction 2 (end); post it or drop the wait"
    ),
    f"{LOAD}\nwait vector 3\n{VECTOR}\nwait store 200\nsync\npost load 3\nend": (
        "every wait must get its post, but from cycle 15 on store waits for token 200 at instruction 3 and vector "
        "waits for token 3 at instruction 1 and control waits at instruction 4 (sync); post it or drop the wait"
    ),
    "wait load 0\nloop 9\nfill <1> nram 0x0 {4} = #0\nendloop\npost vector 0\nend": (
        "every wait must get its post, but from cycle 5 on load waits for token 0 at instruction 0 and control waits "
        "at instruction 2 (fill); post it or drop the wait"
    ),
}


@pytest.mark.parametrize(("text", "sentence"), DEADLOCKS.items())
def test_a_program_that_stands_still_says_who_waits_for_what(program: Build, text: str, sentence: str) -> None:
    with pytest.raises(SimulationError) as caught:
        simulate(program(text))
    assert str(caught.value) == sentence


def test_a_malformed_program_is_refused(program: Build) -> None:
    built = program("end")
    with pytest.raises(ProgramError):
        simulate(replace(built, instructions=(*built.instructions, *built.instructions)))


def test_a_simulation_one_by_one_has_a_limit(program: Build) -> None:
    built = program(f"loop 1000\n{VECTOR}\nendloop\nend")  # 2002 instructions
    assert simulate(built, max_instructions=40).cycles == 2 + 5 * 1000
    assert simulate(built, fold=False, max_instructions=2002).cycles == 2 + 5 * 1000
    with pytest.raises(SimulationError) as caught:
        simulate(built, fold=False, max_instructions=2001)
    assert str(caught.value) == (
        "a simulation must end within 2001 instructions of a stream done one by one, and at instruction 3 (end) it has "
        "not; simulate with folding, lower the loops' counts or raise max_instructions"
    )


def test_loops_of_any_length_take_no_longer(program: Build, toy: Machine) -> None:
    deep = "loop 4000000000\n" * 6 + VECTOR + "\nendloop" * 6 + "\nend"
    began = perf_counter()
    result = simulate(program(deep))
    assert perf_counter() - began < 1
    assert result.cycles == 5 * 4_000_000_000**6 + 7  # five further loops to enter, and 1 cycle from issue to start
