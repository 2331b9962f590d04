"""Quantities as text, each with its unit: '128 KiB', '64 GB/s', '1 GHz', '3.7 pJ', '5 us', '312 TFLOP/s', '400 W'.

KiB, MiB, GiB and TiB are powers of 1024; KB, MB, GB and TB are powers of 1000. Bits are refused. A multiply-accumulate
is two operations: '1 TMAC/s' is '2 TOP/s'.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from tilework.errors import MachineError

_NUMBER = re.compile(r"\s*([+-]?(?:\d{1,20}(?:\.\d{1,20})?(?:[eE][+-]?\d{1,3})?|nan|inf))\s*(\S*)\s*", re.ASCII)
_BITS = re.compile(r"[kKMGT]?i?b(ps|/s)?|[kKMGT]?bit(/s|s)?")
_DECIMAL = {
    "P": 15,
    "T": 12,
    "G": 9,
    "M": 6,
    "k": 3,
    "": 0,
    "m": -3,
    "u": -6,
    "µ": -6,
    "n": -9,
    "p": -12,
    "f": -15,
    "a": -18,
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """A kind of quantity: how a sentence names it, its units as multiples of the base unit, and its limits.

    `printed` are the units that `print_quantity` chooses from, largest first.
    """

    noun: str
    example: str
    units: dict[str, Fraction]
    printed: tuple[str, ...]
    most: str
    whole: bool = False
    zero: bool = False

    @property
    def limit(self) -> Fraction:
        return _scaled(self, self.most)


def _decimal(prefixes: str, unit: str) -> dict[str, Fraction]:
    return {p + unit: Fraction(10) ** _DECIMAL[p] for p in ("", *prefixes)}


_BINARY = {f"{p}iB": Fraction(1024) ** n for n, p in enumerate("KMGT", 1)}
_BYTES = _BINARY | _decimal("TGMk", "B") | {"KB": Fraction(1000)}

SIZE = Quantity(
    "a size in bytes",
    "128 KiB",
    _BYTES,
    ("TiB", "TB", "GiB", "GB", "MiB", "MB", "KiB", "KB", "B"),
    "1024 TiB",
    whole=True,
)
BANDWIDTH = Quantity(
    "a bandwidth in bytes per second",
    "64 GB/s",
    {f"{unit}/s": factor for unit, factor in _BYTES.items()},
    ("TB/s", "GB/s", "MB/s", "KB/s", "B/s"),
    "1000000 TB/s",
)
FREQUENCY = Quantity("a frequency", "1 GHz", _decimal("TGMk", "Hz"), ("THz", "GHz", "MHz", "kHz", "Hz"), "1 THz")
ENERGY = Quantity(
    "an energy", "3.7 pJ", _decimal("muµnpfa", "J"), ("J", "mJ", "uJ", "nJ", "pJ", "fJ", "aJ"), "1 J", zero=True
)
DURATION = Quantity("a time", "5 us", _decimal("muµnp", "s"), ("s", "ms", "us", "ns", "ps"), "1000 s", zero=True)
POWER = Quantity("a power", "400 W", _decimal("km", "W"), ("kW", "W", "mW"), "1000 kW")
_RATES = {unit: _decimal("PTGM", f"{unit}/s") for unit in ("FLOP", "OP", "MAC")}
OPERATIONS = Quantity(
    "operations per second",
    "312 TFLOP/s",
    _RATES["FLOP"] | _RATES["OP"] | {unit: 2 * factor for unit, factor in _RATES["MAC"].items()},
    ("TFLOP/s", "GFLOP/s", "MFLOP/s", "FLOP/s"),
    "1000000 PFLOP/s",
)


def parse_quantity(kind: Quantity, text: object) -> Fraction:
    """The exact value of `text` in the kind's base unit (bytes, hertz, joules, seconds, watts, bytes or operations per
    second).

    Raises MachineError, one sentence that begins with "must be".
    """
    match = _NUMBER.fullmatch(text) if isinstance(text, str) else None
    must = f"must be {kind.noun} such as '{kind.example}', not {shown(text)}"
    if match is None or match[2] not in kind.units:
        raise MachineError(must + _advice(kind, text, match))
    if match[1].lstrip("+-") in ("nan", "inf"):
        raise MachineError(f"{must}; write a finite number")
    value = _scaled(kind, str(text))
    if value < 0 or (value == 0 and not kind.zero):
        raise MachineError(f"{must}; write {'0 or more' if kind.zero else 'a number above 0'}")
    if value > kind.limit:
        raise MachineError(f"must be {kind.noun} of at most {kind.most}, not {shown(text)}; check its unit")
    if kind.whole and value.denominator != 1:
        raise MachineError(f"must be a whole number of bytes, not {shown(text)}; round it")
    return value


def print_quantity(kind: Quantity, value: float) -> str:
    """Text that `parse_quantity` reads back to exactly `value`, in the largest unit that keeps it at 1 or more.

    Of units that count a size in whole numbers it is the one with the smallest number.
    """
    exact = Fraction(repr(value)) if isinstance(value, float) else Fraction(value)
    numbers = {unit: exact / kind.units[unit] for unit in kind.printed}
    fitting = [u for u, number in numbers.items() if number >= 1 and not (kind.whole and number.denominator > 1)]
    if fitting:
        unit = min(fitting, key=lambda unit: numbers[unit])
        return f"{_print_number(numbers[unit])} {unit}"
    if exact == 0:
        return f"0 {next(u for u, f in kind.units.items() if f == 1)}"
    return f"{_print_number(exact / kind.units[kind.printed[-1]])} {kind.printed[-1]}"


def shown(value: object) -> str:
    """A value as an error sentence shows it: quoted, and cut when it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:56]}…"


def _scaled(kind: Quantity, text: str) -> Fraction:
    match = _NUMBER.fullmatch(text)
    assert match is not None
    return Fraction(match[1]) * kind.units[match[2]]


def _advice(kind: Quantity, text: object, match: re.Match[str] | None) -> str:
    if match is not None and _BITS.fullmatch(match[2]):
        return "; that counts bits, so divide by 8 and write B for bytes"
    if (match is not None and not match[2]) or (isinstance(text, int | float) and not isinstance(text, bool)):
        return "; add the unit"
    return f"; its units are {', '.join(u for u in kind.units if u.isascii())}"


def _print_number(number: Fraction) -> str:
    """The shortest decimal text of a number whose denominator divides a power of ten."""
    digits, shift = number, 0
    while digits.denominator != 1:
        digits, shift = digits * 10, shift + 1
    text = str(digits.numerator)
    if shift > 20 or len(text) > 20:
        return f"{text.rstrip('0')}e{len(text) - len(text.rstrip('0')) - shift}"
    if not shift:
        return text
    padded = text.rjust(shift + 1, "0")
    return f"{padded[:-shift]}.{padded[-shift:]}"
