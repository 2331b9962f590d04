"""Operations that move or rename data and compute nothing."""

from __future__ import annotations

from math import prod

from tilework.network.operation import Expansion, Shapes, axes, operation, require
from tilework.network.text import parse_nest


@operation("x")
def flatten(s: Shapes, start: int = 1) -> Expansion:
    """All axes from `start` on become one; no data moves."""
    shape = s["x"]
    require(0 <= start < len(shape), f"flatten must start at an axis of the shape {list(shape)}, not at {start}")
    return Expansion((*shape[:start], prod(shape[start:])))


@operation("x")
def dropout(s: Shapes, p: float = 0.5) -> Expansion:
    """At inference the identity."""
    require(0 <= p <= 1, f"the share that dropout drops must lie in 0..1, not {p}")
    return Expansion(s["x"])


@operation("x")
def reshape(s: Shapes, shape: tuple[int, ...] = ()) -> Expansion:
    """The same elements, in row-major order, under another shape; no data moves."""
    same = prod(shape) == prod(s["x"]) and all(size > 0 for size in shape)
    require(same, f"reshape must keep the {prod(s['x'])} elements of {list(s['x'])}, not make {list(shape)}")
    return Expansion(shape)


@operation("x")
def transpose(s: Shapes, order: tuple[int, ...] = ()) -> Expansion:
    """The axes in another order: axis i of the output is axis order[i] of x."""
    x = s["x"]
    require(sorted(order) == list(range(len(x))), f"transpose must order the axes of {list(x)}, not {list(order)}")
    shape = tuple(x[axis] for axis in order)
    loops, index = axes(shape)
    names = index.split(",")
    source = ",".join(names[order.index(axis)] for axis in range(len(x)))
    return Expansion(shape, (parse_nest(f"{loops}: o[{index}] = x[{source}]"),))


@operation("x*")
def concat(s: Shapes, axis: int = 1) -> Expansion:
    """The inputs one behind the other along an axis; their other sizes must be equal. One nest for each input."""
    shapes = list(s.values())
    rank = len(shapes[0])
    require(0 <= axis < rank, f"concat must run along an axis of the shape {list(shapes[0])}, not {axis}")
    others = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    require(
        len(others) == 1, f"concat along axis {axis} must get shapes alike elsewhere, not {list(map(list, shapes))}"
    )
    nests, start = [], 0
    for name, shape in s.items():
        loops, index = axes(shape)
        names = index.split(",")
        names[axis] += f"+{start}"
        nests.append(parse_nest(f"{loops}: o[{','.join(names)}] = {name}[{index}]"))
        start += shape[axis]
    return Expansion((*shapes[0][:axis], start, *shapes[0][axis + 1 :]), tuple(nests))
