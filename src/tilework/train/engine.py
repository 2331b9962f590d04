"""A graph bound once to arrays, as a flat list of calls, to run many times."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from tilework.errors import NetworkError
from tilework.network.bind import bind
from tilework.network.execute import check_names, comes_with_weights, fitted, value_of
from tilework.network.graph import Graph, Node, Tensor
from tilework.network.host_values import host_value
from tilework.network.matrices import Array, Call, Room
from tilework.train.buffers import Buffers
from tilework.train.statements import Statement, statements


class Engine:
    """A graph with its weights, ready to run: the values are those of `execute`, up to the order of sums.

    The arrays of `weights` are used where they are: who changes one in place changes what the next run computes. A run
    writes each output to its array in `outputs`, where that has one; such an array must have the output's shape and
    dtype and may be a view. Raises what `execute` raises for the graph and the weights, and NetworkError for an output
    that the graph lacks or an array that does not fit.
    """

    def __init__(
        self, graph: Graph, weights: Mapping[str, Array], *, outputs: Mapping[str, Array] | None = None
    ) -> None:
        self.graph = graph
        check_names(graph, [tensor.name for tensor in graph.inputs], graph.outputs)
        given = _given(graph, outputs or {})
        self._statements = statements(graph)
        self._buffers, self._room = Buffers(self._statements), Room()
        self._calls: list[Call] = []
        self._inputs = {tensor.name: self._buffers.keep(tensor) for tensor in graph.inputs}
        self._keep_weights(weights)
        self._keep_outputs(given)
        with np.errstate(all="ignore"):
            for item in self._statements.items:
                self._bind(item)
        self._outputs = {name: given.get(name, self._buffers.arrays[name]) for name in graph.outputs}
        for name, array in given.items():
            if array is not self._buffers.arrays[name]:  # an output that is an input or a weight
                self._calls.append(partial(np.copyto, array, self._buffers.arrays[name]))

    def _keep_weights(self, weights: Mapping[str, Array]) -> None:
        read = {name for item in self._statements.items for name in item.reads} | {*self.graph.outputs}
        names = [tensor.name for tensor in self.graph.weights if tensor.name in read]
        names += [item.out for item in self._statements.items if comes_with_weights(item.node)]
        for name in names:
            self._buffers.keep(self.graph.tensors[name], value_of(self.graph, {}, weights, name))

    def _keep_outputs(self, given: Mapping[str, Array]) -> None:
        for name in self.graph.outputs:
            tensor = self.graph.tensors[name]
            if name not in self._buffers.arrays:
                self._buffers.keep(tensor, given.get(name, np.zeros(tensor.shape, tensor.dtype)))

    def _bind(self, item: Statement) -> None:
        """Append a statement's calls; what neither inputs nor weights decide is computed here and now."""
        if comes_with_weights(item.node):
            return
        buffers = self._buffers
        is_there, calls = buffers.prepare(item)
        if not is_there:
            calls += self._calls_of(item)
        buffers.release(item)
        if item.out in self._statements.fixed:
            for call in calls:
                call()
        else:
            self._calls += calls

    def _calls_of(self, item: Statement) -> list[Call]:
        arrays, tensor = self._buffers.arrays, self._statements.tensors[item.out]
        if item.nest:
            first = self._statements.writers[item.out][0] is item
            return bind(item.nest, arrays, not first, self._room)
        values = [arrays[name] for name in item.node.inputs]
        if item.is_alias:
            return [partial(_reshape, values[0], arrays[item.out])]
        return [partial(_compute_on_host, item.node, values, tensor, arrays[item.out])]

    def buffers(self, name: str) -> Array:
        """The array of an input, which may be filled and then handed to `run`, or of an output."""
        return self._inputs[name] if name in self._inputs else self._outputs[name]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name, in arrays that the next run overwrites.

        Raises NetworkError where the inputs do not fit the graph, or for indices of no place.
        """
        if inputs.keys() != self._inputs.keys():
            check_names(self.graph, inputs, ())
        for name, buffer in self._inputs.items():
            array = inputs[name]
            if array is not buffer:
                np.copyto(buffer, fitted(self.graph.tensors[name], array, NetworkError))
        with np.errstate(all="ignore"):
            for call in self._calls:
                call()
        return dict(self._outputs)


def _given(graph: Graph, outputs: Mapping[str, Array]) -> dict[str, Array]:
    for name, array in outputs.items():
        if name not in graph.outputs:
            raise NetworkError(f"an array to write to must be for an output of {graph.name}, not for {name!r}")
        tensor = graph.tensors[name]
        if array.shape != tensor.shape or str(array.dtype) != tensor.dtype:
            wanted, came = f"{tensor.dtype}{list(tensor.shape)}", f"{array.dtype}{list(array.shape)}"
            raise NetworkError(f"the array for output {name} must be {wanted}, not {came}")
    return dict(outputs)


def _reshape(source: Array, out: Array) -> None:
    np.copyto(out, source.reshape(out.shape), casting="unsafe")


def _compute_on_host(node: Node, inputs: list[Array], tensor: Tensor, out: Array) -> None:
    np.copyto(out, host_value(node, inputs, tensor))
