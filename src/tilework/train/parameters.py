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
    """The weights of a graph in float32, begun as copies of `weights`: its trainable parameters and its `buffers`.

    `values` and `gradients` are vectors of all trainable numbers; `arrays[name]` and `slopes[name]` are a parameter's
    views of them, in its shape. Raises WeightsError for a weight that is missing or of another shape.
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
        fixed = (tensor for tensor in graph.weights if tensor.role != PARAMETER)
        self.buffers = {tensor.name: np.empty(tensor.shape, np.float32) for tensor in fixed}
        self.set(weights)

    @property
    def weights(self) -> dict[str, Array]:
        """Parameters and buffers by name, where they are: they change as training goes on."""
        return {**self.arrays, **self.buffers}

    def set(self, weights: Mapping[str, Array]) -> None:
        """Copy values into the parameters and buffers."""
        for name, array in self.weights.items():
            if name not in weights:
                raise WeightsError(f"the weights must hold {name}, which they lack")
            given = np.asarray(weights[name])
            if given.shape != array.shape:
                raise WeightsError(f"weight {name} must have the shape {[*array.shape]}, not {[*given.shape]}")
            array[...] = given
