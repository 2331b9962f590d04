"""Events, their text, the picture in characters and the trace."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from tilework.isa.program import Layer, Program
from tilework.machine.machine import Machine
from tilework.simulator.cycle import simulate
from tilework.simulator.timeline import Event, by_cycle, chrome_trace, events, gantt, listing

Build = Callable[..., Program]
LOAD = "load <16> nram 0x0 {4} = dram 0x0 {4}"
VECTOR = "vmax <16> nram 0x0 {4} = nram 0x0 {4}, #0"
TEXT = f"loop 2\n{LOAD}\npost load 0\nwait vector 0\n{VECTOR}\nendloop\nsync\nend"


@pytest.fixture
def timeline(program: Build) -> list[Event]:
    return events(program(TEXT, layers=(Layer("both", "x", 0, 7, 0, 0),)))


def test_events_are_what_the_units_did(timeline: list[Event]) -> None:
    # loop 0; load 2-16 and 16-30; vector 16-21 and 30-35; sync in 35
    work = [(e.unit, e.start, e.end, e.pc) for e in timeline if e.end > e.start]
    assert work == [
        ("control", 0, 1, 0),
        ("load", 2, 16, 1),
        ("load", 16, 30, 1),
        ("vector", 16, 21, 4),
        ("vector", 30, 35, 4),
        ("control", 35, 36, 6),
    ]
    assert timeline[1] == Event("load", 2, 16, 1, "both", LOAD, (0,), "core 0 0")
    assert timeline[-1] == Event("control", 36, 36, 7, "", "end")
    assert (timeline[1].name, timeline[-1].name) == ("both [0] load", "end")


def test_busy_cycles_are_the_events(program: Build, timeline: list[Event]) -> None:
    busy = simulate(program(TEXT)).busy_cycles
    for unit in ("load", "store", "matrix", "vector"):
        assert sum(e.end - e.start for e in timeline if e.unit == unit) == busy[unit]


def test_a_limit_takes_the_first_events(program: Build, timeline: list[Event]) -> None:
    first = events(program(TEXT), limit=5)
    assert [(e.start, e.pc) for e in first] == [(e.start, e.pc) for e in timeline[:5]]
    endless = program(TEXT.replace("loop 2", "loop 4000000000"))
    assert len(events(endless, limit=100)) == 100


def test_the_listing_has_a_line_for_each_event(timeline: list[Event]) -> None:
    lines = listing(timeline).splitlines()
    assert lines[0] == "   start      end  unit        pc  instruction"
    assert lines[2] == f"       2       16  load         1  {LOAD}"
    assert len(lines) == 1 + len(timeline)


def test_the_picture(timeline: list[Event]) -> None:
    assert gantt(timeline).splitlines() == [
        "         one column is 1 cycle",
        "load     ..1111111111111111111111111111......",
        "store    ....................................",
        "matrix   ....................................",
        "vector   ................44444.........44444.",
        "control  0..................................6",
    ]


def test_a_picture_of_many_cycles_has_wider_columns(timeline: list[Event]) -> None:
    assert gantt(timeline, width=10).splitlines() == [
        "         one column is 4 cycles",
        "load     11111111.",
        "store    .........",
        "matrix   .........",
        "vector   ....44.44",
        "control  0.......6",
    ]
    assert gantt([]).splitlines()[1] == "load     "


def test_a_tile_is_what_the_loops_have_counted_when_control_issued_it(timeline: list[Event]) -> None:
    # the second vmax works long after control has left the loop
    assert [(e.start, e.tile) for e in timeline if e.pc == 4] == [(16, (0,)), (30, (1,))]
    assert [e.tile for e in timeline if e.mnemonic in ("loop", "sync", "end")] == [(), (), ()]


def test_the_events_of_a_jump_are_told_apart(program: Build) -> None:
    text = f"scopy r1 = #2\nagain:\n{VECTOR}\nssub r1 = r1, #1\njumpif r1, again\nend"
    assert [(e.start, e.end, e.mnemonic) for e in events(program(text))] == [
        *[(0, 1, "scopy"), (2, 7, "vmax"), (2, 3, "ssub"), (3, 4, "jumpif"), (5, 6, "ssub"), (6, 7, "jumpif")],
        *[(7, 12, "vmax"), (12, 12, "end")],
    ]


def test_each_cycle_has_a_line(program: Build) -> None:
    text = f"{LOAD}\npost load 0\nwait vector 0\n{VECTOR}\nend"
    lines = by_cycle(events(program(text))).splitlines()
    assert lines[:5] == [
        "cycle  load    vector          control",
        "-----  ------  --------------  -------",
        "0",
        "1      load 0",
        "2      |",
    ]
    assert lines[2 + 15] == "15     post 1  wait 2, vmax 3"
    assert lines[2 + 19 :] == ["19             |", "20                             end 4"]


TWO = f"""
    .core 0 0
      {LOAD}
      barrier cluster
      end
    .mover 0
      load <16> sram 0x0 {{4}} = dram 0x0 {{4}}
      cast <16> wram 0x0 {{4}} = sram 0x0 {{4}}
      barrier cluster
      end
