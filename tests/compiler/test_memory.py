"""Addresses in DRAM: constants first, and no two live activations in one place."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.compiler.axes import axis_order, axis_strides
from tilework.compiler.fuse import fuse
from tilework.compiler.group import Group
from tilework.compiler.memory import ALIGNMENT, DramMap, map_dram
from tilework.compiler.pipeline import Compilation
from tilework.compiler.split import best_split
from tilework.machine.machine import Machine
from tilework.network.graph import Graph
from tilework.network.graph_text import parse_graph


@pytest.mark.parametrize(
    ("sizes", "order", "strides"),
    [
        ((), (), ()),
        ((7,), (0,), (4,)),
        ((2, 3), (0, 1), (12, 4)),
        ((2, 3, 5), (0, 1, 2), (60, 20, 4)),
        ((2, 3, 5, 7), (0, 2, 3, 1), (420, 4, 84, 12)),  # channels last
        ((2, 3, 1, 1, 2), (0, 1, 2, 3, 4), (24, 8, 8, 8, 4)),
    ],
)
def test_tensors_are_dense_and_images_have_their_channels_last(
    sizes: tuple[int, ...], order: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    assert axis_order(len(sizes)) == order
    assert axis_strides(sizes, "float32") == strides
    assert axis_strides(sizes, "bfloat16") == tuple(stride // 2 for stride in strides)


def mapped(text: str, machine: Machine) -> DramMap:
    graph = parse_graph(text)
    groups = fuse(graph)
    return map_dram(graph, [best_split(group, machine, 1, "auto").apply(group) for group in groups])


def test_the_space_of_dead_activations_is_used_again(small: Callable[..., Machine]) -> None:
    """Each product of 4x16 floats takes 256 bytes; a dies when b is made, so c lies where a lay."""
    text = """graph g
input x float32[4,16]
parameter w float32[16,16]
a = linear(x, w)
b = linear(a, w)
c = linear(b, w)
output c
"""
    dram = mapped(text, small())
    assert dram.weight_bytes == 3 * 1024  # packed for each of its readers
    assert {name: address - 3072 for name, address in dram.plain.items()} == {"x": 256, "a": 0, "b": 256, "c": 0}
    assert dram.total_bytes == 3072 + 512


def test_constants_come_first_once_for_each_layout(small: Callable[..., Machine]) -> None:
    """w is packed for each convolution, b is shared as it is."""
    text = """graph g
input x float32[1,4,5,5]
parameter w float32[4,4,3,3]
parameter b float32[4]
y = conv2d(x, w, b, padding=[1,1])
z = conv2d(y, w, b)
output z
"""
    dram = mapped(text, small())
    names = [(constant.tensor.name, constant.part is None, constant.address) for constant in dram.constants]
    assert names == [("w", False, 0), ("b", True, 576), ("w", False, 640)]
    assert dram.packed == {(0, 0, 1): 0, (1, 0, 1): 640}
    assert dram.weight_bytes == 640 + 576
    assert min(dram.plain[name] for name in "xyz") == dram.weight_bytes


def lifetimes(graph: Graph, groups: tuple[Group, ...]) -> dict[str, set[int]]:
    """For each activation in DRAM, the times at which it must be there: group t runs at time t."""
    made = {name: place for place, group in reversed(list(enumerate(groups))) for name in [group.output.tensor]}
    made |= dict.fromkeys((tensor.name for tensor in graph.inputs), -1)
    used: dict[str, int] = dict(made)
    for place, group in enumerate(groups):
        touched = {access.tensor for _, access in group.external_reads} | {group.output.tensor}
        used |= dict.fromkeys(touched & made.keys(), place)
    used |= dict.fromkeys(graph.outputs, len(groups))
    return {name: set(range(made[name], used[name] + 1)) for name in made}


@settings(max_examples=80, derandomize=True, deadline=None)
@given(data=st.data())
def test_live_activations_do_not_overlap(data: Any, draw: Callable[[Any], tuple[Graph, Compilation]]) -> None:
    _, compilation = draw(data)
    dram, groups = compilation.dram, compilation.groups
    tensors = {name: tensor for group in groups for name, tensor in group.tensors.items()} | compilation.graph.tensors
    live = lifetimes(compilation.graph, groups)
    places = {name: (dram.plain[name], dram.plain[name] + tensors[name].size_bytes) for name in live}
    for low, high in places.values():
        assert low % ALIGNMENT == 0
        assert dram.weight_bytes <= low
        assert high <= dram.total_bytes
    for one, other in combinations(live, 2):
        if live[one] & live[other]:
            assert places[one][1] <= places[other][0] or places[other][1] <= places[one][0], f"{one} and {other}"
    constants = sorted((c.address, c.address + c.size_bytes) for c in dram.constants)
    for (_, high), (low, _) in pairwise([*constants, (dram.weight_bytes, dram.weight_bytes)]):
        assert high <= low
