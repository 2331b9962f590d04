"""The instruction manual that follows from the table: for `tilework isa`, and the tables of docs/processor.md."""

from __future__ import annotations

from typing import Any

from tilework.isa.table import OPCODES, Opcode
from tilework.plain import columns

_FIELDS = {"unit": "queue", "target": "label", "element": "a"}
_COLUMNS = ("mnemonic", "code", "queue", "fields", "meaning", "cycles")


def fields_of(opcode: Opcode) -> str:
    """What an instruction names, in short: `d = a, b`, or `rd = ra, rb`, where the last may be a constant."""
    letters = [f"r{letter}" if opcode.form == "scalar" else letter for letter in "ab"[: opcode.sources]]
    if opcode.form == "scalar":
        return f"rd = {', '.join(letters)}"
    if opcode.form in ("sload", "sstore"):
        return "rd = a" if opcode.form == "sload" else "d = ra"
    if "nest" in opcode.fields:
        named = (" * " if opcode.form == "contract" else ", ").join(letters) if opcode.form != "fill" else "constant"
        return f"d = {named} or d += {named}" if "accumulate" in opcode.fields else f"d = {named}"
    register = "ra" if opcode.form == "branch" else "rd"
    words = [_FIELDS.get(name, name) for name in opcode.fields if name != ","]
    return ", ".join(register if word == "register" else word for word in words)


def row_of(opcode: Opcode) -> tuple[str, ...]:
    """The cells of a table: mnemonic, code, queue, fields, meaning, cycles."""
    return (opcode.mnemonic, f"0x{opcode.code:02X}", opcode.unit, fields_of(opcode), opcode.meaning, opcode.cycles)


def entry(opcode: Opcode) -> dict[str, Any]:
    """An instruction as JSON has it."""
    roles = [role for role in ("core", "mover") if opcode.places(role) is not None]
    record = dict(zip(_COLUMNS, row_of(opcode), strict=True)) | {"code": opcode.code}
    return {**record, "example": opcode.example, "streams": roles, "places": {r: opcode.places(r) for r in roles}}


def table_text() -> str:
    """All instructions, a line each."""
    rows = [row_of(opcode)[:-1] for opcode in OPCODES.values()]
    return columns(_COLUMNS[:-1], rows, left=len(_COLUMNS))


def page(opcode: Opcode) -> str:
    """All about one instruction."""
    rows = [*zip(_COLUMNS[1:], row_of(opcode)[1:], strict=True), ("example", opcode.example)]
    for role in ("core", "mover"):
        places = opcode.places(role)
        rows.append((f"{role}'s", "no such instruction" if places is None else _places(places)))
    width = max(len(name) for name, _ in rows)
    return "\n".join([opcode.mnemonic, *(f"  {name.ljust(width)}  {text}" for name, text in rows if text)])


def _places(places: tuple[tuple[str, ...], ...]) -> str:
    names = {"#": "a constant", "r": "a register"}
    shown = [" or ".join(names.get(place, place) for place in allowed) for allowed in places]
    return "; ".join(f"{letter} in {text}" for letter, text in zip("dab", shown, strict=False)).replace("in a ", "")
