"""Small constants worked out while the model is read: shapes on their way to a reshape, scales, axes, counts of rounds.

Numbers that may be trained are left alone, so that every parameter keeps its place in the counts; those of one element
are taken as literals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from math import prod
from typing import Any

import numpy as np

from tilework.errors import WeightsError
from tilework.frontend.from_onnx.constants import DTYPES, numpy_dtype
from tilework.frontend.from_onnx.site import SMALL, Site, Unsupported
from tilework.network.weights import Array

Values = Sequence[Any]  # arrays, None for an input that is left out
Fold = Callable[[Site, Values], Any]
MISTAKES = (Unsupported, KeyError, ValueError, TypeError, IndexError, OverflowError, ZeroDivisionError, AttributeError)


def fold(site: Site) -> bool:
    """Let a node's outputs be a constants where its inputs are small ones; False where they are none."""
    row = FOLDS.get(site.operator)
    places = range(1 if site.operator == "CastLike" else len(site.inputs))
    if row is None or not site.inputs or not all(_literal(site, place) for place in places):
        return False
    values = [_value(site, place) for place in range(len(site.inputs))]
    sizes = [value.size for value in values if value is not None]
    if site.operator in BROADCAST and not _fits(values):
        return False
    if sum(sizes) > SMALL:
        return False
    try:
        with np.errstate(all="ignore"):
            result = row(site, values)
    except MISTAKES:
        return False
    parts = result if isinstance(result, list) else [result]
    for place, value in enumerate(parts[: len(site.outputs)]):
        site.compute(np.asarray(value), place)
    return True


def _value(site: Site, place: int) -> Array | None:
    constant = site.known(place)
    try:
        return None if constant is None else constant.value()
    except WeightsError as error:
        site.fail(f"a constant must be readable: {error}")


def _literal(site: Site, place: int) -> bool:
    """Whether an input is left out or numbers that nobody trains."""
    if not site.inputs[place]:
        return True
    constant = site.known(place)
    return constant is not None and constant.elements <= SMALL and (not constant.trained or constant.elements <= 1)


def _fits(values: Sequence[Array | None]) -> bool:
    """Whether values broadcast to something small."""
    try:
        return prod(np.broadcast_shapes(*(value.shape for value in values if value is not None))) <= SMALL
    except ValueError:
        return False


def ufunc(function: Callable[..., Any]) -> Fold:
    return lambda site, values: function(*values)


def _divide(site: Site, values: Values) -> Array:
    """Of integers towards zero, as in C."""
    a, b = values
    return np.asarray(a / b) if a.dtype.kind == "f" else np.asarray(np.trunc(a / b), a.dtype)


def _modulo(site: Site, values: Values) -> Any:
    return np.fmod(*values) if site.integer("fmod", 0) else np.mod(*values)


def _mean(site: Site, values: Values) -> Any:
    return reduce(np.add, values) / len(values)


def _clip(site: Site, values: Values) -> Any:
    low = values[1] if site.given(1) else site.number("min", -np.inf)
    high = values[2] if site.given(2) else site.number("max", np.inf)
    return np.minimum(np.maximum(values[0], low), high).astype(values[0].dtype)


def cast(site: Site, values: Values) -> Any:
    """To the dtype `to` or, with CastLike, that of the second input."""
    dtype = site.dtype(1) if site.operator == "CastLike" else DTYPES[site.integer("to", 0)][0]
    return values[0].astype(numpy_dtype(dtype))


def _gather(site: Site, values: Values) -> Any:
    return np.take(values[0], values[1], axis=site.integer("axis", 0))


def _concat(site: Site, values: Values) -> Array:
    return np.concatenate(values, axis=site.integer("axis", 1))


def _reduction(function: Callable[..., Any]) -> Fold:
    def row(site: Site, values: Values) -> Any:
        axes = site.axes(1, values[0].ndim)
        if not axes and site.integer("noop_with_empty_axes", 0):
            return values[0]
        kept = bool(site.integer("keepdims", 1))
        return np.asarray(function(values[0], axis=axes or None, keepdims=kept), values[0].dtype)

    return row


def _argument(function: Callable[..., Any]) -> Fold:
    def row(site: Site, values: Values) -> Any:
        return function(values[0], axis=site.integer("axis", 0), keepdims=bool(site.integer("keepdims", 1)))

    return row


def _cumulative(site: Site, values: Values) -> Any:
    if site.integer("exclusive", 0) or site.integer("reverse", 0):
        raise ValueError
    return np.cumsum(values[0], axis=int(values[1].reshape(())), dtype=values[0].dtype)


def _tile(site: Site, values: Values) -> Any:
    if prod(values[1].tolist()) * values[0].size > SMALL or min(values[1].tolist(), default=0) < 0:
        raise ValueError
    return np.tile(values[0], values[1])


def _expand(site: Site, values: Values) -> Any:
    shape = np.broadcast_shapes(values[0].shape, tuple(values[1].tolist()))
    if prod(shape) > SMALL:
        raise ValueError
    return np.broadcast_to(values[0], shape)


