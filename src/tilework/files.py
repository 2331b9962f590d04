"""Files are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from tilework.errors import OutputError


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """A new file beside `path` that takes its name at the end, and is removed if that is never reached.

    Raises OutputError where the path cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(f"{path} must be a path that can be written, not one with '{reason}'; change it") from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
