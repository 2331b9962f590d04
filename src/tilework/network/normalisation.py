"""Operations that normalise: over the batch, over neighbouring channels, over an axis."""

from __future__ import annotations

from tilework.network.operation import Expansion, Shapes, axes, operation, rank, require
from tilework.network.text import parse_nest


@operation("x", "g", "b", "m", "v")
def batch_norm(s: Shapes, epsilon: float = 1e-5) -> Expansion:
    """Batch normalisation at inference over axis 1: (x - m) * g / sqrt(v + epsilon) + b; g, b, m, v [C].

    Ioffe and Szegedy 2015, algorithm 2, where the scale a = g / sqrt(v + epsilon) is computed once per channel.
    """
    shape = s["x"]
    require(len(shape) >= 2, f"the input of batch_norm must have at least 2 axes, not the shape {list(shape)}")
    for name in ("g", "b", "m", "v"):
        fits = s[name] == (shape[1],)
        require(fits, f"each of batch_norm's parameters must have the shape [{shape[1]}], not {list(s[name])}")
    loops, index = axes(shape)
    scale = parse_nest("b<C: a[b] = g[b] / sqrt(v[b] + E)", {"C": shape[1], "E": epsilon})
    shift = parse_nest(f"{loops}: o[{index}] = (x[{index}] - m[b]) * a[b] + b[b]")
    return Expansion(shape, (scale, shift), (("a", (shape[1],)),))


@operation("x")
def local_response_norm(s: Shapes, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Expansion:
    """x / (k + alpha/size * sum of x^2 over `size` neighbouring channels)^beta: x [N,C,H,W].

    Krizhevsky et al. 2012, section 3.3, with alpha divided by the window's size as torch and ONNX define it.
    """
    shape = rank(s, "x", 4, "the input of local_response_norm")
    require(size >= 1, f"the window of local_response_norm must be at least 1 channel, not {size}")
    sizes = dict(zip("NCHW", shape, strict=True)) | {"R": size, "L": size // 2, "A": alpha / size, "B": beta, "K": k}
    squares = "n<N c<C h<H w<W r<R: t[n,c,h,w] += x[n,c+r-L,h,w | 0] * x[n,c+r-L,h,w | 0]"
    divide = "n<N c<C h<H w<W: o[n,c,h,w] = x[n,c,h,w] / pow(t[n,c,h,w] * A + K, B)"
    return Expansion(shape, (parse_nest(squares, sizes), parse_nest(divide, sizes)), (("t", shape),))


@operation("x")
def softmax(s: Shapes, axis: int = -1) -> Expansion:
    """exp(x - max) / sum along an axis; x of any shape but a scalar's."""
    shape = s["x"]
    require(-len(shape) <= axis < len(shape), f"softmax must run along an axis of the shape {list(shape)}, not {axis}")
    loops, index = axes(shape)
    names = index.split(",")
    place = axis % len(shape)
    row = ",".join(names[:place] + names[place + 1 :])
    kept = shape[:place] + shape[place + 1 :]
    nests = (
        f"m[{row}] max= x[{index}]",
        f"t[{index}] = exp(x[{index}] - m[{row}])",
        f"z[{row}] += t[{index}]",
        f"o[{index}] = t[{index}] / z[{row}]",
    )
    temporaries = (("m", kept), ("t", shape), ("z", kept))
    return Expansion(shape, tuple(parse_nest(f"{loops}: {nest}") for nest in nests), temporaries)
