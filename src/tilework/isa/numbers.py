"""How numbers are kept in memory: float32, float16, bfloat16, int8 and int32.

The processor computes in float32. Going there from a dtype is exact but for large int32, coming back rounds to nearest,
ties to even; what is too large becomes infinite as a float and the largest as an integer, and NaN as an integer is 0.
"""

from __future__ import annotations

from math import isnan
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.isa.instruction import DTYPES

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]

STORAGE: dict[str, np.dtype[Any]] = {  # NumPy has no bfloat16: its bits
    name: np.dtype("uint16" if name == "bfloat16" else name) for name in DTYPES
}
_RANGE = {name: (-(1 << bits - 1), (1 << bits - 1) - 1) for name, bits in (("int8", 8), ("int32", 32))}


def to_float32(stored: Array, dtype: str) -> Float32:
    """The values of stored elements; int32 above 2**24 are rounded."""
    if dtype == "bfloat16":
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.float32)


def from_float32(values: npt.ArrayLike, dtype: str) -> Array:
    """Float32 values as elements of the dtype are stored."""
    values = np.asarray(values, np.float32)
    if dtype == "bfloat16":
        return _bfloat16(values)
    if dtype in _RANGE:
        whole = np.rint(values, dtype=np.float64)  # float32 has no 2**31 - 1
        return from_integers(np.where(np.isnan(whole), 0, whole), dtype)
    with np.errstate(over="ignore"):
        return values.astype(STORAGE[dtype])


def from_integers(values: npt.ArrayLike, dtype: str) -> Array:
    """Whole numbers as elements of int8 or int32 are stored: the nearest that there is."""
    low, high = _RANGE[dtype]
    return np.clip(values, low, high).astype(STORAGE[dtype])


def _bfloat16(values: Float32) -> Array:
    """The upper half of the bits, rounded by a carry from the lower; NaN stays one whatever its bits."""
    bits = values.view(np.uint32)
    rounded = bits + (0x7FFF + (bits >> 16 & 1))
    kept: Array = np.where(np.isnan(values), bits | 0x400000, rounded) >> 16
    return kept.astype(np.uint16)


def to_register(element: Any, dtype: str) -> int:
    """What a register of 32 bits gets of a stored element: towards 0, the nearest that it holds, 0 of NaN."""
    value = float(to_float32(np.asarray(element), dtype)) if dtype not in _RANGE else int(element)
    if isnan(value):
        return 0
    low, high = _RANGE["int32"]
    return int(min(max(value, low), high))


def from_register(value: int, dtype: str) -> Array:
    """A register's number as an element of the dtype is stored: as a float it is float32 first."""
    if dtype in _RANGE:
        return from_integers(np.int64(value), dtype)
    return from_float32(np.float32(value), dtype)
