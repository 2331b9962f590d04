"""Bounds on traffic: by hand, below every program that is compiled, below every order of a small product's tiles."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import accumulate, pairwise, permutations, product
from math import ceil, inf, sqrt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilework.compiler.bounds import dram_bytes_bound, product_words, reuse
from tilework.compiler.fuse import fuse
from tilework.compiler.options import Options
from tilework.compiler.pipeline import compile_graph
from tilework.frontend.weight_files import seeded
from tilework.machine.load import load_machine
from tilework.machine.machine import Machine
from tilework.network.graph_text import parse_graph
from tilework.simulator.cycle import simulate

Small = Callable[..., Machine]


def product_text(rows: int, summed: int, columns: int) -> str:
    return f"graph g\ninput x float32[{rows},{summed}]\nparameter w float32[{columns},{summed}]\ny = linear(x, w)\n"


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("conv2d(x, w)", 9),
        ("conv2d(x, w, padding=[1,1])", 9),
        ("conv2d(x, w, stride=[2,1])", 6),
        ("conv2d(x, w, stride=[2,2], padding=[1,1])", 4),
        ("conv2d(x, w, stride=[3,3])", 1),
        ("conv2d(x, w, dilation=[2,2])", 9),
        ("conv2d(x, w, stride=[2,2], dilation=[2,2])", 9),
    ],
)
def test_reuse_is_how_often_a_pixel_lies_in_a_window(node: str, expected: int) -> None:
    """Dilated by its stride a window meets a pixel as often as an undilated one of stride 1."""
    text = f"graph g\ninput x float32[1,4,23,23]\nparameter w float32[5,4,3,3]\ny = {node}\noutput y\n"
    assert reuse(fuse(parse_graph(text))[0].main) == expected


def test_reuse_with_pooling_fused_is_that_of_the_convolution() -> None:
    text = "graph g\ninput x float32[1,4,10,10]\nparameter w float32[5,4,3,3]\ny = conv2d(x, w)\nz = max_pool2d(y)\n"
    (group,) = fuse(parse_graph(f"{text}output z\n"))
    assert reuse(group.main) == 9


def test_reuse_of_what_is_no_product_of_two_tensors() -> None:
    square = "graph g\ninput x float32[4,4]\ny = matmul(x, x)\noutput y\n"
    relu = "graph g\ninput x float32[4,4]\ny = relu(x)\noutput y\n"
    shared = "graph g\ninput x float32[1,4,6,6]\nparameter w float32[4,1,3,3]\ny = conv2d(x, w, groups=4)\noutput y\n"
    assert [reuse(fuse(parse_graph(text))[0].main) for text in (square, relu)] == [None, None]
    assert reuse(fuse(parse_graph(shared))[0].main) == 9


def test_a_matrix_product_by_hand(small: Small) -> None:
    """256 words on chip: 2 * 64**3 / 16 - 2 * 256, more than the 3 * 64**2 that are touched. A ReLU adds nothing; of a
    machine of several cores all memories count."""
    machine = small(512, 512)
    for text in (f"{product_text(64, 64, 64)}output y\n", f"{product_text(64, 64, 64)}z = relu(y)\noutput z\n"):
        (group,) = fuse(parse_graph(text))
        assert dram_bytes_bound(group, machine) == 4 * (2 * 64**3 // 16 - 2 * 256) == 4 * 32256
        assert dram_bytes_bound(group, small(1 << 20, 1 << 20)) == group.compulsory_bytes == 4 * 3 * 64**2


def test_padding_and_fused_pooling_by_hand(small: Small) -> None:
    """Of 16 x 16 places, 15 rows of a kernel's first and last row lie inside: 46 of 48 along each axis. The output is
    a quarter of the sums; the residual's 64 weights are bias alone."""
    text = "graph g\ninput x float32[1,64,16,16]\nparameter w float32[64,64,3,3]\nparameter b float32[64]\n"
    (group,) = fuse(parse_graph(f"{text}y = conv2d(x, w, b, padding=[1,1])\nz = max_pool2d(y)\noutput z\n"))
    macs, sums = 64 * 64 * 46 * 46, 64 * 16 * 16
    words = ceil(2 * macs / sqrt(9 * 256) - 2 * 256 - sums) + sums // 4 + 64
    assert abs(dram_bytes_bound(group, small(512, 512)) - 4 * words) < 4
    assert words > group.compulsory_bytes / 4


def test_all_memory_counts() -> None:
    one, many = load_machine("dlp-s"), load_machine("dlp-m4")
    assert one.on_chip_bytes == one.nram.capacity_bytes + one.wram.capacity_bytes
    assert many.sram is not None
    core = many.nram.capacity_bytes + many.wram.capacity_bytes
    assert many.on_chip_bytes == many.clusters * (many.cores * core + many.sram.capacity_bytes)


