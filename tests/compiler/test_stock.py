"""Weights that the movers lay in: which tiles they are, where they lie, what that saves, and that all stays right."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.compiler import streams
from tilework.compiler.layout import Frame, Run
from tilework.compiler.options import Options
from tilework.compiler.pipeline import Compilation, compile_graph
from tilework.compiler.relocate import whole_code
from tilework.compiler.split import Part
from tilework.compiler.stock import Stock, loads_of, offset_of, tiles_at, tiles_of
from tilework.compiler.stock_plan import Stocks, _Room
from tilework.frontend.weight_files import seeded
from tilework.isa.instruction import Instruction
from tilework.isa.program import Program
from tilework.machine.machine import Machine, Sram
from tilework.network.execute import execute
from tilework.network.graph import Graph
from tilework.network.graph_text import parse_graph
from tilework.simulator.cycle import simulate
from tilework.simulator.functional import run
from tilework.simulator.hazards import find_races
from tilework.simulator.structure import analyse, walk

Array = npt.NDArray[Any]
Inputs = Callable[[Graph], dict[str, Array]]
Small = Callable[..., Machine]

NETWORK = """graph net
input x float32[1,{c},{p},{p}]
parameter u float32[{k},{c},3,3]
parameter v float32[{k},{k},3,3]
parameter w float32[{m},{f}]
parameter z float32[{m},{m}]
a = conv2d(x, u, padding=[1,1])
b = conv2d(a, v, padding=[1,1])
d = relu(b)
e = flatten(d)
g = linear(e, w)
h = linear(g, z)
output h
"""


FIRST = Run(0, 1, 1, begins=False)


def network(channels: int, pixels: int, kernels: int, neurons: int) -> Graph:
    inside = kernels * pixels * pixels
    return parse_graph(NETWORK.format(c=channels, p=pixels, k=kernels, m=neurons, f=inside))


def cluster(machine: Machine, size: int, cores: int = 4, clusters: int = 1, width: float = 4e9) -> Machine:
    dram = replace(machine.dram, bandwidth_bytes_per_second=width)
    sram = Sram(size, 64e9, 2, 1.0, ports=2)
    return replace(machine, dram=dram, cores=cores, clusters=clusters, sram=sram)


def compiled(graph: Graph, machine: Machine, **options: Any) -> Compilation:
    return compile_graph(graph, seeded(graph, 3), machine, Options(**options))


def from_mover(program: Program) -> int:
    """The bytes that movers load."""
    total = 0
    for stream in program.streams:
        if stream.role == "mover":
            for place, _ in walk(stream.instructions, analyse(stream.instructions, stream.role)):
                descriptor = stream.instructions[place].descriptor
                total += 4 * descriptor.iterations if descriptor else 0
    return total


def test_the_last_layer_comes_while_the_convolutions_run(
    small: Small, random_inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every byte moves once as before, only earlier: so time is what it was less what the channel did meanwhile."""
    graph, machine = network(8, 12, 24, 24), cluster(small(1 << 14, 1 << 13), 1 << 17)
    with_stock = compiled(graph, machine, split="model").program
    monkeypatch.setattr(streams, "Planner", Nothing)
    without = compiled(graph, machine, split="model").program
    laid_in = from_mover(with_stock) - from_mover(without)
    assert laid_in > 20_000
    after, before = simulate(with_stock), simulate(without)
    assert after.dram_bytes == before.dram_bytes
    saved = before.cycles - after.cycles
    assert 0.7 * laid_in / 4 < saved <= laid_in / 4
    assert after.cycles >= after.bound_cycles == before.bound_cycles


class Nothing:
    """In place of the planner: no stocks."""

    def __init__(self, *arguments: object) -> None: ...

    def plan(self, lies: object) -> Stocks:
        return Stocks()


def test_for_the_least_energy_nothing_takes_the_way_round(small: Small) -> None:
    graph, machine = network(8, 12, 24, 24), cluster(small(1 << 14, 1 << 13), 1 << 17)
    quick, thrifty = (
        compiled(graph, machine, split="model", objective=objective).program for objective in ("time", "energy")
    )
    assert from_mover(thrifty) < 10_000 < from_mover(quick)


