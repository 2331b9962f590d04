"""All published cases beside our figures: the table of sources, and how it prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from textwrap import fill
from types import ModuleType
from typing import Any

from tilework.errors import ValidationError
from tilework.plain import columns, dataframe
from tilework.validation import chips, eyeriss, mlu, nvdla, scale_sim, tpu
from tilework.validation.case import NEAR, Case

MODULES: Mapping[str, ModuleType] = {module.NAME: module for module in (scale_sim, nvdla, eyeriss, chips, tpu, mlu)}
WIDTH = 120
HEAD = ("case", "quantity", "unit", "published", "ours", "ratio", "accounted")


@dataclass(frozen=True)
class Validation:
    """Published figures beside ours, in the order of their sources."""

    cases: tuple[Case, ...]

    def to_dict(self) -> dict[str, Any]:
        """The record of `tilework validate --json`."""
        return {"cases": [case.to_dict() for case in self.cases]}

    def to_dataframe(self) -> Any:
        """A row a case, with the keys of its record; raises MissingPackageError without pandas."""
        return dataframe([case.to_dict() for case in self.cases], list(self.cases[0].to_dict()))

    def __str__(self) -> str:
        rows = [_cells(case) for case in self.cases]
        off = [case for case in self.cases if not case.near]
        parts = [columns(HEAD, rows, left=3), f"{len(rows) - len(off)} of {len(rows)} are within {NEAR:.0%}."]
        if off:
            parts.append("\n".join(_reasons(off)))
        parts.append("\n".join(dict.fromkeys(f"{case.case}: {case.source}" for case in self.cases)))
        return "\n\n".join(parts)

    def to_markdown(self) -> str:
        """The body of docs/validation.md: for each source what is compared, a table, and the reasons."""
        named = {case.case for case in self.cases}
        return "\n\n".join(_section(module, self.cases) for name, module in MODULES.items() if name in named)


def validate(name: str | None = None) -> Validation:
    """Every published case, or those of one source, each with our figure computed now.

    Raises ValidationError for a name that is no source.
    """
    if name is not None and name not in MODULES:
        raise ValidationError(f"the case must be one of {', '.join(MODULES)}, not {name!r}; choose one")
    chosen = MODULES.values() if name is None else (MODULES[name],)
    return Validation(tuple(case for module in chosen for case in module.cases()))


def _cells(case: Case) -> tuple[str, ...]:
    accounted = case.accounted_ratio
    shown = "" if accounted is None else f"{accounted:.3f}"
    return (
        case.case,
        case.quantity,
        case.unit,
        _number(case.published),
        _number(case.ours),
        f"{case.ratio:.3f}",
        shown,
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1e4 else f"{value:,.4g}"


def _reasons(cases: list[Case]) -> Iterator[str]:
    yield "Why not; accounted is the ratio when what is said here is added to ours:"
    for case in cases:
        yield fill(f"- {case.quantity}: {case.reason}", WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _section(module: ModuleType, cases: tuple[Case, ...]) -> str:
    own = [case for case in cases if case.case == module.NAME]
    head = (*HEAD[1:6], "with the reason added")
    rows = [_cells(case)[1:] for case in own]
    lines = [f"| {' | '.join(row)} |" for row in (head, ("---", "---", *["--:"] * 4), *rows)]
    sources = dict.fromkeys(case.source for case in own)
    reasons = [f"- *{case.quantity}*: {case.reason}." for case in own if not case.near]
    parts = [f"## {module.TITLE}", module.ABOUT, "\n".join(lines), *(["\n".join(reasons)] if reasons else [])]
    parts.append("From: " + "; ".join(sources) + ".")
    return "\n\n".join(parts)
