"""A machine to and from plain dictionaries with the keys and units of its TOML file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, get_args, get_type_hints

import msgspec

from tilework.errors import MachineError
from tilework.machine.machine import Control, Dram, Machine, MatrixUnit, Scratchpad, VectorUnit
from tilework.machine.schema import DramSection, MachineFile, ScratchpadSection, Section, leaf
from tilework.machine.units import BANDWIDTH, ENERGY, FREQUENCY, SIZE, print_quantity, shown

_PATH = re.compile(r"(?s)(.*?)(?: - at `\$\.?([^`]*)`)?\Z")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`\Z", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`\Z", re.DOTALL)
_WRONG = re.compile(r"Expected `(\w+)")


def from_dict(data: Mapping[str, Any], where: str = "machine") -> Machine:
    """The machine with these keys, each a number or text with its unit as in TOML; `where` names the file in errors.

    Raises MachineError: one sentence with the key, what it must be, what it is, and what to do.
    """
    try:
        read = msgspec.convert(data, MachineFile, dec_hook=leaf)
    except msgspec.ValidationError as error:
        raise MachineError(f"{where}: {_sentence(str(error), data)}") from None
    machine = _machine(read)
    if problem := _contradiction(machine):
        raise MachineError(f"{where}: {problem}")
    return machine


def to_dict(machine: Machine) -> dict[str, Any]:
    """Plain values that `from_dict` reads back to an equal machine, also through JSON or TOML."""
    m, v = machine.matrix, machine.vector
    return {
        "name": machine.name,
        "description": machine.description,
        "sources": list(machine.sources),
        "clock": print_quantity(FREQUENCY, machine.clock_hz),
        "dram": {
            "capacity": print_quantity(SIZE, machine.dram.capacity_bytes),
            "bandwidth": print_quantity(BANDWIDTH, machine.dram.bandwidth_bytes_per_second),
            "latency_cycles": machine.dram.latency_cycles,
            "energy_per_byte": print_quantity(ENERGY, machine.dram.energy_per_byte_joules),
        },
        "nram": _from_scratchpad(machine.nram),
        "wram": _from_scratchpad(machine.wram),
        "matrix": {
            "kind": m.kind,
            "neurons": m.neurons,
            "synapses": m.synapses,
            "pipeline_cycles": m.pipeline_cycles,
            "energy_per_mac": print_quantity(ENERGY, m.energy_per_mac_joules),
        },
        "vector": {
            "lanes": v.lanes,
            "pipeline_cycles": v.pipeline_cycles,
            "energy_per_operation": print_quantity(ENERGY, v.energy_per_operation_joules),
            "cycles": dict(v.cycles),
        },
        "control": {"queue_depth": machine.control.queue_depth},
    }


def _from_scratchpad(memory: Scratchpad) -> dict[str, Any]:
    energy = print_quantity(ENERGY, memory.energy_per_byte_joules)
    return {"capacity": print_quantity(SIZE, memory.capacity_bytes), "energy_per_byte": energy}


def _machine(f: MachineFile) -> Machine:
    m, v = f.matrix, f.vector
    rates = {name: int(rate) for name, rate in msgspec.structs.asdict(v.cycles).items() if rate is not None}
    return Machine(
        name=str(f.name),
        description=str(f.description),
        sources=tuple(map(str, f.sources)),
        clock_hz=float(f.clock),
        dram=_dram(f.dram),
        nram=_scratchpad(f.nram),
        wram=_scratchpad(f.wram),
        matrix=MatrixUnit(
            str(m.kind), int(m.neurons), int(m.synapses), int(m.pipeline_cycles), float(m.energy_per_mac)
        ),
        vector=VectorUnit(int(v.lanes), int(v.pipeline_cycles), float(v.energy_per_operation), rates),
        control=Control(int(f.control.queue_depth)),
    )


def _dram(section: DramSection) -> Dram:
    return Dram(
        int(section.capacity), float(section.bandwidth), int(section.latency_cycles), float(section.energy_per_byte)
    )


def _scratchpad(section: ScratchpadSection) -> Scratchpad:
    return Scratchpad(int(section.capacity), float(section.energy_per_byte))


def _contradiction(machine: Machine) -> str | None:
    dram = machine.dram.capacity_bytes
    for name, memory in (("dram", machine.dram), ("nram", machine.nram), ("wram", machine.wram)):
        size = print_quantity(SIZE, memory.capacity_bytes)
        if memory.capacity_bytes % 4:
            return f"{name}.capacity must be a multiple of 4 B (a float32), not '{size}'; round it"
        if memory.capacity_bytes > dram:
            least = print_quantity(SIZE, dram)
            return f"{name}.capacity must be at most dram.capacity, '{least}', not '{size}'; change one of the two"
    return None


def _sentence(message: str, data: Mapping[str, Any]) -> str:
    match = _PATH.match(message)
    assert match is not None
    what, path = match[1], match[2] or ""
    if what.startswith("must be"):
        return f"{path} {what}"
    if unknown := _UNKNOWN.match(what):
        return _unknown_key(path, unknown[1])
    if missing := _MISSING.match(what):
        key = f"{path}.{missing[1]}" if path else missing[1]
        hint = f"a table [{key}]" if (example := _example(key)) == Section.example else f"{missing[1]} = {example}"
        return f"the key {key} must be there, but is missing; add it, as in {hint}"
    return _wrong_container(path, what, data)


def _unknown_key(path: str, key: str) -> str:
    known = _schema(path).__struct_fields__
    place = f"in [{path}]" if path else "at the top"
    near = get_close_matches(key, known, 1)
    advice = f"did you mean '{near[0]}'?" if near else "rename or remove it"
    return f"the keys {place} must be among {', '.join(known)}, not {shown(key)}; {advice}"


def _wrong_container(path: str, what: str, data: Mapping[str, Any]) -> str:
    value: Any = data
    for step in filter(None, path.split(".")):
        value = value[step]
    wanted = _WRONG.match(what)
    if wanted is not None and wanted[1] == "array":
        return f'{path} must be a list of texts, not {shown(value)}; write ["…"]'
    return f"{path or 'a machine'} must be a table of keys, not {shown(value)}; write it as [{path or 'dram'}]"


def _schema(path: str) -> Any:
    schema: Any = MachineFile
    for step in filter(None, path.split(".")):
        hint = get_type_hints(schema)[step]
        schema = next((arm for arm in get_args(hint) if isinstance(arm, type)), hint)
    return schema


def _example(path: str) -> str:
    return str(_schema(path).example)
