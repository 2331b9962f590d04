"""Schedules against a walk over their tiles, element by element, and against what the simulator moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import permutations, product
from math import prod
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.compiler.fuse import fuse
from tilework.compiler.loops import (
    Schedule,
    best_schedule,
    group_of,
    input_stationary,
    output_stationary,
    schedule_of,
    weight_stationary,
)
from tilework.compiler.tile import tile
from tilework.errors import CompileError
from tilework.executable import compile_network
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.network.graph import Graph, GraphBuilder, Tensor
from tilework.network.nest import Access, Nest
from tilework.network.text import parse_nest


def convolution(image: tuple[int, ...], weight: tuple[int, ...], **attributes: Any) -> Graph:
    builder = GraphBuilder("convolution")
    x, w = builder.input("x", image), builder.weight("w", weight)
    return builder.graph(builder.node("o", "conv2d", x, w, **attributes))


def nest_of(graph: Graph) -> Nest:
    (nest,) = graph.nests(graph.nodes[0])
    return nest


GRAPH = convolution((1, 4, 5, 6), (4, 4, 3, 2), padding=(1, 1))
NEST, TENSORS = nest_of(GRAPH), GRAPH.tensors


@st.composite
def nests(draw: st.DrawFn) -> tuple[Nest, Mapping[str, Tensor]]:
    """A convolution, perhaps grouped, or a linear layer."""
    if draw(st.booleans()):
        n, k, c = (draw(st.integers(1, 5)) for _ in "nkc")
        tensors = (Tensor("x", (n, c), "float16"), Tensor("w", (k, c), "float16", "parameter"), Tensor("o", (n, k)))
        return parse_nest(f"n<{n} k<{k} c<{c}: o[n,k] += w[k,c] * x[n,c]"), {t.name: t for t in tensors}
    groups, c, k, kernel, stride = (draw(st.integers(1, 2)) for _ in range(5))
    height, width, padding = draw(st.integers(2, 5)), draw(st.integers(2, 5)), draw(st.integers(0, 2))
    graph = convolution(
        (draw(st.integers(1, 2)), groups * c, height, width),
        (groups * k, c, kernel, kernel),
        stride=(stride, stride),
        padding=(padding, padding),
        groups=groups,
    )
    return nest_of(graph), graph.tensors


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    nest, tensors = draw(nests())
    order = draw(st.permutations(list(nest.extents)))[: draw(st.integers(0, 4))]
    sizes = {loop: draw(st.integers(1, nest.extents[loop])) for loop in order}
    levels = tuple(draw(st.integers(0, len(order))) for _ in range(3)) if draw(st.booleans()) else ()
    return Schedule("any", nest, tensors, tuple(order), sizes, levels)


Key = tuple[int, ...]


def walked(schedule: Schedule, place: int) -> tuple[int, int, int, int]:
    """Loads, bytes read, bytes written and most bytes held of an operand, by going through every tile in order."""
    access, extents = schedule.operands[place], schedule.nest.extents
    tensor = schedule.tensors[access.tensor]
    level = schedule.levels[place] if schedule.levels else len(schedule.order)
    size = {"float32": 4, "float16": 2}[tensor.dtype]
    held: Key | None = None
    seen: set[Key] = set()
    loads = read = written = most = 0
    for starts in product(*(range(0, extents[loop], schedule.sizes[loop]) for loop in schedule.order)):
        outer = dict(zip(schedule.order[:level], starts, strict=False))
        cut = {loop: start for loop, start in outer.items() if loop in access.loops()}
        if tuple(cut.values()) == held:
            continue
        held = tuple(cut.values())
        count = size * len(touched(access, tensor.shape, extents, cut, schedule.sizes))
        loads, most = loads + 1, max(most, count)
        if place == 0:
            written += count
            read += count if held in seen else 0
        else:
            read += count
        seen.add(held)
    return loads, read, written, most


def touched(
    access: Access, shape: tuple[int, ...], extents: Mapping[str, int], cut: Mapping[str, int], sizes: Mapping[str, int]
) -> set[Key]:
    ranges = [
        range(cut[loop], min(cut[loop] + sizes[loop], extents[loop])) if loop in cut else range(extents[loop])
        for loop in sorted(access.loops())
    ]
    points = (dict(zip(sorted(access.loops()), point, strict=True)) for point in product(*ranges))
    places = (tuple(axis.at(point) for axis in access.index) for point in points)
    return {place for place in places if all(0 <= at < size for at, size in zip(place, shape, strict=True))}


@given(schedules())
@settings(max_examples=150, deadline=None)
def test_the_traffic_is_that_of_a_walk_over_the_tiles(schedule: Schedule) -> None:
    for place, moved in enumerate(schedule.traffic()):
        loads, read, written, held = walked(schedule, place)
        assert (moved.loads, moved.read_bytes, moved.written_bytes, moved.held_bytes) == (loads, read, written, held)


@given(schedules())
@settings(max_examples=50, deadline=None)
def test_a_part_is_the_box_around_what_its_tile_touches(schedule: Schedule) -> None:
    for step in schedule.steps():
        for access in schedule.operands:
            cut = {loop: step[loop] for loop in schedule.cuts(access)}
            shape = schedule.tensors[access.tensor].shape
            places = touched(access, shape, schedule.nest.extents, cut, schedule.sizes)
            box = schedule.part(access, step)
            if places:
                inside = [(min(at), max(at)) for at in zip(*places, strict=True)]
                assert all(low <= a and b <= high for (low, high), (a, b) in zip(box, inside, strict=True))


@pytest.mark.parametrize("order", list(permutations("kpq")))
def test_every_order_computes_every_tile_of_the_output_once(order: tuple[str, ...]) -> None:
    schedule = Schedule("any", NEST, TENSORS, order, {"k": 3, "p": 2, "q": 4})
    boxes = [schedule.part(NEST.output, step) for step in schedule.steps()]
    assert len(boxes) == schedule.tiles == len(set(boxes)) == 2 * 3 * 2
    places = [place for box in boxes for place in product(*(range(low, high + 1) for low, high in box))]
    assert len(places) == len(set(places)) == GRAPH.tensors["o"].elements


@pytest.mark.parametrize(("make", "place"), [(output_stationary, 0), (input_stationary, 1), (weight_stationary, 2)])
def test_what_is_stationary_comes_once(make: Callable[..., Schedule], place: int) -> None:
    """Its own parts once each; the tiles of the others, whose loops are inside, come again."""
    schedule = make(NEST, TENSORS, {"c": 3, "k": 2, "p": 2, "q": 6})
    inside = schedule.operands[place].loops()
    assert [loop in inside for loop in schedule.order] == sorted((n in inside for n in schedule.order), reverse=True)
    moved = schedule.traffic()
    assert moved[place].loads == prod(schedule.count(loop) for loop in schedule.order if loop in inside)
    assert moved[0].read_bytes == 0 if place == 0 else moved[0].read_bytes > 0


def test_by_hand() -> None:
    """o[4,6] += x[4,8] w[6,8] in tiles of 2 rows, 3 columns, 4 summed: two tiles each way, all of 4 bytes."""
    nest = parse_nest("n<4 k<6 c<8: o[n,k] += x[n,c] * w[k,c]")
    tensors = {t.name: t for t in (Tensor("x", (4, 8)), Tensor("w", (6, 8), role="parameter"), Tensor("o", (4, 6)))}
    sizes = {"n": 2, "k": 3, "c": 4}
    output, weight = output_stationary(nest, tensors, sizes), weight_stationary(nest, tensors, sizes)
    assert output.order == ("n", "k", "c")
    assert weight.order == ("k", "c", "n")
    assert [(t.read_bytes, t.written_bytes) for t in output.traffic()] == [(0, 96), (256, 0), (384, 0)]
    assert [(t.read_bytes, t.written_bytes) for t in weight.traffic()] == [(96, 192), (256, 0), (192, 0)]
    assert [t.held_bytes for t in output.traffic()] == [24, 32, 48]
    assert str(weight) == "weight stationary: tiles k:3 c:4 n:2, 8 steps"
    assert [t.moved_bytes for t in Schedule("", nest, tensors, (), {}).traffic()] == [96, 128, 192]


@pytest.mark.parametrize(
    "graph",
    [
        convolution((1, 8, 14, 14), (16, 8, 3, 3), padding=(1, 1)),
        convolution((1, 16, 30, 30), (32, 16, 3, 3), stride=(2, 2), padding=(1, 1)),
    ],
)
def test_the_best_moves_what_its_program_moves(graph: Graph) -> None:
    machine = load_machine("dlp-s")
    best = best_schedule(nest_of(graph), graph.tensors, machine)
    assert sum(moved.moved_bytes for moved in best.traffic()) == compile_network(graph, machine, seed=0).cost.dram_bytes


def test_the_best_of_a_group_with_more_than_a_contraction(small: Callable[..., Machine]) -> None:
    builder = GraphBuilder("network")
    conv = builder.node("conv", "conv2d", builder.input("x", (1, 4, 8, 8)), builder.weight("w", (4, 4, 3, 3)))
    graph = builder.graph(builder.node("pool", "max_pool2d", conv, kernel=(2, 2)))
    (group,) = fuse(graph)
    schedule = schedule_of(group, tile(group, small(2048, 1024)))
    assert schedule.nest == group.main
    assert schedule.traffic()[0].read_bytes == 0


def refused(make: Callable[[], object]) -> str:
    with pytest.raises(CompileError) as raised:
        make()
    return str(raised.value)


def test_mistakes() -> None:
    copy = parse_nest("n<4: o[n] = x[n]")
    assert refused(lambda: Schedule("", copy, {}, (), {})) == (
        "a schedule must be of a contraction, not of a nest of kind copy"
    )
    assert refused(lambda: weight_stationary(copy, {}, {"n": 2})).startswith("a schedule must be of a contraction")
    assert refused(lambda: best_schedule(copy, {}, load_machine("dlp-s"))).startswith(
        "a schedule must be of a contract"
    )
    assert refused(lambda: output_stationary(NEST, TENSORS, {"z": 2})) == (
        "a tiled loop must be one of n, g, k, p, q, c, r, s, not 'z'"
    )
    for size in (0, 5):
        assert refused(lambda size=size: output_stationary(NEST, TENSORS, {"k": size})) == (  # type: ignore[misc]
            f"tiles of loop k must have from 1 to 4 iterations, not {size}"
        )
    assert refused(lambda: Schedule("", NEST, TENSORS, ("k", "k"), {"k": 2, "p": 2})) == (
        "the order must name each tiled loop once, k, p, not k, k"
    )
    assert refused(lambda: Schedule("", NEST, TENSORS, ("k",), {"k": 2}, (0, 2, 0))) == (
        "levels must be three numbers from 0 to 1, not [0, 2, 0]"
    )
    twice = parse_nest("n<4 m<3 c<2: o[n+m] += x[n,c] * w[m,c]")
    assert refused(lambda: Schedule("", twice, {}, (), {})) == (
        "a schedule's nest must write each place from one iteration of its output's loops alone"
    )


def test_a_group_of_one_nest() -> None:
    assert group_of(NEST, TENSORS).macs == NEST.iterations
