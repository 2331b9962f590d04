"""Several streams on one chip: what they share, where they meet, what they report, and how they get stuck."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter

import numpy as np
import pytest

from tilework.errors import ProgramError, SimulationError
from tilework.isa.program import Layer, Port, Program
from tilework.machine.machine import Machine
from tilework.simulator.cycle import simulate
from tilework.simulator.tables import everything, streams, totals
from tilework.simulator.timeline import events

Build = Callable[..., Program]

# The cluster: 16 bytes a cycle and latency 10 from DRAM, 32 and 3 from SRAM, which has two ports. 64 bytes each.
LOAD = "load <16> nram 0x0 {4} = dram 0x0 {4}"  # 14 cycles, 4 of the channel
STORE = "store <16> dram 0x40 {4} = nram 0x0 {4}"
NEAR = "load <32> nram 0x0 {4} = sram 0x0 {4}"  # 128 bytes: 7 cycles, a port for 4
VECTOR = "vmax <16> nram 0x0 {4} = nram 0x0 {4}, #0"  # 5 cycles


def sections(*codes: str, mover: str = "") -> str:
    """The text of cores 0, 1, … of a cluster and perhaps of its mover."""
    parts = [f".core 0 {number}\n{code}" for number, code in enumerate(codes)]
    return "\n".join([*parts, *([f".mover 0\n{mover}"] if mover else [])])


WORKED = {
    "cores without anything in common": (sections(f"{VECTOR}\nend", f"{VECTOR}\n{VECTOR}\nend"), 11),
    # the channel 1-5, 5-9, 9-13; the third load finishes in 9 + 14
    "one channel": (sections(*[f"{LOAD}\nend"] * 3), 23),
    # core 0 0 in 1; then it is the turn of core 0 1: its load in 5; its store would be next, but core 0 0 has its turn
    # in 9 with its store, core 0 1 with its own in 13: 27
    "turns": (sections(*[f"{LOAD}\n{STORE}\nend"] * 2), 27),
    # two ports: 1-5 twice, the third in 5: 12
    "two ports": (sections(*[f"{NEAR}\nend"] * 3), 12),
    # the port and the channel at the same time: the mover's load waits for the channel until 5 and then takes both,
    # 5-22; core 0 1's load of SRAM finds a port in 1 and the other free
    "both at once": (sections(f"{LOAD}\nend", f"{NEAR}\nend", mover="load <16> sram 0x0 {4} = dram 0x0 {4}\nend"), 22),
    # the load finishes in 15, there both pass; vector issued in 16: 17-22
    "a barrier": (sections(f"{LOAD}\nbarrier chip\nend", f"barrier chip\n{VECTOR}\nend"), 22),
    # endloop takes no time: all arrive in 1, 2, 3, and pass in the same cycle
    "barriers in a loop": (sections(*["loop 3\nbarrier cluster\nendloop\nend"] * 3), 4),
    # scopy 0, twice vector, ssub and jumpif: issued in 1 and 4, and busy 2-7 and 7-12
    "a loop of jumps": (f"scopy r1 = #2\nagain:\n{VECTOR}\nssub r1 = r1, #1\njumpif r1, again\nend", 12),
    # jump 0, vector issued in 1
    "what is jumped over takes no time": (f"jump on\n{LOAD}\non:\n{VECTOR}\nend", 7),
    # sload waits until 7 and takes a cycle, rank one: vector issued in 9
    "sload waits for the units": (
        f"loop 1\n{VECTOR}\nendloop\nsload r1 = nram 0x0\nsadd r1 = r1, #1\n{VECTOR}\nend",
        15,
    ),
}


@pytest.mark.parametrize(("text", "cycles"), WORKED.values(), ids=WORKED.keys())
@pytest.mark.parametrize("fold", [False, True], ids=["plain", "fold"])
def test_a_program_worked_by_hand(program: Build, text: str, cycles: int, fold: bool) -> None:
    assert simulate(program(text), fold=fold).cycles == cycles


def test_whose_turn_it_is_goes_by_rounds(program: Build) -> None:
    # In 5 core 0 1's load gives the channel up, and core 0 2 comes next after it. But its load stands behind a wait for
    # a token that comes in 5 too: it is at the head in a later round than the load of core 0 0, which goes before it.
    text = sections(
        f"fill <16> nram 0x0 {{4}} = #0\n{LOAD}\nend",  # the fill 1-5: 64 bytes, 20 a cycle
        f"{LOAD}\nend",  # 1-15
        f"vmax <8> nram 0x0 {{4}} = nram 0x0 {{4}}, #0\npost vector 0\nwait load 0\n{LOAD}\nend",  # the vmax 1-5
    )
    loads = {event.stream: event.start for event in events(program(text)) if event.mnemonic == "load"}
    assert loads == {"core 0 0": 5, "core 0 1": 1, "core 0 2": 9}


def test_loops_on_several_cores_take_no_longer(program: Build) -> None:
    body = f"{LOAD}\npost load 0\nwait vector 0\n{VECTOR}"
    text = sections(
        *[f"loop 4000000000\nloop 4000000000\n{body}\nendloop\nbarrier chip\nendloop\nend"] * 3,
        mover="loop 4000000000\nbarrier chip\nendloop\nend",
    )
    began = perf_counter()
    result = simulate(program(text))
    assert perf_counter() - began < 2
    # three cores share the channel: 4 cycles for each load
    assert result.cycles / (3 * 4 * 4_000_000_000**2) == pytest.approx(14 / 12, rel=0.2)


def test_cores_that_drift_apart_fold_too(program: Build) -> None:
    # no barrier keeps these together: 5 cycles an iteration and 14
    text = sections(f"loop 1000000\n{VECTOR}\nendloop\nend", f"loop 1000000\n{LOAD}\nendloop\nend")
    began = perf_counter()
    assert simulate(program(text)).cycles == 2 + 14 * 1_000_000
    assert perf_counter() - began < 1


def test_the_result_tells_streams_apart(program: Build) -> None:
    text = sections(f"{NEAR}\nend", f"{VECTOR}\nend", mover="cast <16> wram 0x0 {4} = sram 0x0 {4}\nsync\nend")
    result = simulate(program(text))
    assert result.cycles == 8
    assert result.streams == {
        "core 0 0": {"load": 7, "store": 0, "matrix": 0, "vector": 0, "control": 1},
        "core 0 1": {"load": 0, "store": 0, "matrix": 0, "vector": 5, "control": 1},
        "mover 0": {"load": 0, "store": 0, "cast": 5, "control": 2},
    }
    busy = {"load": 7, "store": 0, "matrix": 0, "vector": 5, "cast": 5, "control": 4, "channel": 0, "sram": 4 + 2}
    assert result.busy_cycles == busy
    assert result.units["load"] == 7 / (3 * 8)
    assert result.units["vector"] == 5 / (2 * 8)
    assert result.units["cast"] == 5 / 8
    assert result.units["sram"] == 6 / (2 * 8)
    assert (result.cores, result.sram_bytes, result.dram_bytes) == (2, 128 + 64, 0)
    # 192 bytes of SRAM at 11 J; 128 written to NRAM, 128 read and written by the vector unit; WRAM in three cores
    assert result.energy["sram"] == 11.0 * 192
    assert result.energy["nram"] == 2.0 * (128 + 128)
    assert result.energy["wram"] == 3.0 * 3 * 64


def test_text_of_several_streams_has_a_line_for_each(program: Build) -> None:
    text = sections(f"{NEAR}\nend", f"{VECTOR}\nend", mover="cast <16> wram 0x0 {4} = sram 0x0 {4}\nsync\nend")
    result = simulate(program(text))
    assert streams(result).splitlines() == [
        "stream      load  store  matrix  vector  control    cast",
        "--------  ------  -----  ------  ------  -------  ------",
        "core 0 0  87.5 %  0.0 %   0.0 %   0.0 %   12.5 %       -",
        "core 0 1   0.0 %  0.0 %   0.0 %  62.5 %   12.5 %       -",
        "mover 0    0.0 %  0.0 %       -       -   25.0 %  62.5 %",
    ]
    assert everything(result) == f"{totals(result)}\n\n{streams(result)}"
    assert "of the peak of 2 cores" in totals(result)


CONTRACT = "contract <4, 4, 8> nram 0x0 {16, 4, 0} = nram.float16 0x40 {16, 0, 2} * wram.float16 0x0 {0, 16, 2}"


def test_utilisation_and_bounds_are_of_all_cores_at_the_dtype(program: Build) -> None:
    # 128 float16 products each at 32 a cycle: 4 cycles and a pipeline of 2, issued in 0; the barrier in 7
    layer = Layer("a", "linear", 0, 2, 256, 32, ((0, 2),))
    result = simulate(program(sections(*[f"{CONTRACT}\nbarrier chip\nend"] * 2), layers=(layer,)))
    (a,) = result.layers
    assert (result.cycles, result.macs, a.cycles, a.macs) == (8, 256, 8, 256)
    assert result.utilisation == 256 / (2 * 32 * 8)
    assert a.bound_cycles == 256 / (2 * 32)
    assert result.energy["matrix"] == 6.0 * 256


def test_a_layer_lasts_from_the_first_stream_to_the_last(program: Build) -> None:
    text = sections(f"{LOAD}\nbarrier chip\n{VECTOR}\nbarrier chip\nend", "barrier chip\nbarrier chip\nend")
    layers = (
        Layer("a", "x", 0, 2, 0, 0, ((0, 1),)),
        Layer("b", "x", 2, 4, 0, 0, ((1, 2),)),
        Layer("c", "x", 2, 3, 0, 0),
    )
    a, b, c = simulate(program(text, layers=layers)).layers
    assert (a.start, a.end, b.start, b.end) == (0, 16, 16, 23)
    assert (c.start, c.end) == (16, 17)


def test_a_layer_to_whose_beginning_jumps_lead_back_begins_the_first_time(program: Build) -> None:
    text = f"scopy r1 = #3\nagain:\n{VECTOR}\nsync\nssub r1 = r1, #1\njumpif r1, again\nend"
    (a,) = simulate(program(text, layers=(Layer("a", "x", 1, 5, 0, 0),))).layers
    # vector issued in 1: 2-7, sync in 7, ssub 8, jumpif 9; again from 10 and 19
    assert (a.start, a.end, a.busy_cycles["vector"]) == (1, 28, 15)


def test_a_layer_must_begin_and_end_where_control_comes_by(program: Build) -> None:
    text = f"jump on\n{LOAD}\non:\n{VECTOR}\nend"
    with pytest.raises(SimulationError) as caught:
        simulate(program(text, layers=(Layer("a", "x", 1, 3, 0, 0),)))
    assert str(caught.value) == (
        "the layer 'a' must begin and end with instructions that are executed; move its borders"
    )


def test_jumps_that_depend_on_data_need_the_inputs(program: Build) -> None:
    text = f"load <1> nram 0x0 {{4}} = dram 0x0 {{4}}\nsload r1 = nram 0x0\njumpif r1, on\n{VECTOR}\non:\nend"
    built = program(text, inputs=(Port("x", (1,), 0, (0,)),))
    # load 1-12, sload in 12, jumpif in 13, and end in 14 or the vector issued in 14: 15-20
    assert simulate(built, inputs={"x": np.ones(1, np.float32)}).cycles == 14
    assert simulate(built, inputs={"x": np.zeros(1, np.float32)}).cycles == 20
    with pytest.raises(SimulationError) as caught:
        simulate(built)
    assert str(caught.value) == (
        "the time of this program depends on its data, which instruction 1 (sload) reads for a jump; give its inputs"
    )


STUCK = {
    sections("barrier chip\nend", f"{VECTOR}\nend"): (
        "every wait must get its post and every barrier its streams, but from cycle 0 on core 0 0 waits at line 2 "
        "(barrier chip) for core 0 1; give every stream its barriers"
    ),
    sections("barrier chip\nend", "barrier cluster\nend", "barrier chip\nend"): (
        "every wait must get its post and every barrier its streams, but from cycle 0 on core 0 0 waits at line 2 "
        "(barrier chip) for core 0 1 and core 0 1 waits at line 5 (barrier cluster) for core 0 0, core 0 2 and "
        "core 0 2 waits at line 8 (barrier chip) for core 0 1; give every stream its barriers"
    ),
    sections("barrier chip\nend", f"wait load 7\n{LOAD}\nbarrier chip\nend"): (
        "every wait must get its post and every barrier its streams, but from cycle 2 on load waits for token 7 at "
        "line 5 and control waits at line 7 (barrier) and core 0 0 waits at line 2 (barrier chip) for core 0 1; "
        "give every stream its barriers"
    ),
}


@pytest.mark.parametrize(("text", "sentence"), STUCK.items())
def test_streams_that_stand_still_say_for_whom_they_wait(program: Build, text: str, sentence: str) -> None:
    for fold in (False, True):
        with pytest.raises(SimulationError) as caught:
            simulate(program(text), fold=fold)
        assert str(caught.value) == sentence


def test_a_program_without_lines_names_streams_and_instructions(program: Build) -> None:
    built = program(sections("end", f"wait load 7\n{LOAD}\nend"))
    built = replace(built, others=tuple(replace(stream, lines=()) for stream in built.others), lines=())
    with pytest.raises(SimulationError) as caught:
        simulate(built)
    assert str(caught.value) == (
        "every wait must get its post, but from cycle 2 on load waits for token 7 at core 0 1, instruction 0 and "
        "control waits at core 0 1, instruction 2 (end); post it or drop the wait"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "post load 9\nend",
            "every post must be waited for before the end, but 1 of token 9, first posted at instruction 0, is left; "
            "wait for it or drop posts",
        ),
        (
            sections("end", "loop 5\npost load 3\nendloop\nwait store 3\nend"),
            "every post must be waited for before the end, but 4 of token 3, first posted at line 5, are left; "
            "wait for them or drop posts",
        ),
    ],
)
def test_tokens_that_nobody_takes_are_an_error(program: Build, text: str, sentence: str) -> None:
    with pytest.raises(SimulationError) as caught:
        simulate(program(text))
    assert str(caught.value) == sentence


def test_jumps_without_end_are_an_error(program: Build) -> None:
    with pytest.raises(SimulationError, match=r"the program must end, but at instruction 1 \(jump\) all registers"):
        simulate(program(f"again:\n{VECTOR}\njump again\nend"))
    with pytest.raises(SimulationError, match=r"it has not in 500 instructions"):
        simulate(program("again:\nsadd r1 = r1, #1\njumpif r1, again\nend"), max_instructions=500)


def test_a_machine_must_have_the_processors(program: Build, toy: Machine) -> None:
    with pytest.raises(ProgramError):
        simulate(program(sections("end", "end"), machine=toy))


def test_a_contraction_of_a_dtype_that_is_not_there_is_named_by_its_place(program: Build) -> None:
    text = CONTRACT.replace("float16", "bfloat16")
    for built, where in (
        (program(f"{text}\nend"), "instruction 0"),
        (program(sections("end", f"{text}\nend")), "line 4"),
    ):
        with pytest.raises(
            SimulationError, match=f"^{where}: contract must multiply a dtype of the machine's matrix unit"
        ):
            simulate(built)
