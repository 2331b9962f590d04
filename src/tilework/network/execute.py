"""Values of nests and graphs in NumPy."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, MutableMapping, Sequence

import numpy as np
import numpy.typing as npt

from tilework.errors import NetworkError, WeightsError
from tilework.network import views
from tilework.network.bind import bind
from tilework.network.functions import UPDATES
from tilework.network.graph import Graph, Node, Tensor
from tilework.network.halves import HALVES, add_bfloat16
from tilework.network.host_values import has_value, host_value
from tilework.network.matrices import Array, Room
from tilework.network.nest import Nest
from tilework.network.operations import OPERATIONS, Expansion, Shape

NOT_NUMPYS = {"float8_e4m3fn", "float8_e5m2"}


def execute(
    graph: Graph, weights: Mapping[str, Array], inputs: Mapping[str, Array], keep: Iterable[str] = ()
) -> dict[str, Array]:
    """The values of a graph's outputs, and of the tensors that `keep` names, by name.

    Values have the graph's shapes and dtypes (within a node of float16 or bfloat16 they are float32); each is dropped
    once its last reader has run, and a weight is read only when a node needs it. Raises NetworkError where the inputs
    or `keep` do not fit the graph, or where a node runs on the host and has no rule in `host_values`; WeightsError
    where the weights do not fit; MissingPackageError for bfloat16 without ml_dtypes.
    """
    wanted = (*graph.outputs, *keep)
    check_names(graph, inputs, wanted)
    values = {tensor.name: fitted(tensor, inputs[tensor.name], NetworkError) for tensor in graph.inputs}
    last = {name: node.name for node in graph.nodes for name in node.inputs}
    for node in graph.nodes:
        values[node.name] = _value_of(graph, node, values, weights)
        for name in {*node.inputs, node.name}:
            if last.get(name, node.name) == node.name and name not in wanted:
                values.pop(name, None)
    return {name: value_of(graph, values, weights, name) for name in wanted}


def check_names(graph: Graph, inputs: Collection[str], wanted: Iterable[str]) -> None:
    """Raises NetworkError where a graph can't run with inputs of these names, or lacks a wanted tensor.

    For bfloat16 ml_dtypes must be there; raises MissingPackageError.
    """
    names = sorted(tensor.name for tensor in graph.inputs)
    if names != sorted(inputs):
        raise NetworkError(f"network {graph.name} must be given the inputs {names}, not {sorted(inputs)}")
    for name in wanted:
        if name not in graph.tensors:
            raise NetworkError(f"a tensor to keep must be one of network {graph.name}, not {name!r}")
    if any(tensor.dtype == "bfloat16" for tensor in graph.tensors.values()):
        add_bfloat16()
    for tensor in graph.tensors.values():
        if tensor.dtype in NOT_NUMPYS:
            raise NetworkError(f"NumPy must know a tensor's dtype, and {tensor.name} is {tensor.dtype}; use float32")
    for node in graph.nodes:
        if graph.expansion(node).on_host and not has_value(node):
            raise NetworkError(f"node {node.name} must be affine to have a value, which {node.label} is not")


def fitted(tensor: Tensor, array: Array, error: type[Exception]) -> Array:
    """The array, if it has the tensor's shape and dtype; raises the error if not."""
    if array.shape != tensor.shape or str(array.dtype) != tensor.dtype:
        wanted, came = f"{tensor.dtype}{list(tensor.shape)}", f"{array.dtype}{list(array.shape)}"
        raise error(f"{tensor.role} {tensor.name} must be {wanted}, not {came}")
    return array


def value_of(graph: Graph, values: Mapping[str, Array], weights: Mapping[str, Array], name: str) -> Array:
    """A tensor's value, or its weight's; raises WeightsError where that is missing or does not fit."""
    if name in values:
        return values[name]
    try:
        return fitted(graph.tensors[name], weights[name], WeightsError)
    except KeyError:
        raise WeightsError(f"the weights must hold {name}, which they lack") from None


def _value_of(graph: Graph, node: Node, values: Mapping[str, Array], weights: Mapping[str, Array]) -> Array:
    """A node's value; a constant of which the graph does not say what it is comes with the weights."""
    if comes_with_weights(node):
        return value_of(graph, {}, weights, node.name)
    inputs = [value_of(graph, values, weights, name) for name in node.inputs]
    if graph.expansion(node).on_host:
        return host_value(node, inputs, graph.tensors[node.name])
    return _run_node(graph, node, inputs)


def comes_with_weights(node: Node) -> bool:
    """Whether a node is a constant of which the graph does not say what it is."""
    return node.operation == "host" and node.label == "constant" and not dict(node.attributes).get("sequence")


def _run_node(graph: Graph, node: Node, inputs: Sequence[Array]) -> Array:
    expansion = graph.expansion(node)
    if expansion.is_alias:
        return inputs[0].reshape(expansion.shape).astype(graph.tensors[node.name].dtype, copy=False)
    arrays = dict(zip(OPERATIONS[node.operation].placeholders(len(inputs)), inputs, strict=True))
    return run_expansion(expansion, arrays, graph.tensors[node.name].dtype)


def run_expansion(expansion: Expansion, arrays: MutableMapping[str, Array], dtype: str) -> Array:
    """The value of an operation's nests on arrays by placeholder, to which the temporaries and the output `o` go too.

    Within an operation of float16 or bfloat16 values are float32.
    """
    shapes = {**dict(expansion.temporaries), "o": expansion.shape}
    for nest in expansion.nests:
        between = nest.output.tensor != "o" and dtype in HALVES
        run_nest(nest, arrays, shapes, np.float32 if between else dtype)
    return arrays["o"]


def run_nest(
    nest: Nest, arrays: MutableMapping[str, Array], shapes: Mapping[str, Shape], dtype: npt.DTypeLike = np.float32
) -> Array:
    """The output of a nest, updated in place in `arrays`, or put there where it is not yet.

    A new output has the shape that `shapes` gives and the dtype given, and holds the update's identity (0 for =) where
    the nest does not write. With = the last iteration that writes a place decides, the last loop being the innermost.
    Floating-point exceptions give infinities and NaNs. Raises NetworkError where an access does not fit its tensor:
    another number of axes, or a read outside without a pad value.
    """
    access, identity = nest.output, UPDATES[nest.update].identity
    fresh = access.tensor not in arrays
    if fresh:
        arrays[access.tensor] = np.zeros(shapes[access.tensor], dtype)
        if identity:
            arrays[access.tensor].fill(views.fitting(identity, dtype))
    with np.errstate(all="ignore"):
        for call in bind(nest, arrays, not fresh, Room.of_thread()):
            call()
    return arrays[access.tensor]
