"""Any graph as an ONNX model (operator set 17), so that other tools can run it, and disagree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tilework.errors import MissingPackageError, NetworkError, WeightsError
from tilework.files import replacing
from tilework.frontend.weight_files import seeded
from tilework.network.graph import Graph, Node, Tensor
from tilework.network.operations import OPERATIONS, Pair, Shape
from tilework.network.weights import Array

try:
    import onnx
    from onnx import helper
except ImportError:
    raise MissingPackageError("ONNX export needs the package onnx: pip install 'tilework[onnx]'") from None

OPERATOR_SET = 17
IR_VERSION = 8  # the format's version that came with operator set 17
SIZE_LIMIT = 2**31 - 2**20  # protobuf files end at 2 GiB; a MiB for everything but the weights

Values = Mapping[str, Array]


class Exporter:
    """Collects the ONNX nodes and constants of one graph node."""

    def __init__(self, graph: Graph, node: Node) -> None:
        self.node = node
        self.shapes: list[Shape] = [graph.tensors[name].shape for name in node.inputs]
        self.output: Shape = graph.tensors[node.name].shape
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def emit(self, operator: str, *inputs: str, to: str = "", **attributes: Any) -> str:
        """Append an ONNX node that writes `node:to`, or the graph node's own value; returns that name."""
        output = f"{self.node.name}:{to}" if to else self.node.name
        self.nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    def constant(self, name: str, values: Sequence[float], dtype: type = np.int64, scalar: bool = False) -> str:
        """A small constant tensor `node:name`, a scalar or a vector."""
        array: Array = np.array(values[0] if scalar else values, dtype)
        self.constants.append(onnx.numpy_helper.from_array(array, f"{self.node.name}:{name}"))
        return f"{self.node.name}:{name}"

    def number(self, name: str, value: float) -> str:
        return self.constant(name, [value], np.float32, scalar=True)


def _conv2d(e: Exporter, stride: Pair, padding: Pair, dilation: Pair, groups: int, extra: Pair) -> None:
    kernel = e.shapes[1][2:]
    kept: dict[str, Any] = {"kernel_shape": kernel, "strides": stride, "dilations": dilation, "group": groups}
    e.emit("Conv", *e.node.inputs, pads=_pads(padding, extra), **kept)


def _pads(padding: Pair, extra: Pair) -> list[int]:
    return [*padding, padding[0] + extra[0], padding[1] + extra[1]]


def _linear(e: Exporter) -> None:
    e.emit("Gemm", *e.node.inputs, transB=1)


def _max_pool2d(
    e: Exporter, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil: bool, extra: Pair
) -> None:
    # Rather than ceil_mode, whose last window runtimes place differently, enough padding at the far ends.
    reach = [(p - 1) * s + d * (k - 1) + 1 for p, s, d, k in zip(e.output[2:], stride, dilation, kernel, strict=True)]
    far = [max(0, r - size - p) for r, size, p in zip(reach, e.shapes[0][2:], padding, strict=True)]
    value, pads = e.node.inputs[0], [*padding, *far]
    if any(f >= k for f, k in zip(far, kernel, strict=True)):  # more than MaxPool itself may pad by
        amounts = e.constant("pads", [0, 0, *padding, 0, 0, *far])
        value, pads = e.emit("Pad", value, amounts, e.number("lowest", -np.inf), to="padded"), [0, 0, 0, 0]
    e.emit("MaxPool", value, kernel_shape=kernel, strides=stride, pads=pads, dilations=dilation)


def _avg_pool2d(
    e: Exporter, kernel: Pair, stride: Pair, padding: Pair, count_padding: bool = True, extra: Pair = (0, 0)
) -> None:
    kept: dict[str, Any] = {"kernel_shape": kernel, "strides": stride, "count_include_pad": int(count_padding)}
    e.emit("AveragePool", e.node.inputs[0], pads=_pads(padding, extra), **kept)


