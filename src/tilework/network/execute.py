"""Values of nests and graphs in NumPy: index maps become strides, and the kernels do the rest."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, MutableMapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.errors import NetworkError, WeightsError
from tilework.network import kernels, views
from tilework.network.functions import FUNCTIONS, UPDATES
from tilework.network.graph import Graph, Node, Tensor
from tilework.network.host_values import has_value, host_value
from tilework.network.kernels import Array
from tilework.network.nest import Access, Affine, Apply, Expression, Nest
from tilework.network.operations import OPERATIONS, Shape
from tilework.network.scalars import apply
from tilework.network.views import Loop

Reads = Mapping[Access, Array]

NOT_NUMPYS = {"bfloat16", "float8_e4m3fn", "float8_e5m2"}
EVALUATED_LIMIT = 1 << 22  # elements of a body's value; above it a nest runs in pieces


def execute(
    graph: Graph, weights: Mapping[str, Array], inputs: Mapping[str, Array], keep: Iterable[str] = ()
) -> dict[str, Array]:
    """The values of a graph's outputs, and of the tensors that `keep` names, by name.

    Values have the graph's shapes and dtypes (within a node of float16 they are float32); each is dropped once its last
    reader has run, and a weight is read only when a node needs it. Raises NetworkError where the inputs or `keep` do
    not fit the graph, or where a node runs on the host and has no rule in `host_values`; WeightsError where the weights
    do not fit.
    """
    wanted = (*graph.outputs, *keep)
    _check_names(graph, inputs, wanted)
    values = {tensor.name: _checked(tensor, inputs[tensor.name], NetworkError) for tensor in graph.inputs}
    last = {name: node.name for node in graph.nodes for name in node.inputs}
    for node in graph.nodes:
        values[node.name] = _value_of(graph, node, values, weights)
        for name in {*node.inputs, node.name}:
            if last.get(name, node.name) == node.name and name not in wanted:
                values.pop(name, None)
    return {name: _value(graph, values, weights, name) for name in wanted}


def _check_names(graph: Graph, inputs: Collection[str], wanted: Iterable[str]) -> None:
    names = sorted(tensor.name for tensor in graph.inputs)
    if names != sorted(inputs):
        raise NetworkError(f"network {graph.name} must be given the inputs {names}, not {sorted(inputs)}")
    for name in wanted:
        if name not in graph.tensors:
            raise NetworkError(f"a tensor to keep must be one of network {graph.name}, not {name!r}")
    for tensor in graph.tensors.values():
        if tensor.dtype in NOT_NUMPYS:
            raise NetworkError(f"NumPy must know a tensor's dtype, and {tensor.name} is {tensor.dtype}; use float32")
    for node in graph.nodes:
        if graph.expansion(node).on_host and not has_value(node):
            raise NetworkError(f"node {node.name} must be affine to have a value, which {node.label} is not")


def _checked(tensor: Tensor, array: Array, error: type[Exception]) -> Array:
    if array.shape != tensor.shape or str(array.dtype) != tensor.dtype:
        wanted, came = f"{tensor.dtype}{list(tensor.shape)}", f"{array.dtype}{list(array.shape)}"
        raise error(f"{tensor.role} {tensor.name} must be {wanted}, not {came}")
    return array


def _value(graph: Graph, values: Mapping[str, Array], weights: Mapping[str, Array], name: str) -> Array:
    if name in values:
        return values[name]
    try:
        return _checked(graph.tensors[name], weights[name], WeightsError)
    except KeyError:
        raise WeightsError(f"the weights must hold {name}, which they lack") from None


def _value_of(graph: Graph, node: Node, values: Mapping[str, Array], weights: Mapping[str, Array]) -> Array:
    """A node's value; a constant of which the graph does not say what it is comes with the weights."""
    if node.label == "constant" and not dict(node.attributes).get("sequence"):
        return _value(graph, {}, weights, node.name)
    inputs = [_value(graph, values, weights, name) for name in node.inputs]
    if graph.expansion(node).on_host:
        return host_value(node, inputs, graph.tensors[node.name])
    return _run_node(graph, node, inputs)


