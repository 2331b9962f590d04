"""TensorBoard's events as bytes: numbers by step, and a graph (tensorboard/compat/proto: event, summary, graph,
node_def and attr_value.proto)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from struct import pack
from time import time

from tilework.wire import tag, varint

VERSION = "brain.Event:2"
UNFIT = re.compile(r"[^A-Za-z0-9_.\-/]")  # characters that no node's name may have


@dataclass(frozen=True)
class Box:
    """A node of a graph: modules are set off by dots in its name, `costs` are numbers by name."""

    name: str
    operation: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    costs: Mapping[str, int] = field(default_factory=dict)


def first_event() -> bytes:
    """What a file of events begins with."""
    return _stamp() + _bytes(3, VERSION.encode())


def scalars_event(step: int, scalars: Mapping[str, float | None]) -> bytes:
    """Numbers of one step, without those that are None."""
    values = b"".join(
        _bytes(1, _bytes(1, name.encode()) + _float(2, value)) for name, value in scalars.items() if value is not None
    )
    return _stamp() + b"\x10" + varint(step) + _bytes(5, values)


def graph_event(boxes: Sequence[Box]) -> bytes:
    """A graph; what isn't allowed in a name becomes an underscore, and costs are attributes of their node."""
    names = _names(boxes)
    nodes = b"".join(_bytes(1, _node(box, names)) for box in boxes)
    versions = _bytes(4, b"\x08" + varint(1))
    return _stamp() + _bytes(4, nodes + versions)


def _names(boxes: Sequence[Box]) -> dict[str, str]:
    names: dict[str, str] = {}
    taken: set[str] = set()
    for box in boxes:
        name = base = UNFIT.sub("_", box.name.replace(".", "/")).strip("/") or "_"
        count = 1
        while name in taken:
            count += 1
            name = f"{base}_{count}"
        taken.add(name)
        names[box.name] = name
    return names


def _node(box: Box, names: Mapping[str, str]) -> bytes:
    inputs = b"".join(_bytes(3, names[name].encode()) for name in box.inputs if name in names)
    shape = b"".join(_bytes(2, b"\x08" + varint(size)) for size in box.shape)
    attributes = _attribute("_output_shapes", _bytes(1, _bytes(7, shape)))
    attributes += b"".join(_attribute(name, b"\x18" + varint(number)) for name, number in box.costs.items())
    operation = UNFIT.sub("_", box.operation)
    return _bytes(1, names[box.name].encode()) + _bytes(2, operation.encode()) + inputs + attributes


def _attribute(name: str, value: bytes) -> bytes:
    return _bytes(5, _bytes(1, name.encode()) + _bytes(2, value))


def _stamp() -> bytes:
    """Field 1, the time as a double: the clock's, as TensorBoard shows times relative to the first."""
    return b"\x09" + pack("<d", time())


def _bytes(number: int, content: bytes) -> bytes:
    return tag(number, len(content)) + content


def _float(number: int, value: float) -> bytes:
    return bytes([number << 3 | 5]) + pack("<f", value)
