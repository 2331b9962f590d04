"""What a trace saw: tensors as numbers, the operations on them, and the module calls in which they stood."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Value(NamedTuple):
    """A tensor as the trace saw it: its number, shape and Tilework's name of its dtype."""

    id: int
    shape: tuple[int, ...]
    dtype: str

    @property
    def is_empty(self) -> bool:
        """Whether a size is 0, so that the tensor holds nothing."""
        return 0 in self.shape


class Call(NamedTuple):
    """One ATen operation. Tensors among the arguments are Values, lists are tuples, dtypes are their names; results
    are flat, None where a result is no tensor. In place, the result is what the changed tensor is from then on."""

    operator: str
    arguments: tuple[Any, ...]
    keywords: tuple[tuple[str, Any], ...]
    results: tuple[Value | None, ...]

    @property
    def tensors(self) -> Iterator[Value]:
        """The Values among the arguments, in order, also those in lists."""
        return values_in((self.arguments, tuple(value for _, value in self.keywords)))


@dataclass(slots=True, eq=False)
class Frame:
    """One call of a module: its path, whether it has no modules within, what happened, and the Values it gave back."""

    path: str
    leaf: bool
    steps: list[Call | Frame | Repeat] = field(default_factory=list)
    outputs: tuple[Value, ...] = ()
    _outside: dict[int, Value] | None = None

    def outside(self) -> dict[int, Value]:
        """What is read here from outside, by number. To be asked when the frame is complete."""
        if self._outside is None:
            self._outside, own = {}, set[int]()
            for step in self.steps:
                self._outside |= {value.id: value for value in _read(step) if value.id not in own}
                own.update(_made(step))
        return self._outside


class Repeat(NamedTuple):
    """A module call that would have done what an earlier one did.

    `outside` gives, for each number that the frame reads from outside of itself, the Value to take here, and
    `outputs` for each Value that arises here its number in the frame.
    """

    frame: Frame
    path: str
    outside: dict[int, Value]
    outputs: dict[Value, int]


def _read(step: Call | Frame | Repeat) -> Iterable[Value]:
    if isinstance(step, Call):
        return step.tensors
    return step.outside().values() if isinstance(step, Frame) else step.outside.values()


def _made(step: Call | Frame | Repeat) -> Iterator[int]:
    if isinstance(step, Call):
        yield from (value.id for value in step.results if value is not None)
    elif isinstance(step, Frame):
        for inner in step.steps:
            yield from _made(inner)
    else:
        yield from (value.id for value in step.outputs)


def values_in(item: Any) -> Iterator[Value]:
    """The Values in a nest of tuples."""
    if type(item) is Value:
        yield item
    elif type(item) is tuple:
        for part in item:
            yield from values_in(part)
