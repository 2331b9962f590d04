"""Moving in time: forward and back give one state, cycles are the simulator's, values the functional simulator's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.debug.explain import explain
from tilework.debug.session import Session
from tilework.errors import DebugError, SimulationError
from tilework.executable import compile_network, random_inputs
from tilework.isa.program import Program
from tilework.isa.random_program import random_program
from tilework.isa.random_stream import Options
from tilework.isa.tile_language import parse_tiles
from tilework.machine.load import load_machine
from tilework.simulator.cycle import simulate
from tilework.simulator.functional import Interpreter, port_values
from tilework.simulator.hazards import find_hazards
from tilework.simulator.tile_time import simulate_tiles

Build = Callable[..., Session]
Example = Callable[[str, str], Program]
SMALL = Options(instructions=24, elements=32, count=3)
MACHINES = (load_machine("dlp-s"), load_machine("dlp-m4"))

# The manual's first worked example: load 1-15, vmax 15-20, store 20-34.
WORKED = """
load <16> nram 0x0 {4} = dram 0x0 {4}
post load 0
wait vector 0
vmax <16> nram 0x40 {4} = nram 0x0 {4}, #2
post vector 1
wait store 1
store <16> dram 0x40 {4} = nram 0x40 {4}
end
"""


def snapshot(session: Session) -> Any:
    """All that the debugger knows of a time: what is on chip, in registers, in queues."""
    values = session.values
    assert values is not None
    memories = [
        segment.data.tobytes()
        for memories in values.state.memories
        for segments in memories.segments.values()
        for segment in segments
        if segment.writable
    ]
    return session.now, session.streams(), [list(each) for each in values.registers], memories


def random_session(seed: int, machine: int) -> Session:
    program = random_program(seed, MACHINES[machine], SMALL)
    return Session.of_program(program, random_inputs(program, seed))


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), machine=st.integers(0, 1), start=st.integers(0, 30), steps=st.integers(1, 12))
def test_steps_forward_and_back_lead_to_the_same_state(seed: int, machine: int, start: int, steps: int) -> None:
    session = random_session(seed, machine)
    session.step(start)
    times = [session.now]
    before = snapshot(session)
    for _ in range(steps):
        session.step()
        times.append(session.now)
    session.back(len(set(times)) - 1)  # at the end there is nothing to step to
    assert snapshot(session) == before


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), machine=st.integers(0, 1), moves=st.lists(st.integers(-40, 40), max_size=8))
def test_a_cycle_has_one_state_however_it_is_reached(seed: int, machine: int, moves: list[int]) -> None:
    session, direct = random_session(seed, machine), random_session(seed, machine)
    for move in filter(None, moves):
        session.step_cycles(move)
    direct.run_to_cycle(int(session.now))
    assert snapshot(session) == snapshot(direct)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), machine=st.integers(0, 1))
def test_the_end_is_the_simulators(seed: int, machine: int) -> None:
    program = random_program(seed, MACHINES[machine], SMALL)
    inputs = random_inputs(program, seed)
    session = Session.of_program(program, inputs)
    session.run_to_end()
    assert session.now == simulate(program, inputs=inputs).cycles
    if not find_hazards(program, inputs=inputs):
        interpreter = Interpreter(program)
        outputs = interpreter.run(inputs)
        assert session.values is not None
        assert session.values.registers == [decoder.registers for decoder in interpreter.decoders]
        for port in program.outputs:
            np.testing.assert_array_equal(port_values(session.values.state, port), outputs[port.name])


@pytest.mark.parametrize(("name", "machine"), [("branch.s", "dlp-s"), ("cluster.s", "dlp-m4"), ("convnet.s", "dlp-s")])
def test_the_examples_end_with_the_functional_simulators_values(example: Example, name: str, machine: str) -> None:
    program = example(name, machine)
    interpreter, session = Interpreter(program), Session.of_program(program, {})
    interpreter.run({})
    session.run_to_end()
    assert session.values is not None
    assert session.values.registers == [decoder.registers for decoder in interpreter.decoders]
    for ours, theirs in zip(session.values.state.memories, interpreter.state.memories, strict=True):
        for memory, segments in ours.segments.items():
            for one, other in zip(segments, theirs.segments[memory], strict=True):
                np.testing.assert_array_equal(one.data, other.data)


def test_a_network_ends_with_its_outputs() -> None:
    executable = compile_network("lenet5", "dlp-s", seed=3)
    inputs = random_inputs(executable)
    session = Session.of_program(executable.program, inputs)
    session.run_to_end()
    assert session.now == executable.cost.cycles
    tile = session.look().port("softmax")
    assert tile is not None
    np.testing.assert_array_equal(tile.values, executable.run(**inputs)["softmax"])


def test_rows_and_refreshes_of_the_dram(example: Example) -> None:
    program = example("pipeline.s", "dlp-s-ddr4")
    session = Session.of_program(program, {})
    session.run_to_end()
    assert session.now == simulate(program, inputs={}).cycles
    session.run_to_cycle(40)
    (state,) = session.streams()
    text = explain(session, 4)["cycles"]
    assert text.endswith(", and what rows and refreshes of the DRAM add")
    load = state.units[0]
    assert load.working == 4
    assert load.until - load.since > int(text.rpartition(" = ")[2].partition(",")[0])


def test_going_back_puts_back_what_was_written(debugged: Build) -> None:
    session = debugged(WORKED)
    seen = []
    for cycle in (14, 19, 20, 33, 34):
        session.run_to_cycle(cycle)
        seen.append(float(session.look().element("nram", "float32", 0x40)))
    assert seen == [0, 0, 2, 2, 2]
    assert session.look().element("dram", "float32", 0x40) == 2
    session.run_to_cycle(33)
    assert session.look().element("dram", "float32", 0x40) == 0
    session.run_to_cycle(19)
    assert session.look().element("nram", "float32", 0x40) == 0


def test_what_was_forgotten_is_computed_again(debugged: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tilework.debug.values.UNDO_BYTES", 0)
    session = debugged(WORKED)
    session.run_to_end()
    session.run_to_cycle(20)
    assert session.look().element("nram", "float32", 0x40) == 2
    assert session.look().element("dram", "float32", 0x40) == 0


def test_a_step_is_an_instruction_that_takes_a_cycle(debugged: Build) -> None:
    session = debugged("loop 2\nsadd r1 = r1, #3\nendloop\nend")
    numbers = []
    while not session.ended:
        numbers.append((session.now, session.streams()[0].place, session.streams()[0].counters))
        session.step()
    # loop in 0, sadd in 1 and 2: the endloop between takes no time. `end` passes in 3, which is then the end.
    assert numbers == [(0, 0, ()), (1, 1, (0,)), (2, 1, (1,))]
    assert session.now == 3


def test_running_to_places(debugged: Build) -> None:
    text = "scopy r1 = #3\nagain:\nssub r1 = r1, #1\njumpif r1, again\nend"
    session = debugged(text)
    times = []
    while session.run_to("label", "again"):
        times.append(session.now)
    assert times == [1, 3, 5]  # two instructions a round, from cycle 1 on
    assert session.ended
    session.run_to_cycle(0)
    assert session.run_to("if", "r1 == 1")
    assert (session.now, session.look().register(1)) == (4, 1)
    assert session.run_to("if", "cycle >= 6 and pc == 2")
    assert session.now == 6
    assert not session.run_to("if", "r1 == 99")
    assert session.ended


def test_breakpoints(debugged: Build) -> None:
    session = debugged(WORKED)
    first = session.stop_at("instruction", "3")
    second = session.stop_at("if", "nram[0x40] == 2")
    # The condition holds when vmax has ended; control, which is long past 3, waits at `end`.
    assert (session.run(), session.now) == (first, 3)
    assert (session.run(), session.now) == (second, 20)
    session.delete(2)
    assert session.run() is None
    assert session.now == 34


def test_two_streams(example: Example) -> None:
    session = Session.of_program(example("cluster.s", "dlp-m4"), {})
    session.select("mover 0")
    session.step(2)
    assert (session.now, session.streams()[-1].place) == (2, 2)
    # The mover has the channel first, for 8 KB at 128 bytes a cycle: 64 cycles from 1 on; each core's 4 KB take 32.
    session.run_to_cycle(40)
    loads = [state.units[0] for state in session.streams()]
    assert (loads[4].working, loads[4].until) == (0, 65)
    held = "waits for the DRAM channel, which"
    assert loads[0].why == f"{held} mover 0's load 0 has until cycle 65; begins in cycle 65"
    assert loads[1].why == f"{held} core 0 0's load 3 takes first and has until cycle 97; begins in cycle 97"
    # contract: 32 rows * ceil(16 / 16) * ceil(64 / 16) + 8 from 195 on; the mover alone has nothing to do.
    session.run_to_cycle(300)
    assert session.streams()[4].why == (
        "waits for core 0 0, core 0 1, core 0 2, core 0 3 to come to it; goes on in cycle 334"
    )


def test_a_program_that_stands_still_can_be_looked_at(debugged: Build) -> None:
    session = debugged("wait vector 3\nvmax <16> nram 0x40 {4} = nram 0x0 {4}, #2\nsync\nend")
    session.run_to_end()
    (state,) = session.streams()
    assert session.recording.problem.startswith("every wait must get its post, but from cycle 2 on vector waits for")
    assert state.why == "waits until all is done: vector (2 in its queue)"
    assert next(unit.why for unit in state.units if unit.queue) == "waits for token 3, which nothing posts any more"


def test_a_forbidden_access_stops_before_it(debugged: Build) -> None:
    session = debugged("scopy r1 = #4096\nvmax <16> nram 0x0+r1 {4} = nram 0x0 {4}, #2\nend")
    with pytest.raises(SimulationError, match="line 2 \\(vmax\\) must stay inside the 1024 bytes of NRAM"):
        session.run_to_end()
    assert session.now == 0
    session.step(2)
    assert session.now == 2


def test_the_recording_grows_as_it_is_needed(debugged: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tilework.debug.trace.FIRST_EVENTS", 10)
    session = debugged("loop 100\nvmax <16> nram 0x40 {4} = nram 0x0 {4}, #2\nendloop\nend")
    assert session.recording.end is None
    session.step(30)
    whole = debugged("loop 100\nvmax <16> nram 0x40 {4} = nram 0x0 {4}, #2\nendloop\nend")
    whole.step(30)
    assert session.now == whole.now
    assert session.streams() == whole.streams()
    session.run_to_end()
    assert session.now == 501 + 1  # loop in 0, the first vmax issued in 1: 2 + 100 * 5


def test_a_run_that_is_too_long_says_so(debugged: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tilework.debug.trace.FIRST_EVENTS", 10)
    monkeypatch.setattr("tilework.debug.trace.MAX_EVENTS", 20)
    session = debugged("loop 100\nvmax <16> nram 0x40 {4} = nram 0x0 {4}, #2\nendloop\nend")
    with pytest.raises(DebugError, match="the debugger must stay in the first 20 events of a stream"):
        session.run_to_end()
    assert session.now == 0


def test_the_tile_language(debugged: Build) -> None:
    sections = parse_tiles("move dram nram 64\nsync\ncompute fp32 256\nmove nram dram 32\nsync\n")
    session = Session.of_tiles("small", sections, load_machine("dlp-s"))
    times = [session.now]
    while not session.ended:
        session.step()
        times.append(session.now)
    # 64 bytes at 64 a cycle; then 256 MACs at 256 a cycle beside 32 bytes, half a cycle.
    assert [float(time) for time in times] == [0, 1, 1.5, 2]
    assert session.now == simulate_tiles(sections, load_machine("dlp-s")).cycles
    session.back()
    assert float(session.now) == 1.5
    with pytest.raises(DebugError, match="has neither registers nor tokens nor memory"):
        session.run_to("if", "r1 == 1")


@pytest.mark.parametrize(
    ("kind", "name", "sentence"),
    [
        ("label", "agin", "a label must be one of the program's, such as again, not 'agin'; did you mean 'again'?"),
        ("layer", "x", "a layer must be one of the program's, and there is none, not 'x'; 'layers' lists them"),
        ("instruction", "9", "an instruction of core 0 0 must be one of 0 to 4, not 9"),
        ("instruction", "-1", "a number must be whole and not negative, not '-1'"),
        (
            "instruction",
            "2",
            "a breakpoint must be where control stands for a cycle, not at instruction 2 (endloop); take the "
            "instruction after it",
        ),
        (
            "if",
            "nram[4096]",
            "what is looked at must stay inside the 1024 bytes of NRAM, not use 4 bytes at 4096; change its addresses",
        ),
    ],
)
def test_breakpoints_that_do_not_exist(debugged: Build, kind: str, name: str, sentence: str) -> None:
    session = debugged("loop 2\nsadd r1 = r1, #3\nendloop\nagain:\nssub r1 = r1, #1\nend")
    with pytest.raises(DebugError) as error:
        session.stop_at(kind, name)
    assert str(error.value) == sentence
    with pytest.raises(DebugError) as error:
        session.delete(1)
    assert str(error.value) == "a breakpoint must be one of those set (there is none), not 1; 'breakpoints' lists them"
