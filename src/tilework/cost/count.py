"""The counts of a network, derived from its nests: docs/counting.md says what each number means."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

from tilework.cost.record import (
    ADDITION,
    GROUPINGS,
    LAYER,
    MODULE,
    MULTIPLICATION,
    OPERATION,
    OTHER_KINDS,
    Record,
    Row,
    total,
)
from tilework.errors import NetworkError
from tilework.network.blocks import Blocks, Kind
from tilework.network.extent import image_size, iterations_inside, outputs_inside
from tilework.network.functions import FUNCTIONS, UPDATES
from tilework.network.graph import BUFFER, DTYPE_BYTES, FLOATING_BYTES, FROZEN, PARAMETER, Graph, Node, Tensor
from tilework.network.nest import CONTRACTION, Nest, applications
from tilework.network.operations import OPERATIONS, Shape, expand

UNREAD = "unread weights"
WORK_DONE = ("neurons", "multiplications", "additions", "macs", "activation_bytes")


@dataclass(frozen=True)
class Count:
    """The counts of a network: a row per layer in the order in which they run, and their total.

    Prints as a table (also in Jupyter) and converts to a dict, CSV, Markdown and a pandas DataFrame. `parts` are the
    sums of the forward and of the backward pass where both were counted.
    """

    network: str
    rows: tuple[Row, ...]
    input_elements: int
    padding_zeros: bool = True
    dtype: str | None = None
    parts: tuple[tuple[str, Record], ...] = ()

    def __getattr__(self, name: str) -> Any:
        """The rows of a count of blocks, made when they are first looked at."""
        if name != "rows" or "blocks" not in self.__dict__:
            raise AttributeError(f"a count has no {name}")
        rows = self.__dict__["rows"] = tuple(_rows(self.__dict__["blocks"].graph(), self.padding_zeros, self.dtype))
        return rows

    @cached_property
    def total(self) -> Record:
        return total(self.rows)

    @property
    def neurons_with_input(self) -> int:
        """The neurons of `total` and one for each element of the network's inputs."""
        return self.total.neurons + self.input_elements

    def by(self, grouping: str, depth: int | None = None) -> list[Row]:
        """Rows per layer, per module or per operation; in every case they sum to the total.

        `depth` is the number of levels to keep: by layer, what lies deeper is one row per module at that depth;
        by module, paths are cut to that many names.
        Raises NetworkError for another grouping, a depth below 1 and one by operation.
        """
        if grouping not in GROUPINGS:
            raise NetworkError(f"counts are grouped by one of {', '.join(GROUPINGS)}, not by {grouping!r}")
        if depth is not None and depth < 1:
            raise NetworkError(f"the depth must be at least 1, not {depth}")
        if depth is not None and grouping == OPERATION:
            raise NetworkError("a depth goes with counts by layer or by module, not by operation")
        if grouping == LAYER:
            return _by_layer(self.rows, depth)
        if grouping == OPERATION:
            return [_operation_row(rows) for rows in _groups(self.rows, lambda row: row.operation)]
        modules = _groups(self.rows, lambda row: row.path[:-1][:depth])
        return [_module_row(rows, ".".join(rows[0].path[:-1][:depth]) or self.network) for rows in modules]

    def grouped(self, grouping: str, depth: int | None = None) -> Count:
        """The same count with the rows of `by`."""
        return replace(self, rows=tuple(self.by(grouping, depth)))

    def to_dict(self) -> dict[str, Any]:
        """`network`, `totals` and `layers`, as `tilework count --json` prints them."""
        convention = {"padding_zeros": self.padding_zeros, "dtype": self.dtype}
        head = {"network": self.network, "convention": convention, "neurons_with_input": self.neurons_with_input}
        parts = {name: part.numbers() for name, part in self.parts}
        return {**head, "totals": self.total.numbers(), **parts, "layers": [row.to_dict() for row in self.rows]}

    def to_csv(self) -> str:
        """A header and a line per row; a column for each kind of other operation."""
        from tilework.cost.tables import csv_text

        return csv_text(self)

    def to_markdown(self) -> str:
        """The table in GitHub's Markdown, the totals last."""
        from tilework.cost.tables import markdown

        return markdown(self)

    def to_dataframe(self) -> Any:
        """The columns of `to_csv` as a pandas DataFrame; raises MissingPackageError without pandas."""
        from tilework.cost.tables import dataframe

        return dataframe(self)

    def __str__(self) -> str:
        from tilework.cost.tables import plain

        return plain(self)

    def _repr_html_(self) -> str:
        from tilework.cost.tables import html

        return html(self)


