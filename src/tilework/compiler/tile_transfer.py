"""The bytes that the transfers of a buffer move in all, exactly: halos, ragged tiles, what is cut off, whole bursts.

A transfer moves a box, and all tiles of a buffer are a grid of boxes. So a sum over the tiles is, axis by axis, a sum
over the boxes' lengths along it, and the product of these sums; how often which length occurs is tabulated for each
size of tile that is considered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tilework.compiler.axes import axis_order, axis_strides
from tilework.compiler.buffers import Buffer
from tilework.compiler.group import Group
from tilework.isa.instruction import DTYPES

Numbers = npt.NDArray[np.float64]
NEVER = 0


class Cut(NamedTuple):
    """A loop that is cut, its step along an axis, its extent and the tile sizes that are considered, or the sizes of
    tiles and of their pieces."""

    loop: str
    step: int
    extent: int
    sizes: tuple[Any, ...]


@dataclass(frozen=True)
class Axis:
    """What a transfer covers along one axis: from `low`, `length` places, more of them for the iterations of `terms`.

    `size` is where the tensor ends, None where all is moved. In DRAM the places lie `stride` bytes apart; at `whole`
    places the next axis goes on where this one ends.
    """

    stride: int
    whole: int
    terms: tuple[tuple[str, int], ...]
    low: int = 0
    length: int = 1
    size: int | None = None

    def without(self, loops: dict[str, int]) -> Axis:
        """The axis with loops that are not cut taken whole."""
        rest = tuple((name, c) for name, c in self.terms if name not in loops)
        more = [(c, loops[name] - 1) for name, c in self.terms if name in loops]
        low = self.low + sum(c * last for c, last in more if c < 0)
        length = self.length + sum(abs(c) * last for c, last in more)
        return Axis(self.stride, self.whole, rest, low, length, self.size)


class Sums(NamedTuple):
    """Sums over the tiles along an axis, for each size considered: places, in the tensor or with padding; bytes in
    whole bursts of those whose places are not `whole`; the number of those whose are."""

    inside: Numbers
    covered: Numbers
    bursts: Numbers
    whole: Numbers


def axes(group: Group, buffer: Buffer) -> tuple[Axis, ...]:
    """The axes of a buffer's transfers, innermost in DRAM first."""
    tensor = group.tensors[buffer.access.tensor]
    strides = axis_strides(tensor.shape, tensor.dtype)
    if buffer.stored:
        return _stored(group, buffer, strides)
    found = []
    for axis in reversed(axis_order(len(strides))):
        index, size = buffer.access.index[axis], tensor.shape[axis]
        found.append(Axis(strides[axis], size, index.terms, index.offset, 1, size))
    return _last(found)


def _stored(group: Group, buffer: Buffer, strides: Sequence[int]) -> tuple[Axis, ...]:
    """A store's axes are the loops that make the result; a first one of one element begins a run."""
    indices = zip(buffer.access.index, strides, strict=True)
    steps = {n: abs(c) * stride for index, stride in indices for n, c in index.terms if group.extents[n] > 1}
    loops = sorted((step, name) for name, step in steps.items())
    element = DTYPES[group.tensors[buffer.access.tensor].dtype]
    ends = [step for step, _ in loops]
    found = [Axis(element, ends[0] // element if ends else NEVER, ())]
    for (step, name), after in zip(loops, (*ends, NEVER)[1:], strict=True):
        found.append(Axis(step, after // step if after % step == 0 else NEVER, ((name, 1),)))
    return _last(found)


def _last(found: list[Axis]) -> tuple[Axis, ...]:
    """Nothing goes on behind the outermost axis."""
    if not found:
        return ()
    end = found[-1]
    return (*found[:-1], Axis(end.stride, NEVER, end.terms, end.low, end.length, end.size))


@lru_cache(maxsize=4096)
def sums(axis: Axis, cuts: tuple[Cut, ...], burst: int) -> Sums:
    """The sums of an axis whose loops are all cut, as arrays with an axis for each."""
    shape = [len(cut.sizes) for cut in cuts]
    rows = [_sums(axis, cuts, sizes, burst) for sizes in product(*(cut.sizes for cut in cuts))]
    columns = np.array(rows, np.float64).T
    return Sums(*(column.reshape(shape) for column in columns))


def _sums(axis: Axis, cuts: tuple[Cut, ...], sizes: tuple[Any, ...], burst: int) -> tuple[int, ...]:
    low, length = np.array([axis.low]), np.array([axis.length])
    for (_, step, extent, _), size in zip(cuts, sizes, strict=True):
        starts, parts = _tiles(extent, size)
        first = starts if step > 0 else starts + parts - 1
        low = (low[:, None] + step * first).ravel()
        length = (length[:, None] + abs(step) * (parts - 1)).ravel()
    inside = length
    if axis.size is not None:
        inside = np.maximum(0, np.minimum(low + length, axis.size) - np.maximum(low, 0))
    whole = inside == axis.whole
    bursts = -(-inside[~whole] * axis.stride // burst) * burst
    return int(inside.sum()), int(length.sum()), int(bursts.sum()), int(whole.sum())


def _tiles(extent: int, size: Any) -> tuple[Any, Any]:
    """Where the tiles of a loop, or the pieces of these, begin, and their sizes."""
    tile, piece = size if isinstance(size, tuple) else (extent, size)
    within = np.arange(0, tile, piece)
    starts = (np.arange(0, extent, tile)[:, None] + within).ravel()
    ends = np.minimum(starts - np.tile(within, len(starts) // len(within)) + tile, extent)
    return starts, np.minimum(piece, ends - starts)


def burst_bytes(found: Sequence[Sums], element: int, burst: int) -> Numbers:
    """The bytes that DRAM moves: of each tile each run of neighbours, in whole bursts."""
    if burst == 1:
        total: Numbers = np.array(float(element))
        for each in found:
            total = total * each.inside
        return total
    total, before = np.array(0.0), np.array(1.0)
    for place, each in enumerate(found):
        here = before * each.bursts
        for outer in found[place + 1 :]:
            here = here * outer.inside
        total, before = total + here, before * each.whole
    return total if found else np.array(float(-(-element // burst) * burst))
