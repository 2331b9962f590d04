"""ATen's reductions over axes: sums, means, extremes, variances, norms, and what runs along an axis."""

from __future__ import annotations

from math import prod

from tilework.frontend.from_torch.aten_pointwise import arithmetic
from tilework.frontend.from_torch.aten_support import (
    Operand,
    Sizes,
    axes_of,
    axis_of,
    cast,
    complex_work,
    host,
    is_complex,
    pointwise,
    scalar,
)
from tilework.frontend.from_torch.calls import Value
from tilework.frontend.from_torch.lowering import Lowering
from tilework.frontend.from_torch.registry import aten

Axes = int | Sizes | None


def reduced(c: Lowering, what: str, x: Value, axes: Axes, keep: bool, update: str = "+=", mean: bool = False) -> Value:
    """x reduced along some axes, or all where there are none."""
    along = axes_of(axes, len(x.shape))
    return c.emit("reduce", x, what=what, axes=along, keep=keep, update=update, mean=mean)


@aten("sum")
def total(c: Lowering, x: Value, dim: Axes = None, keepdim: bool = False, dtype: str | None = None) -> None:
    """The sum along some axes."""
    if is_complex(x):
        host(c, "complex_sum", x)
    else:
        c.set(reduced(c, "sum", x, dim, keepdim))


@aten("mean")
def mean(c: Lowering, x: Value, dim: Axes = None, keepdim: bool = False, dtype: str | None = None) -> None:
    """The mean along some axes."""
    c.set(reduced(c, "mean", x, dim, keepdim, mean=True))


def _register_extreme(name: str, update: str) -> None:
    @aten(name)
    def row(c: Lowering, x: Value, dim: Axes = None, keepdim: bool = False) -> None:
        c.set(reduced(c, name, x, dim, keepdim, update))


_register_extreme("amax", "max=")
_register_extreme("amin", "min=")


def _register_logic(name: str, update: str) -> None:
    @aten(name)
    def row(c: Lowering, x: Value, dim: Axes = None, keepdim: bool = False) -> None:
        c.set(reduced(c, name, cast(c, x, "bool"), dim, keepdim, update))


_register_logic("any", "max=")
_register_logic("all", "min=")


def _register_place(name: str, update: str, body: str) -> None:
    """An extreme along an axis with its place, of all elements, or of two tensors."""

    @aten(name)
    def row(c: Lowering, x: Value, dim: Operand | None = None, keepdim: bool = False) -> None:
        if isinstance(dim, Value):
            c.set(pointwise(c, f"{name}imum", body, x, dim))
        elif dim is not None and c.is_used(1):
            host(c, f"arg{name}", x)
        else:
            c.set(reduced(c, name, x, None if dim is None else int(dim), keepdim, update))


_register_place("max", "max=", "max(x0, x1)")
_register_place("min", "min=", "min(x0, x1)")


@aten("aminmax")
def aminmax(c: Lowering, x: Value, dim: int | None = None, keepdim: bool = False) -> None:
    """The smallest and the largest."""
    for place, (what, update) in enumerate((("amin", "min="), ("amax", "max="))):
        c.set(reduced(c, what, x, dim, keepdim, update), place)


@aten("argmax", "argmin")
def place(c: Lowering, x: Value, dim: int | None = None, keepdim: bool = False) -> None:
    """The place of the largest or smallest."""
    name = "argmax" if "argmax" in c.call.operator else "argmin"
    host(c, name, x, how="" if dim is None else f"arg {axis_of(dim, len(x.shape))} {int(name == 'argmax')} 0")


@aten("trace")
def trace(c: Lowering, x: Value) -> None:
    """The sum of the diagonal."""
    diagonal = c.emit("host", x, what="gather", shape=(min(x.shape),), dtype=x.dtype)
    c.set(c.emit("reduce", diagonal, what="sum"))


@aten("prod")
def all_product(c: Lowering, x: Value, dim: Axes = None, keepdim: bool = False, dtype: str | None = None) -> None:
    """The product along some axes."""
    how = " ".join(map(str, ("product", *axes_of(dim, len(x.shape)))))
    host(c, "product", x, how=how)


def _moments(c: Lowering, x: Value, axes: Axes, correction: float | None, keep: bool) -> tuple[Value, Value]:
    """Variance and mean: the sum of squared differences over the number of places less a correction (1 by default)."""
    along = axes_of(axes, len(x.shape))
    average = c.emit("reduce", x, what="mean", axes=along, keep=True, mean=True, dtype=x.dtype)
    squares = pointwise(c, "square", "x0 * x0", c.emit("sub", x, average, dtype=x.dtype), dtype=x.dtype)
    summed = c.emit("reduce", squares, what="sum", axes=along, keep=keep, dtype=x.dtype)
    places = max(prod(x.shape[axis] for axis in along) - (1 if correction is None else int(correction)), 1)
    variance = pointwise(c, "var", "x0 / x1", summed, places, dtype=x.dtype)
    shape = variance.shape
    return variance, average if keep else c.emit("reshape", average, shape=shape, dtype=x.dtype)