def _run_node(graph: Graph, node: Node, inputs: Sequence[Array]) -> Array:
    expansion = graph.expansion(node)
    if expansion.is_alias:
        return inputs[0].reshape(expansion.shape).astype(graph.tensors[node.name].dtype, copy=False)
    arrays = dict(zip(OPERATIONS[node.operation].placeholders(len(inputs)), inputs, strict=True))
    shapes = {**dict(expansion.temporaries), "o": expansion.shape}
    dtype = graph.tensors[node.name].dtype
    for nest in expansion.nests:
        between = nest.output.tensor != "o" and dtype == "float16"
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
    out = arrays[access.tensor]
    box, origin = views.box(out, access, nest.extents, identity)
    view = views.view(box, access, origin, nest.loops, whole=True)
    with np.errstate(all="ignore"):
        if views.distinct(access, nest.parallel_loops):
            _compute(nest, arrays, view, accumulate=not fresh)
        else:
            _scatter(nest, arrays, view)
    if box is not out:
        inside, part = views.overlap(origin, box.shape, out.shape)
        out[part] = box[inside]
    return out


def _operand(arrays: Mapping[str, Array], access: Access, nest: Nest, whole: bool) -> Array:
    box, origin = views.box(arrays[access.tensor], access, nest.extents, access.pad)
    return views.view(box, access, origin, nest.loops, whole)


def _compute(nest: Nest, arrays: Mapping[str, Array], target: Array, accumulate: bool) -> None:
    """Run a nest into a view with one axis per loop, in which no place stands twice."""
    body, function = nest.body, UPDATES[nest.update].function
    if isinstance(body, Apply) and (function, body.function) == ("add", "mul"):
        left, right = body.arguments
        if isinstance(left, Access) and isinstance(right, Access) and left != right:
            a, b = (_operand(arrays, access, nest, whole=True) for access in (left, right))
            kernels.contract(target, a, b, accumulate)
            return
    reads = {access: _operand(arrays, access, nest, whole=False) for access in nest.reads}
    for parts, part in _pieces(reads, target):
        if function is None:
            _evaluate(body, parts, part)
        else:
            kernels.reduce(part, np.broadcast_to(_evaluate(body, parts), part.shape), _ufunc(function), accumulate)


def _ufunc(function: str) -> np.ufunc:
    return getattr(np, FUNCTIONS[function].numpy)  # type: ignore[no-any-return]


def _pieces(reads: Reads, target: Array) -> Iterator[tuple[Reads, Array]]:
    """A nest cut along its parallel loops, so that no value on the way becomes too large."""
    reach = [abs(stride) * (extent > 1) for stride, extent in zip(target.strides, target.shape, strict=True)]
    if target.size <= EVALUATED_LIMIT or not any(reach):
        yield reads, target
        return
    axis = reach.index(max(reach))
    for piece in kernels.pieces(target.shape, axis, max(1, target.shape[axis] * EVALUATED_LIMIT // target.size)):
        parts = {access: read[piece] if read.shape[axis] > 1 else read for access, read in reads.items()}
        yield from _pieces(parts, target[piece])


def _evaluate(expression: Expression, reads: Reads, out: Array | None = None) -> Array | float:
    """The expression's value, broadcast over the loops that matter to it, or written to `out`."""
    if isinstance(expression, Apply):
        return apply(expression.function, [_evaluate(argument, reads) for argument in expression.arguments], out)
    value = reads[expression] if isinstance(expression, Access) else float(expression.value)
    if out is not None:
        out[...] = value
    return value


def _scatter(nest: Nest, arrays: Mapping[str, Array], view: Array) -> None:
    """Run a nest that may write a place more than once: all iterations apart, then put together into `view`."""
    single = _one_by_one(nest)
    parallel = [name for name, _ in nest.parallel_loops]
    names = sorted(parallel, key=lambda name: name not in single)
    values = np.empty([nest.extents[name] for name in names], view.dtype)
    apart = Access("", tuple(Affine(((name, 1),)) for name in names))
    _compute(nest, arrays, views.view(values, apart, (0,) * values.ndim, nest.loops, whole=True), accumulate=False)
    target = view[(*(slice(None) if name in parallel else 0 for name, _ in nest.loops), ...)]
    target = target.transpose([parallel.index(name) for name in names])
    function = UPDATES[nest.update].function
    for point in product(*map(range, target.shape[: len(single)])):
        index: Any = (*point, ...)  # the dots, so that a single place is an array too
        value = values[index]
        target[index] = value if function is None else _ufunc(function)(target[index], value)


def _one_by_one(nest: Nest) -> list[str]:
    """Loops that must not run at once lest two iterations write one place; the last ones where order matters."""
    loops, together = nest.parallel_loops, list[Loop]()
    for loop in sorted(loops, key=lambda loop: -loop[1]) if nest.update != "=" else reversed(loops):
        if views.distinct(nest.output, [*together, loop]):
            together.append(loop)
        elif nest.update == "=":
            break
    return [name for name, _ in loops if (name, nest.extents[name]) not in together]
