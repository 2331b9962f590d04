"""How large the values of a network become on samples: what int8 needs to know, and floating dtypes don't."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.compiler.host import evaluate
from tilework.compiler.statement import Statements
from tilework.errors import NetworkError, WeightsError
from tilework.network.execute import run_nest
from tilework.network.graph import Graph
from tilework.network.nest import CONTRACTION
from tilework.network.weights import Weights

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Samples:
    """Inputs by name, one mapping for each run of the network, and in a few words where they come from."""

    inputs: Sequence[Mapping[str, Array]]
    origin: str


def samples_of(graph: Graph, given: Array | Sequence[Array | Mapping[str, Array]]) -> Samples:
    """Samples from one array for the network's only input, or a sequence of arrays for it or of mappings by name.

    An array has any number of inputs; they are cut into batches, the last one filled up with the first inputs.
    Raises NetworkError for an array of another shape than the input, or where there are several inputs.
    """
    runs: list[Mapping[str, Array]] = []
    for each in [given] if isinstance(given, np.ndarray) else given:
        runs += [each] if isinstance(each, Mapping) else _batches(graph, np.asarray(each))
    return Samples(runs, f"{len(runs)} batch{'es' * (len(runs) != 1)} of samples")


def _batches(graph: Graph, values: Array) -> list[dict[str, Array]]:
    if len(graph.inputs) != 1:
        names = ", ".join(tensor.name for tensor in graph.inputs)
        raise NetworkError(f"calibration samples of {graph.name} must name its inputs, {names}; give mappings")
    (port,) = graph.inputs
    batch, *rest = port.shape or (1,)
    if values.ndim < 1 or list(values.shape[1:]) != rest or not len(values):
        shape = f"[{', '.join(('any', *map(str, rest)))}]"
        raise NetworkError(
            f"calibration samples for {port.name} must have the shape {shape}, not {list(values.shape)}; reshape them"
        )
    chosen = np.arange(-(-len(values) // batch) * batch) % len(values)
    return [{port.name: values[part].reshape(port.shape)} for part in chosen.reshape(-1, batch)]


def calibrate(steps: Sequence[Graph | Statements], weights: Weights, samples: Samples | None) -> dict[str, float]:
    """The largest absolute value that each tensor but the weights takes on any of the samples, infinite ones included.

    `steps` are the network in the order in which it runs: what the host computes, and the processor's nests. Raises
    WeightsError for a weight of a product that isn't finite, NetworkError without samples, for some that don't fit or
    aren't finite, and where a value is NaN or the host has no rule for it.
    """
    if not samples or not samples.inputs:
        raise NetworkError("a network must be run on calibration samples to become int8; give at least one")
    largest: dict[str, float] = {}
    for sample in samples.inputs:
        values = dict(sample)
        for step in steps:
            if isinstance(step, Graph):
                values |= evaluate(step, weights, {tensor.name: _given(values, tensor.name) for tensor in step.inputs})
            else:
                values |= _Run(step, weights, largest).outputs(values)
    return largest


def _given(values: Mapping[str, Array], name: str) -> Array:
    if name not in values:
        raise NetworkError(f"every calibration sample must have a value for {name}, which one lacks; give it")
    return values[name]


class _Run:
    """The values of a segment's nests in float32, each let go after its last reader."""

    def __init__(self, given: Statements, weights: Weights, largest: dict[str, float]) -> None:
        self.given, self.weights, self.largest = given, weights, largest
        self.shapes = {name: tensor.shape for name, tensor in given.tensors.items()}
        self.last = {a.tensor: place for place, s in enumerate(given.items) for a in (s.nest.output, *s.nest.reads)}
        self.made = {s.nest.output.tensor: place for place, s in enumerate(given.items)}

    def outputs(self, values: Mapping[str, Array]) -> dict[str, Array]:
        arrays = {name: self.input(name, _given(values, name)) for name in self.given.inputs}
        for place, statement in enumerate(self.given.items):
            nest = statement.nest
            for access in nest.reads:
                if access.tensor not in arrays:
                    arrays[access.tensor] = self.weight(access.tensor, nest.kind == CONTRACTION)
            run_nest(nest, arrays, self.shapes)
            if self.made[nest.output.tensor] == place:
                self.note(nest.output.tensor, arrays[nest.output.tensor])
            for name in {a.tensor for a in (nest.output, *nest.reads)} - {*self.given.outputs}:
                if self.last[name] == place:
                    del arrays[name]
        return {name: arrays[name] for name in self.given.outputs}

    def input(self, name: str, values: Array) -> Array:
        values = np.asarray(values).astype(np.float32)
        if values.shape != self.shapes[name]:
            came = f"{list(self.shapes[name])}, not {list(values.shape)}"
            raise NetworkError(f"every calibration sample of {name} must have the shape {came}; reshape it")
        if not np.isfinite(values).all():
            raise NetworkError(f"every calibration sample of {name} must be finite, not NaN or infinite; leave it out")
        self.note(name, values)
        return values

    def weight(self, name: str, is_multiplied: bool) -> Array:
        values = self.weights[name].astype(np.float32, copy=False)
        if is_multiplied and not np.isfinite(values).all():
            raise WeightsError(f"the weight {name} must be finite to become int8, not NaN or infinite; mend it")
        return values

    def note(self, name: str, values: Array) -> None:
        most = float(np.abs(values).max())
        if np.isnan(most):
            raise NetworkError(f"{name} must be a number for every calibration sample, not NaN; leave that sample out")
        self.largest[name] = max(most, self.largest.get(name, 0.0))
