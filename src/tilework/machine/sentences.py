"""What is wrong with a machine's file, as one sentence: the key, what it must be, what it is, and what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, get_args

from tilework.machine.leaves import Table
from tilework.machine.schema import MATRIX_SECTIONS, MachineFile, MatrixSection, Section, types_of
from tilework.machine.units import shown

_PATH = re.compile(r"(?s)(.*?)(?: - at `\$\.?([^`]*)`)?\Z")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`\Z", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`\Z", re.DOTALL)
_WRONG = re.compile(r"Expected `(\w+)")


def sentence(message: str, data: Mapping[str, Any], root: type[Section] = MachineFile) -> str:
    """What msgspec, or `leaf`, found wrong with this data, which should have been a `root`."""
    match = _PATH.match(message)
    assert match is not None
    what, path = match[1], match[2] or ""
    if what.startswith(("must ", ".")):
        return f"{path}{what}" if what[0] == "." else f"{path} {what}"
    if path == "matrix.kind":
        return f"{path} must be one of {', '.join(MATRIX_SECTIONS)}, not {shown(_value(path, data))}; choose one"
    if unknown := _UNKNOWN.match(what):
        return _unknown_key(path, unknown[1], data, root)
    if missing := _MISSING.match(what):
        return _missing_key(path, missing[1], data, root)
    return _wrong_container(path, what, data)


def _missing_key(path: str, key: str, data: Mapping[str, Any], root: type[Section]) -> str:
    whole = f"{path}.{key}" if path else key
    example = "'inner-product'" if whole == "matrix.kind" else _example(whole, data, root)
    hint = f"a table [{whole}]" if example == Section.example else f"{key} = {example}"
    return f"the key {whole} must be there, but is missing; add it, as in {hint}"


def _unknown_key(path: str, key: str, data: Mapping[str, Any], root: type[Section]) -> str:
    schema = _schema(path, data, root)
    if issubclass(schema, Table):
        known = schema.keys_known
    else:
        known = (("kind",) if schema.__struct_config__.tag_field else ()) + schema.__struct_encode_fields__
    kind = f" of the kind {data['matrix']['kind']}" if issubclass(schema, MatrixSection) else ""
    place = f"in [{path}]{kind}" if path else "at the top"
    near = get_close_matches(key, known, 1)
    advice = f"did you mean '{near[0]}'?" if near else "rename or remove it"
    return f"the keys {place} must be among {', '.join(known)}, not {shown(key)}; {advice}"


def _wrong_container(path: str, what: str, data: Mapping[str, Any]) -> str:
    value, wanted = _value(path, data), _WRONG.match(what)
    if wanted is not None and wanted[1] == "array":
        return f'{path} must be a list of texts, not {shown(value)}; write ["…"]'
    if wanted is not None and wanted[1] == "bool":
        return f"{path} must be true or false, not {shown(value)}; write it without quotes"
    return f"{path or 'a machine'} must be a table of keys, not {shown(value)}; write it as [{path or 'dram'}]"


def _value(path: str, data: Mapping[str, Any]) -> Any:
    value: Any = data
    for step in filter(None, path.split(".")):
        value = value[step]
    return value


def _schema(path: str, data: Mapping[str, Any], root: type[Section]) -> Any:
    schema: Any = root
    for step in filter(None, path.split(".")):
        hint = types_of(schema)[step]
        schema = MATRIX_SECTIONS[data["matrix"]["kind"]] if step == "matrix" else (*get_args(hint), hint)[0]
    return schema


def _example(path: str, data: Mapping[str, Any], root: type[Section]) -> str:
    if path == "matrix":
        return Section.example
    return "true" if (schema := _schema(path, data, root)) is bool else str(schema.example)
