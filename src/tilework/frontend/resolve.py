"""From what a user writes for a network — a name of the zoo, a file, a callable — to its graph."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from tilework.errors import NetworkError
from tilework.frontend.request import Request, Size, request, shapes
from tilework.frontend.zoo import network
from tilework.network.blocks import Blocks, flat
from tilework.network.graph import Graph
from tilework.network.graph_text import parse_graph

READS = (
    "a network must be a name that `tilework networks` lists, a .graph, .onnx or .pt2 file, "
    "py:MODULE:CALLABLE or hf:CONFIG"
)


class Source(Protocol):
    """A network before the shapes of its inputs are settled."""

    def at(self, request: Request) -> Graph | Blocks:
        """The graph for the inputs asked for; raises NetworkError where the network cannot take them."""
        ...

    def decoding(self, request: Request) -> Graph | Blocks | None:
        """The graph of one more token, of a language model that keeps earlier ones; None for anything else."""
        ...

    def usual(self, request: Request) -> dict[str, int]:
        """For each symbol of the request the size that usually stands there; those that nothing tells are left out."""
        ...

    def classes(self) -> dict[str, str] | None:
        """The class of each torch module by its path; None for what isn't made of such."""
        ...

    def facts(self, request: Request) -> dict[str, int]:
        """What the rows of a count don't say, by name."""
        ...


def resolve(
    spec: str, batch: Size | None = None, inputs: Iterable[str | Sequence[Size]] = (), phase: str = ""
) -> Graph:
    """The graph of what `spec` names (see `READS`), with its inputs' shapes changed where asked.

    `batch` becomes the first size of every input. `inputs` are shapes with or without the batch, in the inputs'
    order: (3, 224, 224), "3,224,224", or, by name and with a dtype, "ids=1,128:int64".
    Raises NetworkError for what is no network, and where the network cannot take inputs of these shapes.
    """
    return flat(open_source(spec).at(request(batch, inputs, phase)))


def open_source(spec: str) -> Source:
    """What a network's name stands for; raises NetworkError for a name that stands for nothing."""
    for mark, opener in _PREFIXES.items():
        if spec.startswith(mark):
            return opener(spec.removeprefix(mark))
    if spec.endswith(".onnx"):
        return OnnxSource(spec)
    if spec.endswith(".pt2"):
        return _exported(spec)
    if spec.endswith(".graph"):
        return GraphSource(parse_graph(_text(spec)))
    if "/" in spec or os.path.isfile(spec):
        raise NetworkError(f"{READS}, unlike {spec!r}")
    return ZooSource(network(spec))


class PlainSource:
    """A source of which its graph says everything."""

    def decoding(self, request: Request) -> None:
        """None: no language model with a cache."""
        return

    def classes(self) -> dict[str, str] | None:
        """None: no torch modules."""
        return None

    def facts(self, request: Request) -> dict[str, int]:
        """None."""
        return {}


@dataclass(frozen=True)
class GraphSource(PlainSource):
    """A graph whose input shapes may be changed."""

    graph: Graph

    def at(self, request: Request) -> Graph:
        """The graph, its shapes inferred anew where they changed."""
        _refuse_phase(request, self.graph.name)
        changed = shapes(self.graph.name, {t.name: t.shape for t in self.graph.inputs}, request)
        if all(changed[t.name] == t.shape for t in self.graph.inputs):
            return self.graph
        sources = (replace(t, shape=changed.get(t.name, t.shape)) for t in self.graph.sources)
        return self.graph.replace(sources, self.graph.nodes, self.graph.outputs)

    def usual(self, request: Request) -> dict[str, int]:
        """The sizes that the graph's own inputs have."""
        return usual_sizes({t.name: t.shape for t in self.graph.inputs}, request)


@dataclass(frozen=True)
class ZooSource(GraphSource):
    """A network of the zoo, built anew for another shape, as its reshapes may depend on it."""

    def at(self, request: Request) -> Graph:
        """The network for an input of this shape."""
        _refuse_phase(request, self.graph.name)
        own, *_ = self.graph.inputs  # the shapes of others follow from its
        batch, *shape = shapes(self.graph.name, {own.name: own.shape}, request)[own.name]
        return self.graph if (batch, *shape) == own.shape else network(self.graph.name, batch, tuple(shape))


@dataclass(frozen=True)
class OnnxSource(PlainSource):
    """An ONNX file, read for the shapes asked for, as its padding and its reshapes may depend on them."""

    path: str

    def at(self, request: Request) -> Graph:
        """The file's graph."""
        from tilework.frontend.from_onnx import from_onnx

        name = os.path.basename(self.path)
        _refuse_phase(request, name)
        if request.batch is None and not request.inputs:
            return from_onnx(self.path)[0]
        return from_onnx(self.path, shapes=shapes(name, self._declared(), request))[0]

    def usual(self, request: Request) -> dict[str, int]:
        """The sizes that the file declares."""
        return usual_sizes(self._declared(), request)

    def _declared(self) -> dict[str, tuple[int, ...]]:
        from tilework.frontend.from_onnx import input_shapes

        found = input_shapes(self.path)
        return {name: (shape[0] or 1, *shape[1:]) if shape else shape for name, shape in found.items()}


def usual_sizes(declared: dict[str, tuple[int, ...]], request: Request) -> dict[str, int]:
    """The declared size in the place of each symbol of a request."""
    sizes: dict[str, int] = {}
    if isinstance(request.batch, str) and declared:
        sizes[request.batch] = next((shape[0] for shape in declared.values() if shape), 1)
    names = iter(declared)
    for asked in request.inputs:
        own = declared.get(asked.name or next(names, ""), ())
        for size, usual in zip(reversed(asked.sizes), reversed(own), strict=False):
            if isinstance(size, str):
                sizes.setdefault(size, usual)
    return sizes


def _refuse_phase(request: Request, name: str) -> None:
    if request.phase:
        raise NetworkError(f"a phase is for language models given as hf:CONFIG, which {name} is not")


def _exported(path: str) -> Source:
    from tilework.frontend.from_torch.export import from_export

    return GraphSource(from_export(path))


def _callable(spec: str) -> Source:
    from tilework.frontend.from_torch.callables import open_callable

    return open_callable(spec)


def _huggingface(spec: str) -> Source:
    from tilework.frontend.from_huggingface import open_config

    return open_config(spec)


_PREFIXES: dict[str, Callable[[str], Source]] = {"py:": _callable, "hf:": _huggingface}


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except UnicodeDecodeError:
        raise NetworkError(f"a .graph file must be UTF-8 text, which {path!r} is not") from None
    except OSError as error:
        raise NetworkError(f"the network file {path!r} must be readable: {error.strerror}") from None
