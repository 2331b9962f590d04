"""Events, their text, the picture in characters and the trace."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from tilework.isa.program import Layer, Program
from tilework.machine.machine import Machine
from tilework.simulator.cycle import simulate
from tilework.simulator.timeline import Event, chrome_trace, events, gantt, listing

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
    assert timeline[1] == Event("load", 2, 16, 1, "both", LOAD)
    assert timeline[-1] == Event("control", 36, 36, 7, "", "end")


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


def test_the_trace_is_what_perfetto_reads(timeline: list[Event]) -> None:
    trace = json.loads(chrome_trace(timeline, clock_hz=1e9))
    names = [e["args"]["name"] for e in trace["traceEvents"] if e["ph"] == "M"]
    assert names == ["load", "store", "matrix", "vector", "control"]
    slices = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    assert len(slices) == len(timeline)
    assert slices[1] == {
        "name": "load",
        "cat": "both",
        "ph": "X",
        "ts": pytest.approx(0.002),
        "dur": pytest.approx(0.014),
        "pid": 0,
        "tid": 0,
        "args": {"pc": 1, "layer": "both", "text": LOAD},
    }
    assert json.loads(chrome_trace(timeline))["traceEvents"][6]["dur"] == 14


def test_the_timeline_ends_where_the_simulation_does(program: Build, toy: Machine) -> None:
    slow = replace(toy, dram=replace(toy.dram, latency_cycles=99))
    built = program(TEXT, machine=slow)
    assert events(built)[-1].end == simulate(built).cycles
