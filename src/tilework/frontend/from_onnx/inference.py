"""What the package onnx knows of operators that no row of the table states: their outputs' shapes, and the functions
that some of them are. It is imported only where it is needed."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from tilework.errors import MissingPackageError, WeightsError
from tilework.frontend.from_onnx.constants import AXES_LIMIT, DTYPES, NUMBERS, nothing
from tilework.frontend.from_onnx.messages import Function
from tilework.frontend.from_onnx.site import SMALL, Site
from tilework.network.operations import Shape
from tilework.wire import Damaged, Excess, Origin, decode

try:
    import onnx
    from onnx import checker, defs, helper, numpy_helper, shape_inference
except ImportError:
    raise MissingPackageError(
        "this ONNX file has operators that need the package onnx: pip install 'tilework[onnx]'"
    ) from None

MISTAKES = (  # of onnx, in C++
    shape_inference.InferenceError,
    checker.ValidationError,
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OSError,
)
NODE_LIMIT = 1 << 20  # bytes of a node's attributes that are handed to onnx
Sizes = tuple[int | None, ...]
Kind = tuple[str, Sizes | None]  # a dtype, and a shape some of whose sizes may not be known


def unknown(site: Site, places: Iterable[int]) -> None:
    """Nodes of an unknown operation for outputs that are read.

    A shape that ONNX can't infer is the one that the file declares; where that tells nothing, the first input's.
    """
    wanted = [place for place in places if site.wanted(place)]
    kinds = inferred(site)
    values = [name for name in site.inputs if name and name not in site.importer.sequences]
    inputs = [site.importer.reference(name) for name in values if 0 not in site.importer.shape(name)]
    first = wanted[0]
    for place in wanted:
        dtype, sizes = kinds.get(place, ("", None))
        shape = _whole(site, place, sizes)
        if 0 in shape:
            site.define(nothing(site.outputs[place], dtype or "float32", shape), place)
        else:
            site.emit("unknown", *inputs, out=place, dtype=dtype, what=site.operator, shape=shape, part=place - first)


def empty(site: Site) -> bool:
    """Let outputs be constants without elements; False where ONNX doesn't say that they have none."""
    kinds = inferred(site)
    places = [place for place in range(len(site.outputs)) if site.wanted(place)]
    if not all(0 in (kinds.get(place, ("", None))[1] or ()) for place in places):
        return False
    for place in places:
        dtype, sizes = kinds[place]
        shape = tuple(size or 0 for size in sizes or ())
        site.define(nothing(site.outputs[place], dtype or "float32", shape), place)
    return True


@lru_cache(maxsize=1024)
def schema(operator: str, opset: int, domain: str) -> Any:
    """ONNX's own description of an operator, None where it has none."""
    try:
        return defs.get_schema(operator, min(opset, 2**31 - 1), domain)
    except (defs.SchemaError, TypeError):
        return None


def inferred(site: Site) -> dict[int, Kind]:
    """What ONNX infers of a node's outputs, by place; nothing for operators that it doesn't know."""
    found = schema(site.proto.op_type, site.opset, site.domain)
    node = _node(site)
    if found is None or node is None or any(attribute.g for attribute in site.attributes.values()):
        return {}
    data = {name: proto for place, name in enumerate(node.input) if name and (proto := _data(site, place))}
    opsets = [helper.make_opsetid(domain, version) for domain, version in site.scope.opsets.items()]
    given = {name: kind for name, kind in zip(node.input, _types(site), strict=True) if name}
    try:
        results = shape_inference.infer_node_outputs(found, node, given, data, opset_imports=opsets)
    except MISTAKES:
        return {}
    return {place: _kind(results[name]) for place, name in enumerate(node.output) if name in results}


