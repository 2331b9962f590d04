"""A graph bound once to its weights and buffers, to be run again and again."""

from __future__ import annotations

from collections.abc import Mapping

from tilework.network.execute import execute
from tilework.network.graph import Graph
from tilework.train.parameters import Array


class Engine:
    """The values of a graph's outputs by NumPy; `weights` are used where they are, so they may change between runs.

    What `run` gives is valid until it runs again; an output that `outputs` names is written to the array given there.
    """

    def __init__(self, graph: Graph, weights: Mapping[str, Array], *, outputs: Mapping[str, Array] | None = None):
        self.graph, self.weights, self.outputs = graph, weights, dict(outputs or {})

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name."""
        values = execute(self.graph, self.weights, inputs)
        for name, array in self.outputs.items():
            array[...] = values[name]
        return {**values, **self.outputs}
