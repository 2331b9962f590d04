"""One ONNX node while the model is read: what it reads and says, and the graph nodes that it becomes."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from tilework.errors import NetworkError, WeightsError
from tilework.frontend.from_onnx import messages
from tilework.frontend.from_onnx.constants import Constant, computed, listed, stored
from tilework.network.elementwise import broadcast_shape
from tilework.network.graph import Node
from tilework.network.operations import OPERATIONS, Shape, expand

if TYPE_CHECKING:
    from tilework.frontend.from_onnx.importer import Importer
    from tilework.frontend.from_onnx.scope import Scope
    from tilework.network.weights import Array

STANDARD = ("", "ai.onnx")  # domains
SMALL = 1 << 12  # elements of a constant whose numbers may be needed while the model is read
TOGETHER = "::"  # between a domain and an operator's name
KINDS = {  # of attributes: ONNX's number, and the field that holds the value
    "float": (1, "f"),
    "int": (2, "i"),
    "string": (3, "s"),
    "tensor": (4, "t"),
    "graph": (5, "g"),
    "floats": (6, "floats"),
    "ints": (7, "ints"),
    "strings": (8, "strings"),
    "sparse_tensor": (11, "sparse_tensor"),
}


def shortest(value: float) -> float:
    """The number with the fewest decimals that is this one in float32."""
    for digits in range(1, 9):
        near = float(f"{value:.{digits}g}")
        try:
            if struct.pack("<f", near) == struct.pack("<f", value):
                return near
        except (OverflowError, struct.error):
            continue
    return value


class Unsupported(Exception):  # noqa: N818 - never leaves the importer
    """The operator's row does not cover this case, which becomes an unknown node."""


