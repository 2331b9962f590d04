"""The values in a machine's TOML file: every leaf is a type of its own, so that one hook checks it and words the error.

A type's `must` completes the sentence "the value must be …", also in the manual's tables.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, ClassVar

from tilework.errors import MachineError
from tilework.machine.accelerator import KINDS
from tilework.machine.matrix import DATAFLOWS
from tilework.machine.units import (
    BANDWIDTH,
    DURATION,
    ENERGY,
    FREQUENCY,
    OPERATIONS,
    POWER,
    SIZE,
    Quantity,
    parse_quantity,
    shown,
)

DTYPES = ("float32", "float16", "bfloat16", "int8")  # that a matrix unit may multiply
PEAK_DTYPES = (  # that an accelerator's peak is published for; `unstated` where its maker doesn't say
    *("float64", "float32", "tfloat32", "float16", "bfloat16", "float8", "float4"),
    *("int16", "int8", "int4", "unstated"),
)
FUNCTIONS = (  # of the vector unit, but for the copy
    *("add", "sub", "mul", "div", "max", "min", "pow", "exp", "log", "sqrt", "tanh", "erf", "sin", "cos", "abs"),
    *("floor", "round", "less", "equal", "and", "or", "not", "reciprocal", "sigmoid", "where", "clip"),
)
EVERY = "*"  # in place of a dtype: one energy that stands for all


class Measure:
    """A number with its unit, as text."""

    kind: ClassVar[Quantity]
    example: ClassVar[str]
    must: ClassVar[str]

    def __init_subclass__(cls) -> None:
        cls.example = f"'{cls.kind.example}'"
        cls.must = f"{cls.kind.noun}, at most {cls.kind.most}"


class Size(Measure, int):
    kind = SIZE


class DramSize(Size):
    kind = replace(SIZE, example="16 GiB")


class ScratchpadSize(Size):
    kind = replace(SIZE, most="64 GiB")


class RowSize(Size):
    kind = replace(SIZE, example="8 KiB", most="1 GiB")


class Bandwidth(Measure, float):
    kind = BANDWIDTH


class Frequency(Measure, float):
    kind = FREQUENCY


class Energy(Measure, float):
    kind = ENERGY


class Power(Measure, float):
    kind = POWER


class Duration(Measure, float):
    kind = DURATION


class Operations(Measure, float):
    kind = OPERATIONS


class Whole(int):
    """A whole number within limits."""

    least: ClassVar[int] = 1
    most: ClassVar[int] = 65536
    example: ClassVar[str] = "16"
    must: ClassVar[str]

    def __init_subclass__(cls) -> None:
        cls.must = f"a whole number from {cls.least} to {cls.most}"


class Count(Whole):
    pass


class Several(Whole):
    most = 256
    example = "4"


class Cycles(Whole):
    least = 0
    most = 1_000_000
    example = "4"


class Rate(Cycles):
    least = 1


class Interval(Rate):
    example = "7800"


class Products(Several):
    example = "2"


class Width(Whole):
    least = 0
    most = 1 << 20
    example = "64"


class Banks(Whole):
    least = 0
    example = "32"


class Year(Whole):
    least = 1970
    most = 2100
    example = "2022"


class Share(float):
    """A part of a bound, above 1 where the bound isn't one of the hardware."""

    must: ClassVar[str] = "a number above 0, at most 1000"
    example: ClassVar[str] = "0.8"


class Text(str):
    """Text that fits a pattern as a whole."""

    pattern: ClassVar[str] = r"(?s).{0,2000}"
    must: ClassVar[str] = "text of at most 2000 characters"
    example: ClassVar[str] = "'what it is'"


class Name(Text):
    pattern = r"(?a:[A-Za-z0-9][\w.-]{0,63})"
    must = "a name of 1 to 64 letters, digits, '-', '_' or '.', that begins with a letter or a digit"
    example = "'my-dlp'"


class Figures(Text):
    pattern = r"[a-z0-9_.]+(?:, [a-z0-9_.]+)*"
    must = "figures by their keys, with a comma and a space between them"
    example = "'peak, memory.bandwidth'"


class Dataflow(Text):
    pattern = "|".join(DATAFLOWS)
    must = f"one of {', '.join(DATAFLOWS)}"
    example = f"'{DATAFLOWS[0]}'"


class Table(dict[str, Any]):
    """A table with some of these keys, or any if none are known, each with a value of one type; their order is kept."""

    keys_known: ClassVar[tuple[str, ...]]
    value: ClassVar[Any]
    must: ClassVar[str]
    example: ClassVar[str] = "a table"


class Rates(Table):
    keys_known = DTYPES
    value = Products
    must = f"a table from dtype ({', '.join(DTYPES)}) to {Products.must}"


class Energies(Table):
    keys_known = DTYPES
    value = Energy
    must = f"{Energy.must}, or a table from dtype to such"
    example = Energy.example


class FunctionCycles(Table):
    keys_known = FUNCTIONS
    value = Rate
    must = f"a table from function to {Rate.must}"


class Peaks(Table):
    keys_known = PEAK_DTYPES
    value = Operations
    must = f"a table from dtype ({', '.join(PEAK_DTYPES)}) to {Operations.must}"


class Sources(Table):
    keys_known = ()
    value = Figures
    must = f"a table from the title of a source to {Figures.must}"


class Shares(Table):
    keys_known = KINDS
    value = Share
    must = f"a table from kind of layer ({', '.join(KINDS)}) to {Share.must}"


class FunctionRates(Table):
    keys_known = ()
    value = Operations
    must = f"a table from kind of operation to {Operations.must}"


def leaf(wanted: Any, value: object) -> Any:
    """The checked value of one key, as the type that the schema wants.

    Raises ValueError: what the value "must be"; the same after a dot and a key of its own; or as msgspec words it.
    """
    if issubclass(wanted, Table):
        return wanted(_table(wanted, value))
    if issubclass(wanted, Measure):
        try:
            return wanted(parse_quantity(wanted.kind, value))
        except MachineError as error:
            raise ValueError(str(error)) from None
    if issubclass(wanted, Share):
        fits = type(value) in (int, float) and 0 < float(str(value)) <= 1000
    elif issubclass(wanted, Whole):
        fits = type(value) is int and wanted.least <= value <= wanted.most
    else:
        fits = isinstance(value, str) and re.fullmatch(wanted.pattern, value) is not None
    if not fits:
        raise ValueError(f"must be {wanted.must}, not {shown(value)}; write one such as {wanted.example}")
    return wanted(value)


def _table(wanted: type[Table], value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        if wanted is Energies:
            return {EVERY: leaf(Energy, value)}
        raise ValueError("Expected `object`")
    table = {}
    for key, item in value.items():
        if wanted.keys_known and key not in wanted.keys_known:
            raise ValueError(f"Object contains unknown field `{key}`")
        try:
            table[key] = leaf(wanted.value, item)
        except ValueError as error:
            raise ValueError(f".{key} {error}") from None
    return table
