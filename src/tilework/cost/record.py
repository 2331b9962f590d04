"""What is counted: the numbers of one layer, of a group of layers or of a whole network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tilework.network.functions import FUNCTIONS
from tilework.network.general import UNKNOWN
from tilework.network.operations import Shape

LAYER, MODULE, OPERATION = GROUPINGS = ("layer", "module", "operation")
ADDITION, MULTIPLICATION = "addition", "multiplication"
RANDOM = "random"
OTHER_KINDS: tuple[str, ...] = (
    *dict.fromkeys(f.category for f in FUNCTIONS.values() if f.category not in (ADDITION, MULTIPLICATION)),
    RANDOM,
    UNKNOWN,
)


@dataclass(frozen=True)
class Record:
    """The numbers, each defined in docs/counting.md; `other_operations` holds those kinds of OTHER_KINDS that occur."""

    parameters: int = 0
    trainable_parameters: int = 0
    buffers: int = 0
    neurons: int = 0
    multiplications: int = 0
    additions: int = 0
    macs: int = 0
    other_operations: dict[str, int] = field(default_factory=dict)
    parameter_bytes: int = 0
    buffer_bytes: int = 0
    activation_bytes: int = 0

    def numbers(self) -> dict[str, Any]:
        """The fields of a record alone, also of a row: the JSON object of COUNTED keys."""
        return {name: getattr(self, name) for name in COUNTED}

    def __add__(self, other: Record) -> Record:
        return total((self, other))


COUNTED: tuple[str, ...] = tuple(Record.__dataclass_fields__)
INTEGERS: tuple[str, ...] = tuple(name for name in COUNTED if name != "other_operations")


def total(records: Iterable[Record]) -> Record:
    """The sum of records; of rows too, which give a plain record."""
    numbers = dict.fromkeys(INTEGERS, 0)
    other: dict[str, int] = {}
    for record in records:
        for name in INTEGERS:
            numbers[name] += getattr(record, name)
        for kind, n in record.other_operations.items():
            other[kind] = other.get(kind, 0) + n
    return Record(**numbers, other_operations={kind: other[kind] for kind in OTHER_KINDS if kind in other})


@dataclass(frozen=True)
class Row(Record):
    """A record with a name: of one node, or of `layers` nodes together (then `input_shapes` is empty).

    `output_shape` is that of the last node, and None where nodes of one operation stand together.
    """

    name: str = ""
    operation: str = ""
    module: str = ""
    input_shapes: tuple[Shape, ...] = ()
    output_shape: Shape | None = None
    layers: int = 1

    @property
    def label(self) -> str:
        """The name within its module."""
        return self.name.removeprefix(f"{self.module}.") if self.module else self.name

    @property
    def path(self) -> tuple[str, ...]:
        """The modules it lies in, outermost first, and its label."""
        return (*filter(None, self.module.split(".")), self.label)

    def to_dict(self) -> dict[str, Any]:
        """JSON's view: the record's keys, and name, operation, module, input_shapes, output_shape, layers."""
        shape = None if self.output_shape is None else list(self.output_shape)
        head = {"name": self.name, "operation": self.operation, "module": self.module}
        shapes = {"input_shapes": [list(s) for s in self.input_shapes], "output_shape": shape}
        return {**head, **shapes, "layers": self.layers, **self.numbers()}