def _scatter_nd(site: Site, values: Values) -> Any:
    if site.text("reduction", "none") != "none":
        raise ValueError
    result = values[0].copy()
    result[tuple(np.moveaxis(values[1], -1, 0))] = values[2]
    return result


def _scatter_elements(site: Site, values: Values) -> Any:
    if site.text("reduction", "none") != "none":
        raise ValueError
    result = values[0].copy()
    np.put_along_axis(result, values[1], values[2], site.integer("axis", 0))
    return result


def _slice(site: Site, values: Values) -> Any:
    from tilework.frontend.from_onnx.movement import slices

    result = values[0]
    for axis, start, step, size in slices(site, values[0].shape):
        result = np.take(result, range(start, start + size * step, step), axis)
    return result


def _range(site: Site, values: Values) -> Any:
    start, limit, delta = (value.reshape(()).item() for value in values)
    if abs((limit - start) / delta) > SMALL:
        raise ValueError
    return np.arange(start, limit, delta, dtype=values[0].dtype)


def _nonzero(site: Site, values: Values) -> Any:
    return np.stack(np.nonzero(np.atleast_1d(values[0])))


def _top(site: Site, values: Values) -> list[Any]:
    axis, k = site.integer("axis", -1), int(values[1].reshape(()))
    largest = site.integer("largest", 1)
    order = np.argsort(np.flip(values[0], axis) if largest else values[0], axis=axis, kind="stable")
    order = np.flip(values[0].shape[axis] - 1 - order, axis) if largest else order
    index = np.take(order, range(k), axis)
    return [np.take_along_axis(values[0], index, axis), index.astype(np.int64)]


def _trilu(site: Site, values: Values) -> Any:
    k = int(values[1].reshape(())) if site.given(1) else 0
    return np.triu(values[0], k) if site.integer("upper", 1) else np.tril(values[0], k)


def _split(site: Site, values: Values) -> list[Any]:
    from tilework.frontend.from_onnx.movement import parts_of

    axis = site.axis(site.integer("axis", 0), values[0].ndim)
    parts = parts_of(site, axis, max(1, site.integer("num_outputs", len(site.proto.output))))
    if sum(parts) != values[0].shape[axis] or len(parts) != len(site.outputs):
        raise ValueError
    return list(np.split(values[0], np.cumsum(parts)[:-1], axis))


def _gather_elements(site: Site, values: Values) -> Any:
    axis = site.integer("axis", 0)
    return np.take_along_axis(values[0], values[1] % values[0].shape[axis], axis)


def _gather_nd(site: Site, values: Values) -> Any:
    if site.integer("batch_dims", 0):
        raise ValueError
    return values[0][tuple(np.moveaxis(values[1], -1, 0))]


def _bits(site: Site, values: Values) -> Any:
    return np.left_shift(*values) if site.text("direction", "") == "LEFT" else np.right_shift(*values)


UFUNCS: dict[str, Callable[..., Any]] = {
    "Abs": np.abs,
    "Add": np.add,
    "And": np.logical_and,
    "BitwiseAnd": np.bitwise_and,
    "BitwiseNot": np.invert,
    "BitwiseOr": np.bitwise_or,
    "BitwiseXor": np.bitwise_xor,
    "Ceil": np.ceil,
    "Cos": np.cos,
    "Equal": np.equal,
    "Exp": np.exp,
    "Floor": np.floor,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "IsInf": np.isinf,
    "IsNaN": np.isnan,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Log": np.log,
    "Relu": lambda a: np.maximum(a, 0).astype(a.dtype),
    "Max": lambda *values: reduce(np.maximum, values),
    "Min": lambda *values: reduce(np.minimum, values),
    "Mul": np.multiply,
    "Neg": np.negative,
    "Not": np.logical_not,
    "Or": np.logical_or,
    "Pow": lambda a, b: np.power(a, b).astype(a.dtype),
    "Reciprocal": lambda a: (1 / a).astype(a.dtype),
    "Round": np.rint,
    "Sign": np.sign,
    "Sin": np.sin,
    "Sqrt": np.sqrt,
    "Sub": np.subtract,
    "Sum": lambda *values: reduce(np.add, values),
    "Where": np.where,
    "Xor": np.logical_xor,
}
BROADCAST = {*UFUNCS, "Div", "Mod", "Mean", "BitShift"}
FOLDS: dict[str, Fold] = {name: ufunc(function) for name, function in UFUNCS.items()} | {
    "ArgMax": _argument(np.argmax),
    "ArgMin": _argument(np.argmin),
    "BitShift": _bits,
    "Cast": cast,
    "CastLike": cast,
    "Clip": _clip,
    "Concat": _concat,
    "CumSum": _cumulative,
    "Div": _divide,
    "Expand": _expand,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Mean": _mean,
    "Mod": _modulo,
    "NonZero": _nonzero,
    "Range": _range,
    "ReduceMax": _reduction(np.max),
    "ReduceMean": _reduction(np.mean),
    "ReduceMin": _reduction(np.min),
    "ReduceProd": _reduction(np.prod),
    "ReduceSum": _reduction(np.sum),
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "Slice": _slice,
    "Split": _split,
    "Tile": _tile,
    "TopK": _top,
    "Trilu": _trilu,
}
