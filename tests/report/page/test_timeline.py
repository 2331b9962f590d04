"""The timeline of a page: it holds what the simulator records, and what is thinned is still counted."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.executable import compile_network
from tilework.isa.program import Program
from tilework.report.page.program import instructions, layer_ranges
from tilework.report.page.timeline import _first, _ranks, record, timeline
from tilework.simulator.cycle import simulate
from tilework.simulator.timeline import Event, events

from .conftest import residual


@cache
def programs(machine: str) -> tuple[Program, ...]:
    return compile_network(residual(), machine, fused=False).bundle.programs


@cache
def truth(machine: str) -> list[Event]:
    """What the simulator's own timeline has: what takes time."""
    (program,) = programs(machine)
    return [event for event in events(program) if event.end > event.start]


@cache
def shown(machine: str, most: int) -> dict[str, Any]:
    each = programs(machine)
    return timeline(each, record(each, [simulate(program).cycles for program in each]), most)


def placed(found: dict[str, Any], row: dict[str, Any]) -> tuple[list[int], list[int]]:
    """The instructions of a row's events, and the cycles that the page takes for each."""
    places = list(accumulate(row["place"]))
    return places, [row["other"].get(number, found["length"][place]) for number, place in enumerate(places)]


@pytest.mark.parametrize("machine", ["dlp-s", "dlp-m4", "dlp-s-ddr4"])
def test_every_event_is_there_with_its_unit_its_cycles_and_its_instruction(machine: str) -> None:
    each, found = programs(machine), shown(machine, 10**6)
    code = instructions(each)
    rebuilt = Counter[tuple[object, ...]]()
    for row in found["rows"]:
        assert row["bars"]["start"] == []
        for start, place, cycles in zip(accumulate(row["start"]), *placed(found, row), strict=True):
            text = code["lines"][code["instructions"][place]]
            rebuilt[row["stream"], row["unit"], start, start + cycles, text] += 1
        assert not row["other"] or (machine, row["unit"]) in (("dlp-s-ddr4", "load"), ("dlp-s-ddr4", "store"))
    assert rebuilt == Counter((e.stream, e.unit, e.start, e.end, e.text) for e in truth(machine))
    assert (found["until"], found["cycles"]) == (simulate(each[0]).cycles,) * 2
    assert found["events"] == found["shown"] == len(truth(machine))
    assert any(row["other"] for row in found["rows"]) == (machine == "dlp-s-ddr4")


@pytest.mark.parametrize("machine", ["dlp-s", "dlp-m4", "dlp-s-ddr4"])
@pytest.mark.parametrize("most", [0, 40, 150])
def test_what_is_thinned_keeps_its_number_and_its_cycles(machine: str, most: int) -> None:
    found, bars = shown(machine, most), [row["bars"] for row in shown(machine, most)["rows"]]
    assert found["shown"] == sum(len(row["start"]) for row in found["rows"]) <= most < found["events"]
    assert found["shown"] + sum(sum(each["count"]) for each in bars) == found["events"] == len(truth(machine))
    one_by_one = sum(sum(placed(found, row)[1]) for row in found["rows"])
    busy = one_by_one + sum(sum(each["busy"]) for each in bars)
    assert busy == sum(event.end - event.start for event in truth(machine))
    for each in bars:
        assert each["start"] == sorted(each["start"])
        assert all(s + b <= e for s, b, e in zip(each["start"], each["busy"], each["end"], strict=True))


def test_each_layer_keeps_its_first_events_on_each_unit() -> None:
    found, spans = shown("dlp-s", 60), layer_ranges(programs("dlp-s"))
    rows = {(row["stream"], row["unit"]): row for row in found["rows"]}
    for number, layer in enumerate(spans):
        for row in rows.values():
            own = [
                e.start
                for e in truth("dlp-s")
                if (e.stream, e.unit) == (row["stream"], row["unit"]) and any(f <= e.pc < last for f, last in layer)
            ]
            places = zip(accumulate(row["start"]), accumulate(row["place"]), strict=True)
            kept = [start for start, place in places if any(f <= place < last for f, last in layer)]
            assert kept == own[: found["first"]], number


@given(st.lists(st.lists(st.integers(0, 5), max_size=30), min_size=1, max_size=4), st.integers(0, 60))
def test_as_many_are_kept_as_there_is_room_for(rows: list[list[int]], most: int) -> None:
    def kept(first: int) -> int:
        return sum(min(first, n) for row in rows for n in Counter(row).values())

    first = _first([np.array(row, np.int64) for row in rows], most)
    assert kept(first) <= most
    assert kept(first) == kept(first + 1) or kept(first + 1) > most


@given(st.lists(st.integers(-1, 4), max_size=40))
def test_ranks_count_what_came_before_of_the_same_layer(layers: list[int]) -> None:
    expected = [layers[:place].count(layer) for place, layer in enumerate(layers)]
    assert _ranks(np.array(layers, np.int64)).tolist() == expected


@pytest.mark.parametrize("machine", ["dlp-s", "dlp-m4"])
def test_a_recording_that_is_cut_is_exact_up_to_where_it_says(machine: str) -> None:
    (program,) = programs(machine)
    cut = record([program], [simulate(program).cycles], most=200)
    assert 0 < cut.until < cut.cycles == simulate(program).cycles
    found = sorted((row.stream, row.unit, int(start)) for row in cut.rows for start in row.start)
    assert found == sorted((e.stream, e.unit, e.start) for e in truth(machine) if e.start < cut.until)


def test_programs_follow_one_another() -> None:
    (program,) = programs("dlp-s")
    cycles = simulate(program).cycles
    once, twice = record([program], [cycles]), record([program, program], [cycles, cycles])
    assert twice.until == twice.cycles == 2 * cycles
    for one, two in zip(once.rows, twice.rows, strict=True):
        assert two.start.tolist() == [*one.start, *(one.start + cycles)]
        assert two.place.tolist() == [*one.place, *(one.place + len(once.length))]
