"""From a path, or a model in memory, to the model."""

from __future__ import annotations

import mmap
import os
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from tilework.errors import NetworkError
from tilework.frontend.from_onnx.messages import Model
from tilework.wire import ITEMS_LIMIT, Damaged, Excess, Origin, decode

WHOLE = 1 << 20  # bytes of a file that is held in memory


class Serialisable(Protocol):
    """What onnx.ModelProto is to this package."""

    def SerializeToString(self) -> bytes: ...  # noqa: N802 - protobuf's name


Source = str | Path | Serialisable


def read_model(source: Source) -> tuple[Model, str, Path | None]:
    """The model, what to call it, and its path where it has one; raises NetworkError where there is no sound model."""
    if not isinstance(source, str | Path):
        data = source.SerializeToString()
        return _decoded(data, Origin(data), "the ONNX model"), "the ONNX model", None
    path = Path(source)
    try:
        status = os.stat(path)
        return _loaded(path, status.st_mtime_ns, status.st_size), path.name, path
    except OSError as error:
        raise NetworkError(f"the ONNX file {str(path)!r} must be readable: {error.strerror}") from None


@lru_cache(maxsize=1)
def _loaded(path: Path, changed: int, size: int) -> Model:
    """The file's model; as `changed` and `size` are part of the key, it is read again when it has changed."""
    if size <= WHOLE:
        data = path.read_bytes()
        return _decoded(data, Origin(data), path.name)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        return _decoded(mapped, Origin(None, path), path.name)


def _decoded(data: bytes | mmap.mmap, origin: Origin, name: str) -> Model:
    try:
        return decode(Model, data, origin)
    except UnicodeDecodeError as error:
        raise NetworkError(
            f"{name}: every name must be UTF-8 text, not {error.object[:40]!r}: the file is damaged"
        ) from None
    except Damaged:
        raise NetworkError(f"{name} must be an ONNX model; it is cut short, damaged or something else") from None
    except Excess:
        raise NetworkError(
            f"{name} must hold at most {ITEMS_LIMIT:,} names and numbers beside those of its tensors"
        ) from None
