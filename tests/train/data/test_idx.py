"""IDX files against bytes laid out by hand, and what is said of damaged ones."""

from __future__ import annotations

import gzip
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tilework.errors import DataError, OutputError
from tilework.train.data.idx import CODES, read_idx, write_idx


def test_bytes_by_hand(tmp_path: Path) -> None:
    raw = struct.pack(">4B2I6h", 0, 0, 0x0B, 2, 2, 3, 1, -2, 3, 300, 5, -600)
    (tmp_path / "numbers").write_bytes(raw)
    found = read_idx(tmp_path / "numbers")
    assert found.dtype == np.int16
    assert found.tolist() == [[1, -2, 3], [300, 5, -600]]
    write_idx(tmp_path / "again", found)
    assert (tmp_path / "again").read_bytes() == raw


arrays = st.sampled_from(list(CODES)).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4))
)


@given(array=arrays, packed=st.booleans())
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]], packed: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / ("array.gz" if packed else "array")
    write_idx(path, array)
    found = read_idx(path)
    assert found.dtype == array.dtype
    assert found.tobytes() == array.tobytes()
    assert found.shape == array.shape
    assert (path.read_bytes()[:2] == b"\x1f\x8b") == packed
    first = path.read_bytes()
    write_idx(path, array.astype(array.dtype.newbyteorder(">")))
    assert path.read_bytes() == first


WHOLE = struct.pack(">4B2I", 0, 0, 8, 2, 2, 3) + bytes(6)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "must be an IDX file (0, 0, a type, the number of axes), not begin with nothing; give MNIST's file"),
        (
            b"\x89PNG....",
            "must be an IDX file (0, 0, a type, the number of axes), not begin with 89 50 4e 47; give MNIST's file",
        ),
        (
            b"\0\0\x0a\x01\0\0\0\1.",
            "must be an IDX file (0, 0, a type, the number of axes), not begin with 00 00 0a 01; give MNIST's file",
        ),
        (
            b"\0\0\x08\x00.",
            "must be an IDX file (0, 0, a type, the number of axes), not begin with 00 00 08 00; give MNIST's file",
        ),
        (WHOLE[:9], "must hold its sizes, not 9 bytes; it is damaged or cut short, get it anew"),
        (WHOLE[:-1], "must hold 18 bytes for 2 x 3 values, not 17 bytes; it is damaged or cut short, get it anew"),
        (WHOLE + b"!", "must hold 18 bytes for 2 x 3 values, not 19 bytes; it is damaged or cut short, get it anew"),
        (
            struct.pack(">4B3I", 0, 0, 14, 3, *[2**32 - 1] * 3),
            f"must hold {8 * (2**32 - 1) ** 3 + 16} bytes for 4294967295 x 4294967295 x 4294967295 values, "
            "not 16 bytes; it is damaged or cut short, get it anew",
        ),
        (gzip.compress(WHOLE, mtime=0)[:-9], "must be a whole gzip file, but is damaged or cut short; get it anew"),
        (
            gzip.compress(WHOLE, mtime=0)[:-8] + bytes(8),
            "must be a whole gzip file, but is damaged or cut short; get it anew",
        ),
    ],
)
def test_damaged_files(tmp_path: Path, raw: bytes, message: str) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(raw)
    with pytest.raises(DataError) as caught:
        read_idx(path)
    assert str(caught.value) == f"{path} {message}"


@given(position=st.integers(0, len(WHOLE) - 1), value=st.integers(0, 255))
def test_any_byte_changed_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "changed"
    path.write_bytes(WHOLE[:position] + bytes([value]) + WHOLE[position + 1 :])
    with suppress(DataError):
        assert read_idx(path).nbytes == 6


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_idx(tmp_path / "absent")
    assert str(caught.value) == f"{tmp_path / 'absent'} must be a file, but doesn't exist; check the path"
    with pytest.raises(DataError) as caught:
        read_idx(tmp_path)
    assert str(caught.value) == f"{tmp_path} must be a readable file, not one with 'Is a directory'; give another"


def test_arrays_that_have_no_idx_form(tmp_path: Path) -> None:
    names = "uint8, int8, int16, int32, float32, float64"
    with pytest.raises(DataError) as caught:
        write_idx(tmp_path / "a", np.zeros(3, np.int64))
    message = f"an IDX file must hold an array of {names} with 1 to 32 axes, not int64 with 1; convert it"
    assert str(caught.value) == message
    with pytest.raises(DataError) as caught:
        write_idx(tmp_path / "a", np.uint8(3))
    message = f"an IDX file must hold an array of {names} with 1 to 32 axes, not uint8 with 0; convert it"
    assert str(caught.value) == message
    with pytest.raises(OutputError):
        write_idx(tmp_path / "absent" / "a", np.zeros(3, np.uint8))
    assert list(tmp_path.iterdir()) == []
