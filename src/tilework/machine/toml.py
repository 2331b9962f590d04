"""TOML as text: read from a file, parsed, and written from plain dictionaries."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from tilework.errors import MachineError

_MAX_FILE_BYTES = 1 << 20


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """The tables of a TOML text; `where` names the file in errors. Raises MachineError."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise MachineError(f"{where} must be TOML with a few flat tables, but it is nested too deeply") from None
    except ValueError as error:
        raise MachineError(f"{where} must be valid TOML, not with '{error}'; correct that line") from None


def write_toml(data: dict[str, Any]) -> str:
    """TOML with these tables."""
    return "\n".join(_table("", data)).strip() + "\n"


def read_toml(path: Path) -> str:
    """The text of a file; raises MachineError if it can't be read or is too large."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise MachineError(
            f"{path} must be a TOML file that can be read, not one with '{reason}'; check the path"
        ) from None
    if len(raw) > _MAX_FILE_BYTES:
        raise MachineError(f"{path} must be a machine's TOML file of at most 1 MiB, but is larger; check the path")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MachineError(
            f"{path} must be text in UTF-8, but byte {error.start} is not; save it as UTF-8 or check the path"
        ) from None


def _table(name: str, table: dict[str, Any]) -> list[str]:
    lines = [f"[{name}]"] if name else []
    lines += [f"{_key(key)} = {_value(value)}" for key, value in table.items() if not isinstance(value, dict)]
    for key, value in table.items():
        if isinstance(value, dict):
            lines += ["", *_table(f"{name}.{key}" if name else key, value)]
    return lines


def _key(key: str) -> str:
    return key if re.fullmatch(r"(?a:[\w-]+)", key) else _text(key)


def _value(value: object) -> str:
    if isinstance(value, list):
        return "".join(("[\n", *(f"    {_value(item)},\n" for item in value), "]")) if value else "[]"
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _text(value: str) -> str:
    # A JSON string is a TOML basic string, but for DEL, which JSON leaves as it is.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
