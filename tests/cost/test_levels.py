"""Levels of memory by hand: what must leave the chip, and what the units read of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tilework as tw
from tilework.cost.levels import NRAM, OFF_CHIP, ON_CHIP, WRAM, hierarchy
from tilework.errors import MachineError
from tilework.machine.accelerator import Accelerator, Memory
from tilework.network.graph import Graph, GraphBuilder

ROUND = Accelerator("round", peak={"float32": 1000.0}, memory=Memory("", 10**9, 100.0))


def network() -> Graph:
    """Two products of 4 rows with a ReLU between them: 4 x 10, 10 x 20 and 20 x 5."""
    g = GraphBuilder("two")
    first = g.node("first", "linear", g.input("x", (4, 10)), g.weight("w1", (20, 10)))
    second = g.node("second", "linear", g.node("relu", "relu", first), g.weight("w2", (5, 20)))
    return g.graph(second)


def on_chip(capacity: int, bandwidth: float | None) -> Accelerator:
    return replace(ROUND, on_chip=Memory("", capacity, bandwidth))


def test_what_is_on_chip_stays_there() -> None:
    found = hierarchy(network(), on_chip(10_000, 400.0))
    first, relu, second = found.bounds
    assert first.bytes == {OFF_CHIP: 4 * 40, ON_CHIP: 4 * (40 + 200 + 80)}
    assert relu.bytes == {OFF_CHIP: 0, ON_CHIP: 4 * 160}
    assert second.bytes == {OFF_CHIP: 4 * 20, ON_CHIP: 4 * (80 + 100 + 20)}
    assert first.memory_seconds == {OFF_CHIP: 1.6, ON_CHIP: 3.2}
    assert (first.compute_seconds, first.seconds, first.bound_by) == (1.6, 3.2, ON_CHIP)
    assert first.intensity(OFF_CHIP) == 1600 / 160
    assert relu.intensity(OFF_CHIP) is None
    assert found.seconds == pytest.approx(3.2 + 1.6 + 2.0)


def test_what_is_more_than_the_chip_holds_comes_again() -> None:
    """Weights take 1,200 bytes, the values between the layers 320 each: of 300 bytes three quarters of the weights and
    20 bytes of each value are left outside."""
    first, relu, second = hierarchy(network(), on_chip(300, None)).bounds
    assert first.bytes[OFF_CHIP] == 160 + 800 * 0.75 + 20
    assert relu.bytes[OFF_CHIP] == 20 + 20
    assert second.bytes[OFF_CHIP] == 20 + 400 * 0.75 + 80
    assert ON_CHIP not in first.memory_seconds  # its bandwidth isn't known
    assert ON_CHIP in first.bytes


def test_without_figures_of_the_chip_there_is_one_level() -> None:
    found, flat = hierarchy(network(), ROUND), tw.roofline(network(), ROUND)
    assert [level.name for level in found.levels] == [OFF_CHIP]
    assert [bound.seconds for bound in found.bounds] == [layer.seconds for layer in flat.layers]


@given(st.integers(1, 4000), st.floats(50, 1e6))
def test_time_lies_between_all_layers_fused_and_each_alone(capacity: int, bandwidth: float) -> None:
    """As long as the chip's own memory is no slower than the one outside."""
    found = hierarchy(network(), on_chip(capacity, max(bandwidth, 100.0)))
    flat = tw.roofline(network(), ROUND)
    assert found.seconds <= flat.seconds + 1e-9
    assert all(bound.bytes[OFF_CHIP] <= bound.bytes[ON_CHIP] + 1e-9 for bound in found.bounds)


def test_layers_computed_as_one_move_nothing_between_them() -> None:
    graph = network()
    (whole,) = hierarchy(graph, ROUND, None, [[node.name for node in graph.nodes]]).bounds
    assert whole.bytes[OFF_CHIP] == 4 * (40 + 200 + 100 + 20)
    assert whole.operations == 2 * (4 * 10 * 20 + 4 * 20 * 5)


def test_a_value_that_others_read_too_is_written() -> None:
    g = GraphBuilder("shared")
    x = g.input("x", (8,))
    a = g.node("a", "relu", x)
    b = g.node("b", "relu", a)
    graph = g.graph(g.node("c", "add", a, b))
    (both,) = hierarchy(graph, ROUND, None, [("a", "b")]).bounds
    assert both.bytes == {OFF_CHIP: 32 + 32 + 32}


def test_a_renamed_value_is_read_where_it_lies() -> None:
    g = GraphBuilder("views")
    flat = g.node("flat", "reshape", g.input("x", (4, 6)), shape=(24,))
    graph = g.graph(g.node("relu", "relu", flat))
    (both,) = hierarchy(graph, ROUND, None, [("flat", "relu")]).bounds
    assert both.bytes == {OFF_CHIP: 96 + 96}


def test_scratchpads_have_what_the_array_reads() -> None:
    """16 sums of 16 products: inputs are read once for each 16 columns, weights once for each row."""
    machine = tw.load_machine("dlp-s")
    found = hierarchy(network(), machine)
    assert [level.name for level in found.levels] == [OFF_CHIP, NRAM, WRAM]
    first, relu, _ = found.bounds
    assert first.bytes[NRAM] == 4 * (4 * 10 * 2 + 4 * 20)
    assert first.bytes[WRAM] == 4 * (4 * 10 * 20)
    assert relu.bytes == {OFF_CHIP: 0, NRAM: 4 * 160, WRAM: 0}
    assert first.memory_seconds.keys() == {OFF_CHIP}  # its ports have no limit
    limited = replace(machine, wram=replace(machine.wram, port_bytes_per_cycle=64))
    first, *_ = hierarchy(network(), limited).bounds
    assert first.memory_seconds[WRAM] == pytest.approx(3200 / 64e9)


def test_a_bandwidth_must_be_known() -> None:
    with pytest.raises(MachineError) as error:
        hierarchy(network(), replace(ROUND, memory=Memory()))
    assert str(error.value) == "a roofline needs a machine's bandwidth, and round's isn't known; choose another machine"
