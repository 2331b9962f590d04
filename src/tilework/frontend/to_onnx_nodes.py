"""How each operation becomes ONNX operators of the operator set 17."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from tilework.errors import NetworkError
from tilework.frontend.to_onnx_body import pointwise
from tilework.frontend.to_onnx_exporter import Exporter
from tilework.frontend.to_onnx_windows import WINDOWS
from tilework.network.operations import Shape

LOOK_UPS = {"take": "Gather", "take_along": "GatherElements"}  # by the host's rule, which is followed by an axis
FIRST = np.iinfo(np.int64).min  # as the end of a slice that runs backwards: with the first place


def _linear(e: Exporter) -> None:
    if len(e.output) == 2:
        e.emit("Gemm", *e.inputs, transB=1)
        return
    weight = e.emit("Transpose", e.inputs[1], to="weight", perm=[1, 0])
    if len(e.inputs) == 2:
        e.emit("MatMul", e.inputs[0], weight)
    else:
        e.emit("Add", e.emit("MatMul", e.inputs[0], weight, to="product"), e.inputs[2])


def _matmul(e: Exporter, transpose_x: bool, transpose_y: bool) -> None:
    operands = []
    for name, shape, turned, to in zip(e.inputs, e.shapes, (transpose_x, transpose_y), "xy", strict=True):
        *batch, rows, columns = range(len(shape))
        operands.append(e.emit("Transpose", name, to=to, perm=[*batch, columns, rows]) if turned else name)
    e.emit("MatMul", *operands)


def _elementwise(operator: str) -> Callable[[Exporter], None]:
    def export(e: Exporter) -> None:
        e.emit(operator, *e.inputs)

    return export


def _clip(e: Exporter, low: float, high: float) -> None:
    e.emit("Clip", e.inputs[0], e.number("low", low), e.number("high", high))


def _reduce(e: Exporter, what: str, axes: Shape, keep: bool, update: str, mean: bool) -> None:
    if e.working == "bool":  # of which ONNX has no maximum
        e.working = "int32"
    along = list(axes or range(len(e.shapes[0])))
    if update == "+=" and not mean:
        e.emit("ReduceSum", e.inputs[0], e.constant("axes", along), keepdims=int(keep))
        return
    operator = "ReduceMean" if mean else {"max=": "ReduceMax", "min=": "ReduceMin"}[update]
    e.emit(operator, e.inputs[0], axes=along, keepdims=int(keep))


def _batch_norm(e: Exporter, epsilon: float) -> None:
    e.emit("BatchNormalization", *e.inputs, epsilon=epsilon)


def _local_response_norm(e: Exporter, size: int, alpha: float, beta: float, k: float) -> None:
    if size % 2:
        e.emit("LRN", e.inputs[0], size=size, alpha=alpha, beta=beta, bias=k)
        return
    # ONNX Runtime has LRN for odd windows only: the same from an average pooling over the channel axis.
    x, (n, c, h, w) = e.inputs[0], e.shapes[0]
    square = e.emit("Mul", x, x, to="square")
    plane = e.emit("Reshape", square, e.constant("plane.shape", [n, 1, c, h * w]), to="plane")
    pads = [size // 2, 0, size - 1 - size // 2, 0]
    mean = e.emit("AveragePool", plane, to="mean", kernel_shape=[size, 1], pads=pads, count_include_pad=1)
    mean = e.emit("Reshape", mean, e.constant("shape", [n, c, h, w]), to="mean.shaped")
    scaled = e.emit("Mul", mean, e.number("alpha", alpha), to="scaled")
    base = e.emit("Add", scaled, e.number("k", k), to="base")
    e.emit("Div", x, e.emit("Pow", base, e.number("beta", beta), to="divisor"))


def _along(operator: str) -> Callable[..., None]:
    def export(e: Exporter, axis: int) -> None:
        e.emit(operator, e.inputs[0], axis=axis)

    return export


def _layer_norm(e: Exporter, axes: int, epsilon: float) -> None:
    if len(e.inputs) > 1:
        e.emit("LayerNormalization", *e.inputs, axis=-axes, epsilon=epsilon)
    else:
        _normalised(e, e.inputs[0], list(range(-axes, 0)), epsilon, True, "")


def _rms_norm(e: Exporter, axes: int, epsilon: float) -> None:
    scaled = len(e.inputs) > 1
    value = _normalised(e, e.inputs[0], list(range(-axes, 0)), epsilon, False, "normalised" if scaled else "")
    if scaled:
        e.emit("Mul", value, e.inputs[1])


def _group_norm(e: Exporter, groups: int, epsilon: float) -> None:
    shape = e.shapes[0]
    x = e.emit("Reshape", e.inputs[0], e.constant("groups", [shape[0], groups, -1]), to="grouped")
    value = _normalised(e, x, [-1], epsilon, True, "normalised")
    last = len(e.inputs) - 1
    value = e.emit("Reshape", value, e.constant("shape", shape), to="shaped" if last else "")
    per_channel = [-1, *[1] * (len(shape) - 2)]
    for place, (operator, to) in enumerate((("Mul", "scaled"), ("Add", "shifted"))[:last], 1):
        weight = e.emit("Reshape", e.inputs[place], e.constant(f"{to}.shape", per_channel), to=f"{to}.by")
        value = e.emit(operator, value, weight, to="" if place == last else to)


def _normalised(e: Exporter, x: str, axes: list[int], epsilon: float, centred: bool, to: str) -> str:
    """x over the root of its mean square along some axes, its mean subtracted first if `centred`."""
    if centred:
        x = e.emit("Sub", x, e.emit("ReduceMean", x, to="mean", axes=axes, keepdims=1), to="centred")
    square = e.emit("ReduceMean", e.emit("Mul", x, x, to="square"), to="variance", axes=axes, keepdims=1)
    root = e.emit("Sqrt", e.emit("Add", square, e.number("epsilon", epsilon), to="positive"), to="root")
    return e.emit("Div", x, root, to=to)


def _reshape(e: Exporter, **attributes: Any) -> None:
    e.emit("Reshape", e.inputs[0], e.constant("shape", e.output))


def _flatten(e: Exporter, start: int) -> None:
    if start == 1:
        e.emit("Flatten", e.inputs[0], axis=1)
    else:
        _reshape(e)


def _dropout(e: Exporter, p: float) -> None:
    e.emit("Identity", e.inputs[0])


def _transpose(e: Exporter, order: Shape) -> None:
    e.emit("Transpose", e.inputs[0], perm=order)


def _concat(e: Exporter, axis: int) -> None:
    e.emit("Concat", *e.inputs, axis=axis)


def _expand(e: Exporter, shape: Shape) -> None:
    e.emit("Expand", e.inputs[0], e.constant("shape", shape))


def _sliced(e: Exporter, x: str, cuts: list[tuple[int, int, int, int]], to: str) -> str:
    """The places of x from start to end (not included) in steps, along each of some axes."""
    rows = zip(("starts", "ends", "axes", "steps"), zip(*cuts, strict=True), strict=True)
    return e.emit("Slice", x, *(e.constant(f"{to}{name}", values) for name, values in rows), to=to)


def _slice(e: Exporter, axis: int, start: int, step: int, size: int) -> None:
    end = start + size * step
    _sliced(e, e.inputs[0], [(start, end if end >= 0 else FIRST, axis, step)], "")


def _flip(e: Exporter, axes: Shape) -> None:
    if axes:
        _sliced(e, e.inputs[0], [(-1, FIRST, axis, -1) for axis in axes], "")
    else:
        e.emit("Identity", e.inputs[0])


def _pad(e: Exporter, before: Shape, after: Shape, value: float, mode: str) -> None:
    if mode != "wrap":
        amounts = e.constant("pads", [*before, *after])
        e.emit("Pad", e.inputs[0], amounts, e.number("value", value), mode=mode)
        return
    x = e.inputs[0]  # this operator set has no such mode: both ends are cut and put to the others
    for axis, (size, low, high) in enumerate(zip(e.shapes[0], before, after, strict=True)):
        ends = [_sliced(e, x, [(size - low, size, axis, 1)], f"last{axis}")] if low else []
        ends += [x, *([_sliced(e, x, [(0, high, axis, 1)], f"first{axis}")] if high else [])]
        x = e.emit("Concat", *ends, to=f"wrapped{axis}", axis=axis)
    e.emit("Identity", x)


def _refused(e: Exporter, **attributes: Any) -> None:
    raise NetworkError(f"node {e.node.name} must be affine or a look-up to become ONNX, which {e.node.label} is not")


def _host(e: Exporter, what: str, how: str, sequence: tuple[float, ...], **attributes: Any) -> None:
    """Look-ups have an operator each, sequences are constants; other work of the host is refused."""
    rule, *axis = (how or what).split()
    if sequence:
        first, step = sequence
        e.emit("Identity", e.array("numbers", (first + step * np.arange(prod(e.output))).astype(e.dtype)))
    elif rule == "embedding":
        _looked_up(e, "Gather", 1, 0, 0)
    elif rule in LOOK_UPS:
        _looked_up(e, LOOK_UPS[rule], 0, 1, int(axis[0]))
    else:
        _refused(e)


def _looked_up(e: Exporter, operator: str, table: int, places: int, axis: int) -> None:
    """Which input is the table, and which the places, that ONNX wants as int64 or int32."""
    e.working = e.dtype
    name, dtype = e.node.inputs[places], e.dtypes[places]
    wide = name if dtype == "int32" else e.cast(name, dtype, "int64", "places")
    e.emit(operator, e.node.inputs[table], wide, axis=axis)


def _nests(e: Exporter, **attributes: Any) -> None:
    raise NetworkError(f"node {e.node.name} must be an operation with a name to become ONNX, not nests of its own")


EXPORTERS: dict[str, Callable[..., None]] = WINDOWS | {
    "linear": _linear,
    "matmul": _matmul,
    "relu": _elementwise("Relu"),
    "sigmoid": _elementwise("Sigmoid"),
    "tanh": _elementwise("Tanh"),
    "clip": _clip,
    "add": _elementwise("Add"),
    "sub": _elementwise("Sub"),
    "mul": _elementwise("Mul"),
    "div": _elementwise("Div"),
    "pointwise": pointwise,
    "reduce": _reduce,
    "batch_norm": _batch_norm,
    "local_response_norm": _local_response_norm,
    "softmax": _along("Softmax"),
    "log_softmax": _along("LogSoftmax"),
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
    "group_norm": _group_norm,
    "flatten": _flatten,
    "dropout": _dropout,
    "reshape": _reshape,
    "transpose": _transpose,
    "concat": _concat,
    "slice": _slice,
    "expand": _expand,
    "flip": _flip,
    "pad": _pad,
    "host": _host,
    "nests": _nests,
    "unknown": _refused,
}
