"""The ONNX operators that normalise, and those that reduce along axes."""

from __future__ import annotations

from math import prod
from typing import Any

from tilework.frontend.from_onnx.pointwise import snake
from tilework.frontend.from_onnx.site import Read, Site, operator
from tilework.network.operations import Shape


@operator("BatchNormalization")
def _batch_normalization(s: Site) -> None:
    """At inference, per channel; in training it is an unknown node."""
    if s.integer("training_mode", 0) or not s.integer("spatial", 1) or (len(s.outputs) > 1 and any(s.outputs[1:])):
        s.unsupported()
    operands = [s.reference(place, trainable=place < 3) for place in range(5)]
    s.emit("batch_norm", *operands, epsilon=s.number("epsilon", 1e-5))


@operator("LRN")
def _lrn(s: Site) -> None:
    if len(s.shape()) != 4:
        s.unsupported()
    numbers: dict[str, Any] = {
        "alpha": s.number("alpha", 1e-4),
        "beta": s.number("beta", 0.75),
        "k": s.number("bias", 1.0),
    }
    s.emit("local_response_norm", s.reference(0), size=s.integer("size", 0), **numbers)


@operator("LayerNormalization", "RMSNormalization", "com.microsoft::SimplifiedLayerNormalization")
@operator("SimplifiedLayerNormalization")
def _layer_normalization(s: Site) -> None:
    """Over the axes from `axis` on; a scale of another shape than theirs is a node of its own."""
    rank = len(s.shape())
    axis = s.axis(s.integer("axis", -1), rank)
    operation = "layer_norm" if s.operator == "LayerNormalization" else "rms_norm"
    sizes = s.shape()[axis:]
    scales = [_matching(s, place, sizes) for place in range(1, len(s.inputs)) if s.given(place)]
    if s.wanted(1) or s.wanted(2) or None in scales:
        s.unsupported()
    operands = [name for name in scales if name is not None]
    s.emit(operation, s.reference(0), *operands, axes=rank - axis, epsilon=s.number("epsilon", 1e-5))


def _matching(s: Site, place: int, sizes: Shape) -> str | None:
    """A scale or a shift of just these sizes, axes of size 1 in front of them left out; None where it has others."""
    own = s.shape(place)
    if len(own) > len(sizes) and set(own[: len(own) - len(sizes)]) == {1}:
        own = own[len(own) - len(sizes) :]
    found = s.known(place)
    if own != sizes:
        return None
    return s.importer.weight(found.reshaped(own)) if found is not None else s.reshaped(s.reference(place), own)


@operator("com.microsoft::SkipLayerNormalization", "com.microsoft::SkipSimplifiedLayerNormalization")
def _skip_layer_normalization(s: Site) -> None:
    """The sum of two tensors (and a bias) normalised; the sum itself is the fourth output."""
    simple = "Simplified" in s.operator
    total = s.emit("add", s.reference(0), s.reference(1), to="sum")
    bias = 3 if simple else 4
    if s.given(bias):
        total = s.emit("add", total, s.reference(bias), to="biased")
    operands = [s.reference(place) for place in ((2,) if simple else (2, 3)) if s.given(place)]
    operation = "rms_norm" if simple else "layer_norm"
    s.emit(operation, total, *operands, epsilon=s.number("epsilon", 1e-12))
    s.same(total, 3)


@operator("InstanceNormalization")
def _instance_normalization(s: Site) -> None:
    operands = [s.reference(place) for place in range(3)]
    channels = s.shape()[1] if len(s.shape()) > 1 else 0
    s.emit("group_norm", *operands, groups=channels, epsilon=s.number("epsilon", 1e-5))


@operator("GroupNormalization")
def _group_normalization(s: Site) -> None:
    """Up to operator set 20 the scales are one per group."""
    groups = s.integer("num_groups", 0)
    if len(s.shape()) < 2 or s.shape(1) != s.shape()[1:2]:
        s.unsupported()
    operands = [s.reference(place) for place in range(3)]
    s.emit("group_norm", *operands, groups=groups, epsilon=s.number("epsilon", 1e-5))


def _softmax(operation: str) -> Read:
    """Before operator set 13 all axes from `axis` on are one; then the tensor is reshaped where that matters."""

    def read(s: Site) -> None:
        shape, old = s.shape(), s.opset < 13
        rank = len(shape)
        axis = s.axis(s.integer("axis", 1 if old else -1), rank)
        if not old or prod(shape[axis + 1 :]) == 1:
            s.emit(operation, s.reference(0), axis=-1 if axis == rank - 1 else axis)
            return
        flat = s.emit("reshape", s.reference(0), to="flat", shape=(prod(shape[:axis]), prod(shape[axis:])))
        s.emit("reshape", s.emit(operation, flat, to=operation), shape=shape)

    return read


