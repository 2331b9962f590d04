"""Operations that move or rename data and compute nothing."""

from __future__ import annotations

from itertools import product
from math import prod

from tilework.network.elementwise import broadcast_index, broadcast_shape
from tilework.network.nest import Nest
from tilework.network.operation import Expansion, Shapes, loops_over, operation, require
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


@operation("x", view=True)
def transpose(s: Shapes, order: tuple[int, ...] = ()) -> Expansion:
    """The axes in another order: axis i of the output is axis order[i] of x."""
    x = s["x"]
    require(sorted(order) == list(range(len(x))), f"transpose must order the axes of {list(x)}, not {list(order)}")
    shape = tuple(x[axis] for axis in order)
    loops, index = loops_over(shape)
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
        len(others) == len({*map(len, shapes)}) == 1,
        f"concat along axis {axis} must get shapes alike elsewhere, not {list(map(list, shapes))}",
    )
    nests, start = [], 0
    for name, shape in s.items():
        loops, index = loops_over(shape)
        names = index.split(",")
        names[axis] += f"+{start}"
        nests.append(parse_nest(f"{loops}: o[{','.join(names)}] = {name}[{index}]"))
        start += shape[axis]
    return Expansion((*shapes[0][:axis], start, *shapes[0][axis + 1 :]), tuple(nests))


@operation("x", view=True)
def slice(s: Shapes, axis: int = 0, start: int = 0, step: int = 1, size: int = 1) -> Expansion:
    """`size` places of an axis, each `step` behind the one before (or, below 0, ahead of it), from `start` on."""
    x = s["x"]
    require(0 <= axis < len(x), f"slice must cut an axis of the shape {list(x)}, not {axis}")
    require(size >= 1 and step != 0, f"slice must take at least one place in steps other than 0, not {size} in {step}")
    last = start + (size - 1) * step
    inside = min(start, last) >= 0 and max(start, last) < x[axis]
    require(inside, f"slice must stay within the {x[axis]} places of axis {axis}, not go from {start} to {last}")
    shape = (*x[:axis], size, *x[axis + 1 :])
    loops, index = loops_over(shape)
    names = index.split(",")
    names[axis] = f"{start}{'+' if step > 0 else '-'}{abs(step)}*{names[axis]}"
    return Expansion(shape, (parse_nest(f"{loops}: o[{index}] = x[{','.join(names)}]"),))


@operation("x", view=True)
def expand(s: Shapes, shape: tuple[int, ...] = ()) -> Expansion:
    """Axes of size 1 repeated, and axes added in front, to this shape, as numpy.broadcast_to."""
    x = s["x"]
    require(all(size > 0 for size in shape), f"expand must make positive sizes, not {list(shape)}")
    fits = len(x) <= len(shape) and broadcast_shape("expand", [x, shape]) == shape
    require(fits, f"expand must make a shape to which {list(x)} broadcasts, not {list(shape)}")
    loops, index = loops_over(shape)
    source = broadcast_index(x, shape, index.split(","))
    return Expansion(shape, (parse_nest(f"{loops}: o[{index}] = x[{source}]"),))


@operation("x")
def flip(s: Shapes, axes: tuple[int, ...] = ()) -> Expansion:
    """The places of some axes in reverse order."""
    x = s["x"]
    fits = len(set(axes)) == len(axes) and set(axes) <= set(range(len(x)))
    require(fits, f"flip must turn different axes of the shape {list(x)}, not {list(axes)}")
    loops, index = loops_over(x)
    places = [f"{x[i] - 1}-{name}" if i in axes else name for i, name in enumerate(index.split(","))]
    return Expansion(x, (parse_nest(f"{loops}: o[{index}] = x[{','.join(places)}]"),))


MODES = ("constant", "edge", "reflect", "wrap")
Piece = tuple[int, int, int, int]  # of an axis: where it begins, its size, the source's first place, and its step


@operation("x")
def pad(
    s: Shapes, before: tuple[int, ...] = (), after: tuple[int, ...] = (), value: float = 0.0, mode: str = "constant"
) -> Expansion:
    """Places added before and after each axis (below 0: taken away), holding `value` or, by `mode`, what numpy.pad
    puts there: the edge, the mirrored tensor without its edge, or the other end. One nest for each piece."""
    x = s["x"]
    fits = len(before) == len(after) == len(x)
    require(fits, f"pad must have an amount for each axis of {list(x)}, not {list(before)} and {list(after)}")
    require(mode in MODES, f"the mode of pad must be one of {', '.join(MODES)}, not {mode!r}")
    require(value == value, "the value of pad must be a number, not nan")
    shape = tuple(map(sum, zip(x, before, after, strict=True)))
    require(all(size > 0 for size in shape), f"pad must leave at least one place along each axis, not {list(shape)}")
    if mode == "constant":
        pieces = [[(0, size, -low, 1)] for size, low in zip(shape, before, strict=True)]
    else:
        pieces = [_pieces(*axis, mode) for axis in zip(x, before, after, strict=True)]
    outside = f" | {float(value)!r}" if mode == "constant" else ""
    return Expansion(shape, tuple(_piece(part, outside) for part in product(*pieces)))


def _pieces(size: int, before: int, after: int, mode: str) -> list[Piece]:
    """What stands before, in and behind the tensor along an axis."""
    most = {"edge": max(before, after), "reflect": size - 1, "wrap": size}[mode]
    fits = 0 <= before <= most and 0 <= after <= most
    require(fits, f"pad with mode {mode} must add 0 to {most} places to an axis of {size}, not {before} and {after}")
    ends = {
        "edge": ((0, 0), (size - 1, 0)),
        "reflect": ((before, -1), (size - 2, -1)),
        "wrap": ((size - before, 1), (0, 1)),
    }[mode]
    pieces = [(0, before, *ends[0]), (before, size, 0, 1), (before + size, after, *ends[1])]
    return [piece for piece in pieces if piece[1]]


def _piece(parts: tuple[Piece, ...], outside: str) -> Nest:
    loops, index = loops_over(tuple(size for _, size, _, _ in parts))
    names = index.split(",") if parts else []
    to = ",".join(f"{name}+{begin}" for name, (begin, _, _, _) in zip(names, parts, strict=True))
    source = ",".join(f"{step}*{name}{first:+d}" for name, (_, _, first, step) in zip(names, parts, strict=True))
    return parse_nest(f"{loops}: o[{to}] = x[{source}{outside}]")