def count(
    graph: Graph | Blocks, *, padding_zeros: bool = True, dtype: str | None = None, backward: bool = False
) -> Count:
    """Count what every node of a graph holds and does; of blocks, each once, however often it stands there.

    With `padding_zeros` False an iteration counts only where all that it reads and writes lies inside the tensors.
    `dtype` is what floating-point tensors are stored as for the bytes (others keep theirs); None leaves each
    tensor's own. With `backward` the rows of the gradient follow, and `parts` holds the sums of both passes.
    Raises NetworkError for a dtype that is not one of DTYPE_BYTES.
    """
    if dtype is not None and dtype not in DTYPE_BYTES:
        raise NetworkError(f"the dtype must be one of {', '.join(DTYPE_BYTES)}, not {dtype!r}")
    if isinstance(graph, Blocks):
        if not backward:
            return _count_blocks(graph, padding_zeros, dtype)
        graph = graph.graph()
    rows = _rows(graph, padding_zeros, dtype)
    parts: tuple[tuple[str, Record], ...] = ()
    if backward:
        from tilework.cost.backward import backward_rows

        gradient = backward_rows(graph, padding_zeros, dtype)
        parts = (("forward", total(rows)), ("backward", total(gradient)))
        rows += gradient
    elements = sum(t.elements for t in graph.inputs)
    return Count(graph.name, tuple(rows), elements, padding_zeros, dtype, parts)


def _count_blocks(blocks: Blocks, padding_zeros: bool, dtype: str | None) -> Count:
    """The total of all kinds of parts, each times how often it stands there; the rows are left for later."""
    counted = Count(blocks.name, (), sum(t.elements for t in blocks.inputs), padding_zeros, dtype)
    numbers = _weights(blocks.weights, dtype) | dict.fromkeys(WORK_DONE, 0)
    other: dict[str, int] = {}
    for kind, times in blocks.kinds.items():
        work = _work(kind, padding_zeros, dtype)
        for name in WORK_DONE:
            numbers[name] += times * work[name]
        for name, n in work["other_operations"].items():
            other[name] = other.get(name, 0) + times * n
    other = {name: other[name] for name in OTHER_KINDS if name in other}
    counted.__dict__.update(blocks=blocks, total=Record(**numbers, other_operations=other))
    del counted.__dict__["rows"]
    return counted


def _rows(graph: Graph, padding_zeros: bool, dtype: str | None) -> list[Row]:
    seen: set[str] = set()
    rows = [_row(graph, node, seen, padding_zeros, dtype) for node in graph.nodes]
    if unread := [t for t in graph.weights if t.name not in seen]:
        rows.append(Row(name=UNREAD, operation="none", layers=0, **_weights(unread, dtype)))
    return rows


def _row(graph: Graph, node: Node, seen: set[str], padding_zeros: bool, dtype: str | None) -> Row:
    """The row of a node; weights that an earlier node reads too (`seen`) are not counted again."""
    read = [graph.tensors[name] for name in node.inputs]
    new = [t for t in read if t.is_weight and t.name not in seen]
    seen.update(t.name for t in new)
    held = _weights(dict.fromkeys(new), dtype)
    output = graph.tensors[node.name]
    kind = Kind(node.operation, tuple(t.shape for t in read), node.attributes, output.shape, output.dtype)
    return Row(
        name=node.name,
        operation=node.label,
        module=node.module,
        input_shapes=tuple(t.shape for t in read if not t.is_weight),
        output_shape=output.shape,
        **_work(kind, padding_zeros, dtype),
        **held,
    )


def _work(kind: Kind, padding_zeros: bool, dtype: str | None) -> dict[str, Any]:
    """What a node does and makes: all numbers of its row but those of its weights."""
    row = OPERATIONS[kind.operation]
    stateless = row.view or expand(kind.operation, kind.shapes, kind.attributes).is_alias
    done = _arithmetic(kind.operation, kind.shapes, kind.attributes, padding_zeros)
    output = Tensor("output", kind.shape, kind.dtype)
    return {
        "neurons": output.elements if row.weighted else 0,
        "multiplications": done.multiplications,
        "additions": done.additions,
        "macs": done.macs,
        "other_operations": dict(done.other_operations),
        "activation_bytes": 0 if stateless else stored_bytes(output, dtype),
    }


