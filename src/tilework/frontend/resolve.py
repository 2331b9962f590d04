"""From what a user writes for a network — a name of the zoo, a file — to its graph."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tilework.errors import NetworkError
from tilework.frontend.zoo import network
from tilework.network.graph import Graph
from tilework.network.graph_text import parse_graph
from tilework.network.operations import Shape

READS = "this version reads the names that `tilework networks` lists and .graph and .onnx files"
NOT_READ = {
    "hf:": "Hugging Face configurations",
    "py:": "Python callables",
    ".pt2": "torch.export files",
}


def resolve(spec: str, batch: int | None = None, inputs: Sequence[str | Shape] = ()) -> Graph:
    """The graph of a zoo network or of a `.graph` or `.onnx` file, with its inputs' shapes changed where asked.

    `batch` becomes the first size of every input. `inputs` are shapes with or without the batch, in the inputs'
    order: (3, 224, 224), "3,224,224" or, by name, "image=1,3,224,224".
    Raises NetworkError for what is no network, and where the network cannot take inputs of these shapes.
    """
    if batch is not None and batch < 1:
        raise NetworkError(f"the batch must be at least 1, not {batch}")
    if spec.endswith(".onnx"):
        return _onnx(spec, batch, inputs)
    graph = _read(spec)
    changed = _changed(graph.name, {t.name: t.shape for t in graph.inputs}, batch, inputs)
    if all(changed[t.name] == t.shape for t in graph.inputs):
        return graph
    sources = (replace(t, shape=changed.get(t.name, t.shape)) for t in graph.sources)
    return graph.replace(sources, graph.nodes, graph.outputs)


def _onnx(path: str, batch: int | None, inputs: Sequence[str | Shape]) -> Graph:
    """An ONNX file read for the shapes asked for, as its padding and its reshapes may depend on them."""
    from tilework.frontend.from_onnx import from_onnx, input_shapes

    if batch is None and not inputs:
        return from_onnx(path)[0]
    declared = {name: (shape[0] or 1, *shape[1:]) if shape else shape for name, shape in input_shapes(path).items()}
    return from_onnx(path, shapes=_changed(os.path.basename(path), declared, batch, inputs))[0]


def _read(spec: str) -> Graph:
    for mark, what in NOT_READ.items():
        if spec.startswith(mark) if mark.endswith(":") else spec.endswith(mark):
            raise NetworkError(f"{READS}, not {what} such as {spec!r}")
    if spec.endswith(".graph"):
        return parse_graph(_text(spec))
    if "/" in spec or os.path.isfile(spec):
        raise NetworkError(f"{READS}; a file's name must end in .graph or .onnx, unlike {spec!r}")
    return network(spec)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except UnicodeDecodeError:
        raise NetworkError(f"a .graph file must be UTF-8 text, which {path!r} is not") from None
    except OSError as error:
        raise NetworkError(f"the network file {path!r} must be readable: {error.strerror}") from None


def _changed(
    network: str, own: Mapping[str, Shape], batch: int | None, inputs: Sequence[str | Shape]
) -> dict[str, Shape]:
    """The inputs' shapes by name, `own` with the batch and the shapes asked for."""
    asked = _asked(network, list(own), inputs)
    return {name: _resized(name, shape, batch, asked.get(name)) for name, shape in own.items()}


def _asked(network: str, names: Sequence[str], inputs: Sequence[str | Shape]) -> dict[str, Shape]:
    """The shape asked for by input name; those without a name go to the first inputs that are left."""
    parsed = [_shape(item) for item in inputs]
    asked = {name: shape for name, shape in parsed if name is not None}
    if unknown := asked.keys() - set(names):
        raise NetworkError(f"network {network} has the inputs {', '.join(names)}, not {min(unknown)!r}")
    free = [name for name in names if name not in asked]
    unnamed = [shape for name, shape in parsed if name is None]
    if len(unnamed) > len(free) or len(asked) + len(unnamed) < len(parsed):
        raise NetworkError(f"network {network} takes one shape for each of {', '.join(names)}, not {len(parsed)}")
    return asked | dict(zip(free, unnamed, strict=False))


def _shape(item: str | Shape) -> tuple[str | None, Shape]:
    if not isinstance(item, str):
        return None, tuple(item)
    name, equals, sizes = item.rpartition("=")
    parts = sizes.replace("x", ",").split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise NetworkError(f"an input's shape must be positive sizes such as 3,224,224, not {sizes!r}")
    return (name.strip() if equals else None), tuple(map(int, parts))


def _resized(name: str, own: Shape, batch: int | None, asked: Shape | None) -> Shape:
    if asked is None:
        return own if batch is None or not own else (batch, *own[1:])
    if not own:  # an ONNX file may tell none
        return asked
    if len(asked) == len(own) - 1:
        return (own[0] if batch is None else batch, *asked)
    if len(asked) != len(own):
        raise NetworkError(
            f"input {name} is {list(own)}: its shape must have {len(own)} sizes, or {len(own) - 1} without the "
            f"batch, not {list(asked)}"
        )
    if batch is not None and asked[0] != batch:
        raise NetworkError(f"input {name} must have the batch {batch} as its first size, not {list(asked)}")
    return asked
