"""CRC-32C (Castagnoli; RFC 3720, appendix B.4), with which TFRecord files guard their records."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

POLYNOMIAL = 0x82F63B78  # reflected
WIDTH = 256  # bytes that are looked up together
FURTHER = 256 * np.arange(WIDTH)[::-1]  # where each byte's table begins
ROWS = 4096  # of WIDTH bytes, so that memory stays bounded
# From a register of zeros these lead to one of ones, in which the checksum begins. So zeros may stand before them.
START = bytes.fromhex("54641f64")
MASK = 0xA282EAD8


def crc32c(data: bytes) -> int:
    """The checksum of some bytes; 0xE3069283 for b"123456789"."""
    tables, (first, second, third, fourth) = _tables()
    raw = b"\0" * (-(len(START) + len(data)) % WIDTH) + START + data
    register = 0
    for place in range(0, len(raw), ROWS * WIDTH):
        rows = np.frombuffer(raw[place : place + ROWS * WIDTH], np.uint8).reshape(-1, WIDTH)
        looked_up = tables[rows + FURTHER]
        for row in np.bitwise_xor.reduce(looked_up, axis=1).tolist():
            a, b, c, d = register.to_bytes(4, "little")
            register = row ^ first[a] ^ second[b] ^ third[c] ^ fourth[d]
    return register ^ 0xFFFFFFFF


def masked_crc32c(data: bytes) -> int:
    """The checksum as TFRecord stores it: rotated and moved by a constant, as it may stand in data of a checksum."""
    checksum = crc32c(data)
    return ((checksum >> 15 | checksum << 17) + MASK) & 0xFFFFFFFF


@cache
def _tables() -> tuple[npt.NDArray[np.uint32], list[list[int]]]:
    """What each of 256 bytes makes of a register of zeros when 0 .. WIDTH - 1 zeros follow it; again, the last four."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(POLYNOMIAL), table >> 1)
    tables = np.empty((WIDTH, 256), np.uint32)
    tables[0] = table
    for zeros in range(1, WIDTH):
        tables[zeros] = tables[zeros - 1] >> 8 ^ table[tables[zeros - 1] & 255]
    return tables.ravel(), tables[: WIDTH - 5 : -1].tolist()
