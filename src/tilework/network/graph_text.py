"""Graphs as text, printed and parsed.

graph lenet5
input image float32[1,1,28,28]
parameter conv1.weight float32[6,1,5,5]
conv1 = conv2d(image, conv1.weight, padding=[2,2]) in features
output conv1
"""

from __future__ import annotations

import json
import re
from typing import Any

from tilework.errors import NetworkError
from tilework.network.graph import Graph, Node, Tensor
from tilework.network.text import print_name, read_name

_NAME = r"(?:[A-Za-z_]\w*(?:[.:]\w+)*|\"(?:[^\"\\]|\\.)*\")"
_HEAD = re.compile(rf"(graph|output)\s+({_NAME})\Z")
_SOURCE = re.compile(rf"(input|parameter|frozen|buffer)\s+({_NAME})\s+(\w+)\[([\d,\s]*)\]\Z")
_NODE = re.compile(rf"({_NAME})\s*=\s*(\w+)\((.*)\)(?:\s+as\s+(\w+))?(?:\s+in\s+({_NAME}))?\Z")
_ARGUMENT = re.compile(rf"\s*(?:(\w+)=(\[[^\]]*\]|\"(?:[^\"\\]|\\.)*\"|[^,\s]+)|({_NAME}))\s*(?:,|\Z)")


def print_graph(graph: Graph) -> str:
    """Text that `parse_graph` reads back to an equal graph."""
    lines = [f"graph {print_name(graph.name)}"]
    lines += [f"{t.role} {print_name(t.name)} {t.dtype}[{','.join(map(str, t.shape))}]" for t in graph.sources]
    lines += [_print_node(node) for node in graph.nodes]
    lines += [f"output {print_name(name)}" for name in graph.outputs]
    return "\n".join(lines) + "\n"


def _print_node(node: Node) -> str:
    arguments = [print_name(name) for name in node.inputs]
    arguments += [f"{key}={json.dumps(value, separators=(',', ':'))}" for key, value in node.attributes]
    dtype = f" as {node.dtype}" if node.dtype else ""
    place = f" in {print_name(node.module)}" if node.module else ""
    return f"{print_name(node.name)} = {node.operation}({', '.join(arguments)}){dtype}{place}"


def parse_graph(text: str) -> Graph:
    """The graph that a text states; raises NetworkError that names the line."""
    name, sources, nodes, outputs = "", [], [], []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if match := _HEAD.match(line):
            word, label = match.groups()
            if word == "graph":
                name = read_name(label)
            else:
                outputs.append(read_name(label))
        elif match := _SOURCE.match(line):
            sources.append(_source(match))
        elif match := _NODE.match(line):
            nodes.append(_node(match, number))
        else:
            raise NetworkError(
                f"line {number} of a graph must be a graph, input, parameter, buffer, node or output: {line!r}"
            )
    return Graph(name, tuple(sources), tuple(nodes), tuple(outputs))


def _source(match: re.Match[str]) -> Tensor:
    role, name, dtype, sizes = match.groups()
    shape = tuple(int(size) for size in sizes.split(",") if size.strip())
    return Tensor(read_name(name), shape, dtype, role)


def _node(match: re.Match[str], number: int) -> Node:
    name, operation, arguments, dtype, module = match.groups()
    inputs: list[str] = []
    attributes: list[tuple[str, Any]] = []
    place = 0
    while place < len(arguments):
        argument = _ARGUMENT.match(arguments, place)
        if argument is None:
            raise NetworkError(
                f"line {number} of a graph has an argument that is no name and no key=value: {arguments[place:]!r}"
            )
        place = argument.end()
        key, value, tensor = argument.groups()
        if key:
            attributes.append((key, _value(value, number)))
        else:
            inputs.append(read_name(tensor))
    return Node(read_name(name), operation, tuple(inputs), tuple(attributes), read_name(module or ""), dtype or "")


def _value(text: str, number: int) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        raise NetworkError(
            f"line {number} of a graph must give numbers, true, false or [lists], not {text!r}"
        ) from None
    return tuple(value) if isinstance(value, list) else value
