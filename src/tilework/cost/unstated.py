"""What a count holds beyond nests: work for the host, and operations that nobody has stated yet."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilework.cost.characters import visible
from tilework.cost.record import MODULE, Row
from tilework.cost.view import OTHERS
from tilework.network.general import UNKNOWN
from tilework.network.host import WORK

if TYPE_CHECKING:
    from tilework.cost.count import Count

GROUPS = (MODULE, OTHERS)  # operations of rows that stand for several


@dataclass(frozen=True)
class Unknown:
    """An operation that no table states, and how often it occurs."""

    operation: str
    times: int

    @property
    def register(self) -> str:
        """The decorator with which a user states it: torch's are called aten.foo.default, ONNX's Foo or domain::Foo."""
        if "." not in self.operation or "::" in self.operation:
            return f"@tilework.onnx_operator({self.operation!r})"
        namespace, name, *_ = self.operation.split(".")
        return f"@tilework.torch_operator('{namespace}::{name}')"


def mark(row: Row) -> str:
    """What a table adds to the operation of a row that isn't all nests."""
    if row.other_operations.get(UNKNOWN):
        return ", some unknown" if row.operation in GROUPS else ", unknown"
    return ", on the host" if row.operation in WORK else ""


def unknown_operations(count: Count) -> list[Unknown]:
    """The operations that no table states, the most frequent first; by module they have lost their names."""
    times = Counter[str]()
    for row in count.rows:
        if number := row.other_operations.get(UNKNOWN):
            times[row.operation] += number
    return [Unknown(operation, number) for operation, number in times.most_common()]


def notes(count: Count) -> list[str]:
    """A sentence for the host's work and one for each unknown operation; empty where all is nests."""
    host = dict.fromkeys(row.operation for row in count.rows if row.operation in WORK)
    return [
        *([f"On the host, not as nests: {', '.join(host)}."] if host else []),
        *(_note(found) for found in unknown_operations(count)),
    ]


def _note(found: Unknown) -> str:
    if found.operation in GROUPS:
        return f"Not known, so not counted: {found.times:,} operations in modules; counts by operation name them."
    operation = visible(found.operation)
    return f"Not known, so not counted: {operation}, {found.times:,}×; state it with {found.register}."
