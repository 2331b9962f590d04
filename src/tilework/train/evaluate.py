"""How right a network is on a data set, a large batch at a time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tilework.network.graph import Graph
from tilework.train.data.dataset import Dataset
from tilework.train.engine import Engine
from tilework.train.parameters import Array
from tilework.train.step import rebatched

BATCH = 500


class Evaluator:
    """A network with one input and one output [N, classes], bound to weights that may change between calls."""

    def __init__(self, graph: Graph, weights: Mapping[str, Array]) -> None:
        self.engine = Engine(rebatched(graph, BATCH), weights)
        self.input, self.output = graph.inputs[0].name, graph.outputs[0]
        self._images = np.zeros((BATCH, *graph.inputs[0].shape[1:]), np.float32)

    def scores(self, images: Array) -> Array:
        """The output for each image: float32 [N, classes]."""
        found = []
        for start in range(0, len(images), BATCH):
            part = images[start : start + BATCH]
            self._images[: len(part)] = part
            found.append(self.engine.run({self.input: self._images})[self.output][: len(part)].copy())
        return np.concatenate(found)

    def accuracy(self, data: Dataset, best: int = 1) -> float:
        """The share of examples whose label is among the `best` largest scores."""
        scores = self.scores(data.images)
        own = np.take_along_axis(scores, data.labels[:, None], 1)
        return float(np.mean((scores > own).sum(1) < best))
