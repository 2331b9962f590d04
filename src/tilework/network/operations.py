"""The operation table: each operation says once, as nests, what it is.

An operation's function takes the shapes of its inputs and its attributes and returns an `Expansion`: the nests
over the placeholder names of its inputs (`x`, `w`, `b`, …), temporaries and output `o`. Nothing here knows about
counts, values or programs; those are readings of the nests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from inspect import signature
from math import prod
from typing import Any

from tilework.errors import NetworkError
from tilework.network.attributes import check_attributes
from tilework.network.nest import Nest
from tilework.network.text import parse_nest

Shape = tuple[int, ...]
Pair = tuple[int, int]
Shapes = Mapping[str, Shape]


@dataclass(frozen=True)
class Expansion:
    """What an operation is: its output's shape, its temporaries' shapes and its nests, in order.

    An alias has no nests: the output is the input's data under another shape.
    """

    shape: Shape
    nests: tuple[Nest, ...] = ()
    temporaries: tuple[tuple[str, Shape], ...] = ()

    @property
    def is_alias(self) -> bool:
        return not self.nests


@dataclass(frozen=True)
class Operation:
    """One row of the table. `inputs` are placeholder names, optional ones last with a `?`;
    `weighted` marks the operations whose outputs are neurons (see docs/counting.md)."""

    name: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    expand: Callable[..., Expansion]
    weighted: bool = False

    @property
    def placeholders(self) -> tuple[str, ...]:
        return tuple(name.rstrip("?") for name in self.inputs)

    @property
    def required_inputs(self) -> int:
        return sum(not name.endswith("?") for name in self.inputs)


OPERATIONS: dict[str, Operation] = {}


def operation(*inputs: str, weighted: bool = False) -> Callable[[Callable[..., Expansion]], Callable[..., Expansion]]:
    """Register a function `f(shapes, **attributes) -> Expansion` under its own name."""

    def register(function: Callable[..., Expansion]) -> Callable[..., Expansion]:
        attributes = {n: p.default for n, p in list(signature(function).parameters.items())[1:]}
        OPERATIONS[function.__name__] = Operation(function.__name__, inputs, attributes, function, weighted)
        return function

    return register


@lru_cache(maxsize=4096)
def expand(name: str, shapes: tuple[Shape, ...], attributes: tuple[tuple[str, Any], ...] = ()) -> Expansion:
    """The expansion of an operation for the shapes of the inputs it is given.

    Raises NetworkError for an unknown operation or attribute, a wrong number of inputs, or shapes that don't fit.
    """
    known = OPERATIONS.get(name)
    if known is None:
        raise NetworkError(f"the operation must be one of {', '.join(OPERATIONS)}, not {name!r}")
    if not known.required_inputs <= len(shapes) <= len(known.inputs):
        raise NetworkError(f"{name} takes the inputs {', '.join(known.inputs)}, not {len(shapes)} of them")
    check_attributes(name, known.attributes, attributes)
    return known.expand(dict(zip(known.placeholders, shapes, strict=False)), **dict(attributes))


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise NetworkError(message)


def _rank(shapes: Shapes, name: str, rank: int, what: str) -> Shape:
    shape = shapes[name]
    _require(len(shape) == rank, f"{what} must have {rank} axes, not the shape {list(shape)}")
    return shape


def _window(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil: bool = False) -> int:
    _require(min(kernel, stride, dilation) >= 1, "kernel, stride and dilation must be at least 1")
    _require(padding >= 0, f"the padding must be at least 0, not {padding}")
    reach = dilation * (kernel - 1) + 1
    room = size + 2 * padding - reach
    positions = (-(-room // stride) if ceil else room // stride) + 1
    _require(positions >= 1, f"a window of {reach} must fit into {size} + 2*{padding} padded positions")
    if ceil and (positions - 1) * stride >= size + padding:
        positions -= 1
    return positions


def _bias(sizes: dict[str, Any], shape: Shape, axes: str, contraction: str, bias: Shape | None) -> Expansion:
    """The contraction alone, or followed by the nest that adds `b` along axis 1 of its output."""
    if bias is None:
        return Expansion(shape, (parse_nest(contraction, sizes),))
    _require(bias == (shape[1],), f"the bias must have the shape [{shape[1]}], not {list(bias)}")
    loops = " ".join(f"{name}<{extent}" for name, extent in zip(axes.split(","), shape, strict=True))
    first = parse_nest(contraction, sizes).rename({"o": "t"})
    second = parse_nest(f"{loops}: o[{axes}] = t[{axes}] + b[{axes.split(',')[1]}]")
    return Expansion(shape, (first, second), (("t", shape),))


@operation("x", "w", "b?", weighted=True)
def conv2d(
    s: Shapes, stride: Pair = (1, 1), padding: Pair = (0, 0), dilation: Pair = (1, 1), groups: int = 1
) -> Expansion:
    """Convolution (cross-correlation) as torch.nn.functional.conv2d: x [N,G*C,H,W], w [G*K,C,R,S], b [G*K]."""
    n, channels, h, w = _rank(s, "x", 4, "the input of conv2d")
    filters, c, r, q = _rank(s, "w", 4, "the weight of conv2d")
    _require(
        groups >= 1 and channels == groups * c and filters % groups == 0,
        f"conv2d with weight {list(s['w'])} in {groups} groups must get {groups * c} input channels "
        f"and a multiple of {groups} filters, not {channels} and {filters}",
    )
    p = _window(h, r, stride[0], padding[0], dilation[0])
    o = _window(w, q, stride[1], padding[1], dilation[1])
    sizes = {"N": n, "G": groups, "K": filters // groups, "P": p, "Q": o, "C": c, "R": r, "S": q}
    sizes |= {"A": stride[0], "B": stride[1], "D": dilation[0], "E": dilation[1], "Y": padding[0], "Z": padding[1]}
    contraction = (
        "n<N g<G k<K p<P q<Q c<C r<R s<S: o[n,K*g+k,p,q] += x[n,C*g+c,A*p+D*r-Y,B*q+E*s-Z | 0] * w[K*g+k,c,r,s]"
    )
    return _bias(sizes, (n, filters, p, o), "n,k,p,q", contraction, s.get("b"))


@operation("x", "w", "b?", weighted=True)
def linear(s: Shapes) -> Expansion:
    """y = x W^T + b: x [N,C], w [K,C], b [K]."""
    n, c = _rank(s, "x", 2, "the input of linear")
    k, c2 = _rank(s, "w", 2, "the weight of linear")
    _require(c == c2, f"linear with weight {[k, c2]} must get {c2} features, not {c}")
    contraction = "n<N k<K c<C: o[n,k] += x[n,c] * w[k,c]"
    return _bias({"N": n, "K": k, "C": c}, (n, k), "n,k", contraction, s.get("b"))


def _pool_sizes(x: Shape, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil: bool) -> dict[str, Any]:
    _require(
        2 * padding[0] <= kernel[0] and 2 * padding[1] <= kernel[1],
        f"the padding of a pooling window must be at most half its size {list(kernel)}, not {list(padding)}",
    )
    p = _window(x[2], kernel[0], stride[0], padding[0], dilation[0], ceil)
    q = _window(x[3], kernel[1], stride[1], padding[1], dilation[1], ceil)
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
) -> Expansion:
    """Maximum over windows, as torch.nn.functional.max_pool2d: x [N,C,H,W]; what lies outside never wins."""
    x = _rank(s, "x", 4, "the input of max_pool2d")
    sizes = _pool_sizes(x, kernel, stride, padding, dilation, ceil)
    text = "n<N c<C p<P q<Q r<R s<S: o[n,c,p,q] max= x[n,c,A*p+D*r-Y,B*q+E*s-Z | -inf]"
    return Expansion((x[0], x[1], sizes["P"], sizes["Q"]), (parse_nest(text, sizes),))


@operation("x")
def avg_pool2d(s: Shapes, kernel: Pair = (2, 2), stride: Pair = (2, 2), padding: Pair = (0, 0)) -> Expansion:
    """Mean over windows, padding counted as zeros (torch's count_include_pad=True): x [N,C,H,W]."""
    x = _rank(s, "x", 4, "the input of avg_pool2d")
    sizes = _pool_sizes(x, kernel, stride, padding, (1, 1), False) | {"I": 1.0 / prod(kernel)}
    shape = (x[0], x[1], sizes["P"], sizes["Q"])
    total = "n<N c<C p<P q<Q r<R s<S: t[n,c,p,q] += x[n,c,A*p+r-Y,B*q+s-Z | 0]"
    mean = "n<N c<C p<P q<Q: o[n,c,p,q] = t[n,c,p,q] * I"
    return Expansion(shape, (parse_nest(total, sizes), parse_nest(mean, sizes)), (("t", shape),))


@operation("x")
def adaptive_avg_pool2d(s: Shapes, output: Pair = (1, 1)) -> Expansion:
    """Mean over windows that cover the input evenly: window i of P is [floor(iH/P), ceil((i+1)H/P)).

    Where P divides H the windows are one nest; else every output position has its own.
    """
    x = _rank(s, "x", 4, "the input of adaptive_avg_pool2d")
    _require(min(output) >= 1, f"adaptive pooling must give at least one position, not {list(output)}")
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


def _axes(shape: Shape) -> tuple[str, str]:
    """Loops and index of an elementwise nest: `a<2 b<3` and `a,b`."""
    _require(len(shape) <= 8, f"a tensor must have at most 8 axes, not the shape {list(shape)}")
    names = "abcdefgh"[: len(shape)]
    return " ".join(f"{n}<{extent}" for n, extent in zip(names, shape, strict=True)), ",".join(names)


def _elementwise(shape: Shape, body: str) -> Expansion:
    loops, index = _axes(shape)
    return Expansion(shape, (parse_nest(f"{loops}: o[{index}] = {body.replace('@', index)}"),))


@operation("x")
def relu(s: Shapes) -> Expansion:
    """max(x, 0); x of any shape."""
    return _elementwise(s["x"], "max(x[@], 0)")


@operation("x", "y")
def add(s: Shapes) -> Expansion:
    """x + y, of equal shapes."""
    _require(s["x"] == s["y"], f"add must get two equal shapes, not {list(s['x'])} and {list(s['y'])}")
    return _elementwise(s["x"], "x[@] + y[@]")


@operation("x", "g", "b", "m", "v")
def batch_norm(s: Shapes, epsilon: float = 1e-5) -> Expansion:
    """Batch normalisation at inference over axis 1: (x - m) * g / sqrt(v + epsilon) + b; g, b, m, v [C].

    Ioffe and Szegedy 2015, algorithm 2, where the scale a = g / sqrt(v + epsilon) is computed once per channel.
    """
    shape = s["x"]
    _require(len(shape) >= 2, f"the input of batch_norm must have at least 2 axes, not the shape {list(shape)}")
    for name in ("g", "b", "m", "v"):
        fits = s[name] == (shape[1],)
        _require(fits, f"each of batch_norm's parameters must have the shape [{shape[1]}], not {list(s[name])}")
    loops, index = _axes(shape)
    scale = parse_nest("b<C: a[b] = g[b] / sqrt(v[b] + E)", {"C": shape[1], "E": epsilon})
    shift = parse_nest(f"{loops}: o[{index}] = (x[{index}] - m[b]) * a[b] + b[b]")
    return Expansion(shape, (scale, shift), (("a", (shape[1],)),))


@operation("x")
def local_response_norm(s: Shapes, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Expansion:
    """x / (k + alpha/size * sum of x^2 over `size` neighbouring channels)^beta: x [N,C,H,W].

    Krizhevsky et al. 2012, section 3.3, with alpha divided by the window's size as torch and ONNX define it.
    """
    shape = _rank(s, "x", 4, "the input of local_response_norm")
    _require(size >= 1, f"the window of local_response_norm must be at least 1 channel, not {size}")
    sizes = dict(zip("NCHW", shape, strict=True)) | {"R": size, "L": size // 2, "A": alpha / size, "B": beta, "K": k}
    squares = "n<N c<C h<H w<W r<R: t[n,c,h,w] += x[n,c+r-L,h,w | 0] * x[n,c+r-L,h,w | 0]"
    divide = "n<N c<C h<H w<W: o[n,c,h,w] = x[n,c,h,w] / pow(t[n,c,h,w] * A + K, B)"
    return Expansion(shape, (parse_nest(squares, sizes), parse_nest(divide, sizes)), (("t", shape),))


@operation("x")
def softmax(s: Shapes) -> Expansion:
    """exp(x - max) / sum over the last axis; x [N,C]."""
    shape = _rank(s, "x", 2, "the input of softmax")
    row = shape[:1]
    sizes = dict(zip("NC", shape, strict=True))
    nests = (
        "n<N c<C: m[n] max= x[n,c]",
        "n<N c<C: e[n,c] = exp(x[n,c] - m[n])",
        "n<N c<C: z[n] += e[n,c]",
        "n<N c<C: o[n,c] = e[n,c] / z[n]",
    )
    return Expansion(shape, tuple(parse_nest(t, sizes) for t in nests), (("m", row), ("e", shape), ("z", row)))


@operation("x")
def flatten(s: Shapes, start: int = 1) -> Expansion:
    """All axes from `start` on become one; no data moves."""
    shape = s["x"]
    _require(0 <= start < len(shape), f"flatten must start at an axis of the shape {list(shape)}, not at {start}")
    return Expansion((*shape[:start], prod(shape[start:])))


@operation("x")
def dropout(s: Shapes, p: float = 0.5) -> Expansion:
    """At inference the identity."""
    _require(0 <= p <= 1, f"the share that dropout drops must lie in 0..1, not {p}")
    return Expansion(s["x"])
