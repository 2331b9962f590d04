"""What is wrong with a recipe, as one sentence: the key, what it must be, what it is, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

_PATH = re.compile(r"(?s)(.*?)(?: - at `\$\.?([^`]*)`)?\Z")
_FIELD = re.compile(r"(?s)Object (contains unknown|missing required) field `(.*)`\Z")
_EXPECTED = re.compile(r"(?s)Expected (.*?)(?:, got .*)?\Z")
_TYPE = re.compile(r"`(\w+)(?: \| null)?`")
_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "array": "a list",
    "object": "a table",
    "bool": "true or false",
}


def among(what: str, given: object, known: Iterable[str]) -> str:
    """That `what` must be one of the known names, with the nearest to the one given."""
    names = tuple(known)
    near = get_close_matches(str(given), names, 1)
    return (
        f"{what} must be one of {', '.join(names)}, not {given!r}; {f'did you mean {near[0]}?' if near else 'choose'}"
    )


def sentence(message: str, data: Mapping[str, Any], schema: type[msgspec.Struct]) -> str:
    """What msgspec found wrong with this data."""
    match = _PATH.match(message)
    assert match is not None
    what, path = match[1], match[2] or ""
    if field := _FIELD.match(what):
        if field[1] == "missing required":
            return f"the key {f'{path}.' * bool(path)}{field[2]} must be there, but is missing; add it"
        keys = f"the keys in [{path}]" if path else "the keys at the top"
        return among(keys, field[2], _fields(path, data, schema))
    value = _value(path, data)
    if path.endswith(".kind"):
        return f"{path} must be one of {', '.join(_kinds(path, schema))}, not {value!r}; choose one"
    if what.startswith("Invalid enum value"):
        return among(path, value, _choices(path, schema))
    wanted = _EXPECTED.match(what)
    must = _TYPE.sub(lambda m: _TYPES.get(m[1], m[1]), wanted[1]) if wanted else what
    return f"{path or 'a recipe'} must be {must}, not {value!r}; correct it"


def _value(path: str, data: Any) -> Any:
    """What stands at a path; of what is wrong inside a list, the list."""
    for step in filter(None, path.partition("[")[0].split(".")):
        data = data[step]
    return data


def _unions(path: str, schema: Any) -> list[Any]:
    """The structs that may stand at a path."""
    for step in filter(None, path.split(".")):
        hint = get_type_hints(schema)[step]
        options = [option for option in (*get_args(hint), hint) if isinstance(option, type)]
        schema = next(option for option in options if issubclass(option, msgspec.Struct))
        if step == path.rpartition(".")[2]:
            return [option for option in options if issubclass(option, msgspec.Struct)]
    return [schema]


def _choices(path: str, schema: Any) -> tuple[str, ...]:
    """The values that a key with a few of them may have."""
    parent, _, key = path.rpartition(".")
    hints = (get_type_hints(struct).get(key) for struct in _unions(parent, schema))
    return tuple(str(value) for hint in hints if get_origin(hint) is Literal for value in get_args(hint))


def _kinds(path: str, schema: Any) -> list[str]:
    return [str(option.__struct_config__.tag) for option in _unions(path.rpartition(".")[0], schema)]


def _fields(path: str, data: Mapping[str, Any], schema: Any) -> tuple[str, ...]:
    kind = (_value(path, data) or {}).get("kind") if path else None
    found = _unions(path, schema)
    chosen = next((option for option in found if kind is not None and option.__struct_config__.tag == kind), found[0])
    return (*(("kind",) if kind is not None else ()), *chosen.__struct_encode_fields__)