def stored_bytes(tensor: Tensor, dtype: str | None) -> int:
    """A tensor's bytes where floating-point numbers are stored as a dtype; others keep theirs."""
    stored = dtype if dtype is not None and tensor.dtype in FLOATING_BYTES else tensor.dtype
    return tensor.elements * DTYPE_BYTES[stored]


def _weights(tensors: Iterable[Tensor], dtype: str | None) -> dict[str, Any]:
    """Parameters as torch's `model.parameters()` has them; buffers, such as running means, apart."""
    elements = dict.fromkeys((PARAMETER, FROZEN, BUFFER), 0)
    size = dict.fromkeys((PARAMETER, FROZEN, BUFFER), 0)
    for tensor in tensors:
        elements[tensor.role] += tensor.elements
        size[tensor.role] += stored_bytes(tensor, dtype)
    return {
        "parameters": elements[PARAMETER] + elements[FROZEN],
        "trainable_parameters": elements[PARAMETER],
        "buffers": elements[BUFFER],
        "parameter_bytes": size[PARAMETER] + size[FROZEN],
        "buffer_bytes": size[BUFFER],
    }


@lru_cache(maxsize=4096)
def _arithmetic(
    operation: str, shapes: tuple[Shape, ...], attributes: tuple[tuple[str, Any], ...], padding_zeros: bool
) -> Record:
    """What an operation computes on inputs of these shapes; repeated blocks of a network share one answer."""
    expansion = expand(operation, shapes, attributes)
    tensors = dict(zip(OPERATIONS[operation].placeholders(len(shapes)), shapes, strict=True))
    tensors |= {"o": expansion.shape, **dict(expansion.temporaries)}
    if expansion.work is not None:
        return make_record(dict(expansion.work))
    return total(_nest(nest, None if padding_zeros else tensors) for nest in expansion.nests)


def _nest(nest: Nest, shapes: dict[str, Shape] | None) -> Record:
    """A nest's arithmetic, over all its iterations or, where shapes are given, over those inside the tensors."""
    iterations = nest.iterations if shapes is None else iterations_inside(nest, shapes)
    done: dict[str, int] = {}
    for function in applications(nest.body):
        category = FUNCTIONS[function].category
        done[category] = done.get(category, 0) + iterations
    if update := UPDATES[nest.update].function:
        # The first value of each output needs no update: R values take R-1.
        outputs = image_size(nest.output, nest.extents) if shapes is None else outputs_inside(nest, shapes)
        category = FUNCTIONS[update].category
        done[category] = done.get(category, 0) + iterations - outputs
    return make_record(done, iterations if nest.kind == CONTRACTION else 0)


def make_record(done: Mapping[str, int], macs: int = 0) -> Record:
    """The record of so many scalar operations of each category."""
    return Record(
        multiplications=done.get(MULTIPLICATION, 0),
        additions=done.get(ADDITION, 0),
        macs=macs,
        other_operations={kind: done[kind] for kind in OTHER_KINDS if done.get(kind)},
    )


def _groups(rows: Iterable[Row], key: Callable[[Row], Hashable]) -> list[list[Row]]:
    """The rows that have a key in common, where the first of them stood."""
    groups: dict[Hashable, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return list(groups.values())


def _by_layer(rows: tuple[Row, ...], depth: int | None) -> list[Row]:
    def deep(row: Row) -> bool:
        return depth is not None and len(row.path) > depth

    merged = []
    for group in _groups(rows, lambda row: row.path[:depth] if deep(row) else row.name):
        path = group[0].path[:depth]
        merged.append(_module_row(group, ".".join(path), ".".join(path[:-1])) if deep(group[0]) else group[0])
    return merged


def _module_row(rows: list[Row], name: str, module: str = "") -> Row:
    numbers = total(rows).numbers()
    layers = sum(row.layers for row in rows)
    shape = rows[-1].output_shape
    return Row(name=name, operation=MODULE, module=module, output_shape=shape, layers=layers, **numbers)


def _operation_row(rows: list[Row]) -> Row:
    operation = rows[0].operation
    return Row(name=operation, operation=operation, layers=sum(row.layers for row in rows), **total(rows).numbers())