def least_by_tiles(sizes: tuple[int, int, int], memory: int) -> float:
    """Words of the best order of equal tiles, of which one of each matrix is held; sums go out and come back."""
    best = inf
    for tile in product(*(range(1, size + 1) for size in sizes)):
        m, k, n = tile
        if m * k + k * n + m * n <= memory:
            best = min(best, *(moved(sizes, tile, order) for order in permutations(range(3))))
    return best


def moved(sizes: tuple[int, ...], tile: tuple[int, ...], order: tuple[int, ...]) -> int:
    steps = [range(0, sizes[axis], tile[axis]) for axis in order]
    points = [tuple(point[order.index(axis)] for axis in range(3)) for point in product(*steps)]
    total, begun = 0, set()
    for axes in ((0, 1), (1, 2), (0, 2)):
        places = [tuple(point[axis] for axis in axes) for point in points]
        changes = [places[0], *(new for old, new in pairwise(places) if new != old)]
        for place in changes:
            words = 1
            for axis, start in zip(axes, place, strict=True):
                words *= min(tile[axis], sizes[axis] - start)
            total += words * (1 if axes != (0, 2) else 1 + (place in begun))
            begun |= {place} if axes == (0, 2) else set()
    return total


@pytest.mark.parametrize("sizes", [(4, 4, 4), (5, 3, 6), (7, 7, 5), (6, 8, 6)])
def test_no_order_of_tiles_beats_the_bound_of_a_product(sizes: tuple[int, int, int]) -> None:
    m, k, n = sizes
    touched = m * k + k * n + m * n
    for memory in range(3, touched, 7):
        least = least_by_tiles(sizes, memory)
        assert least >= max(touched, product_words(m * k * n, memory))
    assert least_by_tiles(sizes, touched) == touched


def test_the_bound_is_near_what_the_best_tiles_move() -> None:
    """One square of sums stays while a column and a row go by: S = t**2 + 2 t."""
    size, tile = 48, 6
    memory = tile**2 + 2 * tile
    best = moved((size,) * 3, (tile, 1, tile), (0, 2, 1))
    assert best == 2 * size**3 // tile + size**2
    assert 1 < best / product_words(size**3, memory) < 1.25


@settings(max_examples=60, derandomize=True, deadline=None)
@given(data=st.data())
def test_no_compiled_program_beats_it(data: Any, draw: Callable[[Any], Any]) -> None:
    """What a layer's weights take may come in the time of the layer before, so the layers up to any are counted."""
    _, compilation = draw(data)
    cost, moved, least = simulate(compilation.program), 0, 0
    for group, layer in zip(compilation.groups, cost.layers, strict=True):
        moved, least = moved + layer.dram_bytes, least + dram_bytes_bound(group, compilation.program.machine)
        assert moved >= least
        assert layer.dram_bytes_bound >= group.compulsory_bytes
        assert layer.cycles >= layer.bound_cycles
    assert cost.cycles >= cost.bound_cycles


def layer_text(chosen: random.Random) -> str:
    """A product or a convolution that is large beside a memory of a few hundred words."""
    if chosen.random() < 0.4:
        return f"{product_text(*(chosen.randint(24, 96) for _ in range(3)))}output y\n"
    channels, filters, size, kernel = (chosen.randint(*ends) for ends in ((8, 48), (16, 64), (6, 16), (1, 3)))
    text = f"graph g\ninput x float32[1,{channels},{size},{size}]\n"
    text += f"parameter w float32[{filters},{channels},{kernel},{kernel}]\n"
    stride, padding = chosen.randint(1, 3), chosen.randint(0, 2)
    text += f"y = conv2d(x, w, stride=[{stride},{stride}], padding=[{padding},{padding}])\n"
    return text + ("output y\n" if chosen.random() < 0.5 else "z = relu(y)\np = max_pool2d(z)\noutput p\n")


def test_layers_larger_than_the_memory_meet_the_communication_bound(small: Small) -> None:
    """In many of them it is above the compulsory bytes, and no program is below it."""
    chosen, bound_by_memory = random.Random(5), 0
    for _ in range(60):
        graph, memory = parse_graph(layer_text(chosen)), 4 * chosen.randint(150, 300)
        compilation = compile_graph(graph, seeded(graph), small(memory, memory), Options(fused=chosen.random() < 0.7))
        bounds = [dram_bytes_bound(group, compilation.program.machine) for group in compilation.groups]
        moved = [layer.dram_bytes for layer in simulate(compilation.program).layers]
        assert all(bytes_ >= bound for bytes_, bound in zip(accumulate(moved), accumulate(bounds), strict=True))
        pairs = zip(bounds, compilation.groups, strict=True)
        bound_by_memory += sum(bound > group.compulsory_bytes for bound, group in pairs)
    assert bound_by_memory > 10
