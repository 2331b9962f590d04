"""An ONNX model as a graph and its weights."""

from __future__ import annotations

from collections import ChainMap, Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tilework.errors import NetworkError
from tilework.frontend.from_onnx import creation, matrices, messages, movement, normalisation, pointwise, windows
from tilework.frontend.from_onnx.constants import AXES_LIMIT, DTYPES, nothing
from tilework.frontend.from_onnx.file import Source, read_model
from tilework.frontend.from_onnx.importer import Importer
from tilework.frontend.from_onnx.scope import Scope, declared, live, sizes
from tilework.frontend.from_onnx.site import STANDARD
from tilework.network.graph import INPUT, Graph, Tensor
from tilework.network.operations import Shape

if TYPE_CHECKING:
    from tilework.network.weights import Weights

OLDEST_OPSET = 7
TABLE = (creation, matrices, movement, normalisation, pointwise, windows)  # whose rows fill OPERATORS

Sizes = tuple[int | str, ...]


def from_onnx(source: Source, *, batch: int = 1, shapes: Mapping[str, Shape] | None = None) -> tuple[Graph, Weights]:
    """The graph of an ONNX file (or model), whose nodes bear the names of the ONNX tensors, and the weights.

    `shapes` are input shapes, by name, that replace those of the file, where a 0 leaves the size to the file. A first
    size that the file leaves open is `batch`, and axes of one name have one size; one whose name begins with `past`, as
    of caches, has the size 0. Inputs that nothing reads, and those without elements, are left out. Raises NetworkError
    for a file that is no sound ONNX model, MissingPackageError where an operator cannot be understood without the
    package onnx; reading a weight may raise WeightsError.
    """
    model, where, path = read_model(source)
    body = model.graph or messages.Graph()
    name = where.removesuffix(".onnx") if path else body.name or "graph"
    try:
        graph, importer = _imported(model, body, name, path, batch, shapes or {})
    except NetworkError as error:
        raise NetworkError(f"{where}: {error}") from None
    return graph, importer.values(graph, f"from {where}")


def input_shapes(source: Source) -> dict[str, Shape]:
    """The declared shapes of an ONNX file's inputs, by name, with 0 for each size that the file leaves open.

    Raises what `from_onnx` raises.
    """
    sizes = symbols(source)
    return {name: tuple(0 if isinstance(size, str) else size for size in own) for name, own in sizes.items()}


def symbols(source: Source) -> dict[str, Sizes]:
    """The declared sizes of an ONNX file's inputs, by name: numbers, names, and "" for one that has neither.

    Raises what `from_onnx` raises.
    """
    model, _, _ = read_model(source)
    return {info.name: _declared(info) for info in _free_inputs(model.graph or messages.Graph())}


def _imported(
    model: messages.Model, body: messages.Graph, name: str, path: Path | None, batch: int, shapes: Mapping[str, Shape]
) -> tuple[Graph, Importer]:
    opsets = _opsets(model)
    importer = Importer(path, _names(body), model.functions)
    inputs = _inputs(importer, body, batch, shapes)
    outputs = [info.name for info in body.output]
    nodes, read = live(body.node, outputs)
    scope = Scope(importer, ChainMap(), opsets, read=read, declared=declared(body))
    importer.store(scope, body)
    for tensor in inputs:
        importer.define(tensor.name, tensor.shape, tensor.dtype)
    scope.names.update({info.name: info.name for info in _free_inputs(body)})
    importer.run(scope, nodes)
    values = {output: scope.names.get(output, "") for output in outputs}
    for output, value in values.items():
        if not importer.has(value):
            raise NetworkError(f"each output must be made by a node, which {output} is not")
    members = {output: importer.sequences.get(value, [value]) for output, value in values.items()}
    return importer.graph(name, inputs, members), importer


def _opsets(model: messages.Model) -> dict[str, int]:
    """The operator sets' versions by domain."""
    found = {"" if e.domain in STANDARD else e.domain: int(e.version) for e in reversed(model.opset_import)}
    if not found:
        raise NetworkError("an ONNX model must name its operator set, which is missing: the file is damaged")
    if found.get("", OLDEST_OPSET) < OLDEST_OPSET:
        raise NetworkError(f"the operator set must be at least {OLDEST_OPSET}, not {found['']}")
    return found


