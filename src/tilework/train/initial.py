"""Values that training starts from: weights by a rule of variance, biases 0, scales of normalisations 1."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from math import prod, sqrt

import numpy as np

from tilework.errors import WeightsError
from tilework.network.graph import Graph, Tensor
from tilework.train.parameters import Array

Rule = Callable[[int, int], float]  # (fan in, fan out) -> the bound of a uniform distribution

INITIALS: dict[str, Rule] = {
    "he": lambda fan_in, fan_out: sqrt(6 / fan_in),  # He et al. 2015, equation 10
    "xavier": lambda fan_in, fan_out: sqrt(6 / (fan_in + fan_out)),  # Glorot and Bengio 2010, equation 16
    "lecun": lambda fan_in, fan_out: sqrt(3 / fan_in),  # LeCun et al. 1998, "Efficient BackProp", section 4.6
}


def initial_weights(graph: Graph, rule: str = "he", seed: int = 0) -> dict[str, Array]:
    """Float32 values of a graph's weights: they depend on the rule, the seed and each tensor's name and shape alone.

    A tensor of one axis is 0, but 1 where a normalisation multiplies by it or takes it for a variance. Raises
    WeightsError for a rule that is not in INITIALS.
    """
    if rule not in INITIALS:
        raise WeightsError(f"the initial weights must be one of {', '.join(INITIALS)}, not {rule!r}")
    ones = {
        name
        for node in graph.nodes
        if node.operation.endswith("_norm")
        for place, name in enumerate(node.inputs)
        if place in (1, 4)  # x, scale, shift, mean, variance
    }
    return {tensor.name: _drawn(tensor, rule, seed, float(tensor.name in ones)) for tensor in graph.weights}


def _drawn(tensor: Tensor, rule: str, seed: int, constant: float) -> Array:
    if len(tensor.shape) < 2:
        return np.full(tensor.shape, constant, np.float32)
    places = prod(tensor.shape[2:])
    bound = INITIALS[rule](tensor.shape[1] * places, tensor.shape[0] * places)
    words = np.frombuffer(sha256(f"{seed}:{tensor.name}".encode()).digest(), "<u4").tolist()
    values = np.random.Generator(np.random.PCG64(words)).random(tensor.shape, np.float32)
    values *= 2 * bound
    values -= bound
    return values