class Site:
    """One ONNX node. Inputs and outputs are the names of values in the graph, "" where one is left out."""

    def __init__(self, importer: Importer, scope: Scope, proto: messages.Node) -> None:
        self.importer, self.scope, self.proto = importer, scope, proto
        domain = "" if proto.domain in STANDARD else proto.domain
        self.domain, self.opset = domain, scope.opsets.get(domain, 1)
        self.operator = f"{domain}{TOGETHER}{proto.op_type}" if domain else proto.op_type
        self.outputs = [scope.new(name) for name in proto.output]
        self.name = next(filter(None, self.outputs), "") or next(filter(None, proto.output), proto.name)
        self.what = f"{proto.op_type} node {self.name}"
        self.inputs = [scope.find(name, self) for name in proto.input]
        while self.inputs and not self.inputs[-1]:
            self.inputs.pop()
        self.attributes = {attribute.name: attribute for attribute in scope.resolved(proto.attribute)}

    def fail(self, message: str) -> NoReturn:
        raise NetworkError(f"{self.what}: {message}")

    def unsupported(self) -> NoReturn:
        """Leave the node to be an unknown one."""
        raise Unsupported

    def given(self, place: int) -> bool:
        return place < len(self.inputs) and self.inputs[place] != ""

    def wanted(self, place: int) -> bool:
        """Whether anything reads this output."""
        return place < len(self.outputs) and self.outputs[place] != ""

    # What the inputs are

    def shape(self, place: int = 0) -> Shape:
        self._need(place)
        return self.importer.shape(self.inputs[place])

    def _need(self, place: int) -> None:
        if not self.given(place):
            self.fail("the inputs that the operator needs must be there, but one is left out")

    def dtype(self, place: int = 0) -> str:
        self._need(place)
        return self.importer.dtype(self.inputs[place])

    def known(self, place: int) -> Constant | None:
        """The input if it is a constant."""
        return self.importer.constants.get(self.inputs[place]) if self.given(place) else None

    def numbers(self, place: int, purpose: str) -> list[Any] | None:
        """The numbers of a small constant, None for a value that the network computes or for a large constant."""
        constant = self.known(place)
        if constant is None or constant.elements > SMALL:
            return None
        try:
            return constant.numbers()
        except WeightsError as error:
            self.fail(f"{purpose} must be readable: {error}")

    def small(self, place: int, purpose: str, kinds: str) -> list[Any]:
        """The numbers of a small constant of one of the kinds of dtype (f, i, u, b), as a list; where the network
        computes them the node becomes an unknown one."""
        constant = self.known(place)
        if constant is None:
            self.unsupported()
        if constant.elements > SMALL or constant.dtype[0] not in kinds or len(constant.shape) > 1:
            self.fail(f"{purpose} must be a few numbers, not {constant.dtype}{list(constant.shape)}")
        return self.numbers(place, purpose) or []

    def integers(self, place: int, purpose: str) -> tuple[int, ...]:
        return tuple(self.small(place, purpose, "iu"))

    def scalar(self, place: int, purpose: str, default: float) -> float:
        """A constant of one number, or the default where the input is left out."""
        if not self.given(place):
            return default
        values = self.small(place, purpose, "fiub")
        if len(values) != 1:
            self.fail(f"{purpose} must be one number, not {len(values)}")
        return float(values[0])

    def axis(self, axis: int, rank: int) -> int:
        """An axis that may count from the end, from the start; raises NetworkError outside the tensor."""
        if not -rank <= axis < rank:
            self.fail(f"the axis must be one of {rank}, not {axis}")
        return axis % rank

    def axes(self, place: int, rank: int) -> tuple[int, ...] | None:
        """The axes that an attribute or, in newer operator sets, an input names; None where none are named."""
        axes = self.integers(place, "the axes") if self.given(place) else self.ints("axes")
        return None if axes is None else tuple(self.axis(axis, rank) for axis in axes)

    def broadcast(self, shapes: Sequence[Shape]) -> Shape:
        """The shape that these broadcast to."""
        try:
            return broadcast_shape("it", shapes)
        except NetworkError as error:
            self.fail(str(error))

    # What the attributes say

    def _attribute(self, name: str, kind: str, default: Any) -> Any:
        attribute = self.attributes.get(name)
        if attribute is None:
            return default
        number, place = KINDS[kind]
        if attribute.type != number:
            self.fail(f"the attribute {name} must be of ONNX's type {kind}")
        return getattr(attribute, place)

    def integer(self, name: str, default: int) -> int:
        return int(self._attribute(name, "int", default))

    def number(self, name: str, default: float) -> float:
        """A float32, as the shortest decimal that says it."""
        value = self._attribute(name, "float", None)
        return default if value is None else shortest(value)

    def text(self, name: str, default: str) -> str:
        return bytes(self._attribute(name, "string", default.encode())).decode("ascii", "replace")

    def texts(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        values = self._attribute(name, "strings", None)
        return default if values is None else tuple(bytes(value).decode("ascii", "replace") for value in values)

    def ints(self, name: str) -> tuple[int, ...] | None:
        value = self._attribute(name, "ints", None)
        return None if value is None else tuple(value)

    def floats(self, name: str) -> tuple[float, ...]:
        return tuple(map(shortest, self._attribute(name, "floats", ())))

    def tensor(self, name: str) -> Constant | None:
        proto: messages.Tensor | None = self._attribute(name, "tensor", None)
        return None if proto is None else stored(proto, self.name, self.importer.path)

    def sparse(self, name: str) -> messages.SparseTensor:
        proto: messages.SparseTensor | None = self._attribute(name, "sparse_tensor", None)
        return proto or messages.SparseTensor()

    def graph(self, name: str) -> messages.Graph:
        """A subgraph; raises NetworkError where it is missing."""
        proto: messages.Graph | None = self._attribute(name, "graph", None)
        if proto is None:
            self.fail(f"the attribute {name} must be given")
        return proto

    # What becomes of it

    def reference(self, place: int, trainable: bool = True) -> str:
        """The name by which a graph node reads an input; a constant becomes a weight."""
        self._need(place)
        return self.importer.reference(self.inputs[place], trainable)

    def operand(self, place: int) -> str:
        """As `reference`, where a constant of one number is a literal rather than a parameter."""
        self._need(place)
        return self.reference(place, trainable=self.importer.elements(self.inputs[place]) > 1)

    def emit(self, operation: str, *inputs: str, to: str = "", out: int = 0, dtype: str = "", **attributes: Any) -> str:
        """Append a graph node that makes an output of the ONNX node or, with `to`, a step towards it.

        `dtype` is the value's where it isn't that of the first input. Returns the node's name.
        """
        importer = self.importer
        name = (not to and self.outputs[out]) or importer.new(f"{self.name}:{to or out}")
        defaults: Mapping[str, Any] = OPERATIONS[operation].attributes
        said = tuple(sorted((k, v) for k, v in attributes.items() if v != defaults.get(k)))
        if any(0 in importer.shape_read(source) for source in inputs):
            self.fail("its inputs must have elements, as nothing follows from none")
        try:
            shape = expand(operation, tuple(map(importer.shape_read, inputs)), said).shape
        except NetworkError as error:
            self.fail(str(error))
        first = importer.dtype(inputs[0]) if inputs else "float32"
        dtype = dtype or first
        importer.define(name, shape, dtype)
        importer.nodes.append(Node(name, operation, inputs, said, self.module, "" if dtype == first else dtype))
        return name

    def pointwise(
        self, what: str, body: str, *inputs: str, to: str = "", out: int = 0, dtype: str = "", shape: Shape = ()
    ) -> str:
        """A node that computes a scalar expression of its inputs x0, x1, … (see `network.elementwise.pointwise`)."""
        return self.emit("pointwise", *inputs, to=to, out=out, dtype=dtype, what=what, body=body, shape=shape)

    def host(
        self, what: str, *inputs: str, shape: Shape, out: int = 0, dtype: str = "", to: str = "", how: str = ""
    ) -> str:
        """A node of host work; the first output carries the work of all, and `how` says what each computes."""
        rule = {"how": how} if how else {}
        return self.emit("host", *inputs, to=to, out=out, dtype=dtype, what=what, shape=shape, part=out, **rule)

    def reshaped(self, name: str, shape: Shape, to: str = "shaped") -> str:
        """A value under another shape, as a step; the value itself where it has that shape."""
        return name if self.importer.shape_read(name) == shape else self.emit("reshape", name, to=to, shape=shape)

    def define(self, constant: Constant, out: int = 0) -> None:
        """An output is a constant."""
        if self.wanted(out):
            self.importer.constants[self.outputs[out]] = constant

    def compute(self, array: Array, out: int = 0) -> None:
        """An output is a constant whose numbers have been worked out."""
        if self.wanted(out):
            self.define(computed(self.outputs[out], array), out)

    def state(self, items: Sequence[Any], dtype: str, shape: Shape | None = None, out: int = 0) -> None:
        """An output is a constant of a few numbers; one axis unless a shape is given."""
        if self.wanted(out):
            self.define(listed(self.outputs[out], items, dtype, shape), out)

    def same(self, name: str, out: int = 0) -> None:
        """An output is a value that is there already."""
        if self.wanted(out):
            self.scope.names[self.proto.output[out]] = self.outputs[out] = name

    @property
    def module(self) -> str:
        """The module that torch's exporter tells, in an entry or in the node's name: that of
        /layer1/layer1.0/conv1/Conv is layer1.0.conv1."""
        if self.proto.scopes:
            scopes = re.findall("'([^']*)'", self.proto.scopes)
            return scopes[-2] if len(scopes) > 1 else ""
        parts = [part for part in self.proto.name.split("/")[:-1] if part]
        path: list[str] = []
        for before, part in zip(["", *parts], parts, strict=False):
            path.append(part.removeprefix(f"{before}.") if before else part)
        return ".".join(filter(None, (self.scope.module, *path)))


Read = Callable[[Site], None]
OPERATORS: dict[str, Read] = {}
REGISTERED: dict[str, Read] = {}  # by users; these come first


def operator(*names: str) -> Callable[[Read], Read]:
    """Enter a function of a `Site` in the table of operators."""

    def enter(read: Read) -> Read:
        OPERATORS.update(dict.fromkeys(names, read))
        return read

    return enter


def onnx_operator(*names: str) -> Callable[[Read], Read]:
    """Register a function of a `Site` as the meaning of ONNX operators: "Relu", "my.domain::Gadget".

    The function reads the node (`site.shape(0)`, `site.integer("axis", -1)`, …) and says what it is: graph nodes
    (`site.emit("relu", site.reference(0))`), a constant (`site.state([1, 2], "int64")`) or, by `site.unsupported()`,
    unknown. It comes before Tilework's own row for such an operator.
    """

    def register(read: Read) -> Read:
        REGISTERED.update(dict.fromkeys(names, read))
        return read

    return register
