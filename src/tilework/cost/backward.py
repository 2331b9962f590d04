"""The cost of the gradient, counted from its nests: docs/memory.md says how the backward pass is derived."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

from tilework.cost.count import make_record, stored_bytes
from tilework.cost.record import ADDITION, Record, Row
from tilework.network.cover import region, region_size, union_size
from tilework.network.extent import image_size, iterations_inside, outputs_inside
from tilework.network.functions import FUNCTIONS
from tilework.network.gradient import GradientPlan, Step, gradient_plan
from tilework.network.gradient_nests import MARKS
from tilework.network.graph import Graph
from tilework.network.nest import Apply, Expression, Nest
from tilework.network.operation_gradient import operation_gradient
from tilework.network.operations import OPERATIONS, Shape, expand

Shapes = Mapping[str, Shape]


def backward_rows(graph: Graph, padding_zeros: bool, dtype: str | None) -> tuple[Row, ...]:
    """A row for each node that does something in the backward pass, in the order in which that runs.

    A row's shapes are those of the gradient that arrives and of the first that leaves; its `activation_bytes` are the
    gradients of activations that it makes. Adding up what several nodes contribute to a gradient is counted in the row
    that completes it.
    """
    plan = gradient_plan(graph)
    return tuple(_row(plan, step, padding_zeros, dtype) for step in plan.steps if _works(plan, step))


def _works(plan: GradientPlan, step: Step) -> bool:
    return bool(step.does.nests or step.does.work or plan.sums.get(step.node.name))


def _row(plan: GradientPlan, step: Step, padding_zeros: bool, dtype: str | None) -> Row:
    node, tensors = step.node, plan.graph.tensors
    shapes = tuple(tensors[name].shape for name in node.inputs)
    done = _arithmetic(node.operation, shapes, node.attributes, tuple(step.does.gives), padding_zeros)
    given = {name: tensors[name] for name, _ in step.gives}
    made = [t for t in given.values() if not t.is_weight and t.name not in step.held and t.name not in plan.shared]
    first = min(given.values(), key=lambda tensor: tensor.is_weight)
    return Row(
        name=f"{node.name} (backward)",
        operation=f"{node.label} backward",
        module=node.module,
        input_shapes=(tensors[node.name].shape,),
        output_shape=first.shape,
        multiplications=done.multiplications,
        additions=done.additions + plan.sums.get(node.name, 0),
        macs=done.macs,
        other_operations=dict(done.other_operations),
        activation_bytes=sum(stored_bytes(tensor, dtype) for tensor in made),
    )


@lru_cache(maxsize=4096)
def _arithmetic(
    operation: str,
    shapes: tuple[Shape, ...],
    attributes: tuple[tuple[str, Any], ...],
    wanted: tuple[str, ...],
    padding_zeros: bool,
) -> Record:
    """What the gradient of an operation computes; repeated blocks of a network share one answer.

    MACs are those of the gradients of contractions. What stands in a body more than once is computed once.
    """
    does = operation_gradient(operation, shapes, attributes, wanted)
    if does.work:
        return make_record(dict(does.work))
    tensors = _shapes(operation, shapes, attributes)
    inside = None if padding_zeros else tensors
    done: dict[str, int] = {}
    for nest in does.nests:
        iterations = _iterations(nest, inside)
        for category in _categories(nest.body):
            done[category] = done.get(category, 0) + iterations
    for name in dict.fromkeys(nest.output.tensor for nest in does.nests):
        nests = [nest for nest in does.nests if nest.output.tensor == name]
        done[ADDITION] = done.get(ADDITION, 0) + _additions(nests, tensors, inside)
    macs = sum(_iterations(does.nests[place], inside) for place in does.contractions)
    return make_record(done, macs)


def _shapes(operation: str, shapes: Sequence[Shape], attributes: tuple[tuple[str, Any], ...]) -> Shapes:
    expansion = expand(operation, tuple(shapes), attributes)
    tensors = dict(zip(OPERATIONS[operation].placeholders(len(shapes)), shapes, strict=True))
    tensors |= {"o": expansion.shape, **dict(expansion.temporaries)}
    return {mark + name: shape for name, shape in tensors.items() for mark in ("", *MARKS)}


def _iterations(nest: Nest, shapes: Shapes | None) -> int:
    return nest.iterations if shapes is None else iterations_inside(nest, shapes)


def _categories(body: Expression) -> Collection[str]:
    """The category of each function that a body applies, an expression that stands there twice taken once."""
    found: dict[Apply, str] = {}

    def walk(node: Expression) -> None:
        if isinstance(node, Apply) and node not in found:
            found[node] = FUNCTIONS[node.function].category
            for argument in node.arguments:
                walk(argument)

    walk(body)
    return found.values()


def _additions(nests: Sequence[Nest], shapes: Shapes, inside: Shapes | None) -> int:
    """Additions that gather a gradient: as many as there are values to gather, less one for each place."""
    total = 0
    for nest in nests:
        if nest.update != "=":
            outputs = image_size(nest.output, nest.extents) if inside is None else outputs_inside(nest, inside)
            total += _iterations(nest, inside) - outputs
    if len(nests) > 1:
        shape = shapes[nests[0].output.tensor]
        regions = [region(nest.output, nest.extents, shape) for nest in nests]
        total += sum(region_size(part, shape) for part in regions) - union_size(regions, shape)
    return total
