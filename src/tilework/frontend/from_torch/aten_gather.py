"""ATen's operators whose places depend on values, and which so run on the host: looking up, scattering, sorting."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from tilework.frontend.from_torch.aten_reduction import along_last
from tilework.frontend.from_torch.aten_support import Operand, axis_of, host
from tilework.frontend.from_torch.calls import Value, values_in
from tilework.frontend.from_torch.lowering import Lowering
from tilework.frontend.from_torch.registry import aten


@aten("embedding")
def embedding(
    c: Lowering,
    weight: Value,
    indices: Value,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> None:
    """Rows of a weight."""
    host(c, "embedding", indices, weight)


@aten("embedding_bag", "_embedding_bag", "_embedding_bag_forward_only")
def embedding_bag(c: Lowering, weight: Value, indices: Value, *_: Any, **__: Any) -> None:
    """Sums of rows of a weight; a mean's division isn't counted."""
    host(c, "embedding_bag", indices, weight)


@aten("index", "_unsafe_index", "index_copy", "index_fill", "masked_scatter", "take", "take_along_dim", "index_select")
@aten("gather", "scatter", "scatter.src", "_unsafe_index_put")
def moved(c: Lowering, *arguments: Any, **_: Any) -> None:
    """Elements at places that depend on values; a mask among the places is searched for those that hold."""
    values = list(values_in(arguments))
    masks = [value for value in values[1:] if value.dtype == "bool"]
    name = c.call.operator.split(".")[1]
    changes = "scatter" in name or name.startswith(("index_copy", "index_fill"))
    if masks and not changes:
        host(c, "nonzero", *masks, values[0])
    else:
        host(c, "scatter" if changes else "gather", *values, how=_how(name, arguments))


def _how(name: str, arguments: Sequence[Any]) -> str:
    """The rule of an operator that goes along one axis, if it is one; of those with a list, of a list of one tensor."""
    if name in ("index_select", "gather", "scatter.src", "scatter") and isinstance(arguments[-1], Value):
        axis = axis_of(arguments[1], len(arguments[0].shape))
        return {"index_select": f"take {axis}", "gather": f"take_along {axis}"}.get(name, f"put_along {axis} 0")
    if name in ("index", "_unsafe_index"):
        return " ".join(("index", *(str(int(isinstance(place, Value))) for place in arguments[1])))
    return ""


@aten("index_put", "_index_put_impl")
def index_put(
    c: Lowering, x: Value, indices: tuple[Value | None, ...], values: Value, accumulate: bool = False, *_: Any
) -> None:
    """x with other elements in some places, or with them added there."""
    places = [value for value in indices if value is not None]
    host(c, "scatter_add" if accumulate else "scatter", x, *places, values)


@aten("scatter_add", "index_add")
def scatter_add(c: Lowering, x: Value, dim: int, index: Value, src: Value, *_: Any, **__: Any) -> None:
    """x with elements added in some places."""
    along = "index" not in c.call.operator
    host(c, "scatter_add", x, index, src, how=f"put_along {axis_of(dim, len(x.shape))} 1" if along else "")


@aten("scatter_reduce", "index_reduce", "scatter.reduce", "scatter.value_reduce")
def scatter_reduce(c: Lowering, x: Value, dim: int, index: Value, src: Operand, reduce: str, **_: Any) -> None:
    """x with elements added in some places, or multiplied, or compared."""
    kind = {"sum": "add", "mean": "add", "add": "add", "prod": "mul", "multiply": "mul"}.get(reduce, "max")
    host(c, f"scatter_{kind}", x, *(value for value in (index, src) if isinstance(value, Value)))


@aten("masked_select", "nonzero", "nonzero_static")
def masked_select(c: Lowering, x: Value, mask: Value | None = None, **_: Any) -> None:
    """The places that hold, or the elements there: each is looked at once, and all may hold."""
    how = "nonzero 1" if c.call.operator.startswith("aten.nonzero") and c.result.shape[0] == prod(x.shape) else ""
    host(c, "nonzero", *((x,) if mask is None else (mask, x)), how=how)


@aten("sort", "argsort")
def sort(c: Lowering, x: Value, dim: int = -1, descending: bool = False, stable: bool | None = None) -> None:
    """An axis in order, and where each element came from."""
    count = x.shape[dim] if x.shape else 1
    hows = [f"sort {{axis}} {int(descending)} {count} {place}" for place in range(2)]
    along_last(c, "sort", x, dim, *(hows if len(c.results) > 1 else hows[1:]))


@aten("topk")
def topk(c: Lowering, x: Value, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> None:
    """The k largest along an axis, and where they came from."""
    along_last(c, "topk", x, dim, *(f"sort {{axis}} {int(largest)} {k} {place}" for place in range(2)))


@aten("kthvalue", "median", "mode")
def selected(c: Lowering, x: Value, *_: Any, **__: Any) -> None:
    """An element that order decides, found by sorting."""
    host(c, "sort", x)


@aten("_unique2", "unique_dim", "unique_consecutive", "_unique")
def unique(c: Lowering, x: Value, *_: Any, **__: Any) -> None:
    """Different elements, found by sorting; all may differ."""
    flat = c.reshaped(x, (prod(x.shape),))
    host(c, "sort", flat)


@aten("searchsorted", "bucketize")
def searchsorted(c: Lowering, first: Operand, second: Operand, **_: Any) -> None:
    """The place of each element in a sorted row, by halving."""
    pair = [value for value in (first, second) if isinstance(value, Value)]
    host(c, "searchsorted", *(pair if "searchsorted" in c.call.operator else reversed(pair)))


@aten("bincount", "histc")
def histogram(c: Lowering, x: Value, *_: Any, **__: Any) -> None:
    """How many elements fall into each of some bins: one addition for each."""
    host(c, "bincount", x)


@aten("isin")
def isin(
    c: Lowering, elements: Operand, test_elements: Operand, assume_unique: bool = False, invert: bool = False
) -> None:
    """Whether each element is one of some, by comparing all pairs."""
    host(c, "isin", *(value for value in (elements, test_elements) if isinstance(value, Value)))
