"""A nest bound to its arrays: a list of calls that runs it, as often as wanted, on whatever the arrays then hold.

Index maps become strides, so that an operand is a view of its array; reads and writes that leave their tensor go
through a copy with a border. Where a value is needed on the way, it lies in a `Room`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from math import prod
from typing import Any

import numpy as np

from tilework.network import evaluate, kernels, views
from tilework.network.functions import FUNCTIONS, UPDATES
from tilework.network.matrices import Array, Call, Room
from tilework.network.nest import CONTRACTION, Access, Affine, Nest, accesses
from tilework.network.operations import Shape
from tilework.network.views import Loop

APART_LIMIT = 1 << 18  # elements that are kept apart at once before they are put together
EVALUATED_LIMIT = 1 << 22  # elements of a body's value that is reduced at once; above it a nest runs in pieces


def bind(nest: Nest, arrays: Mapping[str, Array], accumulate: bool, room: Room) -> list[Call]:
    """The calls that run a nest on arrays, its output's among them, whose old values count if `accumulate`.

    With = the last iteration that writes a place decides, the last loop being the innermost. The calls must run in
    order, and between them none of other nests that use the same room. Raises NetworkError where an access does not fit
    its tensor: another number of axes, or a read outside without a pad value.
    """
    return _Binding(nest, arrays, room).calls(accumulate)


class _Binding:
    def __init__(self, nest: Nest, arrays: Mapping[str, Array], room: Room) -> None:
        self.nest, self.arrays, self.room = nest, arrays, room
        self.before: list[Call] = []
        self.ufunc = _ufunc(nest)

    def calls(self, accumulate: bool) -> list[Call]:
        access, nest = self.nest.output, self.nest
        out, identity = self.arrays[access.tensor], UPDATES[nest.update].identity
        box, origin = views.box(out, access, nest.extents, identity)
        view = views.view(box, access, origin, nest.loops, whole=True)
        once = views.distinct(access, nest.parallel_loops)
        calls = self.compute(view, accumulate) if once else self.scatter(box, origin)
        if box is out:
            return self.before + calls
        ours, inside = views.shared(out, box, origin)
        clear = partial(box.fill, views.fitting(identity, box.dtype))
        return [*self.before, clear, partial(np.copyto, inside, ours), *calls, partial(np.copyto, ours, inside)]

    def operand(self, access: Access, whole: bool) -> Array:
        array = self.arrays[access.tensor]
        box, origin = views.box(array, access, self.nest.extents, access.pad)
        if box is not array:
            part, inside = views.shared(array, box, origin)
            self.before.append(partial(np.copyto, inside, part))
        return views.view(box, access, origin, self.nest.loops, whole)

    def compute(self, target: Array, accumulate: bool) -> list[Call]:
        """Run into a view with one axis per loop, in which no place stands twice."""
        if operands := factors(self.nest):
            a, b = (self.operand(access, whole=True) for access in operands)
            return kernels.contraction(target, a, b, accumulate, self.room)
        reads = {access: self.operand(access, whole=False) for access in self.nest.reads}
        if self.ufunc is None:
            return evaluate.evaluation(self.nest.body, reads, target, self.room)
        calls: list[Call] = []
        for parts, part in evaluate.cut(reads, target, EVALUATED_LIMIT):
            calls += self.reduce(parts, part, self.ufunc, accumulate)
        return calls

    def reduce(self, reads: evaluate.Reads, target: Array, ufunc: np.ufunc, accumulate: bool) -> list[Call]:
        body = self.nest.body

        def values(out: Array | None, index: Sequence[Any]) -> tuple[list[Call], Array]:
            parts = {access: _part(read, index) for access, read in reads.items()}
            shape = np.broadcast_to(target, target.shape)[(*index,)].shape
            if isinstance(body, Access):
                return [], np.broadcast_to(parts[body], shape)
            if out is None:
                flat = self.room.array("values", (prod(shape),), evaluate.natural_dtype(body, reads))
                largest = max(parts.values(), key=lambda read: read.size, default=target)
                out = views.laid_out(flat, shape, views.order_of(np.broadcast_to(largest, shape)))
            return evaluate.evaluation(body, parts, out, self.room), out

        return kernels.reduction(target, values, ufunc, accumulate, self.room)

    def scatter(self, box: Array, origin: Shape) -> list[Call]:
        """Run where a place may be written more than once: all iterations apart, then put together into the box."""
        nest = self.nest
        view = views.view(box, nest.output, origin, nest.loops, whole=True)
        single = _one_by_one(nest)
        names = self.order(view)
        if parts := _parts(nest, self.columns(names), single):
            calls: list[Call] = []
            for part in parts:
                one = _Binding(part, self.arrays, self.room)
                made = one.scatter(box, origin)
                calls += one.before + made
            return calls
        values = self.room.array("apart", tuple(nest.extents[name] for name in names), view.dtype)
        strides = [values.strides[names.index(name)] if name in names else 0 for name, _ in nest.loops]
        calls = self.compute(views.strided(values, [extent for _, extent in nest.loops], strides), accumulate=False)
        target = view[(*(slice(None) if name in names else 0 for name, _ in nest.loops), ...)]
        parallel = [name for name, _ in nest.parallel_loops]
        moved = values.transpose([names.index(name) for name in parallel])
        for point in product(*(range(nest.extents[name]) for name in single)):
            at = dict(zip(single, point, strict=True))
            index = (*(at.get(name, slice(None)) for name in parallel), ...)
            calls.append(kernels.combine(target[index], moved[index], self.ufunc))
        return calls

    def order(self, view: Array) -> list[str]:
        """The parallel loops as a product's result lies best in memory: rows, and columns along the target's."""
        along = {name: -abs(stride) for (name, _), stride in zip(self.nest.loops, view.strides, strict=True)}
        names = sorted((name for name, _ in self.nest.parallel_loops), key=lambda name: along[name])
        columns = self.columns(names)
        sides = [access.loops() for access in factors(self.nest)]
        names.sort(key=lambda name: (sum(name in loops for loops in sides) < 2, name in columns))
        return names

    def columns(self, names: Sequence[str]) -> list[str]:
        """Those loops that run along the operand of a product which has the innermost one; of other nests all."""
        sides = (access.loops() for access in factors(self.nest))
        along = next((loops for loops in sides if names and names[-1] in loops), set(names))
        return [name for name in names if name in along]


def factors(nest: Nest) -> tuple[Access, ...]:
    """The two operands of a contraction; none of other nests."""
    return tuple(accesses(nest.body)) if nest.kind == CONTRACTION else ()


def _ufunc(nest: Nest) -> np.ufunc | None:
    function = UPDATES[nest.update].function
    return getattr(np, FUNCTIONS[function].numpy) if function else None


def _part(read: Array, index: Sequence[Any]) -> Array:
    """A part of an array that may have 1 for an axis."""
    at = (0 if isinstance(i, int) and size == 1 else i for i, size in zip(index, read.shape, strict=False))
    part: Array = read[(*at, ...)] if index[0] is not Ellipsis else read
    return part


def _parts(nest: Nest, loops: Sequence[str], single: Sequence[str]) -> list[Nest]:
    """A nest too large to run apart at once, cut along the first loop that can be cut; none where it needn't be."""
    size = prod(extent for _, extent in nest.parallel_loops)
    outer = next((name for name in loops if name not in single and nest.extents[name] > 1), None)
    if size <= APART_LIMIT or nest.update == "=" or outer is None:
        return []
    extent = nest.extents[outer]
    step = max(1, extent * APART_LIMIT // size)
    parts = []
    for start in range(0, extent, step):
        extents = {**nest.extents, outer: min(step, extent - start)}
        parts.append(nest.substitute({outer: Affine(((outer, 1),), start)}, tuple(extents.items())))
    return parts


def _one_by_one(nest: Nest) -> list[str]:
    """Loops that must not run at once lest two iterations write one place; the last ones where order matters."""
    loops, together = nest.parallel_loops, list[Loop]()
    for loop in sorted(loops, key=lambda loop: -loop[1]) if nest.update != "=" else reversed(loops):
        if views.distinct(nest.output, [*together, loop]):
            together.append(loop)
        elif nest.update == "=":
            break
    return [name for name, _ in loops if (name, nest.extents[name]) not in together]
