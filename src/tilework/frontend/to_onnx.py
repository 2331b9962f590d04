"""Any graph as an ONNX model (operator set 17), so that other tools can run it, and disagree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tilework.errors import MissingPackageError, NetworkError, WeightsError
from tilework.files import replacing
from tilework.frontend.to_onnx_exporter import Exporter, OnnxNode
from tilework.frontend.to_onnx_nodes import EXPORTERS
from tilework.frontend.weight_files import seeded
from tilework.network.graph import Graph, Tensor
from tilework.network.operations import OPERATIONS
from tilework.network.weights import Array
from tilework.wire import tag

try:
    import onnx
    from onnx import helper
except ImportError:
    raise MissingPackageError("ONNX export needs the package onnx: pip install 'tilework[onnx]'") from None

OPERATOR_SET = 17
IR_VERSION = 8  # the format's version that came with operator set 17
NOTES_VERSION = 10  # the first in which nodes have metadata
SIZE_LIMIT = 2**31 - 2**20  # protobuf files end at 2 GiB; a MiB for everything but the weights

DTYPES = ("float32", "float16", "float64", "int64", "int32", "int16", "int8", "uint8", "bool")

Values = Mapping[str, Array]
Notes = Mapping[str, Mapping[str, str]]


def to_onnx(graph: Graph, weights: Values | None = None) -> onnx.ModelProto:
    """The graph as an ONNX model with its weights inside (default: seeded, seed 0).

    Inputs and outputs keep their names; each node's value has the node's name, so any of them can be looked at.
    Raises NetworkError for a graph that ONNX cannot hold (another dtype, work of the host, 2 GB), WeightsError for
    unfit weights.
    """
    values = seeded(graph) if weights is None else weights
    model = _without_weights(graph)
    for tensor in graph.weights:
        proto = model.graph.initializer.add()
        proto.CopyFrom(_weight_header(tensor))
        proto.raw_data = _value(values, tensor).tobytes()
    return model


def save_onnx(graph: Graph, path: str | Path, weights: Values | None = None, notes: Notes | None = None) -> None:
    """Write `to_onnx(graph, weights)` to a file, one weight after the other, so that memory holds only one.

    `notes` are texts by key for nodes, by their names, and for the model, by the name '': its metadata, which other
    tools show. The file appears under its name when it is whole. Raises what `to_onnx` raises, and OutputError.
    """
    values = seeded(graph) if weights is None else weights
    model = _without_weights(graph)
    if notes:
        _annotate(model, notes)
    with replacing(path) as file:
        for piece in _wire(graph, model, values):
            file.write(piece)


def _without_weights(graph: Graph) -> onnx.ModelProto:
    for tensor in graph.tensors.values():
        if tensor.dtype not in DTYPES:
            held = ", ".join(DTYPES)
            raise NetworkError(f"tensor {tensor.name} must be of one of {held} to become ONNX, not {tensor.dtype}")
    size = sum(tensor.size_bytes for tensor in graph.weights)
    if size > SIZE_LIMIT:
        raise NetworkError(
            f"the weights of an ONNX file must stay below 2 GiB, but those of {graph.name} take {size} bytes"
        )
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    for node in graph.nodes:
        exporter = Exporter(graph, node)
        if node.operation not in EXPORTERS:
            raise NetworkError(f"node {node.name} must be a built-in operation to become ONNX, not {node.operation}")
        EXPORTERS[node.operation](exporter, **{**OPERATIONS[node.operation].attributes, **dict(node.attributes)})
        nodes += map(_node, exporter.nodes)
        constants += (onnx.numpy_helper.from_array(array, name) for name, array in exporter.constants)
    outputs = _infos(graph.tensors[name] for name in dict.fromkeys(graph.outputs))
    body = helper.make_graph(nodes, graph.name or "graph", _infos(graph.inputs), outputs, constants)
    operators = [helper.make_opsetid("", OPERATOR_SET)]
    return helper.make_model(body, producer_name="tilework", opset_imports=operators, ir_version=IR_VERSION)


def _annotate(model: onnx.ModelProto, notes: Notes) -> None:
    """Of the ONNX nodes that a node became, the one that writes its value has its notes."""
    model.ir_version = NOTES_VERSION
    for key, text in notes.get("", {}).items():
        model.metadata_props.add(key=key, value=text)
    for node in model.graph.node:
        for key, text in notes.get(node.output[0], {}).items():
            node.metadata_props.add(key=key, value=text)


def _node(node: OnnxNode) -> onnx.NodeProto:
    attributes = dict(node.attributes)
    if node.operator == "Cast":
        attributes = {"to": _type(attributes["dtype"])}
    return helper.make_node(node.operator, node.inputs, [node.output], node.output, **attributes)


def _type(dtype: str) -> int:
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _infos(tensors: Iterable[Tensor]) -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info(t.name, _type(t.dtype), t.shape) for t in tensors]


def _weight_header(tensor: Tensor) -> onnx.TensorProto:
    return onnx.TensorProto(name=tensor.name, dims=tensor.shape, data_type=_type(tensor.dtype))


def _value(values: Values, tensor: Tensor) -> Array:
    """A weight as ONNX stores it: little-endian, row-major."""
    if tensor.name not in values:
        raise WeightsError(f"the weights must hold {tensor.name} of shape {list(tensor.shape)}, but lack it")
    value = np.asarray(values[tensor.name], dtype=np.dtype(tensor.dtype).newbyteorder("<"), order="C")
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
    return tag(message.DESCRIPTOR.fields_by_name[field].number, length)
