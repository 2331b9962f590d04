"""Convolutions along one, two or three axes, and their transposes; each is stated once for any number of axes."""

from __future__ import annotations

from tilework.network.contraction import with_bias
from tilework.network.operation import Expansion, Pair, Shapes, Single, Triple, operation, rank, require
from tilework.network.windows import POSITIONS, TAPS, Run, loops, positions, taps

Sizes = tuple[int, ...]


def _convolution(
    name: str, s: Shapes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int, extra: Sizes
) -> Expansion:
    d = len(stride)
    n, channels, *size = rank(s, "x", d + 2, f"the input of {name}")
    filters, c, *kernel = rank(s, "w", d + 2, f"the weight of {name}")
    require(
        groups >= 1 and channels == groups * c and filters % groups == 0,
        f"{name} with weight {list(s['w'])} in {groups} groups must get {groups * c} input channels "
        f"and a multiple of {groups} filters, not {channels} and {filters}",
    )
    out = tuple(map(positions, size, kernel, stride, padding, dilation, extra))
    windows = _windows(out, stride, padding, dilation, kernel)
    k, p, r = filters // groups, ",".join(POSITIONS[:d]), ",".join(TAPS[:d])
    contraction = (
        f"n<{n} g<{groups} k<{k} {loops(POSITIONS, out)} c<{c} {loops(TAPS, kernel)}: "
        f"o[n,{k}*g+k,{p}] += x[n,{c}*g+c,{taps(windows)} | 0] * w[{k}*g+k,c,{r}]"
    )
    return with_bias((n, filters, *out), f"n,k,{p}", 1, contraction, s.get("b"))


def _windows(count: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, kernel: list[int]) -> list[Run]:
    axes = zip(count, padding, stride, kernel, dilation, strict=True)
    return [Run(0, windows, -before, step, places, apart) for windows, before, step, places, apart in axes]


@operation("x", "w", "b?", weighted=True)
def conv1d(
    s: Shapes,
    stride: Single = (1,),
    padding: Single = (0,),
    dilation: Single = (1,),
    groups: int = 1,
    extra: Single = (0,),
) -> Expansion:
    """Convolution along one axis: x [N,G*C,L], w [G*K,C,R], b [G*K]; otherwise as conv2d."""
    return _convolution("conv1d", s, stride, padding, dilation, groups, extra)


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
    return _convolution("conv2d", s, stride, padding, dilation, groups, extra)


@operation("x", "w", "b?", weighted=True)
def conv3d(
    s: Shapes,
    stride: Triple = (1, 1, 1),
    padding: Triple = (0, 0, 0),
    dilation: Triple = (1, 1, 1),
    groups: int = 1,
    extra: Triple = (0, 0, 0),
) -> Expansion:
    """Convolution along three axes: x [N,G*C,D,H,W], w [G*K,C,R,S,V], b [G*K]; otherwise as conv2d."""
    return _convolution("conv3d", s, stride, padding, dilation, groups, extra)


def _transposed(
    name: str, s: Shapes, stride: Sizes, padding: Sizes, output_padding: Sizes, dilation: Sizes, groups: int
) -> Expansion:
    d = len(stride)
    n, channels, *size = rank(s, "x", d + 2, f"the input of {name}")
    rows, k, *kernel = rank(s, "w", d + 2, f"the weight of {name}")
    require(
        groups >= 1 and channels == rows and channels % groups == 0,
        f"{name} with weight {list(s['w'])} in {groups} groups must get {rows} input channels, "
        f"a multiple of {groups}, not {channels}",
    )
    require(min(*stride, *dilation) >= 1, "kernel, stride and dilation must be at least 1")
    require(
        min(*padding, *output_padding) >= 0, f"the padding must be at least 0, not {min(*padding, *output_padding)}"
    )
    sides = zip(size, stride, padding, dilation, kernel, output_padding, strict=True)
    out = tuple((x - 1) * a - 2 * y + e * (r - 1) + more + 1 for x, a, y, e, r, more in sides)
    require(min(out) >= 1, f"{name} must have an output of at least one position along each axis, not {list(out)}")
    windows = _windows(tuple(size), stride, padding, dilation, kernel)
    c, p, r = channels // groups, ",".join(POSITIONS[:d]), ",".join(TAPS[:d])
    contraction = (
        f"n<{n} g<{groups} k<{k} c<{c} {loops(POSITIONS, size)} {loops(TAPS, kernel)}: "
        f"o[n,{k}*g+k,{taps(windows)}] += x[n,{c}*g+c,{p}] * w[{c}*g+c,k,{r}]"
    )
    return with_bias((n, groups * k, *out), f"n,k,{p}", 1, contraction, s.get("b"))


@operation("x", "w", "b?", weighted=True)
def conv_transpose1d(
    s: Shapes,
    stride: Single = (1,),
    padding: Single = (0,),
    output_padding: Single = (0,),
    dilation: Single = (1,),
    groups: int = 1,
) -> Expansion:
    """Transposed convolution along one axis: x [N,G*C,L], w [G*C,K,R], b [G*K]; otherwise as conv_transpose2d."""
    return _transposed("conv_transpose1d", s, stride, padding, output_padding, dilation, groups)


@operation("x", "w", "b?", weighted=True)
def conv_transpose2d(
    s: Shapes,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    output_padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Expansion:
    """As torch.nn.functional.conv_transpose2d: x [N,G*C,H,W], w [G*C,K,R,S], b [G*K].

    Each input place adds its window to the output, less `padding` on all sides; `output_padding` rows and columns more
    stand behind the last.
    """
    return _transposed("conv_transpose2d", s, stride, padding, output_padding, dilation, groups)


@operation("x", "w", "b?", weighted=True)
def conv_transpose3d(
    s: Shapes,
    stride: Triple = (1, 1, 1),
    padding: Triple = (0, 0, 0),
    output_padding: Triple = (0, 0, 0),
    dilation: Triple = (1, 1, 1),
    groups: int = 1,
) -> Expansion:
    """Transposed convolution along three axes: x [N,G*C,D,H,W], w [G*C,K,R,S,V], b [G*K]; as conv_transpose2d."""
    return _transposed("conv_transpose3d", s, stride, padding, output_padding, dilation, groups)
