"""The operation table: each operation says once, as nests, what it is. The families below register their rows."""

from tilework.network import contraction, convolution, elementwise, general, movement, normalisation, pooling
from tilework.network.operation import OPERATIONS, Expansion, Operation, Pair, Shape, Shapes, expand

FAMILIES = (convolution, contraction, pooling, elementwise, normalisation, movement, general)

__all__ = ["FAMILIES", "OPERATIONS", "Expansion", "Operation", "Pair", "Shape", "Shapes", "expand"]
