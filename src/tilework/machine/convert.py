"""A machine to and from plain dictionaries with the keys and units of its TOML file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from tilework.errors import MachineError
from tilework.machine.leaves import EVERY, Measure, Rates, Table, leaf
from tilework.machine.machine import Control, Dram, Machine, Refresh, Rows, Scratchpad, Sram, VectorUnit
from tilework.machine.matrix import KINDS, MatrixUnit
from tilework.machine.schema import (
    MATRIX_SECTIONS,
    ControlSection,
    DramSection,
    MachineFile,
    MatrixSection,
    NramSection,
    ScratchpadSection,
    Section,
    SramSection,
    VectorSection,
    keys_of,
    types_of,
)
from tilework.machine.sentences import sentence
from tilework.machine.units import FREQUENCY, SIZE, print_quantity


def from_dict(data: Mapping[str, Any], where: str = "machine") -> Machine:
    """The machine with these keys, each a number or text with its unit as in TOML; `where` names the file in errors.

    Raises MachineError: one sentence with the key, what it must be, what it is, and what to do.
    """
    try:
        read = msgspec.convert(data, MachineFile, dec_hook=leaf)
    except msgspec.ValidationError as error:
        raise MachineError(f"{where}: {sentence(str(error), data)}") from None
    if problem := _contradiction(read):
        raise MachineError(f"{where}: {problem}")
    return _machine(read)


def to_dict(machine: Machine) -> dict[str, Any]:
    """Plain values that `from_dict` reads back to an equal machine, also through JSON or TOML.

    Equal machines give equal dictionaries, with their keys in the same order.
    """
    return {
        "name": machine.name,
        "description": machine.description,
        "sources": list(machine.sources),
        "clock": print_quantity(FREQUENCY, machine.clock_hz),
        "chip": {"clusters": machine.clusters, "cores": machine.cores},
        "dram": _written(DramSection, machine.dram),
        **({} if machine.sram is None else {"sram": _written(SramSection, machine.sram)}),
        "nram": _written(NramSection, machine.nram),
        "wram": _written(ScratchpadSection, machine.wram),
        "transfer": {"bytes_per_cycle": machine.transfer_bytes_per_cycle},
        "matrix": {"kind": machine.matrix.kind, **_written(MATRIX_SECTIONS[machine.matrix.kind], machine.matrix)},
        "vector": _written(VectorSection, machine.vector),
        "control": _written(ControlSection, machine.control),
    }


def _written(section: type[Section], part: object) -> dict[str, Any]:
    """The keys of this section with what the data class's fields hold; of the tables in it, those that are there."""
    types = types_of(section)
    held = {key: getattr(part, name) for key, name in keys_of(section).items()}
    return {key: text_of(types[key], value) for key, value in held.items() if value is not None}


def text_of(wanted: Any, value: Any) -> Any:
    """A value of this type as the file writes it."""
    kind = (*get_args(wanted), wanted)[0]
    if issubclass(kind, Section):
        return _written(kind, value)
    if issubclass(kind, Measure):
        return print_quantity(kind.kind, value)
    if issubclass(kind, Table):
        order = value if kind is Rates else [key for key in kind.keys_known if key in value]
        return {key: text_of(kind.value, value[key]) for key in order}
    return value


def _machine(f: MachineFile) -> Machine:
    return Machine(
        name=str(f.name),
        description=str(f.description),
        sources=tuple(map(str, f.sources)),
        clock_hz=float(f.clock_hz),
        dram=_dram(f.dram),
        nram=Scratchpad(**values_of(f.nram)),
        wram=Scratchpad(**values_of(f.wram)),
        matrix=_matrix(f.matrix),
        vector=VectorUnit(**values_of(f.vector)),
        control=Control(**values_of(f.control)),
        clusters=int(f.chip.clusters),
        cores=int(f.chip.cores),
        sram=None if f.sram is None else Sram(**{"ports": f.chip.cores + 1, **values_of(f.sram)}),
        transfer_bytes_per_cycle=int(f.transfer.bytes_per_cycle),
    )


def _dram(section: DramSection) -> Dram:
    rows, refresh = section.rows, section.refresh
    return Dram(
        **values_of(section),
        rows=None if rows is None else Rows(**values_of(rows)),
        refresh=None if refresh is None else Refresh(**values_of(refresh)),
    )


def _matrix(section: MatrixSection) -> MatrixUnit:
    values = values_of(section)
    energies = values["energy_per_mac_joules"]
    values["energy_per_mac_joules"] = {dtype: energies.get(dtype, energies.get(EVERY)) for dtype in section.rates}
    return KINDS[str(section.__struct_config__.tag)](**values)


def values_of(section: Section) -> dict[str, Any]:
    """The fields of a section that are given, of Python's own types, without the tables in it."""
    given = {name: getattr(section, name) for name in section.__struct_fields__}
    return {name: _value(value) for name, value in given.items() if not isinstance(value, Section | None)}


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _value(item) for key, item in value.items()}
    return next(kind(value) for kind in (bool, int, float, str) if isinstance(value, kind))


def _contradiction(f: MachineFile) -> str | None:
    dram = f.dram.capacity_bytes
    for name, memory in (("dram", f.dram), ("nram", f.nram), ("wram", f.wram), ("sram", f.sram)):
        if memory is None:
            continue
        size = print_quantity(SIZE, memory.capacity_bytes)
        if memory.capacity_bytes % 4:
            return f"{name}.capacity must be a multiple of 4 B (a float32), not '{size}'; round it"
        if memory.capacity_bytes > dram:
            most = print_quantity(SIZE, dram)
            return f"{name}.capacity must be at most dram.capacity, '{most}', not '{size}'; change one of the two"
    rates, energies = f.matrix.rates, f.matrix.energy_per_mac_joules
    if not rates:
        return "matrix.rates must have at least one dtype, not {}; add one, as in float32 = 1"
    if EVERY not in energies and energies.keys() != rates.keys():
        wanted = f"matrix.energy_per_mac must have the dtypes of matrix.rates, {', '.join(rates)}"
        return f"{wanted}, not {', '.join(energies) or 'none'}; give one energy for each, or one for all"
    return _contradiction_of_dram(f.dram)


def _contradiction_of_dram(dram: DramSection) -> str | None:
    rows, refresh = dram.rows, dram.refresh
    if rows is not None:
        size, most = print_quantity(SIZE, rows.size_bytes), print_quantity(SIZE, dram.capacity_bytes)
        if rows.size_bytes % dram.burst_bytes:
            wanted = f"dram.rows.size must be a multiple of dram.burst_bytes, {dram.burst_bytes}"
            return f"{wanted}, not '{size}'; change one of the two"
        if rows.size_bytes * rows.banks > dram.capacity_bytes:
            wanted = f"dram.rows must have a row for each bank in dram.capacity, '{most}'"
            return f"{wanted}, not {rows.banks} of '{size}'; take fewer banks or shorter rows"
    if refresh is not None and refresh.duration_cycles >= refresh.interval_cycles:
        wanted = f"dram.refresh.duration_cycles must be below interval_cycles, {refresh.interval_cycles}"
        return f"{wanted}, not {refresh.duration_cycles}; change one of the two"
    return None
