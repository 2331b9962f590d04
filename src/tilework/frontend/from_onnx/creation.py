"""The ONNX operators that state data: constants, shapes, ranges, masks."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, prod
from typing import Any

from tilework.frontend.from_onnx.constants import (
    AXES_LIMIT,
    DTYPES,
    Constant,
    filled,
    listed,
    nothing,
    numpy_dtype,
    sparse,
)
from tilework.frontend.from_onnx.site import Site, operator
from tilework.network.operations import Shape


@operator("Shape")
def _shape(s: Site) -> None:
    own = s.shape()
    end = s.integer("end", len(own))
    s.state(own[s.integer("start", 0) : end], "int64")


@operator("Size")
def _size(s: Site) -> None:
    s.state([min(prod(s.shape()), 2**63 - 1)], "int64", ())


@operator("Constant")
def _constant(s: Site) -> None:
    """Numbers that stand between the nodes are literals, unless the model keeps all its parameters there."""
    if len(s.attributes) != 1:
        s.fail(f"it must have one value, not {len(s.attributes)}")
    name, (kind,), literal = s.name, s.attributes, s.importer.has_parameters
    if kind == "value_float":
        s.define(listed(name, [s.number(kind, 0)], "float32", (), literal))
    elif kind == "value_floats":
        s.define(listed(name, s.floats(kind), "float32", None, literal))
    elif kind == "value_int":
        s.define(listed(name, [s.integer(kind, 0)], "int64", ()))
    elif kind == "value_ints":
        s.define(listed(name, s.ints(kind) or (), "int64"))
    elif kind == "sparse_value":
        s.define(sparse(name, s.sparse(kind), s.importer.path))
    elif value := s.tensor(kind) if kind == "value" else None:
        s.define(replace(value, derived=literal))
    else:
        s.fail("its value must be numbers, not texts")


@operator("ConstantOfShape")
def _constant_of_shape(s: Site) -> None:
    shape = s.integers(0, "the shape")
    value = s.tensor("value") or listed(s.name, [0.0], "float32", (), False)
    if value.elements != 1 or min(shape, default=0) < 0 or len(shape) > AXES_LIMIT:
        s.fail(f"it must have one value and sizes of at least 0, not {value.elements} values for {list(shape)}")
    s.define(filled(s.name, shape, replace(value, derived=s.importer.has_parameters)))


@operator("Range")
def _range(s: Site) -> None:
    """Numbers made when somebody asks for them; their count must be known."""
    start, limit, delta = (s.small(place, "a bound", "fiu") for place in range(3))
    if not (len(start) == len(limit) == len(delta) == 1) or not delta[0]:
        s.fail("it must have three numbers, the step not 0")
    steps = (limit[0] - start[0]) / delta[0]
    if steps != steps or steps > 2**62:
        s.fail(f"it must have a number of steps, not {steps}")
    size, dtype = max(0, ceil(steps)), s.dtype()
    if size == 0:
        s.define(nothing(s.name, dtype, (0,)))
    else:
        s.define(_counted(s.name, dtype, (size,), start[0], delta[0]))


def _counted(name: str, dtype: str, shape: Shape, first: float, step: float) -> Constant:
    """Evenly spaced numbers in row-major order, made when somebody asks for them."""

    def read() -> Any:
        import numpy as np

        return (first + step * np.arange(prod(shape))).astype(numpy_dtype(dtype)).reshape(shape)

    return Constant(name, shape, dtype, read, derived=True)


@operator("EyeLike")
def _eye_like(s: Site) -> None:
    """The matrix is made when somebody asks for it."""
    shape, k, to = s.shape(), s.integer("k", 0), s.integer("dtype", 0)
    dtype = DTYPES[to][0] if to in DTYPES else s.dtype()
    if len(shape) != 2:
        s.fail(f"its input must have 2 axes, not the shape {list(shape)}")

    def read() -> Any:
        import numpy as np

        return np.eye(*shape, k=k).astype(numpy_dtype(dtype))

    s.define(Constant(s.name, shape, dtype, read, derived=True))


@operator("Trilu")
def _trilu(s: Site) -> None:
    """A choice between the tensor and 0 by a constant matrix of truth values."""
    k, shape, upper = int(s.scalar(1, "the diagonal", 0)), s.shape(), s.integer("upper", 1)
    if len(shape) < 2:
        s.fail(f"its input must have at least 2 axes, not the shape {list(shape)}")
    size = shape[-2:]

    def read() -> Any:
        import numpy as np

        ones = np.ones(size, bool)
        return np.triu(ones, k) if upper else np.tril(ones, k)

    mask = s.importer.weight(Constant(f"{s.name}:mask", size, "bool", read, derived=True), trainable=False)
    s.pointwise("trilu", "select(x1, x0, 0)", s.reference(0), mask)


@operator("OneHot")
def _one_hot(s: Site) -> None:
    """Each index compared with every place of a new axis."""
    depth, shape = int(s.scalar(1, "the depth", 0)), s.shape()
    axis = s.axis(s.integer("axis", -1), len(shape) + 1)
    if depth < 1:
        s.fail(f"the depth must be at least 1, not {depth}")
    row = _counted(f"{s.name}:places", s.dtype(), tuple(depth if a == axis else 1 for a in range(len(shape) + 1)), 0, 1)
    index = s.reshaped(s.reference(0), (*shape[:axis], 1, *shape[axis:]), "column")
    values = s.known(2)
    if values is not None:
        off, on = s.small(2, "the values", "fiub")
        body = f"select(equal(select(less(x0, 0), x0 + {depth}, x0), x1), {float(on)!r}, {float(off)!r})"
        s.pointwise("one_hot", body, index, s.importer.weight(row, trainable=False), dtype=s.dtype(2))
    else:
        shape = tuple(depth if place == axis else n for place, n in enumerate(s.importer.shape_read(index)))
        s.host("scatter", index, s.reference(2), shape=shape, dtype=s.dtype(2))