def _corrected(unbiased: Axes | bool, dim: Axes | bool, correction: float | None) -> tuple[Axes, float | None]:
    """The axes and the correction, of the overloads that say `unbiased` in their second or third place."""
    if isinstance(dim, bool):
        return None, float(dim)
    if isinstance(unbiased, bool):
        return dim, float(unbiased)
    return dim, correction


@aten("var", "var_mean", "std", "std_mean")
def variance(
    c: Lowering,
    x: Value,
    dim: Axes | bool = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    correction: float | None = None,
) -> None:
    """The variance along some axes, its root for `std`, and the mean too where both are asked for."""
    axes, less = _corrected(unbiased, dim, correction)
    value, average = _moments(c, x, axes, less, keepdim)
    name = c.call.operator.split(".")[1]
    c.set(pointwise(c, "std", "sqrt(x0)", value, dtype=x.dtype) if name.startswith("std") else value)
    if len(c.results) > 1:
        c.set(average, 1)


@aten("linalg_vector_norm")
def vector_norm(
    c: Lowering, x: Value, ord: float = 2, dim: Axes = None, keepdim: bool = False, dtype: str | None = None
) -> None:
    """The norm along some axes: of order 2 a root of squares, of 1 a sum, of infinity the largest, else powers."""
    if is_complex(x):
        x = complex_work(c, "abs", (x,))
    x = cast(c, x, c.result.dtype)
    if abs(ord) == float("inf"):
        sizes = pointwise(c, "abs", "abs(x0)", x)
        c.set(reduced(c, "norm", sizes, dim, keepdim, "max=" if ord > 0 else "min="))
        return
    powers: dict[float, str] = {0: "not(equal(x0, 0))", 1: "abs(x0)", 2: "x0 * x0"}
    power = powers.get(ord, f"pow(abs(x0), {scalar(ord)})")
    summed = reduced(c, "sum", pointwise(c, "power", power, x, dtype=x.dtype), dim, keepdim)
    root = "sqrt(x0)" if ord == 2 else f"pow(x0, {scalar(1 / ord) if ord else 1})"
    c.set(summed if ord in (0, 1) else pointwise(c, "norm", root, summed, dtype=x.dtype))


@aten("norm")
def norm(
    c: Lowering, x: Value, p: float | None = 2, dim: Axes = None, keepdim: bool = False, dtype: str | None = None
) -> None:
    """The vector norm under its old name."""
    vector_norm(c, x, 2 if p is None else p, dim, keepdim)


@aten("logsumexp")
def logsumexp(c: Lowering, x: Value, dim: Axes, keepdim: bool = False) -> None:
    """max + log(sum of exp(x - max)) along some axes."""
    most = reduced(c, "max", x, dim, True, "max=")
    powers = pointwise(c, "exp", "exp(x0 - x1)", x, most, dtype=x.dtype)
    summed = reduced(c, "sum", powers, dim, keepdim)
    most = most if keepdim else c.emit("reshape", most, shape=summed.shape)
    c.set(pointwise(c, "log", "log(x0) + x1", summed, most))


@aten("dist")
def distance(c: Lowering, x: Value, y: Value, p: float = 2) -> None:
    """The norm of a difference."""
    vector_norm(c, arithmetic(c, "sub", "x0 - x1", x, y), p)


def along_last(c: Lowering, what: str, x: Value, dim: int, *hows: str) -> None:
    """Work for the host along an axis, which becomes the last one first, so that its size is known; each result that
    something reads is a part of it, and `hows` are the rules of all results, with {axis} for the axis."""
    axis = axis_of(dim, len(x.shape))
    order = (*(a for a in range(len(x.shape)) if a != axis), *((axis,) if x.shape else ()))
    back = tuple(order.index(a) for a in range(len(order)))
    row = c.view(x, order)
    for part, place in enumerate(place for place in range(len(c.results)) if c.is_used(place)):
        result = c.results[place]
        assert result is not None
        shape = tuple(result.shape[a] for a in order)
        rule = {"how": hows[place].format(axis=len(order) - 1)} if hows else {}
        c.set(c.view(c.emit("host", row, what=what, shape=shape, part=part, dtype=result.dtype, **rule), back), place)


def _register_along(what: str, *names: str) -> None:
    @aten(what, *names)
    def row(c: Lowering, x: Value, dim: int, dtype: str | None = None) -> None:
        along_last(c, what, x, dim, *([f"{what} {{axis}} 0 0"] if what in ("cumsum", "cumprod") else []))


_register_along("cumsum")
_register_along("cumprod")
_register_along("cummax", "cummin")
_register_along("logcumsumexp")
