"""Sums of products over one axis: linear layers and products of matrices."""

from __future__ import annotations

from tilework.network.elementwise import broadcast_index, broadcast_shape
from tilework.network.operation import Expansion, Shape, Shapes, operation, require
from tilework.network.text import parse_nest

LEADING = "nmpqrstu"  # loops over the axes before the one that is summed


def with_bias(shape: Shape, index: str, axis: int, contraction: str, bias: Shape | None) -> Expansion:
    """The contraction alone, or followed by the nest that adds `b` along an axis of its output."""
    nest = parse_nest(contraction)
    if bias is None:
        return Expansion(shape, (nest,))
    require(bias == (shape[axis],), f"the bias must have the shape [{shape[axis]}], not {list(bias)}")
    names = index.split(",")
    loops = " ".join(f"{name}<{extent}" for name, extent in zip(names, shape, strict=True))
    second = parse_nest(f"{loops}: o[{index}] = t[{index}] + b[{names[axis]}]")
    return Expansion(shape, (nest.rename({"o": "t"}), second), (("t", shape),))


@operation("x", "w", "b?", weighted=True)
def linear(s: Shapes) -> Expansion:
    """y = x W^T + b along the last axis: x [...,C], w [K,C], b [K]."""
    require(len(s["x"]) >= 1, "the input of linear must have at least 1 axis, not the shape []")
    *leading, c = s["x"]
    require(len(s["w"]) == 2, f"the weight of linear must have 2 axes, not the shape {list(s['w'])}")
    k, features = s["w"]
    require(len(leading) < 8, f"the input of linear must have at most 8 axes, not the shape {list(s['x'])}")
    require(c == features, f"linear with weight {[k, features]} must get {features} features, not {c}")
    names = LEADING[: len(leading)]
    loops = " ".join(f"{name}<{extent}" for name, extent in zip(names, leading, strict=True))
    rows = "".join(f"{name}," for name in names)
    contraction = f"{loops} k<{k} c<{c}: o[{rows}k] += x[{rows}c] * w[k,c]"
    return with_bias((*leading, k), f"{rows}k", -1, contraction, s.get("b"))


@operation("x", "y")
def matmul(s: Shapes, transpose_x: bool = False, transpose_y: bool = False) -> Expansion:
    """Products of matrices as numpy.matmul: x [...,M,K], y [...,K,N], the leading axes broadcast.

    `transpose_x` and `transpose_y` swap the last two axes of an operand: x is then [...,K,M], y [...,N,K].
    """
    x, y = s["x"], s["y"]
    require(min(len(x), len(y)) >= 2, f"matmul must get at least 2 axes each, not the shapes {list(x)} and {list(y)}")
    m, k = reversed(x[-2:]) if transpose_x else x[-2:]
    inner, n = reversed(y[-2:]) if transpose_y else y[-2:]
    require(k == inner, f"matmul must sum over axes of one size, not {k} and {inner}")
    batch = broadcast_shape("matmul", [x[:-2], y[:-2]])
    names = "abcdef"[: len(batch)]
    require(len(names) == len(batch), f"matmul must get at most 8 axes, not {len(batch) + 2}")
    loops = " ".join(f"{name}<{extent}" for name, extent in zip(names, batch, strict=True))
    left, right = (broadcast_index(part, batch, names) for part in (x[:-2], y[:-2]))
    left = ",".join(filter(None, (left, "k,m" if transpose_x else "m,k")))
    right = ",".join(filter(None, (right, "n,k" if transpose_y else "k,n")))
    out = ",".join((*names, "m", "n"))
    nest = parse_nest(f"{loops} m<{m} n<{n} k<{k}: o[{out}] += x[{left}] * y[{right}]")
    return Expansion((*batch, m, n), (nest,))
