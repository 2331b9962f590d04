"""The cache against a list of lines, names against values that are computed twice, and traffic worked by hand."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.errors import SimulationError
from tilework.isa.program import Program
from tilework.simulator.cache import Cache, with_cache
from tilework.simulator.cycle import plan_of
from tilework.simulator.functional import Interpreter
from tilework.simulator.provenance import Access, accesses

Build = Callable[..., Program]
WORDS, ON_CHIP = 64, 32  # of DRAM and of NRAM that the random programs use
MOVED = """
load <16> nram 0x0 {4} = dram 0x0 {4}
vadd <16> nram 0x40 {4} = nram 0x0 {4}, #1
vmul <16> nram 0x80 {4} = nram 0x40 {4}, nram 0x0 {4}
store <16> dram 0x100 {4} = nram 0x80 {4}
end
"""


def test_moves_vanish_and_results_are_written_where_they_are_stored(program: Build) -> None:
    built = program(MOVED)
    first, second = accesses(built, plan_of(built, None))
    words = 4 * np.arange(16)
    own = built.dram_bytes + 0x40 + words  # NRAM's byte 0x40, behind all of the program's DRAM
    assert [first.place, second.place] == [1, 2]
    assert np.array_equal(first.reads[0], words)
    assert np.array_equal(first.writes, own)
    assert np.array_equal(second.reads[0], own)
    assert np.array_equal(second.reads[1], words)
    assert np.array_equal(second.writes, 0x100 + words)


def test_traffic_and_time_by_hand(program: Build) -> None:
    """One line of 64 B is read, one is made and kept, one is made and written back at the end.

    The two instructions take 2 groups of lanes and 3 cycles each, a line 4 cycles, and the one fetch 10 of latency.
    """
    found = with_cache(program(MOVED), Cache(512, 64, 2))
    assert (found.lookups, found.misses, found.fetched, found.written_back) == (5, 3, 1, 1)
    assert found.dram_bytes == 128
    assert found.compute_cycles == 2 * (2 + 3)
    assert found.cycles == 10 + (4 + 10) + 4
    assert found.least_cycles == 10
    assert found.hit_rate == pytest.approx(0.4)


def test_a_direct_mapped_cache_keeps_one_of_two_lines_that_share_its_place(program: Build) -> None:
    text = """
    loop 4
      load <16> nram 0x0 {4} = dram 0x0 {4}
      load <16> nram 0x40 {4} = dram 0x200 {4}
      vadd <16> nram 0x80 {4} = nram 0x0 {4}, nram 0x40 {4}
    endloop
    end
    """
    fetched = [with_cache(program(text), Cache(512, 64, ways)).fetched for ways in (1, 2)]
    assert fetched == [8, 2]


def listed(accesses: list[Access], cache: Cache, end: int) -> tuple[int, int, int]:
    """Misses, lines fetched and written back, with sets as lists that are searched."""
    sets: list[list[list[int]]] = [[] for _ in range(cache.sets)]
    misses = fetched = back = 0
    for access in accesses:
        for places, writes in [*((each, False) for each in access.reads), (access.writes, True)]:
            done = []
            for line in (int(place) // cache.line_bytes for place in places):
                if line in done:
                    continue
                done.append(line)
                here = sets[line % cache.sets]
                entry = next((entry for entry in here if entry[0] == line), None)
                if entry is None:
                    misses += 1
                    bytes_there = {int(place) for place in places if int(place) // cache.line_bytes == line}
                    fetched += not (writes and len(bytes_there) * access.grain == cache.line_bytes)
                    if len(here) == cache.ways:
                        back += here.pop(0)[1]
                    entry = [line, 0]
                else:
                    here.remove(entry)
                entry[1] |= writes
                here.append(entry)
    back += sum(changed for here in sets for line, changed in here if line * cache.line_bytes < end)
    return misses, fetched, back


@st.composite
def straight(draw: st.DrawFn) -> str:
    """Loads, stores, copies to WRAM, fills and sums of stretches of words, in any order."""
    lines = []
    for _ in range(draw(st.integers(1, 12))):
        size = draw(st.integers(1, 12))
        here = [4 * draw(st.integers(0, ON_CHIP - size)) for _ in range(3)]
        away = 4 * draw(st.integers(0, WORDS - size))
        lines.append(
            draw(
                st.sampled_from(
                    (
                        f"load <{size}> nram {here[0]} {{4}} = dram {away} {{4}}",
                        f"store <{size}> dram {away} {{4}} = nram {here[0]} {{4}}",
                        f"load <{size}> wram {here[0]} {{4}} = nram {here[1]} {{4}}",
                        f"load <{size}> nram {here[0]} {{4}} = wram {here[1]} {{4}}",
                        f"fill <{size}> nram {here[0]} {{4}} = #7",
                        f"vadd <{size}> nram {here[0]} {{4}} = nram {here[1]} {{4}}, nram {here[2]} {{4}}",
                    )
                )
            )
        )
    return "\n".join((*lines, "end"))


@settings(max_examples=60, deadline=None)
@given(text=straight(), ways=st.sampled_from([1, 2, 4]), line=st.sampled_from([4, 16, 32]))
def test_lines_as_in_a_list(program: Build, text: str, ways: int, line: int) -> None:
    built, cache = program(text), Cache(128, line, ways)
    found = with_cache(built, cache)
    every = list(accesses(built, plan_of(built, None)))
    assert (found.misses, found.fetched, found.written_back) == listed(every, cache, built.dram_bytes)
    assert found.dram_bytes == (found.fetched + found.written_back) * line


@settings(max_examples=100, deadline=None)
@given(text=straight())
def test_work_under_other_names_gives_the_same_numbers(program: Build, text: str) -> None:
    """What is computed at the addresses of a core with a cache is what the program computes, where it only reads the
    first half of DRAM and stores to a new place of the second each time."""
    lines, fresh = text.splitlines(), count(4 * WORDS, 4 * ON_CHIP)
    built = program("\n".join(re.sub(r"dram \d+", f"dram {next(fresh)}", x) if "store" in x else x for x in lines))
    interpreter = Interpreter(built)
    words = interpreter.state.memories[0].segments["dram"][-1].data.view(np.float32)
    words[:WORDS] = np.arange(WORDS) + 0.5
    named = np.zeros(built.dram_bytes // 4 + (1024 + 2048) // 4, np.float32)
    named[: len(words)] = words
    interpreter.run({})
    for access in accesses(built, plan_of(built, None)):
        reads = [named[each // 4] for each in access.reads]
        named[access.writes // 4] = sum(reads) if reads else 7
    assert np.array_equal(named[: len(words)], words)


@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [
        (
            (1000, 64, 8),
            "a cache must be a multiple of its line times its ways, 512 bytes, and 1000 is none; change one of them",
        ),
        ((960, 48, 4), "a cache's line must be a power of two of bytes, not 48; change it"),
        ((0, 64, 8), "a cache must have a size, a line and ways of 1 or more; give larger ones"),
    ],
)
def test_caches_that_cannot_be(sizes: tuple[int, int, int], sentence: str) -> None:
    with pytest.raises(SimulationError) as found:
        Cache(*sizes)
    assert str(found.value) == sentence


def test_programs_that_cannot_be_tried(program: Build) -> None:
    with pytest.raises(SimulationError) as found:
        with_cache(program(".core 0 0\nend\n.core 0 1\nend\n"), Cache(512))
    assert str(found.value) == "another core is tried on a program of one stream, not on one of 2; take one core"
