"""The backward pass on devices that share each layer: the time of each node's gradient, and what training must keep.

A gradient's nests have the loops of the nest they come from, so that they are split as it is. What a split loop reads
in full gets a part of its gradient from each device, and these are added up by an all-reduce, once for each tensor.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from math import prod
from typing import Any

from tilework.cost.checkpoint import BLOCKS, read_outside, segments
from tilework.cost.links import Devices
from tilework.cost.liveness import Storages, backward, forward
from tilework.cost.stages import Rates, Split, Time, exchanged, time_of
from tilework.cost.traffic import element_bytes, touched_by
from tilework.network.gradient import GradientPlan, Step
from tilework.network.gradient_nests import ARRIVING, primal
from tilework.network.graph import DTYPE_BYTES
from tilework.network.nest import CONTRACTION
from tilework.network.operation_gradient import operation_gradient
from tilework.network.operations import OPERATIONS, Shape, expand

Attributes = tuple[tuple[str, Any], ...]


def backward_times(work: Split, plan: GradientPlan, rates: Rates, devices: Devices) -> dict[str, Time]:
    """Of each node that has a gradient, by name, in the order of the backward pass."""
    given = {name for step in plan.steps for name, _ in step.gives}
    return {step.node.name: _time(work, plan, step, given, rates, devices) for step in plan.steps}


def _time(work: Split, plan: GradientPlan, step: Step, given: Collection[str], rates: Rates, devices: Devices) -> Time:
    node, tensors = step.node, plan.graph.tensors
    division = work.sharding.divisions[node.name]
    shapes = tuple(tensors[name].shape for name in node.inputs)
    macs, moved = _work(node.operation, shapes, node.attributes, tuple(step.does.gives))
    parts = dict(zip(step.inputs, division.shares, strict=True))
    size = edges = 0.0
    for own, elements in moved:
        name = step.inputs.get(primal(own), node.name)
        if own != primal(own) and plan.shared.get(name) == node.name and primal(own) in parts:
            continue  # what arrives is its gradient
        part = elements * parts.get(primal(own), division.written) * element_bytes(tensors[name], rates.dtype)
        size += part
        edges += part if tensors[name].is_weight else 0.0
    forward_macs = _forward_macs(node.operation, shapes, node.attributes)
    share = division.macs / forward_macs if forward_macs and division.loops else 1.0
    told = [one for one in work.sharding.returns.get(node.name, ()) if one.tensor in given]
    return time_of(2 * macs * share, size, edges, rates, exchanged(told, work, rates, devices))


@lru_cache(maxsize=4096)
def _work(
    operation: str, shapes: tuple[Shape, ...], attributes: Attributes, wanted: tuple[str, ...]
) -> tuple[int, tuple[tuple[str, int], ...]]:
    """The MACs of an operation's gradient, and the elements that it reads and writes of tensors and gradients: those of
    its inputs and output, and what its nests keep between forward and backward pass."""
    does = operation_gradient(operation, shapes, attributes, wanted)
    expansion = expand(operation, shapes, attributes)
    if does.work:
        elements = prod(expansion.shape)
        return 0, ((f"{ARRIVING}o", elements), *((ARRIVING + name, elements) for name in wanted))
    own = dict(zip(OPERATIONS[operation].placeholders(len(shapes)), shapes, strict=True)) | {"o": expansion.shape}
    outer = own | dict(expansion.temporaries) | {ARRIVING + name: shape for name, shape in own.items()}
    moved = touched_by(does.nests, outer)
    moved |= {ARRIVING + name: prod(own[name]) for name in wanted if does.nests}
    return sum(does.nests[place].iterations for place in does.contractions), tuple(moved.items())


@lru_cache(maxsize=4096)
def _forward_macs(operation: str, shapes: tuple[Shape, ...], attributes: Attributes) -> int:
    nests = expand(operation, shapes, attributes).nests
    return sum(nest.iterations for nest in nests if nest.kind == CONTRACTION)


def kept_bytes(work: Split, plan: GradientPlan, dtype: str, again: bool) -> tuple[dict[str, float], float]:
    """The bytes that each node leaves to the backward pass, by name, and the most that are there for a while only.

    With `again` each block keeps what others read of it, and the rest is computed once more, a block at a time.
    """
    graph = plan.graph
    storages = Storages(graph, None, {name for step in plan.steps for name in step.reads})
    made = {name for moment in forward(storages) for name in moment.touches}
    saved = made & {name for moment in backward(storages, plan) for name in moment.touches}
    owners = {name: node.name for node in graph.nodes for name in storages.made_by(node)}
    sizes = {name: _size(work, storages, name, owners.get(name), dtype) for name in made}
    if not again:
        return _by_node(saved, owners, sizes), 0.0
    parts = segments(graph, BLOCKS)
    outer = read_outside(graph, storages, parts)
    within = [{name for node in part for name in storages.made_by(node)} - outer for part in parts]
    inside = set().union(*within)
    once = max((sum(sizes[name] for name in names & saved) for names in within), default=0.0)
    return _by_node((outer | (saved - inside)) & made, owners, sizes), once


def _by_node(names: Collection[str], owners: Mapping[str, str], sizes: Mapping[str, float]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name in names:
        owner = owners.get(name, name)
        found[owner] = found.get(owner, 0.0) + sizes[name]
    return found


def _size(work: Split, storages: Storages, name: str, owner: str | None, dtype: str) -> float:
    """A device's part of a storage; `owner` is the node that makes it, None for the network's inputs."""
    tensor = work.graph.tensors[owner or name]
    share = work.sharding.divisions[owner].written if owner else work.sharding.share(tensor)
    return storages.sizes[name] / DTYPE_BYTES[tensor.dtype] * element_bytes(tensor, dtype) * share
