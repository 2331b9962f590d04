"""An ONNX model as a graph and its weights. Operator sets from 7 on; weights are read only when they are asked for."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from tilework.errors import MissingPackageError, NetworkError
from tilework.frontend import from_onnx_nodes, from_onnx_shapes
from tilework.frontend.from_onnx_constants import DTYPES, stored
from tilework.frontend.from_onnx_context import OPERATORS, Importer, Site
from tilework.network.graph import INPUT, Graph, Tensor
from tilework.network.operations import Shape
from tilework.network.weights import Weights

try:
    import onnx
except ImportError:
    raise MissingPackageError("reading an ONNX file needs the package onnx: pip install 'tilework[onnx]'") from None

OLDEST_OPSET = 7
DOMAINS = ("", "ai.onnx")
TABLE = (from_onnx_nodes, from_onnx_shapes)  # whose rows fill OPERATORS

Source = str | Path | onnx.ModelProto


def from_onnx(source: Source, *, batch: int = 1, shapes: Mapping[str, Shape] | None = None) -> tuple[Graph, Weights]:
    """The graph of an ONNX file (or model), whose nodes bear the names of the ONNX tensors, and the weights.

    `shapes` are input shapes, by name, that replace those of the file; a first size that the file leaves open is
    `batch`. Inputs that nothing reads are left out. Raises NetworkError for a file that is no sound ONNX model or whose
    operators Tilework lacks, MissingPackageError without onnx; reading a weight may raise WeightsError.
    """
    model, name, folder = _opened(source)
    where = name if folder else "the ONNX model"
    try:
        graph, importer = _imported(model, name, folder, batch, shapes or {})
    except NetworkError as error:
        raise NetworkError(f"{where}: {error}") from None
    return graph, importer.values(f"from {where}")


def input_shapes(source: Source) -> dict[str, Shape]:
    """The declared shapes of an ONNX file's inputs, by name, with 0 for each size that the file leaves open.

    Raises what `from_onnx` raises.
    """
    model, _, _ = _opened(source)
    return {info.name: _declared(info) for info in _free_inputs(model.graph)}


def _opened(source: Source) -> tuple[onnx.ModelProto, str, Path | None]:
    """The model, a name for it, and the folder in which its weights may lie."""
    if isinstance(source, onnx.ModelProto):
        return source, source.graph.name or "graph", None
    path = Path(source)
    try:
        status = os.stat(path)
        return _loaded(path, status.st_mtime_ns, status.st_size), path.name, path.parent
    except OSError as error:
        raise NetworkError(f"the ONNX file {str(source)!r} must be readable: {error.strerror}") from None


@lru_cache(maxsize=1)
def _loaded(path: Path, changed: int, size: int) -> onnx.ModelProto:
    """The file's model; as `changed` and `size` are part of the key, it is read again when it has changed."""
    model, data = onnx.ModelProto(), path.read_bytes()
    try:
        model.ParseFromString(data)
    except Exception:  # protobuf implementations raise different ones
        raise NetworkError(f"{path.name} must be an ONNX model; it is cut short, damaged or something else") from None
    return model


def _imported(
    model: onnx.ModelProto, name: str, folder: Path | None, batch: int, shapes: Mapping[str, Shape]
) -> tuple[Graph, Importer]:
    body = model.graph
    _check_text(model)
    opset = _opset(model)
    nodes = _live(body)
    _check_operators(nodes)
    importer = Importer(opset, folder, _names(body))
    for proto in body.initializer:
        importer.constants[proto.name] = stored(proto, proto.name, folder)
    inputs = [_input(info, batch, shapes) for info in _free_inputs(body)]
    importer.shapes |= {tensor.name: tensor.shape for tensor in inputs}
    firsts = [(_declared(info)[:1], shapes[info.name][:1]) for info in _free_inputs(body) if info.name in shapes]
    importer.batches |= {own[0]: asked[0] for own, asked in firsts if own and asked and own != asked}
    for node in nodes:
        _read(Site(importer, node))
    outputs = [info.name for info in body.output]
    for output in outputs:
        if output not in importer.shapes and output not in importer.constants:
            raise NetworkError(f"each output must be made by a node, which {output} is not")
    return importer.graph(name.removesuffix(".onnx"), inputs, outputs), importer


