"""CRC-32C against the examples of RFC 3720, a loop over bits, and another implementation."""

from __future__ import annotations

import crc32c as c_library
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.train.data.crc32c import ROWS, WIDTH, crc32c, masked_crc32c

READ_COMMAND = bytes.fromhex(
    "01c00000000000000000000000000000140000000000040000000014000000182800000000000000020000000000000000"[:96]
)


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (READ_COMMAND, 0xD9963A56),
    ],
)
def test_published_examples(data: bytes, checksum: int) -> None:
    assert crc32c(data) == checksum


def by_bits(data: bytes) -> int:
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


@given(data=st.binary(max_size=3 * WIDTH))
def test_as_by_bits(data: bytes) -> None:
    assert crc32c(data) == by_bits(data) == c_library.crc32c(data)


@pytest.mark.parametrize("extra", [-WIDTH - 5, -5, -4, -3, 0, 1])
def test_long_data(extra: int) -> None:
    data = np.random.default_rng(0).bytes(2 * ROWS * WIDTH + extra)
    assert crc32c(data) == c_library.crc32c(data)


@given(data=st.binary(max_size=20))
def test_masks_can_be_undone(data: bytes) -> None:
    turned = (masked_crc32c(data) - 0xA282EAD8) & 0xFFFFFFFF
    assert (turned << 15 | turned >> 17) & 0xFFFFFFFF == crc32c(data)
