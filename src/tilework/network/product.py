"""A contraction seen as products of matrices, which is how a matrix unit sees it."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from tilework.network.graph import Graph
from tilework.network.nest import CONTRACTION, Apply, Nest, accesses


@dataclass(frozen=True, slots=True)
class Product:
    """`groups` products of `rows` by `summed` and `summed` by `columns`: of a layer, its outputs' places, its filters
    and the weights of each."""

    name: str
    groups: int
    rows: int
    columns: int
    summed: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates, those with padding included."""
        return self.groups * self.rows * self.columns * self.summed


def products(graph: Graph) -> tuple[Product, ...]:
    """The products of a graph's contractions, in its order, each by the name of its node."""
    return tuple(
        product_of(node.name, nest) for node in graph.nodes for nest in graph.nests(node) if nest.kind == CONTRACTION
    )


def product_of(name: str, nest: Nest) -> Product:
    """The products of a contraction: loops over both operands count groups, over the first one rows, over the second
    one columns."""
    assert isinstance(nest.body, Apply)
    first, second = (access.loops() for access in accesses(nest.body))
    sizes = dict(nest.parallel_loops)
    groups = prod(size for loop, size in sizes.items() if loop in first and loop in second)
    columns = prod(size for loop, size in sizes.items() if loop in second and loop not in first)
    rows = prod(sizes.values()) // (groups * columns)
    return Product(name, groups, rows, columns, prod(size for _, size in nest.reduction_loops))
