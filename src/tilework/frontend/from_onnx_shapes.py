"""What the ONNX operators that move, rename or state data become in a graph; those on constants give constants."""

from __future__ import annotations

from math import prod

from tilework.frontend.from_onnx_constants import AXES_LIMIT, computed, filled
from tilework.frontend.from_onnx_context import MANY, Site, operator
from tilework.network.operations import Shape


@operator("Concat", 1, MANY, "axis")
def _concat(s: Site) -> None:
    if "axis" not in s.attributes:
        s.fail("the attribute axis must be given")
    axis = s.axis(s.integer("axis", 0), len(s.shape()))
    s.emit("concat", *(s.reference(place) for place in range(len(s.inputs))), axis=axis)


@operator("Transpose", 1, 1, "perm")
def _transpose(s: Site) -> None:
    axes = range(len(s.shape()))
    order = s.ints("perm") or tuple(reversed(axes))
    if sorted(order) != list(axes):
        s.fail(f"perm must name each of the axes {list(axes)} once, not {list(order)}")
    found = s.importer.constants.get(s.inputs[0])
    if found is not None:
        s.define(found.transposed(order))
    else:
        s.emit("transpose", s.reference(0), order=order)


def _reshape(s: Site, shape: Shape) -> None:
    """The input under another shape; the batch stays free to change where the axes after it become one."""
    own, found = s.shape(), s.importer.constants.get(s.inputs[0])
    if prod(own) != prod(shape):
        s.fail(f"a tensor of shape {list(own)} must keep its {prod(own)} elements, not become {list(shape)}")
    if found is not None:
        s.define(found.reshaped(shape))
    elif shape == own:
        same(s)
    elif len(own) >= 2 and shape == (own[0], prod(own[1:])):
        s.emit("flatten", s.reference(0))
    else:
        s.emit("reshape", s.reference(0), shape=shape)


@operator("Reshape", 2, 2, "allowzero")
def _reshape_to(s: Site) -> None:
    own, asked = s.shape(), s.integers(1, "the shape")
    if own and asked and s.importer.batches.get(asked[0]) == own[0] and s.inputs[0] not in s.importer.constants:
        asked = (own[0], *asked[1:])
    if not s.integer("allowzero", 0):
        if any(size == 0 and place >= len(own) for place, size in enumerate(asked)):
            s.fail(f"the shape {list(asked)} must not keep an axis that the input, {list(own)}, lacks")
        asked = tuple(own[place] if size == 0 else size for place, size in enumerate(asked))
    if min(asked, default=0) < -1 or asked.count(-1) > 1:
        s.fail(f"the shape must have sizes and at most one -1, not {list(asked)}")
    rest = prod(size for size in asked if size != -1)
    _reshape(s, tuple(prod(own) // max(rest, 1) if size == -1 else size for size in asked))


@operator("Flatten", 1, 1, "axis")
def _flatten(s: Site) -> None:
    own, axis = s.shape(), s.integer("axis", 1)
    axis = axis if axis == len(own) else s.axis(axis, len(own))
    _reshape(s, (prod(own[:axis]), prod(own[axis:])))


def _axes(s: Site, rank: int) -> list[int] | None:
    """The axes that Squeeze and Unsqueeze name: an attribute, from operator set 13 on an input."""
    axes = s.integers(1, "the axes") if s.given(1) else s.ints("axes")
    return None if axes is None else [s.axis(axis, rank) for axis in axes]


@operator("Squeeze", 1, 2, "axes")
def _squeeze(s: Site) -> None:
    own = s.shape()
    found = _axes(s, len(own))
    axes = [axis for axis, size in enumerate(own) if size == 1] if found is None else found
    if any(own[axis] != 1 for axis in axes):
        s.fail(f"the axes {axes} of {list(own)} must have the size 1")
    _reshape(s, tuple(size for axis, size in enumerate(own) if axis not in axes))


@operator("Unsqueeze", 1, 2, "axes")
def _unsqueeze(s: Site) -> None:
    count = len(s.integers(1, "the axes") if s.given(1) else s.ints("axes") or ())
    rank = len(s.shape()) + count
    axes, own = _axes(s, rank) or [], iter(s.shape())
    if not axes or len(set(axes)) < count:
        s.fail(f"the axes must be given, each once, not {axes}")
    _reshape(s, tuple(1 if axis in axes else next(own) for axis in range(rank)))


def same(s: Site) -> None:
    """The input under the output's name."""
    found = s.importer.constants.get(s.inputs[0])
    if found is not None:
        s.define(found)
    else:
        s.emit("dropout", s.reference(0), p=0.0)


operator("Identity", 1, 1)(same)


@operator("Dropout", 1, 3, "ratio seed")
def _dropout(s: Site) -> None:
    if s.given(2) and any(s.small(2, "training_mode", "b")):
        s.fail("it must be of inference, with training_mode false")
    ratios = s.small(1, "the ratio", "f") if s.given(1) else [s.number("ratio", 0.5)]
    s.emit("dropout", s.reference(0), p=float(ratios[0]) if ratios else 0.5)


@operator("Constant", 0, 0, "value value_float value_floats value_int value_ints")
def _constant(s: Site) -> None:
    if len(s.attributes) != 1:
        s.fail(f"it must have one value, not {len(s.attributes)}")
    name, (kind,) = s.name, s.attributes
    if kind == "value_float":
        s.define(computed(name, s.number(kind, 0), "float32"))
    elif kind == "value_floats":
        s.define(computed(name, s.floats(kind), "float32"))
    elif kind == "value_int":
        s.define(computed(name, s.integer(kind, 0), "int64"))
    elif kind == "value_ints":
        s.define(computed(name, s.ints(kind), "int64"))
    elif value := s.tensor(kind):
        s.define(value)


@operator("ConstantOfShape", 1, 1, "value")
def _constant_of_shape(s: Site) -> None:
    shape = s.integers(0, "the shape")
    value = s.tensor("value") or computed(s.name, 0.0, "float32")
    if value.elements != 1 or min(shape, default=0) < 0 or len(shape) > AXES_LIMIT:
        s.fail(f"it must have one value and sizes of at least 0, not {value.elements} values for {list(shape)}")
    s.define(filled(s.name, shape, value))
