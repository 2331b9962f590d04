"""What the ONNX operators that compute become in a graph; `from_onnx_shapes` has those that only move data."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from tilework.frontend.from_onnx_constants import Constant
from tilework.frontend.from_onnx_context import MANY, Site, operator
from tilework.frontend.from_onnx_shapes import same
from tilework.network.operations import Pair

LOWEST, HIGHEST = -3.4028234663852886e38, 3.4028234663852886e38  # Clip's defaults, float32's range
SIDE_LIMIT = 1 << 20  # of an image: far more than any has, and little enough to look at each row


def _pair(s: Site, name: str, default: Pair | None = None) -> Pair:
    values = s.ints(name) or default
    if values is None or len(values) != 2:
        s.fail(f"{name} must be 2 integers, not {list(values or ())}: only images are read")
    return values[0], values[1]


def _image(s: Site) -> Pair:
    if len(s.shape()) != 4 or max(s.shape()[2:]) > SIDE_LIMIT:
        s.fail(
            f"the input must be [N,C,H,W], H and W at most {SIDE_LIMIT}, not {list(s.shape())}: only images are read"
        )
    return s.shape()[2], s.shape()[3]


def _padding(s: Site, kernel: Pair, stride: Pair, dilation: Pair) -> tuple[Pair, Pair]:
    """The padding before the first row and column, and how much more (below 0: less) there is after the last."""
    mode = s.text("auto_pad", "NOTSET") or "NOTSET"
    if mode == "VALID":
        return (0, 0), (0, 0)
    if mode == "NOTSET":
        pads = s.ints("pads") or (0, 0, 0, 0)
        if len(pads) != 4 or min(pads) < 0 or max(pads) > SIDE_LIMIT:
            s.fail(f"pads must be 4 integers in 0..{SIDE_LIMIT}, not {list(pads)}")
        behind = (pads[2] - pads[0], pads[3] - pads[1])
        return (pads[0], pads[1]), behind
    if mode not in ("SAME_UPPER", "SAME_LOWER") or min(*kernel, *stride, *dilation) < 1:
        s.fail(f"auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, not {mode}, with sizes of at least 1")
    y, x = (
        max(0, (-(-size // step) - 1) * step + d * (k - 1) + 1 - size)
        for size, k, step, d in zip(_image(s), kernel, stride, dilation, strict=True)
    )
    if mode == "SAME_UPPER":
        return (y // 2, x // 2), (y % 2, x % 2)
    return (y - y // 2, x - x // 2), (-(y % 2), -(x % 2))


@operator("Conv", 2, 3, "auto_pad dilations group kernel_shape pads strides")
def _conv(s: Site) -> None:
    _image(s)
    if len(s.shape(1)) != 4:
        s.fail(f"the weight must be [K,C,R,S], not {list(s.shape(1))}")
    kernel = (s.shape(1)[2], s.shape(1)[3])
    if _pair(s, "kernel_shape", kernel) != kernel:
        s.fail(f"kernel_shape must be that of the weight, {list(kernel)}, not {list(s.ints('kernel_shape') or ())}")
    stride, dilation = _pair(s, "strides", (1, 1)), _pair(s, "dilations", (1, 1))
    padding, extra = _padding(s, kernel, stride, dilation)
    operands = [s.reference(place) for place in range(len(s.inputs))]
    groups = s.integer("group", 1)
    s.emit("conv2d", *operands, stride=stride, padding=padding, extra=extra, dilation=dilation, groups=groups)


@operator("Gemm", 2, 3, "alpha beta transA transB")
def _gemm(s: Site) -> None:
    weight = s.constant(1, "the weight").scaled(s.number("alpha", 1.0))
    x = s.emit("transpose", s.reference(0), to="transposed", order=(1, 0)) if s.integer("transA", 0) else s.reference(0)
    _linear(s, x, weight, bool(s.integer("transB", 0)))


@operator("MatMul", 2, 2)
def _matmul(s: Site) -> None:
    if len(s.shape()) != 2:
        s.fail(f"the input must have 2 axes, not the shape {list(s.shape())}")
    _linear(s, s.reference(0), s.constant(1, "the weight"), False)


def _linear(s: Site, x: str, weight: Constant, transposed: bool) -> None:
    """x W^T + b, where a bias that isn't one number per output is added by a node of its own."""
    if len(weight.shape) != 2:
        s.fail(f"the weight must have 2 axes, not the shape {list(weight.shape)}")
    name = s.importer.weight(weight if transposed else weight.transposed((1, 0)))
    features = weight.shape[0 if transposed else 1]
    if not s.given(2):
        s.emit("linear", x, name)
        return
    factor = s.number("beta", 1.0)
    found = s.importer.constants.get(s.inputs[2])
    if found is not None and found.shape in ((features,), (1, features)):
        s.emit("linear", x, name, s.importer.weight(found.reshaped((features,)).scaled(factor)))
    elif found is not None:
        s.emit("add", s.emit("linear", x, name, to="product"), s.importer.weight(found.scaled(factor)))
    elif factor == 1:
        s.emit("add", s.emit("linear", x, name, to="product"), s.inputs[2])
    else:
        s.fail(f"beta must be 1 for a bias that the network computes, not {factor}")


def _elementwise(operation: str) -> Callable[[Site], None]:
    """Of two tensors; a constant of one number is a literal rather than a parameter."""

    def read(s: Site) -> None:
        s.emit(operation, *(_operand(s, place) for place in range(2)))

    return read


