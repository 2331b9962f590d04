"""Numbers and small tables as plain text, and tables as DataFrames for those who have pandas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from tilework.errors import MissingPackageError

PREFIXES = (
    (1e15, "P"),
    (1e12, "T"),
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "µ"),
    (1e-9, "n"),
    (1e-12, "p"),
)


def quantity(value: float, unit: str) -> str:
    """Three digits or more with a decimal prefix: 6.94 µs, 1.2 GB."""
    if value == 0:
        return f"0 {unit}"
    scale, prefix = next(((s, p) for s, p in PREFIXES if abs(value) >= s), PREFIXES[-1])
    return f"{value / scale:.4g} {prefix}{unit}"


def percent(share: float, digits: int = 1) -> str:
    """A share as a percentage, one that is almost 1 never rounded up to 100 %."""
    rounded = round(100 * share, digits)
    shown = 100 - 10**-digits if rounded >= 100 and share < 1 else rounded
    return f"{shown:.{digits}f} %"


def columns(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A table with aligned columns, the first `left` of them to the left, the others to the right."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def shorten(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def dataframe(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Any:
    """A pandas DataFrame; raises MissingPackageError without pandas."""
    try:
        pandas = import_module("pandas")
    except ImportError:
        raise MissingPackageError("to_dataframe needs the package pandas; install it: pip install pandas") from None
    return pandas.DataFrame(rows, columns=list(columns))
