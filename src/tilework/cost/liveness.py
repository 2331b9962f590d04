"""What must be in memory when: a pass over a network as moments, each of which touches some storages.

A storage is memory for one tensor and for every alias and view of it; it lives from the first moment that touches it to
the last. So the schedules below say only what each step reads and writes, and all lifetimes follow.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

from tilework.cost.count import stored_bytes
from tilework.network.gradient import GradientPlan, Step
from tilework.network.gradient_nests import ARRIVING
from tilework.network.graph import Graph, Node, Tensor
from tilework.network.nest import Nest
from tilework.network.operations import OPERATIONS, Shape, expand

FORWARD, RECOMPUTE, BACKWARD = "forward", "recompute", "backward"
INPUTS, LOSS = "inputs", "loss"  # the moments before the first node and between the passes
AGAIN = "again:"


@dataclass(frozen=True, slots=True)
class Moment:
    """One node at work in one phase, and the storages that it reads and writes."""

    phase: str
    node: str
    touches: tuple[str, ...]


def live_bytes(moments: Sequence[Moment], sizes: Mapping[str, int], kept: Collection[str]) -> list[int]:
    """The bytes in memory at each moment; what is in `kept` stays to the end."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for time, moment in enumerate(moments):
        for storage in moment.touches:
            first.setdefault(storage, time)
            last[storage] = time
    change = [0] * (len(moments) + 1)
    for storage, time in first.items():
        change[time] += sizes[storage]
        change[len(moments) if storage in kept else last[storage] + 1] -= sizes[storage]
    return list(accumulate(change[:-1]))


class Storages:
    """Where a graph's values lie: the storage of each tensor that is no weight, and the bytes of each storage.

    Aliases and views lie where their source does, unless they have another dtype; those of weights have no storage.
    `saved` are the tensors that the backward pass reads. A temporary that the node's last nests replace element by
    element shares the memory of the node's value, unless it is among them.
    """

    def __init__(self, graph: Graph, dtype: str | None, saved: Collection[str] = ()) -> None:
        self.graph, self.dtype = graph, dtype
        self.of: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        self.within: dict[str, tuple[str, ...]] = {}
        for tensor in graph.inputs:
            self._add(tensor.name, tensor)
        for node in graph.nodes:
            self._add_node(node, saved)

    def _add(self, name: str, tensor: Tensor) -> None:
        self.of[name] = name
        self.sizes[name] = stored_bytes(tensor, self.dtype)

    def _add_node(self, node: Node, saved: Collection[str]) -> None:
        shapes = tuple(self.graph.tensors[name].shape for name in node.inputs)
        expansion = expand(node.operation, shapes, node.attributes)
        value = self.graph.tensors[node.name]
        if expansion.is_alias or OPERATIONS[node.operation].view:
            source = self.graph.tensors[node.inputs[0]]
            if source.dtype == value.dtype:
                if source.name in self.of:
                    self.of[node.name] = self.of[source.name]
                return
        self._add(node.name, value)
        if not expansion.temporaries:
            return
        apart = []
        replaced = f"{node.name}:{_replaced(node.operation, shapes, node.attributes)}"
        for tensor in self.graph.temporaries(node):
            if tensor.name == replaced and replaced not in saved:
                self.of[replaced] = node.name
            else:
                self._add(tensor.name, tensor)
                apart.append(tensor.name)
        self.within[node.name] = tuple(apart)

    def add_gradient(self, name: str, tensor: Tensor) -> str:
        """The storage of a gradient, or of something else of a tensor's shape and dtype."""
        self.sizes.setdefault(name, stored_bytes(tensor, self.dtype))
        return name

    def read(self, names: Iterable[str]) -> list[str]:
        """The storages of the tensors that are no weights."""
        return [self.of[name] for name in names if name in self.of]

    def made_by(self, node: Node) -> tuple[str, ...]:
        """The storages that a node fills: of its value, unless that is a view, and of its temporaries."""
        own = (node.name,) if self.of.get(node.name) == node.name else ()
        return (*own, *self.within.get(node.name, ()))

    def touched_by(self, node: Node) -> tuple[str, ...]:
        """The storages that a node reads and fills."""
        return (*self.read((*node.inputs, node.name)), *self.within.get(node.name, ()))


@lru_cache(maxsize=4096)
def _replaced(operation: str, shapes: tuple[Shape, ...], attributes: tuple[tuple[str, Any], ...]) -> str:
    """The temporary, if any, whose memory the output may take: what writes the output reads it at the same places."""
    expansion = expand(operation, shapes, attributes)
    alike = (name for name, shape in expansion.temporaries if shape == expansion.shape)
    return next((name for name in alike if _is_replaced(expansion.nests, name)), "")


def _is_replaced(nests: Iterable[Nest], name: str) -> bool:
    """Whether the nests that write `o` each replace a part of a temporary that nothing touches from then on."""
    begun = False
    for nest in nests:
        here = [access.index for access in nest.reads if access.tensor == name]
        if nest.output.tensor == "o":
            begun = True
            if nest.update != "=" or set(here) != {nest.output.index}:
                return False
        elif begun and (here or nest.output.tensor == name):
            return False
    return True


def forward(storages: Storages) -> Iterator[Moment]:
    """The network's inputs, then each node."""
    graph = storages.graph
    yield Moment(FORWARD, INPUTS, tuple(storages.read(tensor.name for tensor in graph.inputs)))
    for node in graph.nodes:
        yield Moment(FORWARD, node.name, storages.touched_by(node))


def backward(storages: Storages, plan: GradientPlan) -> Iterator[Moment]:
    """The gradients of the outputs, then each step of the plan; parameters' gradients are not among the storages."""
    tensors = plan.graph.tensors
    where: dict[str, str] = {}
    for name in (*plan.seeds, *(name for step in plan.steps for name, _ in step.gives)):
        if not tensors[name].is_weight and name not in where:
            source = plan.shared.get(name)
            where[name] = where[source] if source else storages.add_gradient(ARRIVING + name, tensors[name])
    yield Moment(BACKWARD, LOSS, tuple(where[name] for name in plan.seeds))
    for step in plan.steps:
        given = [where[name] for name, _ in step.gives if name in where]
        inside = _gradient_temporaries(storages, step, tensors)
        yield Moment(BACKWARD, step.node.name, (*storages.read(step.reads), where[step.node.name], *given, *inside))


def _gradient_temporaries(storages: Storages, step: Step, tensors: Mapping[str, Tensor]) -> Iterator[str]:
    dtype = tensors[step.node.name].dtype
    for name, shape in step.does.temporaries:
        yield storages.add_gradient(step.name(name), Tensor(name, shape, dtype))
