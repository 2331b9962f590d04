"""From torch's operations to Tilework's: the context that each row of the table of operators is given."""

from __future__ import annotations

from collections.abc import Container, Iterable
from itertools import count
from typing import Any

from tilework.errors import NetworkError
from tilework.frontend.from_torch.axes import moved
from tilework.frontend.from_torch.calls import Call, Value
from tilework.frontend.from_torch.registry import find_row
from tilework.network.blocks import Block, Copy, Part
from tilework.network.operations import expand

View = tuple[Value, tuple[int, ...]]


class Lowering:
    """Turns the calls of one module call, in order, into parts of a block.

    `call` is the one at hand. A row reads its arguments, emits operations and says which Value each result is. A
    transposition or a reshape stays pending until something asks for the tensor by name; at the border of a module
    call `flush` makes it so.
    """

    call: Call

    def __init__(self, module: str, weights: Container[int], used: Container[int], numbers: count[int]) -> None:
        self.module, self.weights, self.used, self.numbers = module, weights, used, numbers
        self.parts: list[Part | Block | Copy] = []
        self.aliases: dict[int, Value] = {}
        self.views: dict[int, View] = {}
        self.shapes: dict[int, Value] = {}
        self.made: dict[int, Value] = {}
        self.fresh: dict[int, Part] = {}

    @property
    def results(self) -> tuple[Value | None, ...]:
        """The call's results, flat; None for one that is no tensor."""
        return self.call.results

    @property
    def result(self) -> Value:
        """The call's first result that is a tensor."""
        first = next((value for value in self.call.results if value is not None), None)
        if first is None:
            raise NetworkError("the operator must have a tensor as result")
        return first

    def emit(self, operation: str, *inputs: Value, dtype: str | None = None, **attributes: Any) -> Value:
        """Add a node and return its value, whose shape follows from the operation.

        `dtype` is the value's; without it that of the result which it becomes by `set`, else that of the first input.
        Raises NetworkError where the operation doesn't take these shapes or attributes.
        """
        read = tuple(map(self._named, inputs))
        shapes = tuple(value.shape for value in read)
        fixed = tuple(sorted((key, tuple(v) if isinstance(v, list) else v) for key, v in attributes.items()))
        shape = expand(operation, shapes, fixed).shape
        value = Value(next(self.numbers), shape, dtype or (read[0].dtype if read else "float32"))
        part = Part(operation, tuple(v.id for v in read), shapes, fixed, value.id, shape, value.dtype, self.module)
        self.parts.append(part)
        if dtype is None:
            self.fresh[value.id] = part
        return value

    def set(self, value: Value, place: int = 0) -> None:
        """Result number `place` of the call is this value. Raises NetworkError where their shapes differ."""
        result = self.call.results[place]
        if result is None or result.id == value.id:
            return
        if result.shape != value.shape:
            raise NetworkError(f"its result must have the shape {list(result.shape)}, not {list(value.shape)}")
        if (part := self.fresh.get(value.id)) is not None and part.dtype != result.dtype:
            part.dtype = result.dtype
            value = Value(value.id, value.shape, result.dtype)
        self.aliases[result.id] = value

    def view(self, base: Value, order: tuple[int, ...]) -> Value:
        """A pending transposition of `base`: axis i of the value is axis order[i] of the base."""
        base = self._resolve(base)
        if (found := self.base(base)) is not None:
            base, first = found
            order = tuple(first[axis] for axis in order)
        if order == tuple(range(len(order))):
            return base
        value = Value(next(self.numbers), tuple(base.shape[axis] for axis in order), base.dtype)
        self.views[value.id] = (base, order)
        return value

    def base(self, value: Value) -> View | None:
        """What a pending transposition is of, and its order; None where the value is none.

        A transposition under another shape is one of the reshaped base, if that only splits or joins axes that lie side
        by side there.
        """
        value = self._resolve(value)
        view = self.views.get(self.under(value).id)
        if view is None or value.id in self.views:
            return view
        found = moved(view[0].shape, view[1], value.shape)
        return None if found is None else (self.reshaped(view[0], found[0]), found[1])

    def reshaped(self, value: Value, shape: tuple[int, ...]) -> Value:
        """The same elements, in row-major order, under another shape: pending, no node until somebody needs it."""
        base = self.under(value)
        if base.shape == shape:
            return base
        value = Value(next(self.numbers), shape, base.dtype)
        self.shapes[value.id] = base
        return value

    def under(self, value: Value) -> Value:
        """What a pending reshape is of; else the value itself."""
        value = self._resolve(value)
        return self.shapes.get(value.id, value)

    def is_weight(self, value: Value) -> bool:
        """Whether the value is a weight as it is stored."""
        return self._resolve(value).id in self.weights

    def is_used(self, place: int) -> bool:
        """Whether result number `place` is a tensor that something reads."""
        result = self.call.results[place]
        return result is not None and not result.is_empty and result.id in self.used

    def unknown(self) -> None:
        """The call is an operation that no table states; each used result is a part of it."""
        read = [value for value in self.call.tensors if not value.is_empty]
        places = [place for place in range(len(self.results)) if self.is_used(place)]
        for part, place in enumerate(places):
            result = self.results[place]
            assert result is not None
            attributes = {"what": self.call.operator, "shape": result.shape, "part": part}
            self.set(self.emit("unknown", *read, dtype=result.dtype, **attributes), place)

    def lower(self, call: Call) -> None:
        """Add what a call does. Raises NetworkError, naming operator and module, where its row fails."""
        if all(value is None or value.is_empty for value in call.results):
            return
        self.call = call
        self.fresh.clear()
        row = find_row(call.operator)
        try:
            if row is None:
                self.unknown()
            else:
                row(self, *call.arguments, **dict(call.keywords))
            self._check()
        except (NetworkError, TypeError) as error:
            raise NetworkError(f"{call.operator} in {self.module or 'the network'}: {error}") from None

    def flush(self, values: Iterable[Value]) -> None:
        """Make nodes of the pending transpositions among values that cross the border of the module call."""
        for value in values:
            self._named(value)

    def names(self) -> dict[int, int]:
        """For each number that is another name of something, the number of that."""
        made = {number: value.id for number, value in self.made.items()}
        return {number: value.id for number, value in self.aliases.items()} | made

    def _check(self) -> None:
        """Every used result must be something by now."""
        for place, result in enumerate(self.call.results):
            if self.is_used(place) and result is not None and result.id not in self.aliases:
                raise NetworkError(f"its row must say by `set` what result {place} is")

    def _resolve(self, value: Value) -> Value:
        while value.id in self.aliases:
            value = self.aliases[value.id]
        return value

    def _named(self, value: Value) -> Value:
        """The node or source that holds a value; what is pending becomes a node."""
        value = self._resolve(value)
        if value.id not in self.views and value.id not in self.shapes:
            return value
        if value.id not in self.made:
            if (view := self.base(value)) is not None:
                self.made[value.id] = self.emit("transpose", view[0], dtype=value.dtype, order=view[1])
            else:
                base = self.shapes[value.id]
                self.made[value.id] = self.emit("reshape", base, dtype=value.dtype, shape=value.shape)
        return self.made[value.id]
