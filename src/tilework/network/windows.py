"""Operations whose outputs look at windows of their inputs: convolution, linear layers, pooling."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from tilework.network.nest import Nest
from tilework.network.operation import Expansion, Pair, Shape, Shapes, operation, rank, require
from tilework.network.text import parse_nest


def _window(size: int, kernel: int, stride: int, padding: int, dilation: int, extra: int, ceil: bool = False) -> int:
    """The number of windows along an axis with `padding` before, `padding + extra` behind."""
    require(min(kernel, stride, dilation) >= 1, "kernel, stride and dilation must be at least 1")
    least = min(padding, padding + extra)
    require(least >= 0, f"the padding must be at least 0, not {least}")
    reach = dilation * (kernel - 1) + 1
    room = size + 2 * padding + extra - reach
    positions = (-(-room // stride) if ceil else room // stride) + 1
    require(
        positions >= 1,
        f"a window of {reach} must fit into {size} + 2*{padding}{f' + {extra}' if extra else ''} padded positions",
    )
    if ceil and (positions - 1) * stride >= size + padding:
        positions -= 1
    return positions


def _bias(sizes: dict[str, Any], shape: Shape, axes: str, contraction: str, bias: Shape | None) -> Expansion:
    """The contraction alone, or followed by the nest that adds `b` along axis 1 of its output."""
    if bias is None:
        return Expansion(shape, (parse_nest(contraction, sizes),))
    require(bias == (shape[1],), f"the bias must have the shape [{shape[1]}], not {list(bias)}")
    loops = " ".join(f"{name}<{extent}" for name, extent in zip(axes.split(","), shape, strict=True))
    first = parse_nest(contraction, sizes).rename({"o": "t"})
    second = parse_nest(f"{loops}: o[{axes}] = t[{axes}] + b[{axes.split(',')[1]}]")
    return Expansion(shape, (first, second), (("t", shape),))


@operation("x", "w", "b?", weighted=True)
def conv2d(
    s: Shapes,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
    extra: Pair = (0, 0),
) -> Expansion:
    """Convolution (cross-correlation) as torch.nn.functional.conv2d: x [N,G*C,H,W], w [G*K,C,R,S], b [G*K].

    `extra` is more (or, below 0, less) padding behind the last row and column.
    """
    n, channels, h, w = rank(s, "x", 4, "the input of conv2d")
    filters, c, r, q = rank(s, "w", 4, "the weight of conv2d")
    require(
        groups >= 1 and channels == groups * c and filters % groups == 0,
        f"conv2d with weight {list(s['w'])} in {groups} groups must get {groups * c} input channels "
        f"and a multiple of {groups} filters, not {channels} and {filters}",
    )
    p = _window(h, r, stride[0], padding[0], dilation[0], extra[0])
    o = _window(w, q, stride[1], padding[1], dilation[1], extra[1])
    sizes = {"N": n, "G": groups, "K": filters // groups, "P": p, "Q": o, "C": c, "R": r, "S": q}
    sizes |= {"A": stride[0], "B": stride[1], "D": dilation[0], "E": dilation[1], "Y": padding[0], "Z": padding[1]}
    contraction = (
        "n<N g<G k<K p<P q<Q c<C r<R s<S: o[n,K*g+k,p,q] += x[n,C*g+c,A*p+D*r-Y,B*q+E*s-Z | 0] * w[K*g+k,c,r,s]"
    )
    return _bias(sizes, (n, filters, p, o), "n,k,p,q", contraction, s.get("b"))


@operation("x", "w", "b?", weighted=True)
def linear(s: Shapes) -> Expansion:
    """y = x W^T + b: x [N,C], w [K,C], b [K]."""
    n, c = rank(s, "x", 2, "the input of linear")
    k, c2 = rank(s, "w", 2, "the weight of linear")
    require(c == c2, f"linear with weight {[k, c2]} must get {c2} features, not {c}")
    contraction = "n<N k<K c<C: o[n,k] += x[n,c] * w[k,c]"
    return _bias({"N": n, "K": k, "C": c}, (n, k), "n,k", contraction, s.get("b"))


def _pool_sizes(
    x: Shape, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, extra: Pair, ceil: bool
) -> dict[str, Any]:
    require(
        2 * padding[0] <= kernel[0] and 2 * padding[1] <= kernel[1],
        f"the padding of a pooling window must be at most half its size {list(kernel)}, not {list(padding)}",
    )
    p = _window(x[2], kernel[0], stride[0], padding[0], dilation[0], extra[0], ceil)
    q = _window(x[3], kernel[1], stride[1], padding[1], dilation[1], extra[1], ceil)
    sizes = {"N": x[0], "C": x[1], "P": p, "Q": q, "R": kernel[0], "S": kernel[1], "A": stride[0], "B": stride[1]}
    return sizes | {"D": dilation[0], "E": dilation[1], "Y": padding[0], "Z": padding[1]}


@operation("x")
def max_pool2d(
    s: Shapes,
    kernel: Pair = (2, 2),
    stride: Pair = (2, 2),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    ceil: bool = False,
    extra: Pair = (0, 0),
) -> Expansion:
    """Maximum over windows, as torch.nn.functional.max_pool2d: x [N,C,H,W]; what lies outside never wins."""
    x = rank(s, "x", 4, "the input of max_pool2d")
    sizes = _pool_sizes(x, kernel, stride, padding, dilation, extra, ceil)
    text = "n<N c<C p<P q<Q r<R s<S: o[n,c,p,q] max= x[n,c,A*p+D*r-Y,B*q+E*s-Z | -inf]"
    return Expansion((x[0], x[1], sizes["P"], sizes["Q"]), (parse_nest(text, sizes),))


@operation("x")
def avg_pool2d(
    s: Shapes,
    kernel: Pair = (2, 2),
    stride: Pair = (2, 2),
    padding: Pair = (0, 0),
    count_padding: bool = True,
    extra: Pair = (0, 0),
) -> Expansion:
    """Mean over windows: x [N,C,H,W]. Padding counts as zeros, or, without `count_padding`, not at all.

    In the second case windows at a border have fewer places: outputs with equal counts have a nest of their own.
    """
    x = rank(s, "x", 4, "the input of avg_pool2d")
    sizes = _pool_sizes(x, kernel, stride, padding, (1, 1), extra, False)
    shape = (x[0], x[1], sizes["P"], sizes["Q"])
    total = parse_nest("n<N c<C p<P q<Q r<R s<S: t[n,c,p,q] += x[n,c,A*p+r-Y,B*q+s-Z | 0]", sizes)
    rows, columns = (
        _equal_counts(x[axis + 2], kernel[axis], stride[axis], padding[axis], shape[axis + 2], count_padding)
        for axis in (0, 1)
    )
    means = tuple(_mean(x, row, column) for row in rows for column in columns)
    return Expansion(shape, (total, *means), (("t", shape),))


def _equal_counts(
    size: int, kernel: int, stride: int, padding: int, windows: int, count_padding: bool
) -> list[tuple[int, int, int]]:
    """Runs of neighbouring windows with equally many places that count: first window, windows, places."""
    starts = [window * stride - padding for window in range(windows)]
    counts = [kernel if count_padding else min(start + kernel, size) - max(start, 0) for start in starts]
    runs, first = [], 0
    for count, same in groupby(counts):
        length = len(list(same))
        require(count > 0, f"each window must have a place inside its {size} positions; use less padding")
        runs.append((first, length, count))
        first += length
    return runs


def _mean(x: Shape, row: tuple[int, int, int], column: tuple[int, int, int]) -> Nest:
    sizes = {"N": x[0], "C": x[1], "Y": row[0], "P": row[1], "Z": column[0], "Q": column[1]}
    factor = {"I": 1.0 / (row[2] * column[2])}
    return parse_nest("n<N c<C p<P q<Q: o[n,c,p+Y,q+Z] = t[n,c,p+Y,q+Z] * I", sizes | factor)


@operation("x")
def adaptive_avg_pool2d(s: Shapes, output: Pair = (1, 1)) -> Expansion:
    """Mean over windows that cover the input evenly: window i of P is [floor(iH/P), ceil((i+1)H/P)).

    Where P divides H the windows are one nest; else every output position has its own.
    """
    x = rank(s, "x", 4, "the input of adaptive_avg_pool2d")
    require(min(output) >= 1, f"adaptive pooling must give at least one position, not {list(output)}")
    if x[2] % output[0] == 0 and x[3] % output[1] == 0:
        kernel = (x[2] // output[0], x[3] // output[1])
        return avg_pool2d(s, kernel, kernel)
    shape = (x[0], x[1], *output)
    nests: list[Nest] = []
    for i in range(output[0]):
        for j in range(output[1]):
            nests += _adaptive_window(x, output, i, j)
    return Expansion(shape, tuple(nests), (("t", shape),))


def _adaptive_window(x: Shape, output: Pair, i: int, j: int) -> tuple[Nest, Nest]:
    y, z = i * x[2] // output[0], j * x[3] // output[1]
    r, s = -(-(i + 1) * x[2] // output[0]) - y, -(-(j + 1) * x[3] // output[1]) - z
    sizes = {"N": x[0], "C": x[1], "I": i, "J": j, "Y": y, "Z": z, "R": r, "S": s, "F": 1.0 / (r * s)}
    total = parse_nest("n<N c<C r<R s<S: t[n,c,I,J] += x[n,c,r+Y,s+Z]", sizes)
    return total, parse_nest("n<N c<C: o[n,c,I,J] = t[n,c,I,J] * F", sizes)