def _operand(s: Site, place: int) -> str:
    return s.reference(place, trainable=prod(s.shape(place)) > 1)


for _name in ("Add", "Sub", "Mul", "Div"):
    operator(_name, 2, 2)(_elementwise(_name.lower()))


def _unary(operation: str) -> Callable[[Site], None]:
    def read(s: Site) -> None:
        s.emit(operation, s.reference(0))

    return read


for _name in ("Relu", "Sigmoid", "Tanh"):
    operator(_name, 1, 1)(_unary(_name.lower()))


@operator("Sum", 1, MANY)
def _sum(s: Site) -> None:
    total = _operand(s, 0)
    last = len(s.inputs) - 1
    for place in range(1, last + 1):
        total = s.emit("add", total, _operand(s, place), to="" if place == last else f"sum{place}")
    if not last:
        same(s)


@operator("Clip", 1, 3, "min max")
def _clip(s: Site) -> None:
    bounds = [s.number("min", LOWEST), s.number("max", HIGHEST)]
    for place in (1, 2):
        if s.given(place):
            values = s.small(place, "a bound", "fiu")
            if len(values) != 1:
                s.fail(f"a bound must be one number, not {len(values)}")
            bounds[place - 1] = float(values[0])
    s.emit("clip", s.reference(0), low=bounds[0], high=bounds[1])


@operator("MaxPool", 1, 1, "auto_pad ceil_mode dilations kernel_shape pads storage_order strides")
def _max_pool(s: Site) -> None:
    _image(s)
    kernel, stride, dilation = _pair(s, "kernel_shape"), _pair(s, "strides", (1, 1)), _pair(s, "dilations", (1, 1))
    padding, extra = _padding(s, kernel, stride, dilation)
    ceil = bool(s.integer("ceil_mode", 0))
    window: dict[str, Any] = {
        "kernel": kernel,
        "stride": stride,
        "padding": padding,
        "extra": extra,
        "dilation": dilation,
    }
    s.emit("max_pool2d", s.reference(0), **window, ceil=ceil)


@operator("AveragePool", 1, 1, "auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides")
def _average_pool(s: Site) -> None:
    size, kernel, stride = _image(s), _pair(s, "kernel_shape"), _pair(s, "strides", (1, 1))
    if _pair(s, "dilations", (1, 1)) != (1, 1):
        s.fail(f"dilations must be [1, 1], not {list(s.ints('dilations') or ())}")
    padding, extra = _padding(s, kernel, stride, (1, 1))
    counted = bool(s.integer("count_include_pad", 0))
    if s.integer("ceil_mode", 0):
        wider = _ceil_extra(size, kernel, stride, padding, extra)
        if wider != extra and counted:
            s.fail("ceil_mode must not go together with count_include_pad; export the model with one of them")
        extra = wider
    counted |= padding == extra == (0, 0)
    window: dict[str, Any] = {"kernel": kernel, "stride": stride, "padding": padding, "extra": extra}
    s.emit("avg_pool2d", s.reference(0), **window, count_padding=counted)


def _ceil_extra(size: Pair, kernel: Pair, stride: Pair, padding: Pair, extra: Pair) -> Pair:
    """So much more padding that the last window, which begins inside, fits whole."""
    wider = []
    for length, k, step, before, more in zip(size, kernel, stride, padding, extra, strict=True):
        room = length + 2 * before + more - k
        last = -(-room // max(step, 1)) * step
        last -= step * (last >= length + before)
        wider.append(more + max(0, last - room))
    return wider[0], wider[1]


@operator("GlobalAveragePool", 1, 1)
def _global_average_pool(s: Site) -> None:
    _image(s)
    s.emit("adaptive_avg_pool2d", s.reference(0), output=(1, 1))


@operator("BatchNormalization", 5, 5, "epsilon momentum spatial training_mode")
def _batch_normalization(s: Site) -> None:
    if s.integer("training_mode", 0) or not s.integer("spatial", 1):
        s.fail("it must be of inference (training_mode=0) and per channel (spatial=1)")
    operands = [s.reference(place, trainable=place < 3) for place in range(5)]
    s.emit("batch_norm", *operands, epsilon=s.number("epsilon", 1e-5))


@operator("LRN", 1, 1, "alpha beta bias size")
def _lrn(s: Site) -> None:
    numbers: dict[str, Any] = {
        "alpha": s.number("alpha", 1e-4),
        "beta": s.number("beta", 0.75),
        "k": s.number("bias", 1.0),
    }
    s.emit("local_response_norm", s.reference(0), size=s.integer("size", 0), **numbers)


@operator("Softmax", 1, 1, "axis")
def _softmax(s: Site) -> None:
    """Before operator set 13 all axes from `axis` on are one; then the tensor is reshaped where that matters."""
    shape = s.shape()
    rank = len(shape)
    axis = s.axis(s.integer("axis", 1 if s.opset < 13 else -1), rank)
    if s.opset >= 13 or prod(shape[axis + 1 :]) == 1:
        s.emit("softmax", s.reference(0), axis=-1 if axis == rank - 1 else axis)
        return
    flat = s.emit("reshape", s.reference(0), to="flat", shape=(prod(shape[:axis]), prod(shape[axis:])))
    s.emit("reshape", s.emit("softmax", flat, to="softmax"), shape=shape)
