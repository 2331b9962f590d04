"""IDX files, in which MNIST and its kin come: a magic number, the sizes of the axes and the values, all big-endian.

The format is described with the data at http://yann.lecun.com/exdb/mnist (archived).
"""

from __future__ import annotations

import gzip
import io
import zlib
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tilework.errors import DataError
from tilework.files import replacing

Array = npt.NDArray[np.generic]

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
CODES = {np.dtype(name).newbyteorder("="): code for code, name in TYPES.items()}
MOST_AXES = 32  # what NumPy 1 can hold
GZIP = b"\x1f\x8b"


def read_idx(path: str | Path) -> Array:
    """The array in an IDX file, packed by gzip or not, in its own dtype and the machine's byte order.

    Raises DataError for a file that is missing, no IDX file, cut short or longer than it says.
    """
    return parse_idx(unpacked(path), path)


def unpacked(path: str | Path) -> bytes:
    """The content of a file, unpacked if it is packed by gzip; raises DataError."""
    try:
        raw = Path(path).read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} must be a file, but doesn't exist; check the path") from None
    except OSError as error:
        raise DataError(f"{path} must be a readable file, not one with '{error.strerror}'; give another") from None
    if not raw.startswith(GZIP):
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error):
        raise DataError(f"{path} must be a whole gzip file, but is damaged or cut short; get it anew") from None


def parse_idx(raw: bytes, path: str | Path) -> Array:
    """The array that the bytes of an IDX file hold; `path` is what errors name. Raises DataError."""
    code, axes = raw[2:4] if len(raw) >= 4 else (0, 0)
    if raw[:2] != b"\0\0" or code not in TYPES or not 1 <= axes <= MOST_AXES:
        raise DataError(
            f"{path} must be an IDX file (0, 0, a type, the number of axes), not begin with "
            f"{raw[:4].hex(' ') or 'nothing'}; give MNIST's file"
        )
    start = 4 + 4 * axes
    shape = tuple(np.frombuffer(raw[4 : len(raw[:start]) // 4 * 4], ">u4").tolist())
    dtype = np.dtype(TYPES[code])
    wanted = start + prod(shape) * dtype.itemsize
    if len(shape) < axes or len(raw) != wanted:
        expected = f"{wanted} bytes for {' x '.join(map(str, shape))} values" if len(shape) == axes else "its sizes"
        raise DataError(f"{path} must hold {expected}, not {len(raw)} bytes; it is damaged or cut short, get it anew")
    return np.frombuffer(raw, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def write_idx(path: str | Path, array: npt.ArrayLike) -> None:
    """Write an array as an IDX file, packed by gzip if the name ends in .gz; equal arrays give equal files.

    Raises DataError for a dtype or a shape that the format doesn't have, and OutputError.
    """
    values = np.asarray(array)
    code = CODES.get(values.dtype.newbyteorder("="))
    if code is None or not 1 <= values.ndim <= MOST_AXES:
        names = ", ".join(str(dtype) for dtype in CODES)
        raise DataError(
            f"an IDX file must hold an array of {names} with 1 to {MOST_AXES} axes, "
            f"not {values.dtype} with {values.ndim}; convert it"
        )
    head = bytes((0, 0, code, values.ndim)) + np.array(values.shape, ">u4").tobytes()
    raw = head + values.astype(TYPES[code]).tobytes()
    with replacing(path) as file:
        file.write(_packed(raw) if str(path).endswith(".gz") else raw)


def _packed(raw: bytes) -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile("", "wb", fileobj=buffer, mtime=0) as file:
        file.write(raw)
    return buffer.getvalue()
