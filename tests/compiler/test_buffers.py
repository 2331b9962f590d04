"""What a group keeps on chip: who touches each buffer, in which memory, and which nests share one."""

from __future__ import annotations

from tilework.compiler.buffers import plan_buffers
from tilework.compiler.fuse import fuse
from tilework.network.graph_text import parse_graph


def plans(nodes: str) -> list[list[str]]:
    """For each group its buffers: name, memory, packed or not, the units that hand tiles on, copies."""
    return [
        [
            f"{b.name} {b.memory}{' packed' if b.packed else ''} {'>'.join(b.units)} x{b.copies}"
            for b in plan_buffers(group).buffers
        ]
        for group in fuse(parse_graph(f"graph g\n{nodes}"))
    ]


def test_elementwise_nests_work_in_place_on_what_the_group_has_made() -> None:
    nodes = """input x float32[1,4,6,6]
parameter w float32[4,4,3,3]
parameter b float32[4]
y = conv2d(x, w, b, padding=[1,1])
s = add(y, x)
r = relu(s)
p = max_pool2d(r)
output p
"""
    assert plans(nodes) == [
        [
            "x nram load>matrix x1",
            "w wram packed load>matrix x1",
            "b nram load>vector x1",
            "x nram load>vector x1",
            "y:t nram matrix>vector x1",
            "p nram vector>store x1",
        ]
    ]


def test_what_comes_from_dram_is_not_overwritten() -> None:
    assert plans("input x float32[4]\ny = relu(x)\noutput y\n") == [["x nram load>vector x1", "y nram vector>store x1"]]


def test_temporaries_have_a_buffer_of_their_own() -> None:
    nodes = "input x float32[1,6,2,2]\ny = local_response_norm(x)\noutput y\n"
    assert plans(nodes) == [
        [
            "x nram load>vector x1",
            "x nram load>vector x1",
            "y:t nram vector>store x1",
            "y:scratch nram vector x1",
        ]
    ]


def test_the_weight_goes_to_wram_whichever_side_it_stands_on() -> None:
    nodes = "parameter x float32[3,5]\ninput w float32[4,5]\ny = linear(x, w)\noutput y\n"
    assert plans(nodes) == [["x wram packed load>matrix x1", "w nram load>matrix x1", "y nram matrix>store x1"]]


def test_a_padded_weight_is_not_packed() -> None:
    nodes = "parameter x float32[1,2,5,5]\ninput w float32[4,2,3,3]\ny = conv2d(x, w)\noutput y\n"
    assert plans(nodes) == [["x wram load>matrix x1", "w nram load>matrix x1", "y nram matrix>store x1"]]


def test_two_inputs_are_loaded_as_they_are() -> None:
    nodes = "input x float32[3,5]\ninput w float32[4,5]\ny = linear(x, w)\noutput y\n"
    assert plans(nodes) == [["x nram load>matrix x1", "w wram load>matrix x1", "y nram matrix>store x1"]]
