"""From what a user writes for a network — a name of the zoo, a file — to its graph."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from tilework.errors import NetworkError
from tilework.frontend.zoo import network
from tilework.network.graph import Graph, Tensor
from tilework.network.graph_text import parse_graph
from tilework.network.operations import Shape

READS = "this version reads the names that `tilework networks` lists and .graph files"
NOT_READ = {
    "hf:": "Hugging Face configurations",
    "py:": "Python callables",
    ".onnx": "ONNX files",
    ".pt2": "torch.export files",
}


def resolve(spec: str, batch: int | None = None, inputs: Sequence[str | Shape] = ()) -> Graph:
    """The graph of a zoo network or of a `.graph` file, with its inputs' shapes changed where asked.

    `batch` becomes the first size of every input. `inputs` are shapes with or without the batch, in the inputs'
    order: (3, 224, 224), "3,224,224" or, by name, "image=1,3,224,224".
    Raises NetworkError for what is no network, and where the network cannot take inputs of these shapes.
    """
    graph = _read(spec)
    if batch is not None and batch < 1:
        raise NetworkError(f"the batch must be at least 1, not {batch}")
    asked = _asked(graph, inputs)
    changed = {t.name: _resized(t, batch, asked.get(t.name)) for t in graph.inputs}
    if all(changed[t.name] == t.shape for t in graph.inputs):
        return graph
    sources = (replace(t, shape=changed.get(t.name, t.shape)) for t in graph.sources)
    return graph.replace(sources, graph.nodes, graph.outputs)


def _read(spec: str) -> Graph:
    for mark, what in NOT_READ.items():
        if spec.startswith(mark) if mark.endswith(":") else spec.endswith(mark):
            raise NetworkError(f"{READS}, not {what} such as {spec!r}")
    if spec.endswith(".graph"):
        return parse_graph(_text(spec))
    if "/" in spec or os.path.isfile(spec):
        raise NetworkError(f"{READS}; a file's name must end in .graph, unlike {spec!r}")
    return network(spec)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except UnicodeDecodeError:
        raise NetworkError(f"a .graph file must be UTF-8 text, which {path!r} is not") from None
    except OSError as error:
        raise NetworkError(f"the network file {path!r} must be readable: {error.strerror}") from None


def _asked(graph: Graph, inputs: Sequence[str | Shape]) -> dict[str, Shape]:
    """The shape asked for by input name; those without a name go to the first inputs that are left."""
    parsed = [_shape(item) for item in inputs]
    names = [t.name for t in graph.inputs]
    asked = {name: shape for name, shape in parsed if name is not None}
    if unknown := asked.keys() - set(names):
        raise NetworkError(f"network {graph.name} has the inputs {', '.join(names)}, not {min(unknown)!r}")
    free = [name for name in names if name not in asked]
    unnamed = [shape for name, shape in parsed if name is None]
    if len(unnamed) > len(free) or len(asked) + len(unnamed) < len(parsed):
        raise NetworkError(f"network {graph.name} takes one shape for each of {', '.join(names)}, not {len(parsed)}")
    return asked | dict(zip(free, unnamed, strict=False))


def _shape(item: str | Shape) -> tuple[str | None, Shape]:
    if not isinstance(item, str):
        return None, tuple(item)
    name, equals, sizes = item.rpartition("=")
    parts = sizes.replace("x", ",").split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise NetworkError(f"an input's shape must be positive sizes such as 3,224,224, not {sizes!r}")
    return (name.strip() if equals else None), tuple(map(int, parts))


def _resized(tensor: Tensor, batch: int | None, asked: Shape | None) -> Shape:
    own = tensor.shape
    if asked is None:
        return own if batch is None else (batch, *own[1:])
    if len(asked) == len(own) - 1:
        return (own[0] if batch is None else batch, *asked)
    if len(asked) != len(own):
        raise NetworkError(
            f"input {tensor.name} is {list(own)}: its shape must have {len(own)} sizes, or {len(own) - 1} without the "
            f"batch, not {list(asked)}"
        )
    if batch is not None and asked[0] != batch:
        raise NetworkError(f"input {tensor.name} must have the batch {batch} as its first size, not {list(asked)}")
    return asked
