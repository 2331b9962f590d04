"""Contractions that suit the vector unit better: those of a depthwise convolution, whose products share no operand.

The matrix unit multiplies a row of inputs with many columns of weights; where there is one column for a row, most of it
stands idle. So the products become a tensor on chip, and their sums a reduction.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from tilework.compiler.axes import axis_order
from tilework.compiler.buffers import contraction_operands
from tilework.compiler.group import Group
from tilework.network.graph import FLOATING_BYTES
from tilework.network.nest import CONTRACTION, Access, Affine, Nest

EXACT_PRODUCTS = 1 << 10  # of int8, each at most 2**14: float32 holds every whole number up to 2**24


def on_vector(group: Group) -> Group | None:
    """The same group computed by the vector unit alone, if its main nest is a contraction without columns."""
    main = group.main
    if main.kind != CONTRACTION or group.blocks.kept or not _adds_up(group):
        return None
    inputs, weight = contraction_operands(group)
    if any(extent > 1 for name, extent in main.parallel_loops if name in weight.loops() - inputs.loops()):
        return None
    loops = [name for name, _ in main.reduction_loops] + _in_memory(main.output)
    products = replace(
        group.tensors[main.output.tensor],
        name=f"{main.output.tensor}:products",
        shape=tuple(main.extents[name] for name in loops),
        role="value",
    )
    made = Access(products.name, tuple(Affine(((name, 1),)) for name in loops))
    nests = (Nest(main.loops, made, "=", main.body), Nest(main.loops, main.output, "+=", made))
    return replace(group, nests=(*nests, *group.nests[1:]), tensors=group.tensors | {products.name: products})


def _adds_up(group: Group) -> bool:
    """Whether float32 holds the sums as well as the matrix unit does: those of int8 must be exact."""
    main = group.main
    floating = group.tensors[main.output.tensor].dtype in FLOATING_BYTES
    return floating or prod(extent for _, extent in main.reduction_loops) <= EXACT_PRODUCTS


def _in_memory(output: Access) -> list[str]:
    """The loops that an access names, in the order of its tensor's axes in memory."""
    order = axis_order(len(output.index))
    return [name for axis in order for name, _ in output.index[axis].terms]
