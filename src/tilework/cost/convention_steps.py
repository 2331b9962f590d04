"""What another tool may see of each node: the module whose call it belongs to, that module's own parameters, shapes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from math import prod
from typing import Any

from tilework.network.graph import BUFFER, Graph, Node
from tilework.network.operations import OPERATIONS, Shape, expand

ATTENTION = "MultiheadAttention"
RECURRENT = {1: "RNN", 3: "GRU", 4: "LSTM"}  # by the number of their gates
USUAL = {  # the class of torch.nn that a module with this operation most likely has
    "adaptive_avg_pool1d": "AdaptiveAvgPool1d",
    "adaptive_avg_pool2d": "AdaptiveAvgPool2d",
    "adaptive_avg_pool3d": "AdaptiveAvgPool3d",
    "adaptive_max_pool2d": "AdaptiveMaxPool2d",
    "avg_pool1d": "AvgPool1d",
    "avg_pool2d": "AvgPool2d",
    "avg_pool3d": "AvgPool3d",
    "batch_norm": "BatchNorm2d",
    "clip": "ReLU6",
    "conv1d": "Conv1d",
    "conv2d": "Conv2d",
    "conv3d": "Conv3d",
    "conv_transpose1d": "ConvTranspose1d",
    "conv_transpose2d": "ConvTranspose2d",
    "conv_transpose3d": "ConvTranspose3d",
    "elu": "ELU",
    "embedding": "Embedding",
    "gelu": "GELU",
    "group_norm": "GroupNorm",
    "layer_norm": "LayerNorm",
    "leaky_relu": "LeakyReLU",
    "linear": "Linear",
    "max_pool1d": "MaxPool1d",
    "max_pool2d": "MaxPool2d",
    "max_pool3d": "MaxPool3d",
    "prelu_kernel": "PReLU",
    "relu": "ReLU",
    "relu6": "ReLU6",
    "silu": "SiLU",
    "softmax": "Softmax",
}


@dataclass(frozen=True)
class Step:
    """A node as a tool sees it, `operation` under the name of its function.

    `module` is the class of the module whose call the node belongs to, "" where it is a function within a larger one;
    `certain` says whether that is known. `first` marks the node that stands for the whole call, whose input, output
    and own parameters `x`, `o` and `weights` are then the call's (but for attention, whose rules go by its parts).
    `leaf` says whether the module has none within, `used` whether an output depends on the node.
    """

    node: Node
    operation: str
    x: Shape
    o: Shape
    weights: Mapping[str, Shape]
    operands: tuple[Shape, ...]
    macs: int
    module: str = ""
    leaf: bool = False
    first: bool = True
    certain: bool = True
    used: bool = True

    @property
    def read(self) -> int:
        """Elements of the input."""
        return prod(self.x)

    @property
    def elements(self) -> int:
        """Elements of the output."""
        return prod(self.o)

    def attribute(self, name: str, usual: Any) -> Any:
        """An attribute of the node, or what it usually is."""
        return dict(self.node.attributes).get(name, usual)

    @property
    def bias(self) -> int:
        """Additions of a bias, by the operation itself or, in a module, after it: one for each output, or none."""
        return self.elements if len(self.operands) > 2 or "bias" in self.weights else 0


@dataclass(frozen=True)
class _Owner:
    """The module whose call a node belongs to: its path, None for a function, whether the node is all that the call
    does, and the class."""

    path: str | None = None
    alone: bool = False
    module: str = ""
    leaf: bool = False
    certain: bool = True


def steps(graph: Graph, macs: Iterable[int], modules: Mapping[str, str] | None = None) -> list[Step]:
    """A step for each node, in order; `macs` are the nodes' own.

    `modules` gives the class of each module by its path, as `named_modules()` has them. Without it they are guessed
    from the names of nodes and weights.
    """
    owners = _Known(modules) if modules is not None else _Guessed(graph)
    found = [(node, number, owners.of(node)) for node, number in zip(graph.nodes, macs, strict=True)]
    made = [step for _, run in groupby(found, key=_call) for step in _steps(graph, list(run))]
    used = set(graph.outputs)
    for node in reversed(graph.nodes):
        used.update(node.inputs if node.name in used else ())
    return [replace(step, used=step.node.name in used) for step in made]


def _call(found: tuple[Node, int, _Owner]) -> tuple[str | None, str]:
    """Neighbours with the same key belong to one call of a module; each function is a call of its own."""
    node, _, owner = found
    return owner.path, node.name if owner.alone or owner.path is None else ""


def _steps(graph: Graph, run: list[tuple[Node, int, _Owner]]) -> list[Step]:
    nodes = [node for node, _, _ in run]
    main = _main(graph, nodes)
    owner = next(owner for node, _, owner in run if node is main)
    weights = {}
    for node in nodes:
        for tensor in graph.weights_of(node):
            if tensor.role != BUFFER and (owner.leaf or owner.path == _owner(tensor.name)):  # a leaf's may be shared
                weights[tensor.name.rpartition(".")[2]] = tensor.shape
    made = []
    for node, macs, _ in run:
        first = node is main
        whole = first and owner.module != ATTENTION
        x = _input(graph, nodes if whole else [node])
        o = graph.tensors[nodes[-1].name if whole else node.name].shape
        operands = tuple(graph.tensors[name].shape for name in node.inputs)
        own = weights if first else {}
        made.append(
            Step(
                node, _operation(graph, node), x, o, own, operands, macs, owner.module, owner.leaf, first, owner.certain
            )
        )
    return made


def _main(graph: Graph, nodes: list[Node]) -> Node:
    """The node that stands for a call: the first that reads a weight, else the first, but no alias and no view."""
    working = [node for node in nodes if not _moves_nothing(graph, node)]
    return next((node for node in working if graph.weights_of(node)), (working or nodes)[0])


def _operation(graph: Graph, node: Node) -> str:
    """The node's label; a mean over height and width that leaves them with size 1 is how torch pools to one place."""
    given = dict(node.attributes)
    if node.label == "mean" and given.get("keep") and sorted(given.get("axes", ())) == [2, 3]:
        return "adaptive_avg_pool2d" if len(graph.tensors[node.inputs[0]].shape) == 4 else node.label
    return node.label


