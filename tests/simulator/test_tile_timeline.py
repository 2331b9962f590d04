"""What is shown of the steps of a program in the tile language: lines, rows of characters, a trace."""

from __future__ import annotations

import json
from fractions import Fraction

from tilework.isa.tile_language import parse_tiles
from tilework.machine.load import load_machine
from tilework.simulator.tile_timeline import Timeline, tile_events, tile_gantt, tile_listing, tile_trace

DLP_S, DLP_M4 = load_machine("dlp-s"), load_machine("dlp-m4")
TWO = """\
mover
move dram sram 512
sync
cast sram nram 2000
barrier
core 0
move dram nram 256
barrier
compute fp32 768
core 1
barrier
move sram nram 1000
"""


def test_timeline() -> None:
    timeline = tile_events(parse_tiles("move dram nram 128\nsync\ncompute fp32 512\nmove nram dram 32"), DLP_S)
    assert timeline.units == ("channel", "compute")
    assert [event.units for event in timeline.events] == [("channel",), (), ("compute",), ("channel",)]
    assert [event.start for event in timeline.events] == [0, 2, 2, 2]
    assert [event.end for event in timeline.events] == [2, 2, 4, Fraction(5, 2)]
    assert tile_gantt(timeline) == (
        "         one column is 1 cycle\nchannel  114.\ncompute  ..33"  # the store is of line 4
    )
    assert tile_gantt(timeline, width=2).splitlines()[1:] == ["channel  14", "compute  .3"]
    assert tile_gantt(Timeline(timeline.units, ())).splitlines()[1:] == ["channel", "compute"]
    assert tile_listing(timeline).splitlines()[2:] == [
        "             2              2  sync         2  sync",
        "             2              4  compute      3  compute fp32 512",
        "             2            2.5  channel      4  move nram dram 32B",
    ]


def test_timeline_of_several_processors() -> None:
    timeline = tile_events(parse_tiles(TWO), DLP_M4)
    assert tile_listing(timeline) == (
        "         start            end  unit              line  instruction\n"
        "             0              2  core 0 channel       7  move dram nram 256B\n"
        "             2              6  mover 0 channel      2  move dram sram 512B\n"
        "             6              6  mover 0 sync         3  sync\n"
        "             6              8  mover 0 cast         4  cast sram nram 2000B\n"
        "             8              8  core 0 barrier       8  barrier\n"
        "             8             11  core 0 compute       9  compute fp32 768\n"
        "             8              8  core 1 barrier      11  barrier\n"
        "             8              9  core 1 sram         12  move sram nram 1000B\n"
        "             8              8  mover 0 barrier      5  barrier"
    )
    assert tile_gantt(timeline) == (
        "                one column is 1 cycle\n"
        "channel         772222.....\n"
        "core 0 compute  ........999\n"
        "core 0 sram     ......44...\n"
        "core 1 compute  ...........\n"
        "core 1 sram     ......442..\n"
        "mover 0 cast    ......44..."
    )


def test_a_timeline_is_cut_however_long_the_program_is() -> None:
    program = parse_tiles("loop 1000000000\nsync\ncompute fp32 256\nendloop")
    assert [event.end for event in tile_events(program, DLP_S, limit=5).events] == [0, 1, 1, 2, 2]
    without = parse_tiles("loop 1000000000\ncompute fp32 256\nendloop")
    assert [event.end for event in tile_events(without, DLP_S, limit=3).events] == [1, 2, 3]


def test_trace() -> None:
    trace = json.loads(tile_trace(tile_events(parse_tiles("move dram nram 128\nsync\ncompute fp32 512"), DLP_S), 1e9))
    names = [(event["name"], event["pid"], event["args"]["name"]) for event in trace["traceEvents"][:3]]
    assert names == [("process_name", 0, "chip"), ("thread_name", 0, "channel"), ("thread_name", 0, "compute")]
    slices = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert [(s["name"], s["tid"], s["ts"], s["dur"], s["args"]) for s in slices] == [
        ("move dram nram 128B", 0, 0.0, 0.002, {"line": 1, "processor": ""}),
        ("compute fp32 512", 1, 0.002, 0.002, {"line": 3, "processor": ""}),
    ]


def test_trace_of_several_processors() -> None:
    trace = json.loads(tile_trace(tile_events(parse_tiles(TWO), DLP_M4), 1e9))["traceEvents"]
    processes = {event["pid"]: event["args"]["name"] for event in trace if event["name"] == "process_name"}
    assert processes == {0: "chip", 1: "core 0", 2: "core 1", 3: "mover 0"}
    threads = {event["tid"]: (event["pid"], event["args"]["name"]) for event in trace if event["name"] == "thread_name"}
    assert threads[0] == (0, "channel")
    assert threads[4] == (2, "sram")
    casts = [event for event in trace if event["name"].startswith("cast")]
    assert sorted(threads[cast["tid"]] for cast in casts) == [(1, "sram"), (2, "sram"), (3, "cast")]
    assert {(cast["ts"], cast["dur"], cast["args"]["processor"]) for cast in casts} == {(0.006, 0.002, "mover 0")}
