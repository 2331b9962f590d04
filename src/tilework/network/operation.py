"""What an operation is: a function from shapes and attributes to nests, registered in a table.

An operation's function takes the shapes of its inputs and its attributes and returns an `Expansion`: the nests
over the placeholder names of its inputs (`x`, `w`, `b`, …), temporaries and output `o`. Nothing here knows about
counts, values or programs; those are readings of the nests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from inspect import signature
from typing import Any

from tilework.errors import NetworkError
from tilework.network.attributes import check_attributes
from tilework.network.nest import Nest

Shape = tuple[int, ...]
Single = tuple[int]
Pair = tuple[int, int]
Triple = tuple[int, int, int]
Shapes = Mapping[str, Shape]


@dataclass(frozen=True)
class Expansion:
    """What an operation is: its output's shape, its temporaries' shapes and its nests, in order.

    What isn't affine has no nests but `work`, a hand-written number of each kind of scalar operation, and runs on the
    host. An alias has neither: the output is the input's data under another shape. `gradient` holds the nests that make
    `d:x` from `d:o`, where they are simpler than what follows from the nests (see docs/memory.md).
    """

    shape: Shape
    nests: tuple[Nest, ...] = ()
    temporaries: tuple[tuple[str, Shape], ...] = ()
    work: tuple[tuple[str, int], ...] | None = None
    gradient: tuple[Nest, ...] = ()

    @property
    def is_alias(self) -> bool:
        return not self.nests and self.work is None

    @property
    def on_host(self) -> bool:
        return self.work is not None


@dataclass(frozen=True)
class Operation:
    """One row of the table. `inputs` are placeholder names, optional ones last with a `?`; `x*` alone stands for one
    or more, x0, x1, …, and `x*?` for any number. `weighted` marks the operations whose outputs are neurons, `view`
    those that pick places of their input and need no memory of their own (see docs/counting.md)."""

    name: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    expand: Callable[..., Expansion]
    weighted: bool = False
    view: bool = False

    @property
    def variadic(self) -> bool:
        return "*" in self.inputs[0]

    def placeholders(self, count: int) -> tuple[str, ...]:
        """The names of the first `count` inputs."""
        if self.variadic:
            return tuple(f"{self.inputs[0].rstrip('*?')}{place}" for place in range(count))
        return tuple(name.rstrip("?") for name in self.inputs[:count])

    def takes(self, count: int) -> bool:
        required = sum(not name.endswith("?") for name in self.inputs)
        return required <= count and (count <= len(self.inputs) or self.variadic)


OPERATIONS: dict[str, Operation] = {}


def operation(
    *inputs: str, weighted: bool = False, view: bool = False
) -> Callable[[Callable[..., Expansion]], Callable[..., Expansion]]:
    """Register a function `f(shapes, **attributes) -> Expansion` under its own name.

    The function with the same code may be registered again; raises NetworkError where another one has the name.
    """

    def register(function: Callable[..., Expansion]) -> Callable[..., Expansion]:
        attributes = {n: p.default for n, p in list(signature(function).parameters.items())[1:]}
        made = Operation(function.__name__, inputs, attributes, function, weighted, view)
        known = OPERATIONS.setdefault(made.name, made)
        same = known.expand.__code__ == function.__code__ and replace(known, expand=function) == made
        require(same, f"an operation must have a name of its own, and {made.name} is taken; choose another one")
        return function

    return register


@lru_cache(maxsize=4096)
def expand(name: str, shapes: tuple[Shape, ...], attributes: tuple[tuple[str, Any], ...] = ()) -> Expansion:
    """The expansion of an operation for the shapes of the inputs it is given.

    Raises NetworkError for an unknown operation or attribute, a wrong number of inputs, or shapes that don't fit.
    """
    known = OPERATIONS.get(name)
    if known is None:
        raise NetworkError(f"the operation must be one of {', '.join(OPERATIONS)}, not {name!r}")
    if not known.takes(len(shapes)):
        raise NetworkError(f"{name} takes the inputs {', '.join(known.inputs)}, not {len(shapes)} of them")
    check_attributes(name, known.attributes, attributes)
    return known.expand(dict(zip(known.placeholders(len(shapes)), shapes, strict=True)), **dict(attributes))


def require(condition: bool, message: str) -> None:
    """Raises NetworkError with the message where the condition fails."""
    if not condition:
        raise NetworkError(message)


def rank(shapes: Shapes, name: str, rank: int, what: str) -> Shape:
    """The shape of an input; raises NetworkError where it has another number of axes."""
    shape = shapes[name]
    require(len(shape) == rank, f"{what} must have {rank} axes, not the shape {list(shape)}")
    return shape


def loops_over(shape: Shape) -> tuple[str, str]:
    """Loops and index of an elementwise nest: `a<2 b<3` and `a,b`."""
    require(len(shape) <= 8, f"a tensor must have at most 8 axes, not the shape {list(shape)}")
    names = "abcdefgh"[: len(shape)]
    return " ".join(f"{n}<{extent}" for n, extent in zip(names, shape, strict=True)), ",".join(names)


def averaged(total: str, places: int) -> str:
    """The body that divides a sum by its number of places: a sum of one place is its own mean."""
    return f"{total} * {1.0 / places!r}" if places > 1 else total
