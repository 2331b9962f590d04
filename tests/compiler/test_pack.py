"""The weight image: every element once, in the order in which the program loads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.compiler.buffers import plan_buffers
from tilework.compiler.fuse import fuse
from tilework.compiler.memory import map_dram
from tilework.compiler.pack import pack_weights
from tilework.compiler.pipeline import Compilation
from tilework.compiler.split import Split
from tilework.compiler.tile import Tiling
from tilework.errors import WeightsError
from tilework.network.graph import Graph
from tilework.network.graph_text import parse_graph
from tilework.network.weights import Weights
from tilework.simulator.structure import analyse, walk

LINEAR = "graph g\ninput x float32[2,5]\nparameter w float32[3,5]\ny = linear(x, w)\noutput y\n"
CONV = "graph g\ninput x float32[1,2,4,4]\nparameter w float32[3,2,2,1]\ny = conv2d(x, w)\noutput y\n"


def counted(graph: Graph) -> Weights:
    """Weights whose elements are 0, 1, 2, …, row by row."""
    arrays = {t.name: np.arange(t.elements, dtype=np.float32).reshape(t.shape) for t in graph.weights}
    return Weights({name: (lambda array=array: array) for name, array in arrays.items()}, "counted")


def packed(text: str, tiles: dict[str, int], parallel: int, level: int) -> list[int]:
    """The packed weight of a graph of one contraction; its buffer is the second of three."""
    graph = parse_graph(text)
    groups = fuse(graph)
    plan = plan_buffers(groups[0])
    assert [buffer.packed for buffer in plan.buffers] == [False, True, False]
    tiling = Tiling(tuple(tiles), tiles, parallel, (0, level, parallel), (1, 1, 1), 0.0, 1, plan)
    image = pack_weights(map_dram(graph, [Split((), tiling).apply(groups[0])]), counted(graph))
    assert image.dtype == np.uint8
    assert not image.flags.writeable
    return [int(value) for value in image.view(np.float32)[: graph.tensors["w"].elements]]


@pytest.mark.parametrize(
    ("tiles", "parallel", "level", "expected"),
    [
        ({}, 0, 0, list(range(15))),
        ({"k": 2}, 1, 1, list(range(15))),
        ({"k": 2, "c": 2}, 1, 1, list(range(15))),  # loaded once for all columns
        ({"c": 2}, 0, 1, [0, 1, 5, 6, 10, 11, 2, 3, 7, 8, 12, 13, 4, 9, 14]),
        ({"k": 2, "c": 3}, 1, 2, [0, 1, 2, 5, 6, 7, 3, 4, 8, 9, 10, 11, 12, 13, 14]),
        ({"k": 2, "n": 1, "c": 3}, 2, 3, [0, 1, 2, 5, 6, 7, 3, 4, 8, 9, 10, 11, 12, 13, 14]),
    ],
)
def test_tiles_of_a_matrix(tiles: dict[str, int], parallel: int, level: int, expected: list[int]) -> None:
    assert packed(LINEAR, tiles, parallel, level) == expected


@pytest.mark.parametrize(
    ("tiles", "parallel", "level", "expected"),
    [
        # Element (k, c, r) is 4k + 2c + r; channels lie next to each other in the image, so they come last.
        ({}, 0, 0, [0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11]),
        ({"c": 1}, 0, 1, [0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11]),
    ],
)
def test_tiles_of_filters(tiles: dict[str, int], parallel: int, level: int, expected: list[int]) -> None:
    assert packed(CONV, tiles, parallel, level) == expected


def test_what_is_not_packed_has_its_channels_last() -> None:
    text = "graph g\ninput x float32[1,2,1,3]\nparameter w float32[1,2,1,3]\ny = add(x, w)\noutput y\n"
    graph = parse_graph(text)
    groups = fuse(graph)
    tiling = Tiling((), {}, 0, (0, 0, 0), (1, 1, 1), 0.0, 1, plan_buffers(groups[0]))
    image = pack_weights(map_dram(graph, [Split((), tiling).apply(groups[0])]), counted(graph))
    assert list(image.view(np.float32)[:6]) == [0, 3, 1, 4, 2, 5]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (Weights({}, "an empty file"), "the weights (an empty file) must hold w, which they lack"),
        (Weights({"w": lambda: np.zeros((5, 3), np.float32)}, "file"), "w must have the shape [3, 5], not [5, 3]"),
    ],
)
def test_weights_that_do_not_fit(weights: Weights, message: str) -> None:
    graph = parse_graph(LINEAR)
    groups = fuse(graph)
    tiling = Tiling((), {}, 0, (0, 0, 0), (1, 1, 1), 0.0, 1, plan_buffers(groups[0]))
    dram = map_dram(graph, [Split((), tiling).apply(groups[0])])
    with pytest.raises(WeightsError) as caught:
        pack_weights(dram, weights)
    assert str(caught.value) == message


@settings(max_examples=80, derandomize=True, deadline=None)
@given(data=st.data())
def test_packed_weights_hold_every_element_and_are_loaded_from_end_to_end(
    data: Any, draw: Callable[[Any], tuple[Graph, Compilation]]
) -> None:
    """The first time that a packed weight's bytes are loaded, they are loaded in order, without gaps."""
    _, compilation = draw(data)
    graph, program = compilation.graph, compilation.program
    weights = counted(graph)
    image = pack_weights(compilation.dram, weights).view(np.float32)
    ends, limits = {}, {}
    for constant in compilation.dram.constants:
        first, last = constant.address // 4, (constant.address + constant.size_bytes) // 4
        if constant.tensor.name in graph.tensors:  # a folded one is made of others
            assert sorted(image[first:last]) == list(range(last - first))
        if constant.part is not None:
            ends[constant.address] = constant.address
            limits[constant.address] = constant.address + constant.size_bytes
    for place, counters in walk(program.instructions, analyse(program.instructions)):
        instruction = program.instructions[place]
        if instruction.mnemonic == "load" and instruction.descriptor:
            (source,) = instruction.descriptor.operands[1:]
            address = source.address(counters)
            owner = next((start for start, limit in limits.items() if start <= address < limit), None)
            if owner is not None and source.strides == (4,):
                assert address <= ends[owner]
                ends[owner] = max(ends[owner], address + 4 * instruction.descriptor.iterations)
    for constant in compilation.dram.constants:
        if constant.part is not None:
            assert ends[constant.address] == constant.address + constant.tensor.size_bytes
