"""What the import of an ONNX model knows while it goes on, and one ONNX node in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any, NoReturn

from tilework.errors import MissingPackageError, NetworkError, WeightsError
from tilework.frontend.from_onnx_constants import Constant, stored
from tilework.network.graph import BUFFER, PARAMETER, Graph, Node, Tensor
from tilework.network.operations import OPERATIONS, Shape, expand
from tilework.network.weights import Weights

try:
    from onnx import AttributeProto, NodeProto, TensorProto
except ImportError:
    raise MissingPackageError("reading an ONNX file needs the package onnx: pip install 'tilework[onnx]'") from None

MANY = 1 << 20  # inputs of an operator that takes any number
SMALL = 64  # elements of a constant that an operator may need while the model is read


class Importer:
    """The graph so far: shapes of the values, constants, and the weights that nodes have read."""

    def __init__(self, opset: int, folder: Path | None, taken: Iterable[str]) -> None:
        self.opset, self.folder, self.taken = opset, folder, set(taken)
        self.shapes: dict[str, Shape] = {}
        self.batches: dict[int, int] = {}  # the batch that the file was made for, and which it shall be instead
        self.constants: dict[str, Constant] = {}
        self.nodes: list[Node] = []
        self.weights: dict[str, Constant] = {}
        self.roles: dict[str, str] = {}

    def reference(self, name: str, trainable: bool = True) -> str:
        """The name under which a graph node reads a tensor; a constant becomes a weight."""
        constant = self.constants.get(name)
        return name if constant is None else self.weight(constant, trainable)

    def weight(self, constant: Constant, trainable: bool = True) -> str:
        """A constant's name among the weights: its own, unless another form of it has that already."""
        others = (f"{constant.name}:{number}" for number in count(2))
        for name in chain([constant.name], (name for name in others if name not in self.taken)):
            if self.weights.setdefault(name, constant) == constant:
                break
        if trainable or name not in self.roles:
            self.roles[name] = PARAMETER if trainable else BUFFER
        return name

    def graph(self, name: str, inputs: Iterable[Tensor], outputs: Iterable[str]) -> Graph:
        """The finished graph; an input that no node reads is left out."""
        names = tuple(self.reference(output) for output in outputs)
        read = {*names, *(name for node in self.nodes for name in node.inputs)}
        weights = [Tensor(key, c.shape, c.dtype, self.roles[key]) for key, c in self.weights.items()]
        return Graph(name, (*(t for t in inputs if t.name in read), *weights), tuple(self.nodes), names)

    def values(self, origin: str) -> Weights:
        return Weights({name: constant.value for name, constant in self.weights.items()}, origin)


