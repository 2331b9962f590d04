"""Gradual magnitude pruning: zeros among the weights of a network while it learns, so that it learns to do without."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations
from math import floor, prod

import numpy as np

from tilework.errors import TrainingError
from tilework.isa.blocks import BLOCK, block_elements, kept_of, largest
from tilework.network.graph import PARAMETER, Graph, Node
from tilework.network.nest import CONTRACTION, Nest
from tilework.train.parameters import Array, Parameters
from tilework.train.recipe import Pruning
from tilework.train.recipe_errors import among


def cubic_share(final: float, done: float) -> float:
    """The share of zeros when the part `done` of the pruning is over: it rises fast first, where most weights matter
    little (Zhu and Gupta 2017, arXiv:1710.01878, equation 1, from 0)."""
    return final * (1 - (1 - min(1.0, max(0.0, done))) ** 3)


@dataclass(frozen=True)
class Layer:
    """A weight of a contraction, by the node that reads it, in a shape with an axis for each axis of what it sums over.

    Its rows are told apart by the first `outputs` of `axes`, and summed in the order of the others.
    """

    node: str
    weight: str
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    outputs: int

    def rows(self, array: Array) -> Array:
        """The weight as [rows, summed], in the order in which the processor stores it."""
        moved = array.reshape(self.shape).transpose(self.axes)
        return moved.reshape(prod(moved.shape[: self.outputs]), -1)

    def restored(self, rows: Array, shape: tuple[int, ...]) -> Array:
        """Rows in the weight's own order and shape."""
        moved = rows.reshape([self.shape[axis] for axis in self.axes])
        return moved.transpose(np.argsort(self.axes)).reshape(shape)


def pruned_layers(graph: Graph) -> tuple[Layer, ...]:
    """The layers with weights to prune: parameters that a contraction multiplies, each for the first that does."""
    found: dict[str, Layer] = {}
    for node in graph.nodes:
        for nest in graph.nests(node):
            for layer in _layers(graph, node, nest):
                found.setdefault(layer.weight, layer)
    return tuple(found.values())


def _layers(graph: Graph, node: Node, nest: Nest) -> Iterator[Layer]:
    """The parameters among a contraction's operands, in the order in which the compiler packs them: outputs, the places
    of a kernel, and channels, which lie innermost in every value, last."""
    parallel = dict(nest.parallel_loops)
    for weight, values in permutations(nest.reads, 2) if nest.kind == CONTRACTION else ():
        tensor = graph.tensors[weight.tensor]
        if tensor.role == PARAMETER and len(tensor.shape) > 1:
            outer = [a for a, index in enumerate(weight.index) if all(name in parallel for name, _ in index.terms)]
            shape, summed = tensor.shape, _unflattened(graph, values.tensor)
            if outer == [0] and len(shape) == 2 and shape[1] == prod(summed):
                shape = (shape[0], *summed)
            inner = sorted({*range(len(shape))} - {*outer}, key=lambda axis: (axis == 1, axis))
            yield Layer(node.name, tensor.name, shape, (*outer, *inner), len(outer))


def _unflattened(graph: Graph, name: str) -> tuple[int, ...]:
    """The shape of an example before it was made a row."""
    nodes = {node.name: node for node in graph.nodes}
    while name in nodes and graph.expansion(nodes[name]).is_alias:
        name = nodes[name].inputs[0]
    return graph.tensors[name].shape[1:]


class Pruner:
    """The pruning of a training of so many steps: after each of them `prune` sets to 0 what must be.

    What is 0 once stays so: it is among the smallest when the next weights go. Raises TrainingError for a name that no
    layer with weights has.
    """

    def __init__(self, graph: Graph, parameters: Parameters, wanted: Pruning, steps: int) -> None:
        self.parameters, self.wanted, self.layers = parameters, wanted, pruned_layers(graph)
        names = [layer.node for layer in self.layers]
        for name in wanted.layers:
            if name not in names:
                raise TrainingError(among("the layers to prune", name, names))
        self.first, self.last = (floor(part * steps) for part in (wanted.first, wanted.last))
        self.kept = np.ones(parameters.values.size, np.float32)  # 1, but 0 for those parameters that stay 0
        size = {name: array.size for name, array in parameters.arrays.items()}
        ends = dict(zip(size, np.cumsum([*size.values()]).tolist(), strict=True))
        self._places = {name: slice(end - size[name], end) for name, end in ends.items()}

    def share(self, layer: Layer, step: int) -> float:
        """The share of a layer's weights that are to be 0 after so many steps."""
        final = self.wanted.layers.get(layer.node, self.wanted.share)
        return cubic_share(final, (step - self.first) / max(1, self.last - self.first))

    def prune(self, step: int) -> None:
        """Bring the weights to where they must be after this step, which counts from 1."""
        if self.first <= step <= self.last and ((step - self.first) % self.wanted.every == 0 or step == self.last):
            for layer in self.layers:
                array = self.parameters.arrays[layer.weight]
                self.kept[self._places[layer.weight]] = self._largest(layer, array, self.share(layer, step)).ravel()
        values = self.parameters.values
        np.multiply(values, self.kept, out=values)
        np.add(values, 0, out=values)  # so that no zero is -0, which isn't 0 bit by bit

    def mask_gradients(self) -> None:
        """Leave what stays 0 out of the gradients, so that it leaves no trace in the optimiser's vectors."""
        np.multiply(self.parameters.gradients, self.kept, out=self.parameters.gradients)

    def _largest(self, layer: Layer, array: Array, share: float) -> Array:
        if self.wanted.balanced:
            return layer.restored(largest(layer.rows(array), kept_of(share)), array.shape)
        chosen = np.ones(array.size, bool)
        chosen[np.argsort(abs(array), axis=None, kind="stable")[: floor(share * array.size + 0.5)]] = False
        return chosen.reshape(array.shape)


@dataclass(frozen=True)
class Stored:
    """What a layer's weights take: how many there are, how many are 0, the bytes of all and of compressed blocks, of
    which each keeps `kept`; all of them where blocks take no less."""

    layer: str
    weights: int
    zeros: int
    dense_bytes: int
    compressed_bytes: int
    kept: int


def stored_sizes(graph: Graph, weights: Mapping[str, Array]) -> tuple[Stored, ...]:
    """The sizes of every layer's weights, whose values decide how many of 16 a compressed block must keep."""
    return tuple(_stored(layer, weights[layer.weight]) for layer in pruned_layers(graph))


def _stored(layer: Layer, array: Array) -> Stored:
    rows = layer.rows(array)
    blocks = -(-rows.shape[1] // BLOCK)
    whole = np.zeros((len(rows), blocks * BLOCK), bool)
    whole[:, : rows.shape[1]] = rows != 0
    counts = whole.reshape(-1, BLOCK).sum(1)
    kept = max(1, int(counts.max()))
    size = len(rows) * blocks * block_elements(kept, array.itemsize) * array.itemsize
    compressed, kept = (size, kept) if size < array.nbytes else (array.nbytes, BLOCK)
    return Stored(layer.node, array.size, array.size - int(counts.sum()), array.nbytes, compressed, kept)
