"""The order of a tensor's axes in memory."""

from __future__ import annotations

from tilework.isa.instruction import DTYPES


def axis_order(rank: int) -> tuple[int, ...]:
    """The axes of a tensor in DRAM, outermost first: channels last for N,C,H,W, which contractions sum over."""
    return (0, 2, 3, 1) if rank == 4 else tuple(range(rank))


def axis_strides(sizes: tuple[int, ...], dtype: str) -> tuple[int, ...]:
    """Bytes from one place to the next along each axis of a dense array with its axes in `axis_order`."""
    strides = [0] * len(sizes)
    stride = DTYPES[dtype]
    for axis in reversed(axis_order(len(sizes))):
        strides[axis] = stride
        stride *= sizes[axis]
    return tuple(strides)