class Site:
    """One ONNX node: what it reads and says, and the graph nodes that it becomes."""

    def __init__(self, importer: Importer, proto: NodeProto) -> None:
        self.importer, self.proto = importer, proto
        self.opset = importer.opset
        self.name = proto.output[0]
        self.what = f"{proto.op_type} node {self.name}"
        self.inputs = list(proto.input)
        while self.inputs and not self.inputs[-1]:
            self.inputs.pop()
        self.attributes = {attribute.name: attribute for attribute in proto.attribute}

    def fail(self, message: str) -> NoReturn:
        raise NetworkError(f"{self.what}: {message}")

    def given(self, place: int) -> bool:
        return place < len(self.inputs) and self.inputs[place] != ""

    def shape(self, place: int = 0) -> Shape:
        name = self.inputs[place]
        constant = self.importer.constants.get(name)
        return self.importer.shapes[name] if constant is None else constant.shape

    def constant(self, place: int, purpose: str) -> Constant:
        """A constant input; raises NetworkError where the network computes it."""
        constant = self.importer.constants.get(self.inputs[place])
        if constant is None:
            self.fail(f"{purpose} must be a constant, not {self.inputs[place]}, which the network computes")
        return constant

    def small(self, place: int, purpose: str, kinds: str) -> list[Any]:
        """The numbers of a small constant of one of the kinds of dtype: f, i, u, b."""
        constant = self.constant(place, purpose)
        if constant.elements > SMALL or constant.dtype[0] not in kinds or len(constant.shape) > 1:
            self.fail(f"{purpose} must be a few numbers, not {constant.dtype}{list(constant.shape)}")
        try:
            values: list[Any] = constant.value().reshape(-1).tolist()
        except WeightsError as error:
            self.fail(str(error))
        return values

    def integers(self, place: int, purpose: str) -> tuple[int, ...]:
        return tuple(self.small(place, purpose, "iu"))

    def _attribute(self, name: str, kind: int, field: str, default: Any) -> Any:
        attribute = self.attributes.get(name)
        if attribute is None:
            return default
        if attribute.type != kind or attribute.ref_attr_name:
            wanted = AttributeProto.AttributeType.Name(kind).lower()
            self.fail(f"the attribute {name} must be of ONNX's type {wanted}")
        return getattr(attribute, field)

    def integer(self, name: str, default: int) -> int:
        return int(self._attribute(name, AttributeProto.INT, "i", default))

    def number(self, name: str, default: float) -> float:
        return float(self._attribute(name, AttributeProto.FLOAT, "f", default))

    def text(self, name: str, default: str) -> str:
        return bytes(self._attribute(name, AttributeProto.STRING, "s", default.encode())).decode("ascii", "replace")

    def ints(self, name: str) -> tuple[int, ...] | None:
        value = self._attribute(name, AttributeProto.INTS, "ints", None)
        return None if value is None else tuple(value)

    def floats(self, name: str) -> tuple[float, ...]:
        return tuple(self._attribute(name, AttributeProto.FLOATS, "floats", ()))

    def tensor(self, name: str) -> Constant | None:
        proto: TensorProto | None = self._attribute(name, AttributeProto.TENSOR, "t", None)
        return None if proto is None else stored(proto, self.name, self.importer.folder)

    def axis(self, axis: int, rank: int) -> int:
        """An axis that may count from the end, from the start; raises NetworkError outside the tensor."""
        if not -rank <= axis < rank:
            self.fail(f"the axis must be one of {rank}, not {axis}")
        return axis % rank

    def reference(self, place: int, trainable: bool = True) -> str:
        return self.importer.reference(self.inputs[place], trainable)

    def emit(self, operation: str, *inputs: str, to: str = "", **attributes: Any) -> str:
        """Append a graph node that makes the ONNX node's value or, with `to`, a step towards it; returns its name."""
        name = f"{self.name}:{to}" if to else self.name
        defaults: Mapping[str, Any] = OPERATIONS[operation].attributes
        said = tuple(sorted((k, v) for k, v in attributes.items() if v != defaults.get(k)))
        importer = self.importer
        shapes = tuple(importer.shapes[n] if n in importer.shapes else importer.weights[n].shape for n in inputs)
        try:
            importer.shapes[name] = expand(operation, shapes, said).shape
        except NetworkError as error:
            self.fail(str(error))
        importer.nodes.append(Node(name, operation, inputs, said, module(self.proto.name)))
        return name

    def define(self, constant: Constant) -> None:
        """The ONNX node's value is a constant."""
        self.importer.constants[self.name] = constant


@dataclass(frozen=True)
class Operator:
    """A row: how many inputs the operator takes, the attributes it may have, and what it does with a node."""

    read: Callable[[Site], None]
    fewest: int
    most: int
    attributes: frozenset[str]


OPERATORS: dict[str, Operator] = {}


def operator(name: str, fewest: int, most: int, attributes: str = "") -> Callable[[Callable[[Site], None]], None]:
    """Register a function of a `Site` as the meaning of an ONNX operator."""

    def register(read: Callable[[Site], None]) -> None:
        OPERATORS[name] = Operator(read, fewest, most, frozenset(attributes.split()))

    return register


def module(name: str) -> str:
    """The module that an ONNX node's name tells: that of /layer1/layer1.0/conv1/Conv is layer1.0.conv1."""
    parts = [part for part in name.split("/")[:-1] if part]
    path: list[str] = []
    for before, part in zip(["", *parts], parts, strict=False):
        path.append(part.removeprefix(f"{before}.") if before else part)
    return ".".join(path)
