"""Activation checkpointing: segments of a network that keep only what they read from outside, and compute the rest
again in the backward pass (Chen et al., Training Deep Nets with Sublinear Memory Cost, arXiv:1604.06174)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil, isqrt

from tilework.cost.liveness import AGAIN, RECOMPUTE, Moment, Storages
from tilework.errors import NetworkError
from tilework.network.gradient import GradientPlan
from tilework.network.graph import Graph, Node

BLOCKS = "blocks"
NUMBERED = re.compile(r"(?:.*_)?\d+", re.DOTALL)

Segment = tuple[Node, ...]


def segments(graph: Graph, checkpoint: str | int) -> tuple[Segment, ...]:
    """The segments of a graph, each of nodes that follow one another.

    A number N makes a segment of each module N levels deep. `blocks` makes one of each outermost numbered module
    (layer1.0, encoder.layers.3, encoder_layer_3) or, where no module is numbered, about √n pieces of the n nodes.
    Raises NetworkError for anything else.
    """
    if isinstance(checkpoint, int) and not isinstance(checkpoint, bool) and checkpoint >= 1:
        return _runs(graph.nodes, [_at_depth(node.module, checkpoint) for node in graph.nodes])
    if checkpoint != BLOCKS:
        raise NetworkError(f"checkpoint must be {BLOCKS!r} or a depth of at least 1, not {checkpoint!r}")
    names = [numbered(node.module) for node in graph.nodes]
    if any(names):
        return _runs(graph.nodes, names)
    size = max(1, ceil(len(graph.nodes) / (isqrt(len(graph.nodes)) or 1)))
    return _runs(graph.nodes, [str(place // size) for place in range(len(graph.nodes))])


def _at_depth(module: str, depth: int) -> str:
    parts = module.split(".")
    return ".".join(parts[:depth]) if module and len(parts) >= depth else ""


def numbered(module: str) -> str:
    """The outermost part of a module path that ends in a number, such as layers.3; empty where there is none."""
    parts = module.split(".")
    return next((".".join(parts[: i + 1]) for i, part in enumerate(parts) if NUMBERED.fullmatch(part)), "")


def _runs(nodes: Sequence[Node], keys: Sequence[str]) -> tuple[Segment, ...]:
    """Neighbours with the same key; what has none lies in no segment."""
    runs = groupby(zip(keys, nodes, strict=True), key=lambda pair: pair[0])
    return tuple(tuple(node for _, node in run) for key, run in runs if key)


@dataclass(frozen=True)
class Recomputation:
    """A segment, the storages inside it that its gradient reads, and the nodes that make these once more."""

    inside: frozenset[str]
    nodes: Segment

    def again(self, storages: Iterable[str]) -> tuple[str, ...]:
        """The storages as the backward pass sees them: those inside the segment are new ones."""
        return tuple(AGAIN + name if name in self.inside else name for name in storages)


def recompute(
    plan: GradientPlan, storages: Storages, parts: Sequence[Segment], steps: Iterable[Moment]
) -> tuple[list[Moment], list[Node]]:
    """The backward pass with each segment computed again before the first of its steps, and the nodes that are."""
    work = {node.name: one for one in _recomputations(plan, storages, parts) for node in one[0]}
    moments: list[Moment] = []
    repeated: list[Node] = []
    begun: set[str] = set()
    for moment in steps:
        segment, done = work.get(moment.node, ((), None))
        if done is None:
            moments.append(moment)
            continue
        if segment[0].name not in begun:
            begun.add(segment[0].name)
            moments += _once_more(storages, done)
            repeated += done.nodes
        moments.append(Moment(moment.phase, moment.node, done.again(moment.touches)))
    storages.sizes.update({AGAIN + name: storages.sizes[name] for _, one in work.values() for name in one.inside})
    return moments, repeated


def _once_more(storages: Storages, done: Recomputation) -> Iterator[Moment]:
    for node in done.nodes:
        yield Moment(RECOMPUTE, node.name, done.again(storages.touched_by(node)))


def _recomputations(
    plan: GradientPlan, storages: Storages, parts: Sequence[Segment]
) -> Iterator[tuple[Segment, Recomputation]]:
    reads = {step.node.name: step.reads for step in plan.steps}
    outer = read_outside(plan.graph, storages, parts)
    for part in parts:
        inside = {name for node in part for name in storages.made_by(node)} - outer
        wanted = {name for node in part for name in storages.read(reads.get(node.name, ())) if name in inside}
        yield part, Recomputation(frozenset(inside), tuple(_needed(storages, part, inside, wanted)))


def _needed(storages: Storages, part: Segment, inside: set[str], wanted: set[str]) -> list[Node]:
    """The nodes that make the wanted storages, and what these are made of, as far as it lies inside the segment."""
    needed = []
    for node in reversed(part):
        if not wanted.isdisjoint(storages.made_by(node)):
            needed.append(node)
            wanted.update(name for name in storages.read(node.inputs) if name in inside)
    return needed[::-1]


def read_outside(graph: Graph, storages: Storages, parts: Sequence[Segment]) -> set[str]:
    """Storages that a node of another segment, or of none, reads, and those of the outputs."""
    place = {node.name: number for number, part in enumerate(parts) for node in part}
    outer = set(storages.read(graph.outputs))
    for node in graph.nodes:
        outer.update(name for name in storages.read(node.inputs) if place.get(node.name) != place.get(name))
    return outer
