"""Contractions that may suit the vector unit better: those whose products share few operands, as in a depthwise
convolution. The matrix unit needs as many columns for a row of inputs as it is wide; a lane takes any product.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from tilework.compiler.group import Group
from tilework.network.graph import FLOATING_BYTES
from tilework.network.nest import CONTRACTION

EXACT_PRODUCTS = 1 << 10  # of int8, each at most 2**14: float32 holds every whole number up to 2**24


def on_vector(group: Group) -> Group | None:
    """The same group computed by the vector unit alone, if its main nest is a contraction that it can do as exactly:
    float32 holds the sums of floats as well as the matrix unit does, those of int8 if there are not too many."""
    main = group.main
    if main.kind != CONTRACTION or group.blocks.kept:
        return None
    floating = group.tensors[main.output.tensor].dtype in FLOATING_BYTES
    if not floating and prod(extent for _, extent in main.reduction_loops) > EXACT_PRODUCTS:
        return None
    return replace(group, swapped=False, on_lanes=frozenset({0}))
