"""What an operation's attributes may be: values of the kind that its defaults have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tilework.errors import NetworkError


def check_attributes(operation: str, defaults: Mapping[str, Any], attributes: Iterable[tuple[str, Any]]) -> None:
    """Raises NetworkError for an attribute that the operation lacks or whose value is of another kind."""
    for name, value in attributes:
        if name not in defaults:
            raise NetworkError(f"{operation} has no attribute {name!r}; it has {', '.join(defaults) or 'none'}")
        if not _fits(value, defaults[name]):
            raise NetworkError(f"{operation}'s {name} must be {_kind(defaults[name])}, not {value!r}")


def _fits(value: Any, default: Any) -> bool:
    if default == ():
        return isinstance(value, tuple) and all(type(item) is int for item in value)
    if isinstance(default, tuple):
        return isinstance(value, tuple) and len(value) == len(default) and all(map(_fits, value, default))
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(default)


def _kind(default: Any) -> str:
    if isinstance(default, tuple):
        return f"{len(default)} integers" if default else "integers"
    return {bool: "true or false", int: "an integer", float: "a number", str: "a string"}[type(default)]
