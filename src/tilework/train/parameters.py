"""A network's trainable numbers as views of one vector, and their gradients as views of another.

An optimiser then updates all of them with a few passes over two long vectors, in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.errors import WeightsError
from tilework.network.graph import PARAMETER, Graph

Array = npt.NDArray[Any]


class Parameters:
    """The trainable parameters of a graph in float32, begun as copies of `weights`.

    `values` and `gradients` are vectors of all numbers; `arrays[name]` and `slopes[name]` are a parameter's views of
    them, in its shape. Raises WeightsError for a parameter that is missing or of another shape.
    """

    def __init__(self, graph: Graph, weights: Mapping[str, Array]) -> None:
        tensors = [tensor for tensor in graph.sources if tensor.role == PARAMETER]
        size = sum(tensor.elements for tensor in tensors)
        self.values, self.gradients = np.empty(size, np.float32), np.zeros(size, np.float32)
        self.arrays: dict[str, Array] = {}
        self.slopes: dict[str, Array] = {}
        start = 0
        for tensor in tensors:
            place = slice(start, start + tensor.elements)
            self.arrays[tensor.name] = self.values[place].reshape(tensor.shape)
            self.slopes[tensor.name] = self.gradients[place].reshape(tensor.shape)
            start = place.stop
        self.set(weights)

    def set(self, weights: Mapping[str, Array]) -> None:
        """Copy values into the parameters, where they are."""
        for name, array in self.arrays.items():
            if name not in weights:
                raise WeightsError(f"the weights must hold the parameter {name}, which they lack")
            given = np.asarray(weights[name])
            if given.shape != array.shape:
                raise WeightsError(f"parameter {name} must have the shape {[*array.shape]}, not {[*given.shape]}")
            array[...] = given
