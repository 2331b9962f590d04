"""A schedule as Python: nested loops over tiles and inside tiles, to be read, and to be run by whoever wants to."""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterable
from keyword import iskeyword
from math import isinf

from tilework.compiler.loops import Schedule
from tilework.errors import CompileError
from tilework.network.nest import Access, Affine

MOST_LOOPS = 20  # that Python allows inside one another
INDENT = "    "


def loop_code(schedule: Schedule) -> str:
    """A function of the output, the input and the weight that adds to the output, an array or nested lists.

    Loops of one iteration are left out. Raises CompileError where Python could not nest as many loops.
    """
    return "\n".join(_Code(schedule).lines()) + "\n"


class _Code:
    """Tensors, loops and their tiles each have a name that is Python's; `values` are the nest's loops in Python."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule, self.extents = schedule, schedule.nest.extents
        self.loops = [loop for loop, extent in self.extents.items() if extent > 1]
        self.order = [loop for loop in schedule.order if schedule.count(loop) > 1]
        tensors = dict.fromkeys(access.tensor for access in schedule.operands)
        reads = schedule.operands[1:]
        values = [f"{access.tensor}_{what}" for what in ("inside", "value") for access in reads]
        fresh = iter(_identifiers([*tensors, *self.loops, *(f"{loop}0" for loop in self.loops), *values]))
        self.tensors = {name: next(fresh) for name in tensors}
        self.inner = {loop: next(fresh) for loop in self.loops}
        self.outer = {loop: next(fresh) for loop in self.loops}
        self.inside = {access: next(fresh) for access in reads}
        self.padded = {access: next(fresh) for access in reads}
        self.values = {
            loop: Affine(((self.inner[loop], 1),)) if loop in self.inner else Affine() for loop in self.extents
        }

    def lines(self) -> list[str]:
        schedule = self.schedule
        head = " ".join(schedule.name.split())
        lines = [
            f"def contraction({', '.join(self.tensors.values())}):",
            f"{INDENT}# {head}{': ' if head else ''}{schedule.nest}",
        ]
        inside = [*self._tile_loops(), *self._inner_loops()]
        if len(inside) > MOST_LOOPS:
            raise CompileError(
                f"Python must not get more than {MOST_LOOPS} loops inside one another, "
                f"and this schedule has {len(inside)}; tile fewer loops"
            )
        for depth, loop in enumerate(inside):
            lines += self._arrivals(depth) if depth <= len(self.order) else []
            lines.append(INDENT * (depth + 1) + loop)
        if len(self.order) == len(inside):
            lines += self._arrivals(len(self.order))
        return lines + [INDENT * (len(inside) + 1) + line for line in self._statement()]

    def _tile_loops(self) -> Iterable[str]:
        for loop in self.order:
            yield f"for {self.outer[loop]} in range(0, {self.extents[loop]}, {self.schedule.sizes[loop]}):"

    def _inner_loops(self) -> Iterable[str]:
        for loop in self.loops:
            span = str(self.extents[loop])
            if loop in self.order:
                size, start = self.schedule.sizes[loop], self.outer[loop]
                end = f"{start} + {size}"
                span = f"{start}, min({end}, {span})" if self.extents[loop] % size else f"{start}, {end}"
            yield f"for {self.inner[loop]} in range({span}):"

    def _arrivals(self, depth: int) -> list[str]:
        """A line on the operands of which another part is held inside the first `depth` tile loops."""
        names: dict[str, None] = {}
        for access in self.schedule.operands:
            changes = [loop for loop in self.schedule.changes(access) if loop in self.order]
            if len(changes) == depth:
                names[self.tensors[access.tensor]] = None
        what = "all" if depth == 0 else "a part"
        return [f"{INDENT * (depth + 1)}# hold {what} of {' and '.join(names)}"] if names else []

    def _statement(self) -> list[str]:
        output, *reads = self.schedule.operands
        lines, factors = [], []
        for access in reads:
            place, guard = self._place(access), self._guard(access)
            if guard:
                lines.append(f"{self.inside[access]} = {guard}")
                lines.append(
                    f"{self.padded[access]} = {place} if {self.inside[access]} else {_number(access.pad or 0.0)}"
                )
            factors.append(self.padded[access] if guard else place)
        update = f"{self._place(output)} += {' * '.join(factors)}"
        guard = self._guard(output)
        return [*lines, f"if {guard}:", INDENT + update] if guard else [*lines, update]

    def _place(self, access: Access) -> str:
        index = "".join(f"[{_affine(axis)}]" for axis in access.substitute(self.values).index)
        return self.tensors[access.tensor] + (index or "[()]")

    def _guard(self, access: Access) -> str:
        """The condition that an access lies inside its tensor, empty where it always does."""
        shape = self.schedule.tensors[access.tensor].shape
        conditions = []
        for axis, named, size in zip(access.index, access.substitute(self.values).index, shape, strict=True):
            low, high = axis.bounds(self.extents)
            if low < 0 and high >= size:
                conditions.append(f"0 <= {_affine(named)} < {size}")
            elif low < 0 or high >= size:
                conditions.append(f"{_affine(named)} >= 0" if low < 0 else f"{_affine(named)} < {size}")
        return " and ".join(dict.fromkeys(conditions))


def _identifiers(wanted: Iterable[str]) -> list[str]:
    """Names for Python, no two alike, as near as may be to those wanted."""
    taken: dict[str, None] = {}
    for name in wanted:
        plain = re.sub(r"\W", "_", name, flags=re.ASCII)
        plain = f"_{plain}" if plain[:1].isdigit() or not plain else plain
        while plain in taken or iskeyword(plain) or hasattr(builtins, plain):
            plain += "_"
        taken[plain] = None
    return list(taken)


def _affine(index: Affine) -> str:
    text = ""
    for name, c in index.terms:
        sign = (" - " if c < 0 else " + ") if text else "-" if c < 0 else ""
        text += sign + (f"{abs(c)} * " if abs(c) != 1 else "") + name
    if index.offset and text:
        return f"{text} {'-' if index.offset < 0 else '+'} {abs(index.offset)}"
    return text or str(index.offset)


def _number(value: float) -> str:
    if isinf(value):
        return f"float('{value}')"
    return str(int(value)) if value == int(value) else repr(value)
