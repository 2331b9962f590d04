"""Which rows of a count are shown and in which order, and the quantities by which they can be compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tilework.cost.record import LAYER, Record, Row, total
from tilework.errors import NetworkError

if TYPE_CHECKING:
    from tilework.cost.count import Count

OTHERS = "others"  # the operation of the row that sums those below the top


@dataclass(frozen=True)
class Quantity:
    """Something that a record has a number of: a table's header for it, its name in a sentence, its unit, if any."""

    header: str
    name: str
    of: Callable[[Record], int]
    unit: str = ""


QUANTITIES: dict[str, Quantity] = {
    "macs": Quantity("Mult-Adds", "mult-adds", lambda record: record.macs),
    "parameters": Quantity("Param #", "parameters", lambda record: record.parameters),
    "multiplications": Quantity("Multiplications", "multiplications", lambda record: record.multiplications),
    "additions": Quantity("Additions", "additions", lambda record: record.additions),
    "activation_bytes": Quantity("Activation Bytes", "bytes of activations", lambda r: r.activation_bytes, "B"),
    "neurons": Quantity("Neurons", "neurons", lambda record: record.neurons),
    "other": Quantity("Other", "other operations", lambda record: sum(record.other_operations.values())),
}


def quantity_of(key: str) -> Quantity:
    """The row of QUANTITIES; raises NetworkError for another key."""
    if key not in QUANTITIES:
        raise NetworkError(f"the quantity must be one of {', '.join(QUANTITIES)}, not {key!r}")
    return QUANTITIES[key]


@dataclass(frozen=True)
class View:
    """How a count is shown: grouped as `Count.by` says, with bars for a quantity.

    With `sort`, the rows stand in a flat list, the largest of that quantity first and ties in network order; `top`
    keeps so many of them and sums the rest in one row (sorted by `quantity` unless `sort` says otherwise).
    `everything` shows repeated blocks one by one.
    Raises NetworkError for a `top` below 1 and for an unknown quantity.
    """

    by: str = LAYER
    depth: int | None = None
    quantity: str = "macs"
    sort: str | None = None
    top: int | None = None
    everything: bool = False

    def __post_init__(self) -> None:
        quantity_of(self.quantity)
        quantity_of(self.sort or self.quantity)
        if self.top is not None and self.top < 1:
            raise NetworkError(f"the top must be at least 1 row, not {self.top}")

    @property
    def is_flat(self) -> bool:
        """Whether the rows have left the tree of modules."""
        return self.sort is not None or self.top is not None

    def of(self, count: Count) -> Count:
        """The count with the rows that are shown; they still sum to its total."""
        grouped = count.grouped(self.by, self.depth)
        return replace(grouped, rows=self._ranked(grouped.rows)) if self.is_flat else grouped

    def _ranked(self, rows: Sequence[Row]) -> tuple[Row, ...]:
        ordered = sorted(rows, key=quantity_of(self.sort or self.quantity).of, reverse=True)
        top = len(ordered) if self.top is None else self.top
        rest = ordered[top:]
        return (*ordered[:top], _others(rest)) if len(rest) > 1 else tuple(ordered)


def _others(rows: Sequence[Row]) -> Row:
    layers = sum(row.layers for row in rows)
    return Row(name=f"… {len(rows):,} others", operation=OTHERS, layers=layers, **total(rows).numbers())