def _names(body: messages.Graph) -> list[str]:
    """The names of all tensors; raises NetworkError where two have the same one."""
    made = [output for node in body.node for output in node.output if output]
    stored = [
        *(proto.name for proto in body.initializer),
        *(thin.values.name for thin in body.sparse_initializer if thin.values),
    ]
    names = [*made, *(info.name for info in _free_inputs(body)), *stored]
    if double := [name for name, number in Counter(names).items() if number > 1 or not name]:
        raise NetworkError(f"each tensor must have a name of its own, not {double[0]!r} again")
    return names


def _free_inputs(body: messages.Graph) -> list[messages.ValueInfo]:
    """The inputs that are no weights: up to version 3 of the format the weights stand among the inputs too."""
    stored = {proto.name for proto in body.initializer} | {
        thin.values.name for thin in body.sparse_initializer if thin.values
    }
    return [info for info in body.input if info.name not in stored]


def _declared(info: messages.ValueInfo) -> Sizes:
    return sizes(info.tensor.shape) if info.tensor and info.tensor.shape else ()


def _inputs(importer: Importer, body: messages.Graph, batch: int, shapes: Mapping[str, Shape]) -> list[Tensor]:
    """The inputs with their sizes: as asked for, as declared, as another axis of the same name has it.

    One without elements (a cache that is still empty) is a constant and no input.
    """
    infos = _free_inputs(body)
    known = importer.symbols
    for info in infos:
        own, asked = _declared(info), shapes.get(info.name)
        if asked is not None:
            known |= {size: n for size, n in zip(own, asked, strict=False) if isinstance(size, str) and size and n}
            if own and asked and isinstance(own[0], int) and own[0] != asked[0]:
                importer.batches[own[0]] = asked[0]
    for info in infos:
        first = _declared(info)[:1]
        if info.name not in shapes and first and isinstance(first[0], str) and first[0]:
            known.setdefault(first[0], batch)
    tensors = []
    for info in infos:
        shape, dtype = _typed(info, batch, shapes, known)
        if 0 in shape:
            importer.constants[info.name] = nothing(info.name, dtype, shape)
        else:
            tensors.append(Tensor(info.name, shape, dtype, INPUT))
    return tensors


def _typed(
    info: messages.ValueInfo, batch: int, shapes: Mapping[str, Shape], known: Mapping[str, int]
) -> tuple[Shape, str]:
    """An input's shape and dtype; raises NetworkError where a size is open, or the input is no tensor of numbers."""
    own, kind = _declared(info), info.tensor
    if kind is None or kind.elem_type not in DTYPES:
        what = "a list or an optional value" if kind is None else f"ONNX's type {kind.elem_type}"
        raise NetworkError(f"input {info.name} must be a tensor of numbers, not {what}")
    asked = shapes.get(info.name)
    if asked is None and kind.shape is None:
        raise NetworkError(f"input {info.name} must have a shape, but the file tells none; give it, with the batch")
    found: list[int | None] = [_size(size, known) for size in own]
    if found and found[0] is None:
        found[0] = batch
    if asked is not None:
        open_sizes = found if len(asked) == len(found) else [None] * len(asked)
        found = [size or other for size, other in zip(asked, open_sizes, strict=True)]
    if None in found:
        _open(info.name, own, tuple(size or 0 for size in found))
    shape = tuple(size for size in found if size is not None)
    if len(shape) > AXES_LIMIT:
        raise NetworkError(f"input {info.name} must have at most {AXES_LIMIT} axes, not {len(shape)}")
    return shape, DTYPES[kind.elem_type][0]


def _size(size: int | str, known: Mapping[str, int]) -> int | None:
    """A declared size as a number: a name's, a sum of names' such as `past + sequence`; what is past is nothing yet."""
    if isinstance(size, int):
        return size
    parts = [part.strip() for part in size.split("+")]
    numbers = [int(p) if p.isdecimal() else known.get(p, 0 if p.startswith("past") else None) for p in parts]
    return None if None in numbers else sum(number for number in numbers if number is not None)


def _open(name: str, own: Sizes, shape: Shape) -> None:
    """Raises NetworkError that tells which sizes are open, and how to give them."""
    sizes = ", ".join(str(size or "?") for size in own)
    example = ",".join(str(size or (224 if len(shape) == 4 else 128)) for size in shape)
    raise NetworkError(
        f"input {name} must have sizes for all its axes, but the file leaves some open: [{sizes}]; "
        f"give the shape, as in --input {name}={example}"
    )
