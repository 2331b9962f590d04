"""The messages of an ONNX file, as far as they matter here: which fields they have, by number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tilework.wire import Message, Span


class Dimension(Message):
    """A size, or the name of one."""

    FIELDS: ClassVar = {1: ("value", "int"), 2: ("name", "text")}
    value: int | None = None
    name = ""


class Dimensions(Message):
    """A shape."""

    FIELDS: ClassVar = {1: ("dim", "Dimension*")}
    dim: Sequence[Dimension] = ()


class TensorType(Message):
    """The type of a tensor; without a shape its rank is open."""

    FIELDS: ClassVar = {1: ("elem_type", "int"), 2: ("shape", "Dimensions")}
    elem_type = 0
    shape: Dimensions | None = None


class Type(Message):
    """A type; anything but a tensor has none here."""

    FIELDS: ClassVar = {1: ("tensor_type", "TensorType")}
    tensor_type: TensorType | None = None


class ValueInfo(Message):
    """A named value with its type."""

    FIELDS: ClassVar = {1: ("name", "text"), 2: ("type", "Type")}
    name = ""
    type: Type | None = None

    @property
    def tensor(self) -> TensorType | None:
        return self.type.tensor_type if self.type else None


class Entry(Message):
    """A key and its value."""

    FIELDS: ClassVar = {1: ("key", "text"), 2: ("value", "text")}
    key = ""
    value = ""


class Tensor(Message):
    """A constant; its numbers are spans in one of the fields."""

    FIELDS: ClassVar = {
        1: ("dims", "int*"),
        2: ("data_type", "int"),
        4: ("float_data", "span*"),
        5: ("int32_data", "span*"),
        7: ("int64_data", "span*"),
        8: ("name", "text"),
        9: ("raw_data", "span"),
        10: ("double_data", "span*"),
        11: ("uint64_data", "span*"),
        13: ("external_data", "Entry*"),
        14: ("data_location", "int"),
    }
    dims: Sequence[int] = ()
    data_type = 0
    float_data: Sequence[Span] = ()
    int32_data: Sequence[Span] = ()
    int64_data: Sequence[Span] = ()
    double_data: Sequence[Span] = ()
    uint64_data: Sequence[Span] = ()
    name = ""
    raw_data: Span | None = None
    external_data: Sequence[Entry] = ()
    data_location = 0


class SparseTensor(Message):
    """A constant's numbers that are not 0, and their places."""

    FIELDS: ClassVar = {1: ("values", "Tensor"), 2: ("indices", "Tensor"), 3: ("dims", "int*")}
    values: Tensor | None = None
    indices: Tensor | None = None
    dims: Sequence[int] = ()


class Attribute(Message):
    """A named value of one of several types."""

    FIELDS: ClassVar = {
        1: ("name", "text"),
        2: ("f", "float"),
        3: ("i", "int"),
        4: ("s", "bytes"),
        5: ("t", "Tensor"),
        6: ("g", "Graph"),
        7: ("floats", "float*"),
        8: ("ints", "int*"),
        9: ("strings", "bytes*"),
        11: ("graphs", "Graph*"),
        20: ("type", "int"),
        21: ("ref_attr_name", "text"),
        22: ("sparse_tensor", "SparseTensor"),
    }
    name = ""
    f = 0.0
    i = 0
    s = b""
    t: Tensor | None = None
    g: Graph | None = None
    floats: Sequence[float] = ()
    ints: Sequence[int] = ()
    strings: Sequence[bytes] = ()
    graphs: Sequence[Graph] = ()
    type = 0
    ref_attr_name = ""
    sparse_tensor: SparseTensor | None = None


class Node(Message):
    """An operator applied to named values; `scopes` are the modules in which torch's exporter met it."""

    FIELDS: ClassVar = {
        1: ("input", "text*"),
        2: ("output", "text*"),
        3: ("name", "text"),
        4: ("op_type", "text"),
        5: ("attribute", "Attribute*"),
        7: ("domain", "text"),
        8: ("overload", "text"),
        9: ("scopes", "scopes"),
    }
    input: Sequence[str] = ()
    output: Sequence[str] = ()
    name = ""
    scopes = ""
    op_type = ""
    attribute: Sequence[Attribute] = ()
    domain = ""
    overload = ""


class Graph(Message):
    """Nodes, initialisers, inputs and outputs."""

    FIELDS: ClassVar = {
        1: ("node", "Node*"),
        2: ("name", "text"),
        5: ("initializer", "Tensor*"),
        11: ("input", "ValueInfo*"),
        12: ("output", "ValueInfo*"),
        13: ("value_info", "ValueInfo*"),
        15: ("sparse_initializer", "SparseTensor*"),
    }
    node: Sequence[Node] = ()
    name = ""
    initializer: Sequence[Tensor] = ()
    input: Sequence[ValueInfo] = ()
    output: Sequence[ValueInfo] = ()
    value_info: Sequence[ValueInfo] = ()
    sparse_initializer: Sequence[SparseTensor] = ()


class OperatorSet(Message):
    """A domain and its version."""

    FIELDS: ClassVar = {1: ("domain", "text"), 2: ("version", "int")}
    domain = ""
    version = 0


class Function(Message):
    """An operator that is nodes itself."""

    FIELDS: ClassVar = {
        1: ("name", "text"),
        4: ("input", "text*"),
        5: ("output", "text*"),
        7: ("node", "Node*"),
        9: ("opset_import", "OperatorSet*"),
        10: ("domain", "text"),
        11: ("attribute_proto", "Attribute*"),
        13: ("overload", "text"),
    }
    name = ""
    input: Sequence[str] = ()
    output: Sequence[str] = ()
    node: Sequence[Node] = ()
    opset_import: Sequence[OperatorSet] = ()
    domain = ""
    attribute_proto: Sequence[Attribute] = ()
    overload = ""


class Model(Message):
    """A graph, the operator sets that it uses, and functions."""

    FIELDS: ClassVar = {
        7: ("graph", "Graph"),
        8: ("opset_import", "OperatorSet*"),
        25: ("functions", "Function*"),
    }
    graph: Graph | None = None
    opset_import: Sequence[OperatorSet] = ()
    functions: Sequence[Function] = ()
