"""Post-training quantisation: a network's nests with products of int8 numbers. docs/quantisation.md gives the reasons.

Every product becomes int8 x int8 -> int32, and a nest behind it brings the sums to the result's unit, in float32 or
int8. All other nests stay what they are, but for factors where an operand or the result has a unit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tilework.compiler.quantise_body import in_units, product, scaled
from tilework.compiler.quantise_plan import LARGEST, Kept, natural, plan, scale_of
from tilework.compiler.renaming import Statement
from tilework.compiler.statement import Statements
from tilework.errors import CompileError
from tilework.network.graph import BUFFER, Node, Tensor
from tilework.network.nest import CONTRACTION, REDUCTION, Access, Affine, Apply, Nest, map_accesses
from tilework.network.weights import Weights

Array = npt.NDArray[Any]
Axes = tuple[int, ...]
Index = tuple[Affine, ...]
Loops = tuple[tuple[str, int], ...]


def quantise(
    given: Statements, weights: Weights, largest: Mapping[str, float], across: bool = True
) -> tuple[Statements, Weights]:
    """The nests in int8, and the weights with those that they need: int8 ones, and the scales of sums.

    `largest` has the largest absolute value of each tensor of the graph (see `calibrate`); unless nests will be fused
    `across` nodes, all that a node makes is kept as what goes through DRAM. Raises CompileError where a product reads
    what has no finite range.
    """
    return _Quantiser(given, weights, largest, plan(given, largest, across)).quantised()


def quantised_weight(values: Array, axes: Axes) -> tuple[Array, Array]:
    """A weight in whole numbers up to 127, and its scale for each place along some axes (all axes kept)."""
    others = tuple(axis for axis in range(values.ndim) if axis not in axes)
    most = np.abs(values.astype(np.float64)).max(axis=others, keepdims=True)
    scale = np.where(most > 0, most / LARGEST, 1.0)
    return np.rint(values / scale).astype(np.float32), scale


class _Quantiser:
    def __init__(
        self, given: Statements, weights: Weights, largest: Mapping[str, float], kept: dict[str, Kept]
    ) -> None:
        self.given, self.largest, self.kept, self.old = given, largest, kept, weights
        self.makers: dict[str, Callable[[], Array]] = dict(weights.makers)
        self.tensors = {
            name: replace(tensor, dtype=kept[name].dtype) if name in kept else tensor
            for name, tensor in given.tensors.items()
        }
        self.last = {statement.nest.output.tensor: statement for statement in given.items}
        self.parts = Counter[str]()
        self.narrow = {a.tensor for s in given.items if s.nest.kind == CONTRACTION for a in s.nest.reads}

    def quantised(self) -> tuple[Statements, Weights]:
        items = [s for name in self.given.inputs for s in self.narrowed(name)]
        for statement in self.given.items:
            name = statement.nest.output.tensor
            items += [Statement(statement.node, nest) for nest in self.nests(statement.nest)]
            if self.last[name] is statement:
                items += self.narrowed(name)
        return replace(self.given, items=tuple(items), tensors=self.tensors), Weights(self.makers, self.old.origin)

    def narrowed(self, name: str) -> Iterator[Statement]:
        """The int8 version of a float32 tensor, for the products that read it."""
        if name in self.narrow and self.kept[name].dtype != "int8":
            scale = self.unit(name)
            self.tensors[f"{name}:int8"] = replace(self.tensors[name], name=f"{name}:int8", dtype="int8", role="value")
            node = Node(f"{name}:int8", "quantise", (name,))
            loops = tuple((f"i{axis}", size) for axis, size in enumerate(self.tensors[name].shape))
            body = product(Access(name, _index(loops)), 1 / scale)
            yield Statement(node, Nest(loops, Access(node.name, _index(loops)), "=", body))

    def unit(self, name: str) -> float:
        """The scale of a value as an operand of a product."""
        if self.kept[name].dtype == "int8":
            return self.kept[name].scale
        if not np.isfinite(self.largest.get(name, np.inf)):
            raise CompileError(
                f"{name} must be finite for every calibration sample to become int8; leave out the others"
            )
        return scale_of(self.largest[name])

    def nests(self, nest: Nest) -> Iterator[Nest]:
        name = nest.output.tensor
        if nest.kind == CONTRACTION:
            yield from self.summed(nest)
        elif nest.kind == REDUCTION and not self.is_direct(nest):
            unit = natural(nest, self.kept).scale
            apart, behind = self.apart(nest, "float32")
            yield self.rescaled(apart, unit)
            yield replace(behind, body=product(behind.body, unit / self.kept[name].scale))
        else:
            yield self.rescaled(nest, self.kept[name].scale)

    def is_direct(self, nest: Nest) -> bool:
        """Whether a reduction's result is kept as it comes: in float32, or as the int8 of which it is the largest."""
        kept = self.kept[nest.output.tensor]
        if kept.dtype == "int8":
            return isinstance(nest.body, Access) and nest.update != "+=" and self.kept.get(nest.body.tensor) == kept
        return kept == natural(nest, self.kept)

    def apart(self, nest: Nest, dtype: str) -> tuple[Nest, Nest]:
        """The nest with a result of its own, of this dtype, and one that copies that to where the result belongs."""
        output = nest.output
        self.parts[output.tensor] += 1
        number = self.parts[output.tensor]
        name = f"{output.tensor}:sums{number if number > 1 else ''}"
        own, loops, target = _box(nest) or _by_loop(nest)
        self.tensors[name] = Tensor(name, tuple(size for _, size in loops), dtype)
        copy = Nest(loops, Access(output.tensor, target), "=", Access(name, _index(loops)))
        return replace(nest, output=Access(name, own)), copy

    def rescaled(self, nest: Nest, unit: float) -> Nest:
        """The nest on operands as they are kept, its result in this unit."""
        body = in_units(nest.body, lambda name: self.kept[name].scale if name in self.kept else 1.0)
        return replace(nest, body=scaled(body, 1 / unit, lambda a: a.tensor not in self.kept, self.reweighed))

    def reweighed(self, access: Access, factor: float) -> Access:
        """The same place of a weight that is multiplied by a number."""
        name = f"{access.tensor} * {factor!r}"
        self.weight(
            name, self.given.tensors[access.tensor].shape, "float32", partial(self.multiplied, access.tensor, factor)
        )
        pad = None if access.pad is None else access.pad * factor
        return Access(name, access.index, pad)

    def multiplied(self, name: str, factor: float) -> Array:
        return (self.old[name].astype(np.float64) * factor).astype(np.float32)

    def weight(self, name: str, shape: tuple[int, ...], dtype: str, maker: Callable[[], Array]) -> None:
        self.tensors[name] = Tensor(name, shape, dtype, BUFFER)
        self.makers[name] = maker

    def summed(self, nest: Nest) -> Iterator[Nest]:
        """A product of int8 tensors, and its sums in the result's unit."""
        apart, behind = self.apart(nest, "int32")
        axes = {a: _channels(a, apart) for a in nest.reads if a.tensor not in self.kept}
        units = [self.unit(a.tensor) for a in nest.reads if a.tensor in self.kept]
        narrow = {a: replace(a, tensor=self.operand(a.tensor, tuple(axes.get(a, ())))) for a in nest.reads}
        yield replace(apart, body=map_accesses(nest.body, narrow))
        factor = prod(units) / self.kept[nest.output.tensor].scale
        assert isinstance(behind.body, Access)
        sums = behind.body
        for access, places in axes.items():
            scale = self.scale(sums.tensor, access.tensor, tuple(places), factor)
            index = [replace(sums.index[place], offset=low) for place, low in places.values()]
            yield replace(behind, body=Apply("mul", (sums, Access(scale, tuple(index) or (Affine(),)))))
        if not axes:
            yield replace(behind, body=product(sums, factor))

    def operand(self, name: str, axes: Axes) -> str:
        """The int8 form of a product's operand, a weight with a scale for each place along some axes."""
        if name in self.kept:
            return name if self.kept[name].dtype == "int8" else f"{name}:int8"
        narrow = f"{name}:int8{list(axes)}"
        self.weight(narrow, self.given.tensors[name].shape, "int8", lambda: quantised_weight(self.old[name], axes)[0])
        return narrow

    def scale(self, sums: str, weight: str, axes: Axes, factor: float) -> str:
        """What the sums of a product with a weight are to be multiplied by, for each place along some axes."""
        shape = tuple(self.given.tensors[weight].shape[axis] for axis in axes) or (1,)

        def values() -> Array:
            scale = quantised_weight(self.old[weight], axes)[1] * factor
            return scale.reshape(shape).astype(np.float32)

        self.weight(f"{sums}:scale", shape, "float32", values)
        return f"{sums}:scale"