def _check_text(model: onnx.ModelProto) -> None:
    """Raises NetworkError where a name in the file is no text; protobuf gives such a one as bytes."""
    body = model.graph
    infos = (*body.input, *body.output, *body.initializer)
    names = [body.name, *(entry.domain for entry in model.opset_import), *(info.name for info in infos)]
    for node in body.node:
        names += (node.name, node.op_type, node.domain, *node.input, *node.output, *(a.name for a in node.attribute))
    if wrong := [name for name in names if not isinstance(name, str)]:
        raise NetworkError(f"every name must be UTF-8 text, not {wrong[0]!r}: the file is damaged")


def _opset(model: onnx.ModelProto) -> int:
    found = [entry.version for entry in model.opset_import if entry.domain in DOMAINS]
    if not found:
        raise NetworkError("an ONNX model must name its operator set, which is missing: the file is damaged")
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST_OPSET <= found[0] <= newest:
        raise NetworkError(f"the operator set must be one of {OLDEST_OPSET}..{newest}, not {found[0]}")
    return int(found[0])


def _names(body: onnx.GraphProto) -> list[str]:
    """The names of all tensors; raises NetworkError where two have the same one."""
    made = [output for node in body.node for output in node.output if output]
    names = [*made, *(info.name for info in _free_inputs(body)), *(proto.name for proto in body.initializer)]
    if double := [name for name, number in Counter(names).items() if number > 1 or not name]:
        raise NetworkError(f"each tensor must have a name of its own, not {double[0]!r} again")
    return names


def _live(body: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes that an output depends on, in the file's order."""
    needed = {info.name for info in body.output}
    live = []
    for node in reversed(body.node):
        if any(output in needed for output in node.output if output):
            needed.update(node.input)
            live.append(node)
    return live[::-1]


def _check_operators(nodes: list[onnx.NodeProto]) -> None:
    """Raises NetworkError that tells all operators which Tilework lacks."""
    lacking: dict[str, list[str]] = {}
    for node in nodes:
        operator = node.op_type if node.domain in DOMAINS else f"{node.domain}.{node.op_type}"
        if operator not in OPERATORS:
            lacking.setdefault(operator, []).append(next(filter(None, node.output)))
    if lacking:
        found = (f"{operator} ({_places(names)})" for operator, names in sorted(lacking.items()))
        raise NetworkError(f"every operator must be one of {', '.join(sorted(OPERATORS))}, not {', '.join(found)}")


def _places(names: list[str]) -> str:
    return f"node {names[0]}" if len(names) == 1 else f"{len(names)} nodes, the first {names[0]}"


def _free_inputs(body: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """The inputs that are no weights: up to version 3 of the format the weights stand among the inputs too."""
    stored_names = {proto.name for proto in body.initializer}
    return [info for info in body.input if info.name not in stored_names]


def _declared(info: onnx.ValueInfoProto) -> Shape:
    return tuple(dim.dim_value for dim in info.type.tensor_type.shape.dim)


def _input(info: onnx.ValueInfoProto, batch: int, shapes: Mapping[str, Shape]) -> Tensor:
    own, kind = _declared(info), info.type.tensor_type
    shape = tuple(shapes.get(info.name, (own[0] or batch, *own[1:]) if own else ()))
    if not shape and not kind.HasField("shape"):
        raise NetworkError(f"input {info.name} must have a shape, but the file tells none; give it, with the batch")
    if 0 in shape:
        raise NetworkError(
            f"input {info.name} must have sizes for all its axes, but the file leaves some open: {list(shape)}; "
            "give the shape, as in --input 3,224,224"
        )
    if kind.elem_type not in DTYPES:
        raise NetworkError(f"input {info.name} must hold numbers of a known type, not ONNX's type {kind.elem_type}")
    return Tensor(info.name, shape, DTYPES[kind.elem_type][0], INPUT)


def _read(site: Site) -> None:
    """Let the operator's row of the table make of the node what it is, once the node is known to be sound."""
    row, importer = OPERATORS[site.proto.op_type], site.importer
    if not row.fewest <= len(site.inputs) <= row.most:
        site.fail(f"it must have {row.fewest} to {row.most} inputs, not {len(site.inputs)}")
    if unknown := site.attributes.keys() - row.attributes:
        site.fail(f"it must have no attributes but {', '.join(sorted(row.attributes)) or 'none'}, not {min(unknown)}")
    for place, name in enumerate(site.inputs):
        if not name and place < row.fewest:
            site.fail("the inputs that the operator needs must be there, but one is left out")
        if name and name not in importer.shapes and name not in importer.constants:
            site.fail(
                f"what it reads must be an input, a weight or the first output of a node before it, unlike {name}"
            )
    row.read(site)