def _node(site: Site) -> Any:
    """The node as onnx takes it, its inputs called i0, i1, … and its outputs o0, o1, …; None if it is too large."""
    if sum(attribute.span.size for attribute in site.attributes.values()) > NODE_LIMIT:
        return None
    node = onnx.NodeProto(op_type=site.proto.op_type, domain=site.domain)
    node.input.extend(f"i{place}" if name else "" for place, name in enumerate(site.inputs))
    node.output.extend(f"o{place}" if name else "" for place, name in enumerate(site.proto.output))
    for name, attribute in site.attributes.items():
        try:
            made = onnx.AttributeProto.FromString(attribute.span.read())
        except Exception:  # protobuf implementations raise different ones
            return None
        made.name = name
        node.attribute.append(made)
    return node


def _types(site: Site) -> list[Any]:
    """The inputs' types; one that is left out has none."""
    types = []
    for name in site.inputs:
        if name in site.importer.sequences:
            types.append(helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, None)))
        elif name:
            types.append(
                helper.make_tensor_type_proto(NUMBERS.get(site.importer.dtype(name), 1), site.importer.shape(name))
            )
        else:
            types.append(onnx.TypeProto())
    return types


def _data(site: Site, place: int) -> Any:
    """A small constant's numbers, for those operators whose shapes depend on them."""
    constant = site.known(place)
    if constant is None or constant.elements > SMALL:
        return None
    try:
        return numpy_helper.from_array(constant.value())
    except (WeightsError, *MISTAKES):
        return None


def _kind(proto: Any) -> Kind:
    tensor = proto.tensor_type
    dtype = DTYPES[tensor.elem_type][0] if tensor.elem_type in DTYPES else ""
    if not tensor.HasField("shape"):
        return dtype, None
    return dtype, tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim)


def _whole(site: Site, place: int, sizes: Sizes | None) -> Shape:
    """All sizes of an output: as inferred, else as declared, else as the first input has them."""
    told = site.scope.declared.get(site.proto.output[place])
    asked = None if told is None else tuple(_size(site, size) for size in told)
    first = next((site.importer.shape(n) for n in site.inputs if n and n not in site.importer.sequences), ())
    if sizes is None:
        sizes = first if asked is None else asked
    if asked is None or len(asked) != len(sizes):
        asked = (None,) * len(sizes)
    if len(first) != len(sizes):
        first = (1,) * len(sizes)
    shape = tuple(
        next(size for size in choices if size is not None) for choices in zip(sizes, asked, first, strict=True)
    )
    if any(size < 0 for size in shape) or len(shape) > AXES_LIMIT:
        site.fail(f"its output must have at most {AXES_LIMIT} axes, none negative, not {list(shape)}")
    return shape


def _size(site: Site, size: int | str) -> int | None:
    """A declared size: that of the batch asked for, or of an input's axis of the same name."""
    if isinstance(size, str):
        return site.importer.symbols.get(size)
    return size if size > 0 else None


def function(site: Site) -> Function | None:
    """The function that ONNX says the operator is, for this node; None where it says none."""
    found, node = schema(site.proto.op_type, site.opset, site.domain), _node(site)
    if found is None or node is None:
        return None
    try:
        data = _function(found, site, node)
        body = decode(Function, data, Origin(data)) if data else None
    except (Damaged, Excess, *MISTAKES):
        return None
    return body if body and body.node else None


def _function(found: Any, site: Site, node: Any) -> bytes | None:
    """The function as bytes, with the attributes' usual values."""
    if found.has_function:
        body = onnx.FunctionProto.FromString(found.get_function_with_opset_version(site.opset) or b"")
        body.attribute_proto.extend(a.default_value for a in found.attributes.values() if a.default_value.name)
        return bytes(body.SerializeToString())
    versions = [v for v in found.context_dependent_function_opset_versions if v <= site.opset]
    if not found.has_context_dependent_function or not versions:
        return None
    types = [kind.SerializeToString() for kind in _types(site)]
    return bytes(
        found.get_context_dependent_function_with_opset_version(max(versions), node.SerializeToString(), types)
    )
