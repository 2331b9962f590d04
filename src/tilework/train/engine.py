"""A graph that runs many times: its arrays are made once and used again in every run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tilework.errors import NetworkError
from tilework.network.execute import execute
from tilework.network.graph import Graph
from tilework.network.kernels import Array


class Engine:
    """A graph with its weights, ready to run.

    The arrays of `weights` are used where they are: who changes one in place changes what the next run computes. A run
    writes each output to its array in `outputs`, where that has one; such an array must have the output's shape and
    dtype and may be a view. Raises NetworkError for an output that the graph lacks or an array that does not fit.
    """

    def __init__(
        self, graph: Graph, weights: Mapping[str, Array], *, outputs: Mapping[str, Array] | None = None
    ) -> None:
        self.graph, self.weights = graph, weights
        given = dict(outputs or {})
        for name, array in given.items():
            if name not in graph.outputs:
                raise NetworkError(f"an array to write to must be for an output of {graph.name}, not for {name!r}")
            tensor = graph.tensors[name]
            if array.shape != tensor.shape or str(array.dtype) != tensor.dtype:
                wanted, came = f"{tensor.dtype}{list(tensor.shape)}", f"{array.dtype}{list(array.shape)}"
                raise NetworkError(f"the array for output {name} must be {wanted}, not {came}")
        tensors = {name: graph.tensors[name] for name in (*(t.name for t in graph.inputs), *graph.outputs)}
        self._arrays = {name: np.zeros(tensor.shape, tensor.dtype) for name, tensor in tensors.items()} | given

    def buffers(self, name: str) -> Array:
        """The array of an input, which may be filled instead of handing one to `run`, or of an output."""
        return self._arrays[name]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name, in arrays that the next run overwrites.

        Raises NetworkError where the inputs do not fit the graph.
        """
        found = execute(self.graph, self.weights, inputs)
        for name, array in found.items():
            self._arrays[name][...] = array
        return {name: self._arrays[name] for name in self.graph.outputs}
