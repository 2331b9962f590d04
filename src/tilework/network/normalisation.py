"""Operations that normalise: over the batch, over neighbouring channels, over axes and groups of channels."""

from __future__ import annotations

from math import prod

from tilework.network.operation import Expansion, Shape, Shapes, averaged, loops_over, operation, rank, require
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
    loops, index = loops_over(shape)
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
    return _along(
        "softmax",
        s["x"],
        axis,
        "m[{row}] max= x[{all}]",
        "t[{all}] = exp(x[{all}] - m[{row}])",
        "z[{row}] += t[{all}]",
        "o[{all}] = t[{all}] / z[{row}]",
        gradient=("d:z[{row}] += d:o[{all}] * o[{all}]", "d:x[{all}] = (d:o[{all}] - d:z[{row}]) * o[{all}]"),
    )


@operation("x")
def log_softmax(s: Shapes, axis: int = -1) -> Expansion:
    """x - max - log(sum of exp(x - max)) along an axis; x of any shape but a scalar's."""
    return _along(
        "log_softmax",
        s["x"],
        axis,
        "m[{row}] max= x[{all}]",
        "t[{all}] = x[{all}] - m[{row}]",
        "z[{row}] += exp(t[{all}])",
        "l[{row}] = log(z[{row}])",
        "o[{all}] = t[{all}] - l[{row}]",
        gradient=("d:l[{row}] += d:o[{all}]", "d:x[{all}] = d:o[{all}] - exp(o[{all}]) * d:l[{row}]"),
    )


def _along(name: str, shape: Shape, axis: int, *nests: str, gradient: tuple[str, ...]) -> Expansion:
    """Nests over the whole of x, each with the index {all}, or over its rows along an axis, {row}; t has x's shape."""
    require(-len(shape) <= axis < len(shape), f"{name} must run along an axis of the shape {list(shape)}, not {axis}")
    loops, index = loops_over(shape)
    place = axis % len(shape)
    row, kept = index.split(","), shape[:place] + shape[place + 1 :]
    gone = row.pop(place)
    rows = " ".join(loop for loop in loops.split() if not loop.startswith(gone))
    names = {"all": index, "row": ",".join(row)}
    texts = [f"{loops if '{all}' in nest else rows}: {nest}".format(**names) for nest in (*nests, *gradient)]
    temporaries = {nest[0]: shape if nest[2:].startswith("{all}") else kept for nest in nests[:-1]}
    parsed = tuple(map(parse_nest, texts))
    return Expansion(shape, parsed[: len(nests)], tuple(temporaries.items()), gradient=parsed[len(nests) :])


@operation("x", "g?", "b?")
def layer_norm(s: Shapes, axes: int = 1, epsilon: float = 1e-5) -> Expansion:
    """(x - mean) / sqrt(variance + epsilon) * g + b over the last `axes` axes; g and b have their sizes.

    Ba, Kiros and Hinton 2016; mean and variance of each row are computed once, the variance from centred values.
    """
    return _layer("layer_norm", s, axes, epsilon, centred=True)


@operation("x", "g?")
def rms_norm(s: Shapes, axes: int = 1, epsilon: float = 1e-5) -> Expansion:
    """x / sqrt(mean of squares + epsilon) * g over the last `axes` axes; g has their sizes.

    Zhang and Sennrich 2019.
    """
    return _layer("rms_norm", s, axes, epsilon, centred=False)


def _layer(name: str, s: Shapes, last: int, epsilon: float, centred: bool) -> Expansion:
    shape = s["x"]
    require(1 <= last <= len(shape), f"{name} must run over 1 to {len(shape)} axes of {list(shape)}, not {last}")
    _check_scale(name, s, shape[-last:])
    index = loops_over(shape)[1]
    scale = ",".join(index.split(",")[-last:])
    return _normalised(s, shape, len(shape) - last, index, scale, epsilon, centred)


@operation("x", "g?", "b?")
def group_norm(s: Shapes, groups: int = 1, epsilon: float = 1e-5) -> Expansion:
    """As layer_norm over each group of channels and all axes behind them: x [N,C,…], g and b [C].

    Wu and He 2018; with as many groups as channels it is instance normalisation.
    """
    shape = s["x"]
    require(len(shape) >= 2, f"the input of group_norm must have at least 2 axes, not the shape {list(shape)}")
    batch, channels, *size = shape
    require(
        groups >= 1 and channels % groups == 0,
        f"group_norm must divide {channels} channels into equal groups, not {groups}",
    )
    _check_scale("group_norm", s, (channels,))
    apart = (batch, groups, channels // groups, *size)
    n, group, place, *behind = loops_over(apart)[1].split(",")
    channel = f"{apart[2]}*{group}+{place}"
    return _normalised(s, apart, 2, ",".join((n, channel, *behind)), channel, epsilon, centred=True)


def _check_scale(name: str, s: Shapes, shape: Shape) -> None:
    for key in s.keys() - {"x"}:
        require(s[key] == shape, f"each of {name}'s parameters must have the shape {list(shape)}, not {list(s[key])}")


def _normalised(s: Shapes, extents: Shape, rows: int, x: str, scale: str, epsilon: float, centred: bool) -> Expansion:
    """Nests under a loop for each of `extents`, of which the first `rows` have a mean and a variance together.

    `x` and `scale` are the indices of x and of the parameters.
    """
    loops, index = loops_over(extents)
    outer, row = " ".join(loops.split()[:rows]), ",".join(index.split(",")[:rows])
    places, kept = prod(extents[rows:]), extents[:rows]
    nests, temporaries, value = [], {}, f"x[{x}]"
    if centred:
        nests += [f"{loops}: s[{row}] += x[{x}]", f"{outer}: m[{row}] = {averaged(f's[{row}]', places)}"]
        nests += [f"{loops}: t[{x}] = x[{x}] - m[{row}]"]
        temporaries, value = {"s": kept, "m": kept, "t": s["x"]}, f"t[{x}]"
    nests += [f"{loops}: v[{row}] += {value} * {value}"]
    nests += [f"{outer}: r[{row}] = 1 / sqrt({averaged(f'v[{row}]', places)} + {epsilon!r})"]
    scaled = "".join(f" {sign} {key}[{scale}]" for key, sign in (("g", "*"), ("b", "+")) if key in s)
    nests += [f"{loops}: o[{x}] = {value} * r[{row}]{scaled}"]
    return Expansion(s["x"], tuple(map(parse_nest, nests)), (*temporaries.items(), ("v", kept), ("r", kept)))
