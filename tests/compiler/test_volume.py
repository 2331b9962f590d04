"""Bytes on chip and moved, by hand; that they are those of the programs, test_estimate.py and test_tile.py show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tilework.compiler.buffers import plan_buffers
from tilework.compiler.estimate import Choice, Estimator
from tilework.compiler.fuse import fuse
from tilework.compiler.volume import Points, Staging
from tilework.machine.machine import Machine
from tilework.network.graph_text import parse_graph

LINEAR = """graph g
input x float32[4,40]
parameter w float32[8,40]
y = linear(x, w)
output y
"""


def estimator(machine: Machine, tiles: dict[str, int], staging: Staging | None = None) -> Estimator:
    """Of the product with tiles of one size; its buffers are x, w and y."""
    (group,) = fuse(parse_graph(LINEAR))
    points = Points.grid({loop: (size,) for loop, size in tiles.items()})
    return Estimator(group, plan_buffers(group), machine, points, staging)


@pytest.mark.parametrize(
    ("tiles", "index", "level", "factor"),
    [
        ({"n": 2, "k": 8, "c": 10}, 0, 3, 64 / 40),  # 10 floats of a row
        ({"n": 2, "k": 8, "c": 40}, 0, 3, 1.0),  # two whole rows: 320 bytes
        ({"n": 1, "k": 8, "c": 40}, 0, 3, 1.0),  # 160 bytes
        ({"n": 1, "k": 2, "c": 5}, 1, 3, 64 / 40),  # packed: a tile is one run, of 10 floats
        ({"n": 4, "k": 3, "c": 40}, 2, 2, 96 / 32),  # 3, 3 and 2 of 8 columns
        ({"n": 4, "k": 8, "c": 40}, 2, 2, 1.0),  # the whole, 128 bytes
    ],
)
def test_whole_bursts_are_moved(
    tiles: dict[str, int], index: int, level: int, factor: float, small: Callable[..., Machine]
) -> None:
    machine = small()
    machine = replace(machine, dram=replace(machine.dram, burst_bytes=32))
    found, around = estimator(machine, tiles), frozenset([*tiles][:level])
    assert found.moved(index, around)[0] == factor * found.inside(index, around)[0]


@pytest.mark.parametrize(
    ("tiles", "half", "level", "chunks"),
    [
        ({"n": 1, "k": 2, "c": 40}, 1280, 2, 1),  # all 320 floats
        ({"k": 2, "n": 1, "c": 40}, 1279, 1, 4),  # 2 columns at a time
        ({"k": 3, "n": 1, "c": 40}, 1279, 1, 3),
        ({"k": 4, "n": 1, "c": 40}, 639, 1, -1),  # 4 columns are 640 bytes
        ({"n": 1, "k": 2, "c": 40}, 1279, 2, -1),  # each row needs all columns
        ({"k": 2, "n": 1, "c": 40}, 1279, 0, -1),  # all columns at once
    ],
)
def test_chunks_of_a_weight(
    tiles: dict[str, int], half: int, level: int, chunks: int, small: Callable[..., Machine]
) -> None:
    choice = Choice(estimator(small(), tiles).plan, tuple(tiles), 2, (0, level, 2), (1, 1, 1))
    assert estimator(small(), tiles, Staging(half, 0.25)).chunks(choice)[0] == chunks
    assert estimator(small(), tiles).chunks(choice)[0] == 0
