"""A step of training: the loss of a batch and the gradient of every parameter, by the nests of one graph."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tilework.errors import NetworkError
from tilework.network.gradient_nests import gradient_of
from tilework.network.graph import INPUT, Graph, Tensor
from tilework.network.training import LOSS, TARGETS, gradient
from tilework.train.engine import Engine
from tilework.train.mode import training_mode
from tilework.train.parameters import Array, Parameters

RUNNING_SHARE = 0.1  # of the batch's mean and variance in the running ones, as in torch


def rebatched(graph: Graph, batch: int) -> Graph:
    """The graph with another first size of every input. Raises NetworkError where an operation fixes its shape."""
    sources = [Tensor(t.name, (batch, *t.shape[1:]), t.dtype, INPUT) if t.role == INPUT else t for t in graph.sources]
    return graph.replace(sources, graph.nodes, graph.outputs)


class TrainingStep:
    """The forward and backward pass of a network with one input, for batches of the graph's own size.

    `step(images, targets)` gives the loss and leaves the gradients in `parameters.gradients`; `parameters` begin as
    copies of the weights, and so do the `buffers` (running means and variances), which every step brings up to date.
    Masks of dropout are drawn from `generator`: each place is 0 with the node's probability p, else 1 / (1 - p).
    Raises what `gradient` raises, and NetworkError for a network with several inputs.
    """

    def __init__(
        self,
        graph: Graph,
        weights: Mapping[str, Array],
        loss: str = "cross_entropy",
        axis: int | None = None,
        generator: np.random.Generator | None = None,
    ) -> None:
        if len(graph.inputs) != 1:
            raise NetworkError(f"network {graph.name} must have one input to be trained, not {len(graph.inputs)}")
        self.input = graph.inputs[0].name
        self.generator = np.random.default_rng(0) if generator is None else generator
        self.parameters = Parameters(graph, weights)
        fixed = (tensor for tensor in graph.weights if tensor.name not in self.parameters.arrays)
        self.buffers = {tensor.name: np.array(weights[tensor.name], np.float32) for tensor in fixed}
        self.mode = training_mode(graph)
        whole = gradient(self.mode.graph, loss, axis=axis)
        whole = whole.replace(
            whole.sources, whole.nodes, (*whole.outputs, *(name for name, _ in self.mode.statistics.values()))
        )
        slopes = {gradient_of(name): slope for name, slope in self.parameters.slopes.items()}
        given = {name: slope for name, slope in slopes.items() if name in whole.outputs}
        self.engine = Engine(whole, self.weights, outputs=given)
        self._inputs = {name: np.empty(whole.tensors[name].shape, np.float32) for name in self.mode.masks}

    @property
    def weights(self) -> dict[str, Array]:
        """The parameters and buffers as they are now, by name; arrays that change with every step."""
        return {**self.parameters.arrays, **self.buffers}

    def __call__(self, images: Array, targets: Array) -> float:
        """The mean loss of a batch; `targets` has the shape of the network's output."""
        for name, share in self.mode.masks.items():
            kept = self.generator.random(self._inputs[name].shape, np.float32) >= share
            np.multiply(kept, np.float32(1 / (1 - share)) if share < 1 else np.float32(0), out=self._inputs[name])
        values = self.engine.run({self.input: images, TARGETS: targets, **self._inputs})
        for running, (batch, factor) in self.mode.statistics.items():
            self.buffers[running] += RUNNING_SHARE * (factor * values[batch] - self.buffers[running])
        return float(values[LOSS])
