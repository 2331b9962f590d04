"""The nest: one statement `output[map] OP body` under affine loops, from which every reading is derived."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import isnan, prod

from tilework.errors import NetworkError
from tilework.network.functions import FUNCTIONS, UPDATES

CONTRACTION, REDUCTION, ELEMENTWISE, COPY = "contraction", "reduction", "elementwise", "copy"
KINDS = (CONTRACTION, REDUCTION, ELEMENTWISE, COPY)


@dataclass(frozen=True, slots=True)
class Affine:
    """An index: the sum of `coefficient * loop` over `terms`, plus `offset`; all integers, no zero coefficient."""

    terms: tuple[tuple[str, int], ...] = ()
    offset: int = 0

    def coefficient(self, loop: str) -> int:
        return next((c for name, c in self.terms if name == loop), 0)

    def at(self, point: Mapping[str, int]) -> int:
        return self.offset + sum(c * point[name] for name, c in self.terms)

    def bounds(self, extents: Mapping[str, int]) -> tuple[int, int]:
        """The smallest and the largest value over the loops' whole ranges, both included."""
        low = sum(c * (extents[n] - 1) for n, c in self.terms if c < 0)
        high = sum(c * (extents[n] - 1) for n, c in self.terms if c > 0)
        return self.offset + low, self.offset + high

    def within(self, extents: Mapping[str, int], size: int) -> bool:
        """Whether it never leaves an axis of this size."""
        low, high = self.bounds(extents)
        return low >= 0 and high < size

    def substitute(self, values: Mapping[str, Affine]) -> Affine:
        """This index with loops replaced by affine expressions of other loops."""
        total: dict[str, int] = {}
        offset = self.offset
        for name, c in self.terms:
            inner = values.get(name, Affine(((name, 1),)))
            offset += c * inner.offset
            for other, d in inner.terms:
                total[other] = total.get(other, 0) + c * d
        return Affine(tuple((n, c) for n, c in total.items() if c), offset)


@dataclass(frozen=True, slots=True)
class Access:
    """`tensor[index, …]`; a read outside the tensor gives `pad`, and where `pad` is None it must not happen."""

    tensor: str
    index: tuple[Affine, ...]
    pad: float | None = None

    def __post_init__(self) -> None:
        if self.pad is not None and isnan(self.pad):
            raise NetworkError(f"the pad value of an access to {self.tensor} must be a number, not nan")

    def loops(self) -> set[str]:
        return {name for axis in self.index for name, _ in axis.terms}

    def substitute(self, values: Mapping[str, Affine]) -> Access:
        return Access(self.tensor, tuple(a.substitute(values) for a in self.index), self.pad)


@dataclass(frozen=True, slots=True)
class Constant:
    """A number in a body."""

    value: float

    def __post_init__(self) -> None:
        if isnan(self.value):
            raise NetworkError("a constant in a body must be a number, not nan")


@dataclass(frozen=True, slots=True)
class Apply:
    """A scalar function of the closed list, applied to its arguments."""

    function: str
    arguments: tuple[Expression, ...]

    def __post_init__(self) -> None:
        known = FUNCTIONS.get(self.function)
        if known is None:
            raise NetworkError(f"a body may apply {', '.join(FUNCTIONS)}, not {self.function!r}")
        if known.arity != len(self.arguments):
            raise NetworkError(f"{self.function} takes {known.arity} arguments, not {len(self.arguments)}")


Expression = Access | Constant | Apply


def accesses(expression: Expression) -> Iterator[Access]:
    """Every access of an expression, left to right."""
    if isinstance(expression, Access):
        yield expression
    elif isinstance(expression, Apply):
        for argument in expression.arguments:
            yield from accesses(argument)


def applications(expression: Expression) -> Iterator[str]:
    """The name of every function that an expression applies."""
    if isinstance(expression, Apply):
        yield expression.function
        for argument in expression.arguments:
            yield from applications(argument)


