"""The backward pass as nodes of a graph, made of the nests that `gradient` finds.

The gradient `d:t` of a tensor t is a node, and so is each tensor inside an operation's gradient; its operation `nests`
states the nests themselves, so nothing is stated twice. A node makes one tensor: what several nests contribute to it
is one node where they write different places, and together all of them; else each is a node, and `add` nodes sum them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from tilework.errors import NetworkError
from tilework.network.cover import region, region_size, union_size
from tilework.network.extent import image_size
from tilework.network.gradient import GradientPlan, Step
from tilework.network.gradient_nests import gradient_of, primal
from tilework.network.graph import Graph, Node, Tensor
from tilework.network.nest import CONTRACTION, Nest
from tilework.network.operations import Shape
from tilework.network.parts import apart, nest_node

Part = Nest | Node  # a contribution to a tensor: nests over the graph's names, or a node that makes it whole


def forward_nodes(plan: GradientPlan) -> Iterator[Node]:
    """The graph's nodes; where the backward pass reads a tensor inside one, that is a node for each tensor inside."""
    graph = plan.graph
    read = {name for step in plan.steps for name in step.reads}
    for node in graph.nodes:
        inside = graph.temporaries(node)
        if read.isdisjoint(t.name for t in inside):
            yield node
        else:
            yield from apart(graph, node)


def gradient_nodes(plan: GradientPlan) -> tuple[Node, ...]:
    """The nodes that make the gradient of every tensor that has one, from those of the outputs where the plan starts.

    Raises NetworkError, naming the node, for work of the host that isn't an embedding.
    """
    return tuple(_Backward(plan).nodes())


class _Backward:
    def __init__(self, plan: GradientPlan) -> None:
        self.plan = plan
        self.tensors = dict(plan.graph.tensors)
        for name in plan.seeds:
            self.add(name, gradient_of(name))
        self.parts: dict[str, list[tuple[Part, Node]]] = defaultdict(list)  # each with the node that it is for
        self.last = {name: step for step in plan.steps for name, _ in step.gives}

    def add(self, like: str, name: str) -> Tensor:
        """A tensor of the backward pass, of another one's shape and dtype."""
        return self.tensors.setdefault(name, replace(self.tensors[like], name=name, role="value"))

    def nodes(self) -> Iterator[Node]:
        """In the order of the steps; a gradient is whole after the last step that contributes to it."""
        for step in self.plan.steps:
            yield from self.contribute(step)
            for name, _ in step.gives:
                if self.last[name] is step:
                    yield from self.finish(gradient_of(name))

    def contribute(self, step: Step) -> Iterator[Node]:
        """Keep a step's parts; the nodes are those of what stands inside it."""
        self.tensors |= {t.name: t for t in self.plan.graph.temporaries(step.node)}
        nests = tuple(_nests(step))
        for nest in nests:
            self.parts[nest.output.tensor].append((nest, step.node))
        for nest in nests:
            for access in nest.reads:
                yield from self.finish(access.tensor)
        if not nests:
            name, _ = next(iter(step.gives))
            made = _rows_added if self.plan.graph.expansion(step.node).on_host else _reshaped
            *before, part = made(self.plan.graph, step.node)
            self.parts[gradient_of(name)].append((part, step.node))
            yield from before

    def finish(self, name: str) -> Iterator[Node]:
        """The nodes that make a tensor of the backward pass from its parts, if it has any."""
        parts = self.parts.pop(name, [])
        if not parts:
            return
        tensor = self.add(primal(name), name)
        nests = [part for part, _ in parts if isinstance(part, Nest)]
        for access in (access for nest in nests for access in nest.reads):
            yield from self.finish(access.tensor)
        if len(nests) == len(parts) and _share(nests, tensor.shape):
            yield self.made(tensor, nests, parts[0][1])
            return
        names = [name] if len(parts) == 1 else [f"{name}:{place}" for place in range(1, len(parts) + 1)]
        for own, (part, node) in zip(names, parts, strict=True):
            whole = replace(tensor, name=own)
            yield replace(part, name=own) if isinstance(part, Node) else self.made(whole, [part], node)
        yield from _sum(name, names, [node.module for _, node in parts])

    def made(self, tensor: Tensor, nests: Iterable[Nest], node: Node) -> Node:
        renamed = (_plain(nest.rename({nest.output.tensor: tensor.name})) for nest in nests)
        return nest_node(tensor, renamed, self.tensors, f"{node.label} backward", node.module)


def _sum(name: str, names: Sequence[str], modules: Sequence[str]) -> Iterator[Node]:
    """Nodes that add tensors up, the last of them of this name."""
    total = names[0]
    for place in range(1, len(names)):
        own = name if place == len(names) - 1 else f"{name}:sum{place + 1}"
        yield Node(own, "add", (total, names[place]), (), modules[place])
        total = own


def _plain(nest: Nest) -> Nest:
    """With = where a sum has one term in each place."""
    once = nest.update == "+=" and nest.kind != CONTRACTION and image_size(nest.output, nest.extents) == nest.iterations
    return replace(nest, update="=") if once else nest


def _share(nests: Sequence[Nest], shape: Shape) -> bool:
    """Whether nests write all places of a tensor between them and none of them twice, or there is but one."""
    regions = [region(nest.output, nest.extents, shape) for nest in nests]
    whole = region_size(None, shape)
    return len(nests) == 1 or sum(region_size(part, shape) for part in regions) == whole == union_size(regions, shape)


def _nests(step: Step) -> Iterator[Nest]:
    """The nests of a step over the graph's names, each as if it alone made its output."""
    for nest in step.does.nests:
        touched = {nest.output.tensor, *(access.tensor for access in nest.reads)}
        yield nest.rename({name: step.name(name) for name in touched})


def _reshaped(graph: Graph, node: Node) -> tuple[Node, ...]:
    """What arrives at an alias, in the shape of what it stands for."""
    source, dtype = graph.tensors[node.inputs[0]], graph.tensors[node.name].dtype
    cast = "" if source.dtype == dtype else source.dtype
    return (Node("", "reshape", (gradient_of(node.name),), (("shape", source.shape),), node.module, cast),)


def _rows_added(graph: Graph, node: Node) -> tuple[Node, ...]:
    """What arrives for each number that an embedding looks up, added to that row of zeros by the host."""
    if node.operation != "host" or node.label != "embedding":
        raise NetworkError(
            f"node {node.name} must have a gradient of nests, which {node.label} has not; "
            f"freeze the parameters before it"
        )
    (ids, table), arriving = (graph.tensors[name] for name in node.inputs), gradient_of(node.name)
    zeros, rows = f"{arriving}:zeros", f"{arriving}:rows"
    shape = ("shape", table.shape)
    how = (("how", "put_nd 1"), shape, ("what", "scatter_add"))  # 1: what is put is added
    return (
        Node(zeros, "pointwise", (), (("body", "0"), shape, ("what", "zeros")), node.module, table.dtype),
        Node(rows, "reshape", (ids.name,), (("shape", (*ids.shape, 1)),), node.module),
        Node("", "host", (zeros, rows, arriving), how, node.module),
    )


def gradients(plan: GradientPlan) -> Mapping[str, str]:
    """The gradient's name of each source that gets one."""
    given = {name for step in plan.steps for name, _ in step.gives}
    return {t.name: gradient_of(t.name) for t in plan.graph.sources if t.name in given}