def _index(loops: Loops) -> Index:
    """An axis for each loop."""
    return tuple(Affine(((name, 1),)) for name, _ in loops)


def _box(nest: Nest) -> tuple[Index, Loops, Index] | None:
    """Where a nest writes to if its result is cut out of its tensor, the loops over that and its places in the tensor;
    None if the nest leaves gaps there."""
    bounds = [axis.bounds(nest.extents) for axis in nest.output.index]
    loops = tuple((f"i{axis}", high - low + 1) for axis, (low, high) in enumerate(bounds))
    if prod(size for _, size in loops) != prod(extent for _, extent in nest.parallel_loops):
        return None
    pairs = zip(nest.output.index, bounds, strict=True)
    own = tuple(replace(axis, offset=axis.offset - low) for axis, (low, _) in pairs)
    return own, loops, tuple(replace(i, offset=low) for i, (low, _) in zip(_index(loops), bounds, strict=True))


def _by_loop(nest: Nest) -> tuple[Index, Loops, Index]:
    """The same for a result with an axis for each parallel loop."""
    return _index(nest.parallel_loops), nest.parallel_loops, nest.output.index


def _channels(weight: Access, nest: Nest) -> dict[int, tuple[int, int]]:
    """The weight's axes along which the result has an axis too: its place, and where the weight's begins."""
    found = {}
    terms = [axis.terms for axis in nest.output.index]
    for axis, index in enumerate(weight.index):
        if index.terms and index.terms in terms:
            found[axis] = (terms.index(index.terms), index.bounds(nest.extents)[0])
    return found
