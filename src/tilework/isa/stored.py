"""Weights that stay in a program's file and are mapped into memory when they are needed."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from zipfile import BadZipFile, ZipInfo

import numpy as np
import numpy.typing as npt

from tilework.errors import ProgramError

_LOCAL_HEADER = struct.Struct("<4s22xHH")
_CHUNK = 1 << 24

Bytes = npt.NDArray[np.uint8]


def data_offset(file: BinaryIO, info: ZipInfo) -> int:
    """Where in the file the data of a member begin, by its local header. Raises BadZipFile."""
    file.seek(info.header_offset)
    header = file.read(_LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size:
        raise BadZipFile("a header is cut short")
    magic, name_length, extra_length = _LOCAL_HEADER.unpack(header)
    if magic != b"PK\x03\x04" or file.read(name_length) != info.filename.encode():
        raise BadZipFile("a header is not where it should be")
    return int(file.tell() + extra_length)


@dataclass(slots=True)
class StoredWeights:
    """A function that gives the weights: a read-only map of `length` bytes of the file, checked at the first call."""

    path: Path
    offset: int
    length: int
    sha256: str
    _mapped: Bytes | None = field(default=None, repr=False)

    def __call__(self) -> Bytes:
        """Raises ProgramError if the file is gone or its weights are not those of the manifest."""
        if self._mapped is None:
            self._mapped = self._map()
        return self._mapped

    def _map(self) -> Bytes:
        try:
            data = self._open()
        except (OSError, ValueError) as error:
            raise ProgramError(f"{self.path} must stay where it was, with its weights, not be gone ({error})") from None
        digest = hashlib.sha256()
        for start in range(0, self.length, _CHUNK):
            digest.update(data[start : start + _CHUNK].data)
        if digest.hexdigest() != self.sha256:
            raise ProgramError(
                f"{self.path}: weights.bin must have the SHA-256 that the manifest says, and has not; compile again"
            )
        return data

    def _open(self) -> Bytes:
        if not self.length:
            empty = np.zeros(0, np.uint8)
            empty.flags.writeable = False
            return empty
        return np.memmap(self.path, np.uint8, "r", self.offset, (self.length,))


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A function that gives `length` bytes of stored weights from byte `start` on, mapped and checked like them."""

    whole: StoredWeights
    start: int
    length: int

    def __call__(self) -> Bytes:
        return self.whole()[self.start : self.start + self.length]
