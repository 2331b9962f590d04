"""The operation table: each operation says once, as nests, what it is. The families below register their rows."""

from tilework.network import elementwise, movement, normalisation, windows
from tilework.network.operation import OPERATIONS, Expansion, Operation, Pair, Shape, Shapes, expand

FAMILIES = (windows, elementwise, normalisation, movement)

__all__ = ["FAMILIES", "OPERATIONS", "Expansion", "Operation", "Pair", "Shape", "Shapes", "expand"]