@settings(max_examples=10, derandomize=True, deadline=None)
@given(data=st.data())
def test_values_and_order(data: Any, small: Small, random_inputs: Inputs) -> None:
    """Random sizes, memories and chips: what the nests say, no races, no more bytes than the cores would load."""

    def draw(*options: Any) -> Any:
        return data.draw(st.sampled_from(options))

    graph = network(draw(3, 8), draw(5, 8), draw(5, 8), draw(7, 16, 24))
    machine = small(draw(4000, 1 << 13, 1 << 14), draw(2000, 1 << 12, 1 << 14))
    cores, clusters = draw(2, 3, 4), draw(1, 1, 2)
    machine = cluster(machine, draw(1000, 1 << 13, 1 << 15, 1 << 17), cores, clusters, draw(1e9, 4e9, 16e9))
    program = compiled(graph, machine, split=draw("auto", "model")).program
    inputs = random_inputs(graph)
    want = execute(graph, seeded(graph, 3), inputs)
    np.testing.assert_allclose(run(program, inputs)["h"], want["h"], rtol=1e-4, atol=1e-4)
    assert find_races(program) == []
    result = simulate(program)
    assert result.cycles >= result.bound_cycles
    assert result.dram_bytes >= result.compulsory_bytes


def packed_frames(small: Small) -> list[Frame]:
    """Weights that are cut in many ways: whole, along outputs, sums, both, and loaded again for pixels."""
    found = []
    for nram, wram in ((1 << 16, 1 << 16), (4000, 1000), (2000, 700), (1500, 500)):
        graph = network(4, 5, 5, 6)
        for work in compile_graph(graph, seeded(graph, 3), small(nram, wram)).works:
            (part,) = work.parts
            for index, buffer in enumerate(part.tiling.plan.buffers):
                if buffer.packed:
                    found.append(Frame(part.group, part.tiling, index))
    assert {tiles_of(frame) > 1 for frame in found} == {True, False}
    assert any(loads_of(frame) > 1 for frame in found)
    return found


def weight_loads(code: list[Instruction]) -> list[tuple[str, int]]:
    """The memory and the address of each load of the weight, which alone lies behind a million bytes."""
    steps, found = (*code, Instruction("end")), []
    for place, counters in walk(steps, analyse(steps, "core")):
        descriptor = steps[place].descriptor
        if steps[place].mnemonic == "load" and descriptor:
            source = descriptor.sources[0]
            if (address := source.address(counters)) >= 1 << 20:  # type: ignore[union-attr]
                found.append((source.memory, address - (1 << 20)))  # type: ignore[union-attr]
    return found


def code_of(frame: Frame, stocks: tuple[Stock, ...] = ()) -> list[Instruction]:
    part = Part(frame.group, frame.tiling)
    return whole_code(part, dict.fromkeys(frame.group.names, 0), {frame.index: 1 << 20}, stocks=stocks)


def test_tiles_are_counted_in_the_order_in_which_they_are_loaded(small: Small) -> None:
    for frame in packed_frames(small):
        loaded = [address for _, address in weight_loads(code_of(frame))]
        assert list(dict.fromkeys(loaded)) == [offset_of(frame, tile) for tile in range(tiles_of(frame))]
        assert len(loaded) == tiles_of(frame) * loads_of(frame)
        assert offset_of(frame, tiles_of(frame)) == frame.stored_bytes(frame.group.extents)
        assert tiles_at(frame, ()) == range(tiles_of(frame))


def test_what_is_in_stock_comes_from_the_sram_and_all_else_as_before(small: Small) -> None:
    for frame in packed_frames(small):
        before, tiles = weight_loads(code_of(frame)), tiles_of(frame)
        for _ in range(4):
            first, last = sorted(random.Random(tiles).sample(range(tiles + 1), 2))
            stock = Stock(frame.index, first, last, 1 << 20)
            inside = {offset_of(frame, tile) for tile in range(first, last)}
            want = [("sram" if address in inside else "dram", address) for _, address in before]
            assert weight_loads(code_of(frame, (stock,))) == want


def test_a_place_where_some_tiles_are_in_stock_stands_alone(small: Small) -> None:
    frame = next(f for f in packed_frames(small) if len(tiles_at(f, (FIRST,))) not in (1, tiles_of(f)))
    whole = Stock(frame.index, 0, tiles_of(frame), 0)
    assert whole.state(frame, ()) == whole.mark(frame, ()) == 1
    assert replace(whole, last=1).state(frame, ()) is None
    assert replace(whole, last=0).state(frame, ()) == 0
    marks = [replace(whole, last=1).mark(frame, (replace(FIRST, first=n),)) for n in range(2)]
    assert marks[0] != marks[1] == 0


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9), st.integers(0, 3), st.integers(1, 3)), max_size=8))
def test_the_largest_gap(taken: list[tuple[int, int, int, int]]) -> None:
    """Beside brute force over all bytes of an SRAM of 40."""
    room, free = _Room(40), set(range(40))
    for low, size, phase, phases in taken:
        room.take(low, min(40, low + size), range(phase, phase + phases))
        if set(range(phase, phase + phases)) & {1, 2}:
            free -= set(range(low, low + size))
    low, size = room.gap(range(1, 3))
    assert set(range(low, low + size)) <= free
    longest = max((n for n in range(1, 41) for a in range(41 - n) if set(range(a, a + n)) <= free), default=0)
    assert size == longest
