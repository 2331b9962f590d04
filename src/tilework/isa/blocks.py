"""Compressed operands: of each block of 16 elements a few, each with its place in the block; the others are 0.

Pruning that leaves equally many weights in each block makes their storage, and the time that they take, known before a
program runs: as N:M sparsity (Mishra et al., arXiv 2104.08378) and Cambricon-S (Zhou et al., MICRO 2018) have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import floor
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.isa.instruction import Operand

BLOCK = 16
_PLACES_PER_BYTE = 2

Array = npt.NDArray[Any]


def kept_of(share: float) -> int:
    """How many of 16 weights are left when a share of them, from 0 to below 1, goes: at least one."""
    return max(1, floor(BLOCK * (1 - share) + 0.5))


def largest(rows: Array, kept: int) -> npt.NDArray[np.bool_]:
    """Which elements stay when each block of a row keeps its largest: of equal ones the first, and NaN before all
    numbers."""
    count, summed = rows.shape
    whole = np.full((count, -(-summed // BLOCK) * BLOCK), -1, np.float32)
    whole[:, :summed] = np.nan_to_num(np.abs(rows), nan=np.inf)
    sizes = whole.reshape(-1, BLOCK)
    least = np.partition(sizes, BLOCK - kept, axis=1)[:, BLOCK - kept : BLOCK - kept + 1]
    larger, equal = sizes > least, sizes == least
    chosen = larger | (equal & (np.cumsum(equal, axis=1) <= kept - np.sum(larger, axis=1, keepdims=True)))
    stay: npt.NDArray[np.bool_] = chosen.reshape(whole.shape)[:, :summed]
    return stay


def block_elements(kept: int, element_bytes: int) -> int:
    """What a block takes, in elements: the values that it keeps, then their places, rounded up to whole elements."""
    return kept + -(-kept // (_PLACES_PER_BYTE * element_bytes))


def multiplied(summed: Any, kept: int) -> Any:
    """How many of `summed` products in a row are left: those of each block, a last one that is cut short included."""
    return -(-summed // BLOCK) * kept if kept else summed


def stored(operand: Operand, extents: Sequence[int]) -> tuple[Operand, Sequence[int]]:
    """The elements that lie in memory: of a compressed operand all blocks from its first to its last, in a row."""
    if not operand.kept:
        return operand, extents
    size = operand.element_bytes
    last = sum(stride * (extent - 1) for stride, extent in zip(operand.strides, extents, strict=True)) // size
    count = (last // BLOCK + 1) * block_elements(operand.kept, size)
    return replace(operand, strides=(size,), kept=0), (count,)


def expanded(raw: Array, operand: Operand, extents: Sequence[int]) -> Array:
    """A compressed operand's elements, one axis per loop, from what is stored of it. Of two in one place the last is
    it."""
    kept = operand.kept
    blocks = raw.reshape(-1, block_elements(kept, operand.element_bytes))
    pairs = np.ascontiguousarray(blocks[:, kept:]).view(np.uint8)
    places = np.stack((pairs & 15, pairs >> 4), axis=-1).reshape(len(blocks), -1)
    elements, rows = np.zeros((len(blocks), BLOCK), raw.dtype), np.arange(len(blocks))
    for number in range(kept):
        elements[rows, places[:, number]] = blocks[:, number]
    return np.ndarray(tuple(extents), raw.dtype, elements, 0, operand.strides)


def compressed(rows: Array, kept: int) -> Array:
    """Rows of stored elements as blocks, one row after another; a row's last block may be cut short.

    At most `kept` elements of a block may have a bit that is not 0.
    """
    count = -(-rows.shape[1] // BLOCK)
    blocks = np.zeros((len(rows), count * BLOCK), rows.dtype)
    blocks[:, : rows.shape[1]] = rows
    blocks = blocks.reshape(-1, BLOCK)
    places = np.sort(np.argsort(blocks == 0, axis=1, kind="stable")[:, :kept], axis=1)
    raw = np.zeros((len(blocks), block_elements(kept, rows.itemsize)), rows.dtype)
    raw[:, :kept] = np.take_along_axis(blocks, places, axis=1)
    assert np.count_nonzero(raw[:, :kept]) == np.count_nonzero(blocks), "a block keeps more than it has room for"
    pairs = np.zeros((len(blocks), (kept + 1) // 2 * 2), np.uint8)
    pairs[:, :kept] = places
    raw[:, kept:].view(np.uint8)[:, : pairs.shape[1] // 2] = pairs[:, ::2] | pairs[:, 1::2] << 4
    return raw.reshape(-1)
