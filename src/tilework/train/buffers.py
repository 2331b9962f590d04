"""Where an engine's values lie: every tensor's array, its memory used again once nobody reads what is there."""

from __future__ import annotations

from collections import Counter
from functools import partial
from math import prod

import numpy as np

from tilework.network import views
from tilework.network.functions import UPDATES
from tilework.network.graph import Tensor
from tilework.network.matrices import Array, Call
from tilework.train.layout import batch_last, laid_out
from tilework.train.statements import Statement, Statements, is_whole


class Buffers:
    """Arrays by tensor, given out statement by statement, in order.

    A tensor may be a view of another one, or take the memory of one whose last reader makes it. `arrays` begins with
    those that stay as they are: of inputs, weights and outputs.
    """

    def __init__(self, given: Statements) -> None:
        self.given, self.last = given, batch_last(given)
        self.arrays: dict[str, Array] = {}
        self.owners: dict[str, str] = {}  # the tensor in whose memory each one lies
        self.memory: dict[str, Array] = {}  # bytes by owner; what isn't here stays
        self.free: list[Array] = []
        self.unread = Counter(name for item in given.items for name in item.reads)
        self.pending: Counter[str] = Counter()  # reads to come of what lies in an owner's memory

    def keep(self, tensor: Tensor, array: Array | None = None) -> Array:
        """Give a tensor an array that no other tensor's values may take."""
        if array is None:
            array = laid_out(np.zeros(tensor.elements, tensor.dtype), tensor.shape, tensor.name in self.last)
        self._put(tensor.name, array, tensor.name)
        return array

    def _put(self, name: str, array: Array, owner: str) -> None:
        self.arrays[name], self.owners[name] = array, owner
        self.pending[owner] += self.unread[name]

    def prepare(self, item: Statement) -> tuple[bool, list[Call]]:
        """Give the output of a statement its array: whether it has its value then, as a view, and what comes first."""
        for name in item.reads:
            self.unread[name] -= 1
            self.pending[self.owners[name]] -= 1
        name, first = item.out, self.given.writers[item.out][0] is item
        if name not in self.arrays:
            view = self._view(item)
            if view is not None:
                self._put(name, view, self.owners[item.reads[0]])
                return True, []
            if name in self.given.fixed:
                self.keep(self.given.tensors[name])
            elif (source := self._in_place(item)) is not None:
                self._put(name, self.arrays[source], self.owners[source])
            else:
                self._put(name, self._new(self.given.tensors[name]), name)
        return False, self._cleared(item) if first and self.given.starts_empty(name) else []

    def release(self, item: Statement) -> None:
        """Let go of the memory that nobody reads after this statement."""
        for owner in {self.owners[name] for name in item.reads}:
            if not self.pending[owner] and owner in self.memory:
                self.free.append(self.memory.pop(owner))

    def _cleared(self, item: Statement) -> list[Call]:
        array = self.arrays[item.out]
        identity = UPDATES[item.nest.update].identity if item.nest else 0.0
        return [partial(array.fill, views.fitting(identity, array.dtype))]

    def _view(self, item: Statement) -> Array | None:
        """The output as a view of what the statement reads, where it can be one."""
        if item.is_alias:
            tensor, source = self.given.tensors[item.out], self.arrays[item.reads[0]]
            try:
                return source.reshape(tensor.shape, copy=False) if source.dtype == tensor.dtype else None
            except ValueError:
                return None
        if item.nest is None or not self.given.is_view(item):
            return None
        (access,) = item.nest.reads
        source = self.arrays[access.tensor]
        return views.view(source, access, (0,) * source.ndim, item.nest.loops, whole=True)

    def _in_place(self, item: Statement) -> str | None:
        """A tensor that nobody reads after this statement, and whose places it reads only when it writes the same."""
        nest, tensor = item.nest, self.given.tensors[item.out]
        if nest is None or nest.update != "=" or not is_whole(nest, tensor.shape):
            return None
        strides = laid_out(np.empty(0, tensor.dtype), tensor.shape, tensor.name in self.last).strides
        for name in item.reads:
            owner, array = self.owners[name], self.arrays[name]
            alike = (array.shape, array.dtype, array.strides) == (tensor.shape, np.dtype(tensor.dtype), strides)
            reads = [access for access in nest.reads if self.owners[access.tensor] == owner]
            same = all(access.tensor == name and access.index == nest.output.index for access in reads)
            if alike and same and owner in self.memory and not self.pending[owner]:
                return name
        return None

    def _new(self, tensor: Tensor) -> Array:
        """An array in the smallest free memory that has room, or in new one."""
        size = prod(tensor.shape) * np.dtype(tensor.dtype).itemsize
        fitting = [place for place, memory in enumerate(self.free) if memory.nbytes >= size]
        best = min(fitting, key=lambda place: self.free[place].nbytes, default=None)
        memory = np.empty(size, np.uint8) if best is None else self.free.pop(best)
        self.memory[tensor.name] = memory
        flat = memory[:size].view(tensor.dtype)
        return laid_out(flat, tensor.shape, tensor.name in self.last)
