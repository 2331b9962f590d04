"""Tiles of a packed weight that are in the SRAM when their group begins: which, where they lie, who takes them from it.

Tiles are counted in the order in which they lie, and in which they are loaded first.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from tilework.compiler.layout import Frame, Place, Run
from tilework.compiler.pieces import loop_of


@dataclass(frozen=True)
class Stock:
    """Tiles `first` to `last` - 1 of a packed buffer. `address` is where tile 0 would be in the SRAM; what is not in
    stock has no place there."""

    buffer: int
    first: int
    last: int
    address: int

    def state(self, frame: Frame, place: Place) -> int | None:
        """1 if all tiles that belong to a place are in stock, 0 if none is, None if some are."""
        tiles = tiles_at(frame, place)
        inside = len(range(max(self.first, tiles.start), min(self.last, tiles.stop)))
        return 1 if inside == len(tiles) else None if inside else 0

    def mark(self, frame: Frame, place: Place) -> object:
        """What iterations of the innermost loop of a place have in common that one run can do: all or none of their
        tiles in stock. One with some of its own stands alone."""
        state = self.state(frame, place)
        alone = state is None and len(place) - 1 in _cuts(frame)
        return ("alone", place[-1].first) if alone else state


def tiles_at(frame: Frame, place: Place) -> range:
    """The tiles that belong to a place, or to the first iterations of its runs."""
    first, number = 0, 1
    for depth in _cuts(frame):
        count = frame.tiling.count(frame.group, depth)
        first *= count
        if depth < len(place):
            first += place[depth].first
        else:
            number *= count
    return range(first, first + number)


def tiles_of(frame: Frame) -> int:
    """How many tiles a packed buffer has in all."""
    return prod(frame.tiling.count(frame.group, depth) for depth in _cuts(frame))


def loads_of(frame: Frame) -> int:
    """How often each of them is loaded."""
    return frame.tiling.fills(frame.group, frame.index) // tiles_of(frame)


def offset_of(frame: Frame, tile: int) -> int:
    """The bytes before a tile, or, behind the last, all of them."""
    if tile == tiles_of(frame):
        return frame.stored_bytes(frame.group.extents)
    tiling, numbers = frame.tiling, dict.fromkeys(range(frame.level), 0)
    for depth in reversed(_cuts(frame)):
        tile, numbers[depth] = divmod(tile, tiling.count(frame.group, depth))
    sizes, place = dict(frame.group.extents), []
    for depth, number in numbers.items():
        name = tiling.order[depth]
        loop = loop_of(name)
        sizes[loop] = min(tiling.tiles[name], sizes[loop] - number * tiling.tiles[name])
        place.append(Run(number, 1, sizes[loop], begins=False))
    return frame.packed_dram(tuple(place), 0).base


def _cuts(frame: Frame) -> list[int]:
    """The tile loops that cut a packed buffer."""
    names = enumerate(frame.tiling.order[: frame.level])
    return [depth for depth, name in names if loop_of(name) in frame.packed_loops]
