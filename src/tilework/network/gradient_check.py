"""Gradients against central differences, in float64: whether what was derived is the slope."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from tilework.errors import NetworkError
from tilework.network.execute import execute
from tilework.network.gradient_nests import primal
from tilework.network.graph import FLOATING_BYTES, Graph
from tilework.network.matrices import Array
from tilework.network.training import gradient

STEP = 1e-6  # balances the error of the difference, step squared, and that of rounding, 1e-16 / step


def check_gradient(
    graph: Graph,
    values: Mapping[str, Array],
    loss: str | None = None,
    wanted: Iterable[str] | None = None,
    axis: int | None = None,
) -> dict[str, tuple[Array, Array]]:
    """For each wanted source its gradient twice: as `gradient` derives it, and by central differences of the loss.

    Both are float64 arrays of the source's shape. `values` holds all inputs and weights by name, and `targets` where
    the loss compares with them; the loss, `wanted` and `axis` are those of `gradient`. The network runs twice for each
    element of each source. Raises NetworkError for a value that is missing, and what `gradient` and `execute` raise.
    """
    both = gradient(_in_float64(graph), loss, wanted, axis)
    if missing := [tensor.name for tensor in both.sources if tensor.name not in values]:
        raise NetworkError(f"the values must hold {missing[0]}, which they lack")
    arrays = {tensor.name: np.array(values[tensor.name], tensor.dtype) for tensor in both.sources}
    total, *names = both.outputs
    last = next(place for place, node in enumerate(both.nodes) if node.name == total)
    forward = both.replace(both.sources, both.nodes[: last + 1], (total,))
    found = _run(both, arrays)
    sources = {name: arrays[primal(name)] for name in names}
    return {
        primal(name): (found[name], _differences(lambda: float(np.sum(_run(forward, arrays)[total])), array))
        for name, array in sources.items()
    }


def _in_float64(graph: Graph) -> Graph:
    sources = (replace(t, dtype="float64") if t.dtype in FLOATING_BYTES else t for t in graph.sources)
    nodes = (replace(node, dtype="float64") if node.dtype in FLOATING_BYTES else node for node in graph.nodes)
    return graph.replace(sources, nodes, graph.outputs)


def _run(graph: Graph, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return execute(graph, arrays, {tensor.name: arrays[tensor.name] for tensor in graph.inputs})


def _differences(value: Callable[[], float], array: Array) -> Array:
    """The slopes of a value that depends on an array, which is as it was in the end."""
    slopes = np.empty(array.shape)
    for place in np.ndindex(array.shape):
        old = array[place]
        array[place] = old + STEP
        up = value()
        array[place] = old - STEP
        slopes[place] = (up - value()) / (2 * STEP)
        array[place] = old
    return slopes
