"""Machines from TOML files and from the catalogue, and back to TOML."""

from __future__ import annotations

import hashlib
import json
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from tilework.errors import MachineError
from tilework.machine.convert import from_dict, to_dict
from tilework.machine.machine import Machine
from tilework.machine.units import shown

_MAX_FILE_BYTES = 1 << 20


def machine_names() -> tuple[str, ...]:
    """The names of the machines that come with Tilework, sorted."""
    catalogue = files("tilework.machine").joinpath("catalogue")
    return tuple(sorted(entry.name[:-5] for entry in catalogue.iterdir() if entry.name.endswith(".toml")))


def load_machine(name_or_path: str | Path) -> Machine:
    """The machine of that name in the catalogue, or that a TOML file describes.

    Raises MachineError: one sentence with the file, the key, what it must be, what it is, and what to do.
    """
    text = str(name_or_path)
    if text in machine_names():
        resource = files("tilework.machine").joinpath("catalogue", f"{text}.toml")
        return from_toml(resource.read_text("utf-8"), f"{text}.toml")
    path = Path(name_or_path)
    if path.suffix != ".toml" and not path.is_file():
        known = ", ".join(machine_names())
        raise MachineError(
            f"a machine must be one of {known} or a path that ends in .toml, not {shown(text)}; "
            f"'tilework machines' lists the names"
        )
    return from_toml(_read(path), str(path))


def from_toml(text: str, where: str = "machine") -> Machine:
    """The machine that a TOML text describes; `where` names the file in errors. Raises MachineError."""
    try:
        data = tomllib.loads(text)
    except RecursionError:
        raise MachineError(f"{where} must be TOML with a few flat tables, but it is nested too deeply") from None
    except ValueError as error:
        raise MachineError(f"{where} must be valid TOML, not with '{error}'; correct that line") from None
    return from_dict(data, where)


def to_toml(machine: Machine) -> str:
    """TOML that `from_toml` reads back to an equal machine."""
    return "\n".join(_table("", to_dict(machine))).strip() + "\n"


def machine_hash(machine: Machine) -> str:
    """SHA-256, in hexadecimal, of the JSON of `to_dict`: equal machines, and only these, have equal hashes."""
    canonical = json.dumps(to_dict(machine), separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _read(path: Path) -> str:
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
    lines += [f"{key} = {_value(value)}" for key, value in table.items() if not isinstance(value, dict)]
    for key, value in table.items():
        if isinstance(value, dict):
            lines += ["", *_table(f"{name}.{key}" if name else key, value)]
    return lines


def _value(value: object) -> str:
    if isinstance(value, list):
        return "".join(("[\n", *(f"    {_value(item)},\n" for item in value), "]")) if value else "[]"
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _text(value: str) -> str:
    # A JSON string is a TOML basic string, but for DEL, which JSON leaves as it is.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
