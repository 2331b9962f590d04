"""Pieces: a parallel loop that is cut twice, into tiles and, inside the reduction, into pieces of these.

The second cut stands in an order of loops by a name of its own, that of the loop with a mark. A tile of the sums stays
on chip for the whole reduction, while what is loaded for a piece comes and goes.
"""

from __future__ import annotations

MARK = "'"


def piece_of(loop: str) -> str:
    """The name of the cut of a loop's tiles into pieces."""
    return loop + MARK


def loop_of(name: str) -> str:
    """The loop that a name in an order of loops stands for."""
    return name.removesuffix(MARK)


def is_piece(name: str) -> bool:
    """Whether a name in an order of loops is that of pieces."""
    return name.endswith(MARK)


def alike(extent: int, tile: int, piece: int) -> bool:
    """Whether all tiles of a loop have as many pieces, the last, smaller one too."""
    rest = extent % min(tile, extent)
    return rest == 0 or -(-rest // piece) == -(-tile // piece)


def even(tile: int, piece: int) -> bool:
    """Whether a tile has several pieces, and the last is no shorter than half of the others."""
    return piece < tile and 2 * ((tile - 1) % piece + 1) >= piece
