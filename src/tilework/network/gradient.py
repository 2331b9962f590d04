"""The gradient of a graph: for each node, in reverse order, the nests that pass on what arrives at its value.

Only what lies on a path from a wanted tensor to an output has a gradient: not the network's input, nothing before the
first parameter, no buffer, nothing that is no floating-point number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from tilework.errors import NetworkError
from tilework.network.cover import Region, union_size
from tilework.network.gradient_nests import gradient_of, in_order, primal
from tilework.network.graph import FLOATING_BYTES, PARAMETER, Graph, Node, Tensor
from tilework.network.nest import Nest
from tilework.network.operation_gradient import OperationGradient, operation_gradient
from tilework.network.operations import OPERATIONS


@dataclass(frozen=True)
class Step:
    """What a node does in the backward pass. `held` are the tensors among its inputs to whose gradient it adds, because
    a step before it has given a part of it."""

    node: Node
    does: OperationGradient
    held: frozenset[str]

    @cached_property
    def inputs(self) -> Mapping[str, str]:
        """The node's inputs by placeholder."""
        node = self.node
        return dict(zip(OPERATIONS[node.operation].placeholders(len(node.inputs)), node.inputs, strict=True))

    def name(self, own: str) -> str:
        """The graph's name of a tensor or gradient that the operation's nests name."""
        plain = primal(own)
        return own[: len(own) - len(plain)] + self._plain(plain)

    def _plain(self, own: str) -> str:
        return self.inputs.get(own) or (self.node.name if own == "o" else f"{self.node.name}:{own}")

    @property
    def reads(self) -> tuple[str, ...]:
        """The tensors of the forward pass that the step reads, weights and temporaries among them."""
        return tuple(map(self._plain, self.does.reads))

    @property
    def gives(self) -> Iterator[tuple[str, tuple[Region, ...]]]:
        """The tensors that get a gradient, and the regions that are written; twice where the node reads one twice."""
        return ((self.inputs[placeholder], regions) for placeholder, regions in self.does.gives.items())

    @property
    def nests(self) -> tuple[Nest, ...]:
        """The nests over the graph's own names; an alias has none: what arrives is the gradient, in another shape."""
        touched = {nest.output.tensor for nest in self.does.nests}.union(
            access.tensor for nest in self.does.nests for access in nest.reads
        )
        names = {own: self.name(own) for own in touched}
        return tuple(in_order((nest.rename(names) for nest in self.does.nests), set(map(gradient_of, self.held))))


@dataclass(frozen=True)
class GradientPlan:
    """The backward pass of a graph: `steps` in the order in which they run, the outputs at which it starts (`seeds`).

    `sums` is, for the node whose step completes a gradient to which several nodes contribute, the number of additions
    that this takes; `shared` names, for each tensor whose gradient is nothing but places of one node's, that node.
    Both count a tensor that is an output as one that the outside contributes to. Prints as text.
    """

    graph: Graph
    steps: tuple[Step, ...]
    seeds: tuple[str, ...]
    sums: Mapping[str, int]
    shared: Mapping[str, str]

    def __str__(self) -> str:
        lines = [f"gradient of {self.graph.name} from {', '.join(map(gradient_of, self.seeds))}"]
        for step in self.steps:
            lines.append(f"{step.node.name} ({step.node.label}):")
            lines += [f"  {nest}" for nest in step.nests]
        return "\n".join(lines) + "\n"


def gradient_plan(graph: Graph, wanted: Iterable[str] | None = None) -> GradientPlan:
    """The nests that make the gradients of the sources `wanted` (None: of the trainable parameters) from the outputs'.

    Raises NetworkError for a name that is no such source of the graph, or one of integers.
    """
    needs = _wanted(graph, wanted)
    found = _differentiable(graph, needs)
    seeds = tuple(dict.fromkeys(name for name in graph.outputs if name in needs))
    arrived: dict[str, list[tuple[str, tuple[Region, ...]]]] = {name: [("", (None,))] for name in seeds}
    steps = []
    for node in reversed(graph.nodes):
        if node.name in found and node.name in arrived:
            step = Step(node, found[node.name], frozenset(name for name in node.inputs if name in arrived))
            for name, regions in step.gives:
                arrived.setdefault(name, []).append((node.name, regions))
            steps.append(step)
    return GradientPlan(graph, tuple(steps), seeds, _sums(graph, arrived), _shared(graph, steps, arrived))


def _wanted(graph: Graph, wanted: Iterable[str] | None) -> set[str]:
    if wanted is None:
        return {t.name for t in graph.sources if t.role == PARAMETER and _is_differentiable(t)}
    sources = {tensor.name for tensor in graph.sources if _is_differentiable(tensor)}
    names = set(wanted)
    if foreign := sorted(names - sources):
        raise NetworkError(
            f"a gradient is with respect to a source of {graph.name} that holds real numbers, not {foreign[0]!r}"
        )
    return names


def _is_differentiable(tensor: Tensor) -> bool:
    return tensor.dtype in FLOATING_BYTES or tensor.dtype.startswith("complex")


def _differentiable(graph: Graph, needs: set[str]) -> dict[str, OperationGradient]:
    """The gradients of the nodes whose values depend on what `needs` holds; their names are added to it."""
    found = {}
    for node in graph.nodes:
        wanted = [place for place, name in enumerate(node.inputs) if name in needs]
        if not wanted or not _is_differentiable(graph.tensors[node.name]):
            continue
        placeholders = OPERATIONS[node.operation].placeholders(len(node.inputs))
        shapes = tuple(graph.tensors[name].shape for name in node.inputs)
        does = operation_gradient(node.operation, shapes, node.attributes, tuple(placeholders[i] for i in wanted))
        if does.gives:
            found[node.name] = does
            needs.add(node.name)
    return found


Arrived = Mapping[str, list[tuple[str, tuple[Region, ...]]]]


def _sums(graph: Graph, arrived: Arrived) -> dict[str, int]:
    """Additions by the node whose contribution comes last: what the contributions cover, less what they cover once."""
    sums: dict[str, int] = {}
    for name, given in arrived.items():
        if len(given) > 1:
            shape = graph.tensors[name].shape
            apart = sum(union_size(regions, shape) for _, regions in given)
            together = union_size([part for _, regions in given for part in regions], shape)
            last = given[-1][0]
            sums[last] = sums.get(last, 0) + apart - together
    return {name: additions for name, additions in sums.items() if additions}


def _shared(graph: Graph, steps: Iterable[Step], arrived: Arrived) -> dict[str, str]:
    shared = {}
    for step in steps:
        for placeholder in step.does.passes:
            tensor = graph.tensors[step.inputs[placeholder]]
            same = tensor.dtype == graph.tensors[step.node.name].dtype
            if same and not tensor.is_weight and len(arrived[tensor.name]) == 1:
                shared[tensor.name] = step.node.name
    return shared
