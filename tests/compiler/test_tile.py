"""Tilings against brute force over their real tiles: capacity, traffic and the message where nothing fits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import product
from math import prod
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.compiler.buffers import Buffer, plan_buffers
from tilework.compiler.fuse import fuse
from tilework.compiler.group import Group
from tilework.compiler.pipeline import Compilation
from tilework.compiler.tile import Tiling, tile
from tilework.compiler.tile_measure import program_of
from tilework.errors import CompileError
from tilework.isa.program import Program
from tilework.machine.machine import Machine
from tilework.network.graph import Graph
from tilework.network.graph_text import parse_graph
from tilework.network.nest import Affine
from tilework.simulator.cycle import simulate
from tilework.simulator.state import span
from tilework.simulator.structure import analyse, walk

Ranges = dict[str, range]
Draw = Callable[[Any], tuple[Graph, Compilation]]
Small = Callable[..., Machine]


def tiles(group: Group, tiling: Tiling, level: int) -> Iterator[Ranges]:
    """The values that each loop takes, in every iteration of the first `level` tile loops."""
    cuts = []
    for loop in tiling.order[:level]:
        extent, size = group.extents[loop], tiling.tiles[loop]
        cuts.append([range(low, min(low + size, extent)) for low in range(0, extent, size)])
    for chosen in product(*cuts):
        yield {loop: range(extent) for loop, extent in group.loops} | dict(zip(tiling.order, chosen, strict=False))


def values(axis: Affine, ranges: Ranges) -> set[int]:
    found = {axis.offset}
    for name, c in axis.terms:
        found = {value + c * i for value in found for i in ranges[name]}
    return found


def box(buffer: Buffer, ranges: Ranges) -> int:
    """Elements of the box around what a tile touches, or, of a packed weight, of the tile alone."""
    if buffer.packed:
        return prod(len(ranges[loop]) for loop in buffer.access.loops())
    reach = [values(axis, ranges) for axis in buffer.access.index]
    return prod(max(found) - min(found) + 1 for found in reach)


def moved(group: Group, buffer: Buffer, ranges: Ranges) -> int:
    """Elements that come from or go to DRAM: a box without what lies in the padding, or what the tile has made."""
    if buffer.packed or buffer.stored:
        return prod(len(ranges[loop]) for loop in buffer.access.loops())
    total = 1
    for axis, size in zip(buffer.access.index, group.tensors[buffer.access.tensor].shape, strict=True):
        found = values(axis, ranges)
        total *= max(0, min(size - 1, max(found)) - max(0, min(found)) + 1)
    return total


def places(group: Group, tiling: Tiling) -> dict[str, list[tuple[int, int]]]:
    """For each scratchpad the bytes [low, high) of each buffer, as large as its largest tile in each of its slots."""
    found: dict[str, list[tuple[int, int]]] = {"nram": [], "wram": []}
    for buffer, level, slots in zip(tiling.plan.buffers, tiling.levels, tiling.slots, strict=True):
        size = 4 * slots * buffer.copies * max(box(buffer, ranges) for ranges in tiles(group, tiling, level))
        start = found[buffer.memory][-1][1] if found[buffer.memory] else 0
        found[buffer.memory].append((start, start + size))
    return found


def traffic(group: Group, tiling: Tiling) -> int:
    return sum(
        4 * moved(group, buffer, ranges)
        for buffer, level in zip(tiling.plan.buffers, tiling.levels, strict=True)
        if buffer.loaded or buffer.stored
        for ranges in tiles(group, tiling, level)
    )


@settings(max_examples=120, derandomize=True, deadline=None)
@given(data=st.data())
def test_tiles_fit_and_move_what_they_must(data: Any, draw: Draw) -> None:
    """Buffers fit into the scratchpads, every instruction stays inside one of them, and the bytes are those counted."""
    _, compilation = draw(data)
    machine, cost = compilation.program.machine, simulate(compilation.program)
    for work in compilation.works:
        (part,) = work.parts
        found = places(part.group, part.tiling)
        for name, capacity in (("nram", machine.nram.capacity_bytes), ("wram", machine.wram.capacity_bytes)):
            assert max((high for _, high in found[name]), default=0) <= capacity
        program = program_of(part, machine)
        assert simulate(program).dram_bytes == traffic(part.group, part.tiling) >= part.group.compulsory_bytes
        check_places(program, found)
    stages = zip(compilation.program.layers, cost.layers, strict=True)
    assert all(time.macs == layer.macs and time.cycles >= time.bound_cycles for layer, time in stages)
    assert cost.dram_bytes == sum(traffic(*each) for each in zip(compilation.groups, compilation.tilings, strict=True))


def check_places(program: Program, found: dict[str, list[tuple[int, int]]]) -> None:
    """Every operand on chip lies in one of these places."""
    for place, counters in walk(program.instructions, analyse(program.instructions)):
        descriptor = program.instructions[place].descriptor
        for operand in descriptor.operands if descriptor else ():
            if operand.memory != "dram":
                low, high = (operand.address(counters) + end for end in span(operand, descriptor.extents))
                assert any(start <= low and high <= stop for start, stop in found[operand.memory])


def test_a_network_that_fits_whole_is_not_cut(small: Small) -> None:
    (group,) = fuse(
        parse_graph("graph g\ninput x float32[2,3]\nparameter w float32[4,3]\ny = linear(x, w)\noutput y\n")
    )
    tiling = tile(group, small())
    assert (tiling.order, tiling.tiles, tiling.parallel) == (("k", "n", "c"), {"k": 4, "n": 2, "c": 3}, 2)
    assert set(tiling.slots) == {1}
    assert [tiling.count(group, depth) for depth in range(3)] == [1, 1, 1]


def test_the_text_of_a_tiling() -> None:
    (group,) = fuse(
        parse_graph("graph g\ninput x float32[2,3]\nparameter w float32[4,3]\ny = linear(x, w)\noutput y\n")
    )
    tiling = Tiling(("k", "n"), {"k": 3, "n": 1}, 2, (2, 1, 2), (2, 1, 2), 17.4, 99, plan_buffers(group))
    assert str(tiling) == "tiles k:3 n:1 | buffers x@2x2 w@1x1 y@2x2 | about 17 cycles, best of 99"
    assert [tiling.count(group, depth) for depth in range(2)] == [2, 2]


def test_a_reduction_is_not_cut_where_another_loop_shares_a_padded_axis(small: Small) -> None:
    """What a window loses at the border would depend on both tiles at once."""
    text = (
        "graph g\ninput x float32[1,1,1,64]\nparameter w float32[1,1,1,32]\ny = conv2d(x, w, padding=[0,3])\noutput y\n"
    )
    (group,) = fuse(parse_graph(text))
    assert "s" not in tile(group, small(132, 128)).order
    (group,) = fuse(parse_graph(text.replace("padding=[0,3]", "padding=[0,0]")))
    assert tile(group, small(12, 4)).tiles["s"] == 1


CONVOLUTION = """graph g
input x float32[1,3,10,10]
parameter w float32[8,3,3,3]
parameter b float32[8]
conv = conv2d(x, w, b, padding=[1,1])
act = relu(conv)
pool = max_pool2d(act)
output pool
"""
# One window of one filter and one channel: 4x4 of x, 1 of b, 2x2 of conv, 1 of pool; 3x3 of w.
NRAM, WRAM = 4 * (16 + 1 + 4 + 1), 4 * 9
SHORT = (
    "NRAM of at least 88 bytes, not 8, which is 80 short (x alone takes 64)",
    "WRAM of at least 36 bytes, not 4, which is 32 short (w alone takes 36)",
)


@pytest.mark.parametrize(
    ("nram", "wram", "lacks"),
    [
        (84, 36, "NRAM of at least 88 bytes, not 84, which is 4 short (x alone takes 64)"),
        (88, 32, "WRAM of at least 36 bytes, not 32, which is 4 short (w alone takes 36)"),
        (8, 4, f"{SHORT[0]} and {SHORT[1]}"),
        (1 << 20, 4, SHORT[1]),
    ],
)
def test_scratchpads_that_are_too_small(nram: int, wram: int, lacks: str, small: Small) -> None:
    (group,) = fuse(parse_graph(CONVOLUTION))
    with pytest.raises(CompileError) as caught:
        tile(group, small(nram, wram))
    assert str(caught.value) == f"conv needs, for its smallest tile, {lacks}; use a machine tiny with more"
    tiling = tile(group, small(NRAM, WRAM))
    assert {tiling.tiles[loop] for loop in tiling.order} == {1}


@settings(max_examples=40, derandomize=True, deadline=None)
@given(data=st.data())
def test_the_bytes_that_are_said_to_be_enough_are(data: Any, draw: Draw, small: Small) -> None:
    """Each group says, on a machine without scratchpads, what it needs; so much suffices, and less does not."""
    for group in draw(data)[1].groups:
        least = needed(group, small(0, 0))
        assert least["NRAM"] > 0
        tile(group, small(least["NRAM"], least.get("WRAM", 0)))
        assert needed(group, small(least["NRAM"] - 4, 1 << 30)) == {"NRAM": least["NRAM"]}
        if "WRAM" in least:
            assert needed(group, small(1 << 30, least["WRAM"] - 4)) == {"WRAM": least["WRAM"]}


def needed(group: Group, machine: Machine) -> dict[str, int]:
    with pytest.raises(CompileError) as caught:
        tile(group, machine)
    return {name: int(size) for name, size in re.findall(r"(.RAM) of at least (\d+) bytes", str(caught.value))}
