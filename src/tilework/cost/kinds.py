"""Of which kind a layer is, read off its nests: what decides how near to its bound a runtime comes."""

from __future__ import annotations

from collections.abc import Sequence

from tilework.machine.accelerator import KINDS
from tilework.network.graph import Graph, Node
from tilework.network.nest import CONTRACTION, REDUCTION, Nest
from tilework.network.nest import ELEMENTWISE as EACH
from tilework.network.product import product_of

CONVOLUTION, DEPTHWISE, PRODUCT, VECTOR_PRODUCT, NORMALISATION, REDUCED, ELEMENTWISE, COPY = KINDS


def kind_of(graph: Graph, nodes: Sequence[Node]) -> str:
    """The kind of nodes computed as one: that of their largest contraction, if there is any.

    convolution     a sum over a window, or spread over one, in which both operands' elements meet several others
    depthwise       a sum over a window in which each input meets the weights of one output channel
    product         a product of matrices
    vector-product  one of which a side is a vector, so that each weight is used once
    normalisation   sums or maxima of one tensor, by which each of its elements is changed
    reduction       sums or maxima of one tensor alone
    elementwise     a scalar expression for each element
    copy            neither: elements are moved or renamed
    """
    nests = [nest for node in nodes for nest in graph.nests(node)]
    contractions = [nest for nest in nests if nest.kind == CONTRACTION]
    if contractions:
        return _contraction(max(contractions, key=lambda nest: nest.iterations))
    kinds = {nest.kind for nest in nests}
    if REDUCTION in kinds:
        return NORMALISATION if any(_normalises(nest, nests) for nest in nests) else REDUCED
    return ELEMENTWISE if EACH in kinds else COPY


def _normalises(nest: Nest, nests: Sequence[Nest]) -> bool:
    """Whether a nest changes every element of a tensor that another one sums up."""
    summed = {read.tensor for other in nests if other.kind == REDUCTION for read in other.reads}
    return nest.kind == EACH and not summed.isdisjoint(read.tensor for read in nest.reads)


def _contraction(nest: Nest) -> str:
    product = product_of("", nest)
    accesses = (nest.output, *nest.reads)
    window = any(
        sum(nest.extents[loop] > 1 for loop, _ in axis.terms) > 1 for access in accesses for axis in access.index
    )
    if window and product.columns == 1 and product.groups > 1:
        return DEPTHWISE
    if min(product.rows, product.columns) == 1 and not window:
        return VECTOR_PRODUCT
    return CONVOLUTION if window else PRODUCT