def map_accesses(expression: Expression, change: Mapping[Access, Access]) -> Expression:
    """The expression with each access replaced by what `change` gives for it."""
    if isinstance(expression, Access):
        return change.get(expression, expression)
    if isinstance(expression, Apply):
        return Apply(expression.function, tuple(map_accesses(a, change) for a in expression.arguments))
    return expression


@dataclass(frozen=True)
class Nest:
    """`for loops: output OP body`.

    A loop in the output's map is parallel, the others reduce. Raises NetworkError where a loop is unknown, has no
    iterations, stands twice or is no plain identifier, or where `=` has a loop that its output's index lacks.
    """

    loops: tuple[tuple[str, int], ...]
    output: Access
    update: str
    body: Expression
    extents: dict[str, int] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "extents", dict(self.loops))
        self._check()

    def _check(self) -> None:
        if len(self.extents) != len(self.loops):
            raise NetworkError(f"each loop of a nest must have its own name, not {[n for n, _ in self.loops]}")
        for name, extent in self.loops:
            if not (name.isascii() and name.isidentifier()):
                raise NetworkError(f"a loop's name must be a plain identifier, not {name!r}")
            if extent < 1:
                raise NetworkError(f"loop {name} must run at least once, not {extent} times")
        used = self.output.loops().union(*(a.loops() for a in self.reads))
        if unknown := used - self.extents.keys():
            raise NetworkError(f"an index uses loop {min(unknown)}, which the nest does not declare")
        if self.update not in UPDATES:
            raise NetworkError(f"a statement updates by one of {', '.join(UPDATES)}, not {self.update!r}")
        if self.update == "=" and any(extent > 1 for _, extent in self.reduction_loops):
            raise NetworkError("a statement with = must not have loops that its output's index lacks; use += or max=")

    @cached_property
    def reads(self) -> tuple[Access, ...]:
        return tuple(accesses(self.body))

    @cached_property
    def parallel_loops(self) -> tuple[tuple[str, int], ...]:
        inside = self.output.loops()
        return tuple(loop for loop in self.loops if loop[0] in inside)

    @cached_property
    def reduction_loops(self) -> tuple[tuple[str, int], ...]:
        inside = self.output.loops()
        return tuple(loop for loop in self.loops if loop[0] not in inside)

    @property
    def iterations(self) -> int:
        return prod(extent for _, extent in self.loops)

    @cached_property
    def kind(self) -> str:
        """Contraction, reduction, elementwise or copy: what all later stages dispatch on."""
        body = self.body
        if self.update == "+=" and isinstance(body, Apply) and body.function == "mul":
            left, right = body.arguments
            if isinstance(left, Access) and isinstance(right, Access) and left != right:
                return CONTRACTION
        if self.update != "=":
            return REDUCTION
        return COPY if isinstance(body, Access | Constant) else ELEMENTWISE

    def substitute(self, values: Mapping[str, Affine], loops: tuple[tuple[str, int], ...]) -> Nest:
        """The nest under other loops, its old ones replaced by affine expressions of them."""
        change = {a: a.substitute(values) for a in self.reads}
        return Nest(loops, self.output.substitute(values), self.update, map_accesses(self.body, change))

    def rename(self, names: Mapping[str, str]) -> Nest:
        """The nest with its tensors renamed."""
        change = {a: Access(names.get(a.tensor, a.tensor), a.index, a.pad) for a in self.reads}
        output = Access(names.get(self.output.tensor, self.output.tensor), self.output.index, self.output.pad)
        found = object.__new__(Nest)  # what was checked of this one holds of it
        found.__dict__.update(
            loops=self.loops,
            output=output,
            update=self.update,
            body=map_accesses(self.body, change),
            extents=self.extents,
        )
        return found

    def __str__(self) -> str:
        from tilework.network.text import print_nest

        return print_nest(self)