def _adaptive_avg_pool2d(e: Exporter, output: Pair) -> None:
    """One pooling where the windows are even, else a mean for each window, row by row and column by column."""
    height, width = e.shapes[0][2:]
    if output == (1, 1):
        e.emit("GlobalAveragePool", e.node.inputs[0])
    elif height % output[0] == 0 and width % output[1] == 0:
        kernel = (height // output[0], width // output[1])
        _avg_pool2d(e, kernel, kernel, (0, 0))
    else:
        rows = _window_means(e, e.node.inputs[0], 2, height, output[0], "rows")
        _window_means(e, rows, 3, width, output[1], "")


def _window_means(e: Exporter, x: str, axis: int, size: int, windows: int, to: str) -> str:
    """Means along one axis; the mean of a rectangle is that of its rows' means."""
    means = []
    for i in range(windows):
        place = f"axis{axis}.{i}"
        start, end = i * size // windows, -(-(i + 1) * size // windows)
        names = [e.constant(f"{place}.{n}", [v]) for n, v in (("start", start), ("end", end), ("axis", axis))]
        part = e.emit("Slice", x, *names, to=f"{place}.slice")
        means.append(e.emit("ReduceMean", part, to=f"{place}.mean", axes=[axis], keepdims=1))
    return e.emit("Concat", *means, to=to, axis=axis)


def _elementwise(operator: str) -> Callable[[Exporter], None]:
    def export(e: Exporter) -> None:
        e.emit(operator, *e.node.inputs)

    return export


def _batch_norm(e: Exporter, epsilon: float) -> None:
    e.emit("BatchNormalization", *e.node.inputs, epsilon=epsilon)


def _local_response_norm(e: Exporter, size: int, alpha: float, beta: float, k: float) -> None:
    if size % 2:
        e.emit("LRN", e.node.inputs[0], size=size, alpha=alpha, beta=beta, bias=k)
        return
    # ONNX Runtime has LRN for odd windows only: the same from an average pooling over the channel axis.
    x, (n, c, h, w) = e.node.inputs[0], e.shapes[0]
    square = e.emit("Mul", x, x, to="square")
    plane = e.emit("Reshape", square, e.constant("plane.shape", [n, 1, c, h * w]), to="plane")
    pads = [size // 2, 0, size - 1 - size // 2, 0]
    mean = e.emit("AveragePool", plane, to="mean", kernel_shape=[size, 1], pads=pads, count_include_pad=1)
    mean = e.emit("Reshape", mean, e.constant("shape", [n, c, h, w]), to="mean.shaped")
    scaled = e.emit("Mul", mean, e.number("alpha", alpha), to="scaled")
    base = e.emit("Add", scaled, e.number("k", k), to="base")
    e.emit("Div", x, e.emit("Pow", base, e.number("beta", beta), to="divisor"))


def _softmax(e: Exporter, axis: int) -> None:
    e.emit("Softmax", e.node.inputs[0], axis=axis)


def _clip(e: Exporter, low: float, high: float) -> None:
    e.emit("Clip", e.node.inputs[0], e.number("low", low), e.number("high", high))


def _reshape(e: Exporter, shape: Shape) -> None:
    e.emit("Reshape", e.node.inputs[0], e.constant("shape", shape))


def _transpose(e: Exporter, order: Shape) -> None:
    e.emit("Transpose", e.node.inputs[0], perm=order)


def _concat(e: Exporter, axis: int) -> None:
    e.emit("Concat", *e.node.inputs, axis=axis)


def _flatten(e: Exporter, start: int) -> None:
    if start == 1:
        e.emit("Flatten", e.node.inputs[0], axis=1)
    else:
        e.emit("Reshape", e.node.inputs[0], e.constant("shape", e.output))


def _dropout(e: Exporter, p: float) -> None:
    e.emit("Identity", e.node.inputs[0])


EXPORTERS: dict[str, Callable[..., None]] = {
    "conv2d": _conv2d,
    "linear": _linear,
    "max_pool2d": _max_pool2d,
    "avg_pool2d": _avg_pool2d,
    "adaptive_avg_pool2d": _adaptive_avg_pool2d,
    "relu": _elementwise("Relu"),
    "sigmoid": _elementwise("Sigmoid"),
    "tanh": _elementwise("Tanh"),
    "clip": _clip,
    "add": _elementwise("Add"),
    "sub": _elementwise("Sub"),
    "mul": _elementwise("Mul"),
    "div": _elementwise("Div"),
    "batch_norm": _batch_norm,
    "local_response_norm": _local_response_norm,
    "softmax": _softmax,
    "flatten": _flatten,
    "dropout": _dropout,
    "reshape": _reshape,
    "transpose": _transpose,
    "concat": _concat,
}


def to_onnx(graph: Graph, weights: Values | None = None) -> onnx.ModelProto:
    """The graph as an ONNX model with its weights inside (default: seeded, seed 0), all float32.

    Inputs and outputs keep their names; each node's value has the node's name, so any of them can be looked at.
    Raises NetworkError for a graph that ONNX cannot hold (not float32, 2 GB), WeightsError for unfit weights.
    """
    values = seeded(graph) if weights is None else weights
    model = _without_weights(graph)
    for tensor in graph.weights:
        proto = model.graph.initializer.add()
        proto.CopyFrom(_weight_header(tensor))
        proto.raw_data = _value(values, tensor).tobytes()
    return model


def save_onnx(graph: Graph, path: str | Path, weights: Values | None = None) -> None:
    """Write `to_onnx(graph, weights)` to a file, one weight after the other, so that memory holds only one.

    The file appears under its name when it is whole. Raises what `to_onnx` raises, and OutputError.
    """
    values = seeded(graph) if weights is None else weights
    model = _without_weights(graph)
    with replacing(path) as file:
        for piece in _wire(graph, model, values):
            file.write(piece)


def _without_weights(graph: Graph) -> onnx.ModelProto:
    for tensor in graph.tensors.values():
        if tensor.dtype != "float32":
            raise NetworkError(f"a network must be float32 to become ONNX, but {tensor.name} is {tensor.dtype}")
    size = sum(tensor.size_bytes for tensor in graph.weights)
    if size > SIZE_LIMIT:
        raise NetworkError(
            f"the weights of an ONNX file must stay below 2 GiB, but those of {graph.name} take {size} bytes"
        )
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    for node in graph.nodes:
        exporter = Exporter(graph, node)
        EXPORTERS[node.operation](exporter, **{**OPERATIONS[node.operation].attributes, **dict(node.attributes)})
        nodes += exporter.nodes
        constants += exporter.constants
    outputs = _infos(graph.tensors[name] for name in dict.fromkeys(graph.outputs))
    body = helper.make_graph(nodes, graph.name or "graph", _infos(graph.inputs), outputs, constants)
    operators = [helper.make_opsetid("", OPERATOR_SET)]
    return helper.make_model(body, producer_name="tilework", opset_imports=operators, ir_version=IR_VERSION)


def _infos(tensors: Iterable[Tensor]) -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info(t.name, onnx.TensorProto.FLOAT, t.shape) for t in tensors]


def _weight_header(tensor: Tensor) -> onnx.TensorProto:
    return onnx.TensorProto(name=tensor.name, dims=tensor.shape, data_type=onnx.TensorProto.FLOAT)


def _value(values: Values, tensor: Tensor) -> Array:
    """A weight as ONNX stores it: little-endian float32, row-major."""
    if tensor.name not in values:
        raise WeightsError(f"the weights must hold {tensor.name} of shape {list(tensor.shape)}, but lack it")
    value = np.asarray(values[tensor.name], dtype="<f4", order="C")
    if value.shape != tensor.shape:
        raise WeightsError(f"{tensor.name} must have the shape {list(tensor.shape)}, not {list(value.shape)}")
    return value


def _wire(graph: Graph, model: onnx.ModelProto, values: Values) -> Iterable[bytes | memoryview]:
    """The model's protobuf encoding in pieces; raw weights are views, not copies."""
    body = model.graph.SerializeToString()
    model.ClearField("graph")
    heads = [
        _weight_header(t).SerializeToString() + _prefix(onnx.TensorProto, "raw_data", t.size_bytes)
        for t in graph.weights
    ]
    lengths = [len(head) + t.size_bytes for head, t in zip(heads, graph.weights, strict=True)]
    prefixes = [_prefix(onnx.GraphProto, "initializer", length) for length in lengths]
    yield model.SerializeToString()
    yield _prefix(onnx.ModelProto, "graph", len(body) + sum(lengths) + sum(map(len, prefixes)))
    yield body
    for prefix, head, tensor in zip(prefixes, heads, graph.weights, strict=True):
        yield prefix
        yield head
        yield _value(values, tensor).reshape(-1).view(np.uint8).data


def _prefix(message: Any, field: str, length: int) -> bytes:
    """The tag and the length that precede a field of `length` bytes (protobuf's encoding guide, LEN records)."""
    return _varint(message.DESCRIPTOR.fields_by_name[field].number << 3 | 2) + _varint(length)


def _varint(number: int) -> bytes:
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + _varint(rest) if rest else bytes([low])
