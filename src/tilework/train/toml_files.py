"""TOML files that come with Tilework by name, or are the user's by path."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from tilework.errors import TrainingError
from tilework.train.recipe_errors import among

MOST_BYTES = 1 << 20


def shipped(folder: str) -> tuple[str, ...]:
    """The names of those in a folder of `tilework.train`, sorted."""
    entries = files("tilework.train").joinpath(folder).iterdir()
    return tuple(sorted(entry.name[:-5] for entry in entries if entry.name.endswith(".toml")))


def read_text(name_or_path: str | Path, what: str, folder: str) -> str:
    """The text of one of them; raises TrainingError for what is neither, or can't be read."""
    name, path = str(name_or_path), Path(name_or_path)
    if name in shipped(folder):
        return files("tilework.train").joinpath(folder, f"{name}.toml").read_text("utf-8")
    if path.suffix != ".toml":
        raise TrainingError(f"{among(f'a {what}', name, shipped(folder))}, or give a path that ends in .toml")
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise TrainingError(f"{path} must be a {what} that can be read, not one with '{reason}'; change it") from None
    if len(raw) > MOST_BYTES:
        raise TrainingError(f"{path} must be a {what} of at most 1 MiB, but is larger; check the path")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise TrainingError(f"{path} must be text in UTF-8, which it is not; save it as UTF-8") from None


def tables(text: str, where: str) -> dict[str, Any]:
    """What a TOML text states; `where` names it in errors. Raises TrainingError."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise TrainingError(f"{where} must be TOML with a few flat tables, but it is nested too deeply") from None
    except ValueError as error:
        raise TrainingError(f"{where} must be valid TOML, not with '{error}'; correct that line") from None