"""


@pytest.fixture
def two(program: Build) -> list[Event]:
    return events(program(TWO))


def test_several_streams_are_side_by_side(two: list[Event]) -> None:
    # the core has the channel first, 1-5; the mover's load 5-22: latencies 10 + 3, and 4 cycles of the channel; its
    # cast was issued in 1 and has the port from 7 on, before the load has ended: nothing orders them
    work = [(e.stream, e.unit, e.start, e.end) for e in two if e.end > e.start]
    assert work == [
        ("core 0 0", "load", 1, 15),
        ("mover 0", "cast", 2, 7),
        ("mover 0", "load", 5, 22),
        ("core 0 0", "control", 22, 23),
        ("mover 0", "control", 22, 23),
    ]


def test_texts_of_several_streams_name_them(two: list[Event]) -> None:
    assert listing(two).splitlines()[:2] == [
        "   start      end  stream    unit        pc  instruction",
        f"       1       15  core 0 0  load         0  {LOAD}",
    ]
    assert (
        by_cycle(two).splitlines()[0]
        == "cycle  core 0 0 load  core 0 0 control  mover 0 load  mover 0 cast  mover 0 control"
    )
    assert [line.partition("  ")[0] for line in gantt(two).splitlines()[1:]] == [
        *["core 0 0 load", "core 0 0 store", "core 0 0 matrix", "core 0 0 vector", "core 0 0 control"],
        *["mover 0 load", "mover 0 store", "mover 0 cast", "mover 0 control"],
    ]


def test_the_trace_has_a_process_for_each_stream_and_a_thread_for_each_unit(two: list[Event]) -> None:
    trace = json.loads(chrome_trace(two))["traceEvents"]
    processes = {e["pid"]: e["args"]["name"] for e in trace if e["name"] == "process_name"}
    threads = {(e["pid"], e["tid"]): e["args"]["name"] for e in trace if e["name"] == "thread_name"}
    assert processes == {1: "core 0 0", 2: "mover 0"}
    shown = [(processes[e["pid"]], threads[e["pid"], e["tid"]], e["ts"]) for e in trace if e["ph"] == "X"]
    assert shown == [(e.stream, e.unit, e.start) for e in two]


def test_no_two_slices_of_a_thread_overlap(two: list[Event], timeline: list[Event]) -> None:
    for shown in (two, timeline):
        ends: dict[tuple[int, int], float] = {}
        for e in (e for e in json.loads(chrome_trace(shown))["traceEvents"] if e["ph"] == "X"):
            assert e["ts"] >= ends.get((e["pid"], e["tid"]), 0)
            ends[e["pid"], e["tid"]] = e["ts"] + e["dur"]


def test_a_limit_takes_the_first_events_of_all_streams(program: Build, two: list[Event]) -> None:
    for limit in range(len(two) + 1):
        assert events(program(TWO), limit=limit) == two[:limit]


def test_the_trace_is_what_perfetto_reads(timeline: list[Event]) -> None:
    trace = json.loads(chrome_trace(timeline, clock_hz=1e9))
    names = [e["args"]["name"] for e in trace["traceEvents"] if e["ph"] == "M"]
    assert names == ["core 0 0", "load", "store", "matrix", "vector", "control"]
    slices = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    assert len(slices) == len(timeline)
    assert slices[1] == {
        "name": "both [0] load",
        "cat": "both",
        "ph": "X",
        "ts": pytest.approx(0.002),
        "dur": pytest.approx(0.014),
        "pid": 1,
        "tid": 1,
        "args": {"layer": "both", "tile": [0], "instruction": LOAD, "pc": 1},
    }
    assert json.loads(chrome_trace(timeline))["traceEvents"][7]["dur"] == 14


def test_the_timeline_ends_where_the_simulation_does(program: Build, toy: Machine) -> None:
    slow = replace(toy, dram=replace(toy.dram, latency_cycles=99))
    built = program(TEXT, machine=slow)
    assert events(built)[-1].end == simulate(built).cycles
