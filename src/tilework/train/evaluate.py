"""What a network's outputs mean, and how often they are right."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tilework.errors import TrainingError
from tilework.network.graph import Graph
from tilework.train.data.batches import Examples
from tilework.train.engine import Engine
from tilework.train.logic import bits_of
from tilework.train.parameters import Array
from tilework.train.step import rebatched

BATCH = 500


def codes(classes: int, outputs: int) -> Array:
    """The outputs wanted for each class, float32 [classes, outputs]: one output for each class, else its bits.

    Raises TrainingError where the outputs can't tell so many classes apart.
    """
    if outputs == classes:
        return np.eye(classes, dtype=np.float32)
    if 1 << outputs != classes:
        raise TrainingError(
            f"the network must have an output for each of the {classes} classes, or for each bit of their number, not "
            f"{outputs}; change its last layer"
        )
    return bits_of(np.arange(classes), outputs).astype(np.float32)


def softened(wanted: Array, smoothing: float) -> Array:
    """Targets that leave a share to the other classes, or to the other value of each bit (Szegedy et al. 2016)."""
    one_hot = wanted.shape[0] == wanted.shape[1]
    return np.asarray(wanted * (1 - smoothing) + smoothing / (wanted.shape[1] if one_hot else 2), np.float32)


class Evaluator:
    """A network at inference with weights that may change between evaluations: they are read where they are.

    `threshold` tells the bits of an output that isn't one for each class.
    """

    def __init__(self, graph: Graph, weights: Mapping[str, Array], threshold: float = 0.5) -> None:
        self.graph, self.weights, self.threshold = graph, weights, threshold
        self._engines: dict[int, Engine] = {}  # by the size of their batches

    def _engine(self, batch: int) -> Engine:
        if batch not in self._engines:
            self._engines[batch] = Engine(rebatched(self.graph, batch), self.weights)
        return self._engines[batch]

    def outputs(self, examples: Examples) -> Array:
        """The outputs for all examples, float32 [N, outputs]."""
        (output,) = self.graph.outputs
        total = len(examples.labels)
        engine = self._engine(min(total, BATCH))
        held = np.zeros(engine.graph.inputs[0].shape, np.float32)
        found = np.empty((total, *engine.graph.tensors[output].shape[1:]), np.float32)
        for start in range(0, total, len(held)):
            places = np.arange(start, min(start + len(held), total))
            images, _ = examples.batch(places)
            held[: len(places)] = images.reshape(len(places), *held.shape[1:])
            found[places] = engine.run({engine.graph.inputs[0].name: held})[output][: len(places)]
        return found

    def accuracy(self, examples: Examples, top: int = 1) -> float:
        """The share of examples whose class is among the `top` best, or all of whose bits are right."""
        return accuracy(self.outputs(examples), examples.labels, len(examples.classes), top, self.threshold)


def accuracy(outputs: Array, labels: Array, classes: int, top: int = 1, threshold: float = 0.5) -> float:
    """The share of rows of `outputs` that are right for their labels; ties count against them."""
    if outputs.shape[1] == classes:
        own = outputs[np.arange(len(labels)), labels][:, None]
        return float(((~(outputs < own)).sum(1) <= top).mean())  # so that no number that isn't one is right
    return float(((outputs > threshold) == (codes(classes, outputs.shape[1])[labels] > 0.5)).all(1).mean())
