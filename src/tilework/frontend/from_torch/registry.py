"""The table of operators: what each torch operation is in Tilework's terms."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Row = TypeVar("Row", bound=Callable[..., None])
TABLE: dict[str, Callable[..., None]] = {}


def torch_operator(*names: str) -> Callable[[Row], Row]:
    """Register the row of a torch operator: `@torch_operator("mylib::foo")`, or `"aten::sum.dim_IntList"` for one
    overload alone.

    The function is called as `row(context, *arguments, **keywords)` with the operator's arguments as its schema has
    them, tensors as `Value`s, and says through the `Lowering` context which operations it is. A second registration
    of a name replaces the first.
    """

    def register(row: Row) -> Row:
        for name in names:
            TABLE[name.replace("::", ".")] = row
        return row

    return register


def aten(*names: str) -> Callable[[Row], Row]:
    """Register the row of ATen operators, named without `aten::`."""
    return torch_operator(*(f"aten.{name}" for name in names))


def find_row(operator: str) -> Callable[..., None] | None:
    """The row of an operator such as `aten.relu_.default`: its overload's, its own, or that of its form that does not
    write in place."""
    name = operator.rpartition(".")[0]
    for candidate in (operator, name, operator.replace("_.", "."), name.removesuffix("_")):
        if candidate in TABLE:
            return TABLE[candidate]
    return None
