"""The keys of a machine's TOML file, and what each value must be.

Every leaf is a type of its own, so that one hook checks it and words the error.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, ClassVar

import msgspec

from tilework.errors import MachineError
from tilework.machine.units import BANDWIDTH, ENERGY, FREQUENCY, SIZE, Quantity, parse_quantity, shown

MATRIX_KINDS = ("inner-product",)


class Size(int):
    kind: ClassVar[Quantity] = SIZE
    example: ClassVar[str] = "'16 GiB'"


class ScratchpadSize(Size):
    kind = replace(SIZE, most="64 GiB")
    example = "'128 KiB'"


class Bandwidth(float):
    kind: ClassVar[Quantity] = BANDWIDTH
    example: ClassVar[str] = "'64 GB/s'"


class Frequency(float):
    kind: ClassVar[Quantity] = FREQUENCY
    example: ClassVar[str] = "'1 GHz'"


class Energy(float):
    kind: ClassVar[Quantity] = ENERGY
    example: ClassVar[str] = "'3.7 pJ'"


class Count(int):
    least: ClassVar[int] = 1
    most: ClassVar[int] = 65536
    example: ClassVar[str] = "16"


class Cycles(Count):
    least = 0
    most = 1_000_000
    example = "4"


class Rate(Cycles):
    least = 1


class Text(str):
    pattern: ClassVar[str] = r"(?s).{0,2000}"
    must: ClassVar[str] = "text of at most 2000 characters"
    example: ClassVar[str] = "'what it is'"


class Name(Text):
    pattern = r"(?a:[A-Za-z0-9][\w.-]{0,63})"
    must = "a name of 1 to 64 letters, digits, '-', '_' or '.', that begins with a letter or a digit"
    example = "'my-dlp'"


class MatrixKind(Text):
    pattern = "|".join(MATRIX_KINDS)
    must = f"one of {', '.join(MATRIX_KINDS)}"
    example = f"'{MATRIX_KINDS[0]}'"


class Section(msgspec.Struct, forbid_unknown_fields=True):
    example: ClassVar[str] = "a table"


class DramSection(Section):
    capacity: Size
    bandwidth: Bandwidth
    latency_cycles: Cycles
    energy_per_byte: Energy


class ScratchpadSection(Section):
    capacity: ScratchpadSize
    energy_per_byte: Energy


class MatrixSection(Section):
    kind: MatrixKind
    neurons: Count
    synapses: Count
    pipeline_cycles: Cycles
    energy_per_mac: Energy


class RatesSection(Section):
    """Cycles of one group of lanes, by function; those left out, and copies, take 1."""

    add: Rate | None = None
    sub: Rate | None = None
    mul: Rate | None = None
    div: Rate | None = None
    max: Rate | None = None
    min: Rate | None = None
    pow: Rate | None = None
    exp: Rate | None = None
    log: Rate | None = None
    sqrt: Rate | None = None
    tanh: Rate | None = None


class VectorSection(Section):
    lanes: Count
    pipeline_cycles: Cycles
    energy_per_operation: Energy
    cycles: RatesSection = msgspec.field(default_factory=RatesSection)


class ControlSection(Section):
    queue_depth: Count


class MachineFile(Section):
    name: Name
    clock: Frequency
    dram: DramSection
    nram: ScratchpadSection
    wram: ScratchpadSection
    matrix: MatrixSection
    vector: VectorSection
    control: ControlSection
    description: Text = Text("")
    sources: tuple[Text, ...] = ()


def leaf(wanted: Any, value: object) -> Any:
    """The checked value of one key, as the type that the schema wants; raises ValueError that begins with "must be"."""
    if issubclass(wanted, Size | Bandwidth | Frequency | Energy):
        try:
            return wanted(parse_quantity(wanted.kind, value))
        except MachineError as error:
            raise ValueError(str(error)) from None
    if issubclass(wanted, Count):
        if type(value) is int and wanted.least <= value <= wanted.most:
            return wanted(value)
        limits = f"from {wanted.least} to {wanted.most}"
        raise ValueError(f"must be a whole number {limits}, not {shown(value)}; write one such as {wanted.example}")
    if isinstance(value, str) and re.fullmatch(wanted.pattern, value):
        return wanted(value)
    raise ValueError(f"must be {wanted.must}, not {shown(value)}; write one such as {wanted.example}")
