"""A step of training: the loss of a batch and the gradient of every parameter, by the nests of one graph."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tilework.errors import NetworkError
from tilework.network.execute import execute
from tilework.network.gradient_nests import gradient_of, primal
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

    `step(images, targets)` gives the loss, leaves the gradients in `parameters.gradients` and brings the running means
    and variances among `parameters.buffers` up to date. Steps for batches of several sizes share their parameters.
    `values` holds, after a step, those of the tensors that `keep` names: the output, say, or "loss.terms", which add up
    to the loss. Masks of dropout are drawn from `generator`: each place is 0 with the node's probability p, else
    1 / (1 - p). If `scaled`, a step is given a scale too, by which the gradients, not the loss, are larger.
    Raises what `gradient` raises, and NetworkError for a network with several inputs.
    """

    def __init__(
        self,
        graph: Graph,
        parameters: Parameters,
        loss: str = "cross_entropy",
        axis: int | None = None,
        generator: np.random.Generator | None = None,
        keep: Iterable[str] = (),
        scaled: bool = False,
    ) -> None:
        if len(graph.inputs) != 1:
            raise NetworkError(f"network {graph.name} must have one input to be trained, not {len(graph.inputs)}")
        self.input = graph.inputs[0].name
        self.generator = np.random.default_rng(0) if generator is None else generator
        self.parameters = parameters
        self.mode = training_mode(graph)
        whole = gradient(self.mode.graph, loss, axis=axis)
        whole = _scaled(whole) if scaled else whole
        kept = (*whole.outputs, *(name for name, _ in self.mode.statistics.values()), *keep)
        whole = whole.replace(whole.sources, whole.nodes, dict.fromkeys(kept))
        slopes = {gradient_of(name): slope for name, slope in parameters.slopes.items()}
        given = {name: slope for name, slope in slopes.items() if name in whole.outputs}
        self.graph, self.engine = whole, Engine(whole, parameters.weights, outputs=given)
        self._inputs = {name: np.empty(whole.tensors[name].shape, np.float32) for name in self.mode.masks}
        if scaled:
            self._inputs[gradient_of(LOSS)] = np.ones((), np.float32)

    def __call__(self, images: Array, targets: Array, scale: float = 1.0) -> float:
        """The mean loss of a batch; `targets` has the shape of the network's output."""
        if gradient_of(LOSS) in self._inputs:
            self._inputs[gradient_of(LOSS)][...] = scale
        for name, share in self.mode.masks.items():
            kept = self.generator.random(self._inputs[name].shape, np.float32) >= share
            np.multiply(kept, np.float32(1 / (1 - share)) if share < 1 else np.float32(0), out=self._inputs[name])
        self.values = values = self.engine.run({self.input: images, TARGETS: targets, **self._inputs})
        for running, (batch, factor) in self.mode.statistics.items():
            average = self.parameters.buffers[running]
            average += RUNNING_SHARE * (factor * values[batch] - average)
        return float(values[LOSS])

    def first_not_finite(self, images: Array, targets: Array) -> str:
        """What the step just made for this batch met first that isn't finite, in a few words; "" if all is finite."""
        inputs, weights = {self.input: images, TARGETS: targets, **self._inputs}, self.parameters.weights
        for name, array in (*inputs.items(), *weights.items()):
            if not np.isfinite(array).all():
                return f"the {'weight' if name in weights else 'input'} {name}"
        with np.errstate(all="ignore"):
            values = execute(self.graph, weights, inputs, keep=[node.name for node in self.graph.nodes])
        wrong = next((node.name for node in self.graph.nodes if not np.isfinite(values[node.name]).all()), "")
        if wrong in {node.name for node in self.mode.graph.nodes}:
            return f"the value of {wrong}"
        return wrong and f"the gradient of {primal(wrong)}"


def _scaled(whole: Graph) -> Graph:
    """The graph of a loss and its gradients with an input in the place of the loss's own gradient, which is 1."""
    own = gradient_of(LOSS)
    sources = (*whole.sources, Tensor(own, (), whole.tensors[own].dtype, INPUT))
    return whole.replace(sources, (node for node in whole.nodes if node.name != own), whole.outputs)
