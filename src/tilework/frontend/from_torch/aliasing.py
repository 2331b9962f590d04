"""Writing in place: what becomes of a tensor, of what it is a view of, and of other views of the same."""

from __future__ import annotations

from typing import Any, Protocol

from tilework.frontend.from_torch.calls import Call, Value
from tilework.frontend.from_torch.tensors import Known

SAME_ORDER = {
    "aten._reshape_alias",
    "aten._unsafe_view",
    "aten.alias",
    "aten.detach",
    "aten.lift_fresh",
    "aten.squeeze",
    "aten.unsqueeze",
    "aten.view",
}


class Log(Protocol):
    """Where calls are recorded."""

    def number(self) -> int: ...

    def record(self, call: Call) -> None: ...


def written(known: Known) -> None:
    """A tensor was written to: the rest of its family is behind until it is read."""
    known.root.version += 1
    known.root.writer = known
    known.seen = known.root.version


def refresh(known: Known, log: Log) -> None:
    """Give a tensor the Value that it has since another of its family was written to."""
    if known.seen == known.root.version:
        return
    if known.parent is None or known.call is None:
        _settle(known, log)
        return
    refresh(known.parent, log)
    results = tuple(result and result._replace(id=log.number()) for result in known.call.results)
    known.value = results[known.place] or known.value
    log.record(known.call._replace(arguments=(known.parent.value, *known.call.arguments[1:]), results=results))
    known.seen = known.root.version


def _settle(root: Known, log: Log) -> None:
    """Put what was written to a view into all that it is a view of."""
    known = root.writer
    while known is not None and known.parent is not None:
        parent = known.parent
        operator, arguments = _put_back(known, parent.value)
        parent.value, parent.seen = parent.value._replace(id=log.number()), root.version
        log.record(Call(operator, arguments, (), (parent.value,)))
        known = parent


def _put_back(view: Known, whole: Value) -> tuple[str, tuple[Any, ...]]:
    """The operator that makes `whole` hold the view's new elements, and its arguments."""
    assert view.call is not None
    name, rest = view.call.operator.rpartition(".")[0], view.call.arguments[1:]
    if name in SAME_ORDER:
        return "aten.view.default", (view.value, whole.shape)
    if name in ("aten.t", "aten.transpose"):
        return view.call.operator, (view.value, *rest)
    if name == "aten.permute":
        order = tuple(axis % len(whole.shape) for axis in rest[0])
        return "aten.permute.default", (view.value, tuple(order.index(axis) for axis in range(len(order))))
    if name == "aten.unbind":
        return "aten.select_scatter.default", (whole, view.value, rest[0] if rest else 0, view.place)
    if name in ("aten.split", "aten.split_with_sizes"):
        return "aten.slice_scatter.default", (whole, view.value, *_piece(view, rest))
    return f"{name}_scatter.default", (whole, view.value, *rest)


def _piece(view: Known, rest: tuple[Any, ...]) -> tuple[int, int, int]:
    """Axis, start and end of one result of a split."""
    axis = rest[1] if len(rest) > 1 else 0
    start = rest[0] * view.place if isinstance(rest[0], int) else sum(rest[0][: view.place])
    return axis, start, start + view.value.shape[axis]