def _moves_nothing(graph: Graph, node: Node) -> bool:
    shapes = tuple(graph.tensors[name].shape for name in node.inputs)
    return OPERATIONS[node.operation].view or expand(node.operation, shapes, node.attributes).is_alias


def _input(graph: Graph, nodes: list[Node]) -> Shape:
    """The shape of the first tensor that comes from outside and isn't a weight."""
    own = {node.name for node in nodes}
    read = [graph.tensors[name] for node in nodes for name in node.inputs if name not in own]
    return next((t.shape for t in read if not t.is_weight), read[0].shape if read else ())


def _owner(name: str) -> str:
    return name.rpartition(".")[0]


class _Known:
    """Modules by their paths and classes."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        self.modules = modules
        self.parents = {_owner(path) for path in modules if path}

    def of(self, node: Node) -> _Owner:
        for path in (node.name, _bare(node.name), node.module):
            if path in self.modules and (path not in self.parents or self.modules[path] == ATTENTION):
                return _Owner(path, path != node.module, self.modules[path], path not in self.parents)
        return _Owner()


class _Guessed:
    """Modules by what the names tell: docs/disagreements.md says how nodes are named."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.owners = {_owner(t.name) for t in graph.weights if t.role != BUFFER}
        names = {node.name for node in graph.nodes if not _is_function(node)}
        paths = (*self.owners, *names, *(node.module for node in graph.nodes))
        self.parents = {parent for path in paths for parent in _above(path)}
        self.readers = {node.name for node in graph.nodes if graph.weights_of(node)}
        self.attention = {_owner(t.name) for t in graph.weights if t.name.endswith("in_proj_weight")}
        first = [t for t in graph.weights if t.name.endswith("weight_hh_l0")]
        self.recurrent = {_owner(t.name): RECURRENT[t.shape[0] // t.shape[1]] for t in first}
        self.labels: dict[str, set[str]] = {}
        for node in graph.nodes:
            if node.operation != "reshape":
                self.labels.setdefault(node.module, set()).add(node.label if _is_function(node) else node.name)

    def of(self, node: Node) -> _Owner:
        if node.module in self.attention:
            return _Owner(node.module, module=ATTENTION)
        if node.module in self.recurrent:
            return _Owner(node.module, module=self.recurrent[node.module], leaf=True)
        usual = USUAL.get(_operation(self.graph, node), "?")
        path = node.name if node.name in self.owners else _bare(node.name)
        if path in self.owners or not _is_function(node):
            return _Owner(path, True, usual, path not in self.parents, usual != "GELU")
        alone = self.labels.get(node.module) == {node.label} or node.operation == "reshape"
        if node.module not in self.parents and (node.module in self.owners or (node.module and alone)):
            transposed = node.label == "matmul" and node.name in self.readers
            return _Owner(node.module, False, "Conv1D" if transposed else usual if alone else "?", leaf=True)
        if usual == "?" or node.name in self.readers:
            return _Owner()
        return _Owner(node.name, True, usual, leaf=True, certain=False)


def _bare(name: str) -> str:
    """Without the number that makes a name unique where a module is called again."""
    return re.sub(r"_\d+$", "", name)


def _is_function(node: Node) -> bool:
    """Whether a node's name is made of its module and its label, as those are that no module of their own holds."""
    start = f"{node.module}." if node.module else ""
    return re.fullmatch(re.escape(start + node.label) + r"(_\d+)?", node.name) is not None


def _above(path: str) -> Iterable[str]:
    """The paths of the modules around one."""
    while path:
        path = _owner(path)
        yield path