operator("Softmax")(_softmax("softmax"))
operator("LogSoftmax")(_softmax("log_softmax"))


@operator("Hardmax")
def _hardmax(s: Site) -> None:
    """One at the first of the largest, else zero: the places are compared with those of a search."""
    axis = s.axis(s.integer("axis", -1 if s.opset >= 13 else 1), len(s.shape()))
    s.host("argmax", s.reference(0), shape=s.shape(), how=f"hardmax {axis}" if s.opset >= 13 else "")


@operator("LpNormalization")
def _lp_normalization(s: Site) -> None:
    axis, p = s.axis(s.integer("axis", -1), len(s.shape())), s.integer("p", 2)
    body = "abs(x0)" if p == 1 else "x0 * x0"
    powers = s.pointwise("abs" if p == 1 else "square", body, s.reference(0), to="powers")
    total = s.emit("reduce", powers, to="sum", axes=(axis,), keep=True)
    norm = "x1" if p == 1 else "sqrt(x1)"
    s.pointwise("div", f"select(equal(x1, 0), 0, x0 / {norm})", s.reference(0), total)


@operator("MeanVarianceNormalization")
def _mean_variance_normalization(s: Site) -> None:
    rank = len(s.shape())
    axes = tuple(sorted(s.axis(axis, rank) for axis in s.ints("axes") or (0, 2, 3)))
    mean = s.emit("reduce", s.reference(0), to="mean", what="mean", axes=axes, keep=True, mean=True)
    centred = s.emit("sub", s.reference(0), mean, to="centred")
    squares = s.emit("mul", centred, centred, to="squares")
    variance = s.emit("reduce", squares, to="variance", what="mean", axes=axes, keep=True, mean=True)
    s.pointwise("div", "x0 / (sqrt(x1) + 1e-9)", centred, variance)


# What is done before the reduction, how it is updated, whether it is a mean, and what is done after it.
REDUCTIONS: dict[str, tuple[str, str, bool, str]] = {
    "ReduceL1": ("abs(x0)", "+=", False, ""),
    "ReduceL2": ("x0 * x0", "+=", False, "sqrt(x0)"),
    "ReduceLogSum": ("", "+=", False, "log(x0)"),
    "ReduceLogSumExp": ("exp(x0)", "+=", False, "log(x0)"),
    "ReduceMax": ("", "max=", False, ""),
    "ReduceMean": ("", "+=", True, ""),
    "ReduceMin": ("", "min=", False, ""),
    "ReduceSum": ("", "+=", False, ""),
    "ReduceSumSquare": ("x0 * x0", "+=", False, ""),
}


def _axes(s: Site) -> tuple[int, ...] | None:
    """The axes to reduce, all where none are named; None where the node then does nothing."""
    rank = len(s.shape())
    axes = s.axes(1, rank) or ()
    if len(set(axes)) < len(axes):
        s.fail(f"the axes must be given, each once, not {list(axes)}")
    if not axes and s.integer("noop_with_empty_axes", 0):
        return None
    return axes or tuple(range(rank))


def _reduction(name: str) -> Read:
    before, update, mean, after = REDUCTIONS[name]
    what = snake(name).removeprefix("reduce_")

    def read(s: Site) -> None:
        axes, value = _axes(s), s.reference(0)
        if before:
            value = s.pointwise(what, before, value, to="mapped")
        if axes:
            to = "reduced" if after else ""
            keep = bool(s.integer("keepdims", 1))
            value = s.emit("reduce", value, to=to, what=what, axes=axes, keep=keep, update=update, mean=mean)
        if after:
            s.pointwise(what, after, value)
        elif not axes:
            s.same(value)

    return read


for _name in REDUCTIONS:
    operator(_name)(_reduction(_name))


def kept(shape: Shape, axes: tuple[int, ...], keep: bool) -> Shape:
    """A shape after a reduction along some axes."""
    left = ((1 if axis in axes else size) for axis, size in enumerate(shape) if keep or axis not in axes)
    return tuple(left)


@operator("ReduceProd")
def _reduce_prod(s: Site) -> None:
    axes = _axes(s)
    if axes is None:
        s.same(s.inputs[0])
    else:
        s.host(
            "product",
            s.reference(0),
            shape=kept(s.shape(), axes, bool(s.integer("keepdims", 1))),
            how=" ".join(map(str, ("product", *axes))),
        )


@operator("ArgMax", "ArgMin")
def _arg(s: Site) -> None:
    axis = s.axis(s.integer("axis", 0), len(s.shape()))
    shape = kept(s.shape(), (axis,), bool(s.integer("keepdims", 1)))
    how = f"arg {axis} {int(s.operator == 'ArgMax')} {s.integer('select_last_index', 0)}"
    s.host("argmax", s.reference(0), shape=shape, dtype="int64", how=how)
