"""Maxima and means over windows along one, two or three axes; each is stated once for any number of axes."""

from __future__ import annotations

from itertools import product
from math import prod

from tilework.network.nest import Nest
from tilework.network.operation import (
    Expansion,
    Pair,
    Shape,
    Shapes,
    Single,
    Triple,
    averaged,
    operation,
    rank,
    require,
)
from tilework.network.text import parse_nest
from tilework.network.windows import (
    POSITIONS,
    TAPS,
    Run,
    adaptive_runs,
    counted_runs,
    loops,
    positions,
    taps,
    targets,
)

Sizes = tuple[int, ...]


def _input(name: str, s: Shapes, axes: int) -> Shape:
    return rank(s, "x", axes + 2, f"the input of {name}")


def _windows(
    x: Shape, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, extra: Sizes, ceil: bool
) -> list[Run]:
    require(
        all(2 * before <= size for before, size in zip(padding, kernel, strict=True)),
        f"the padding of a pooling window must be at most half its size {list(kernel)}, not {list(padding)}",
    )
    counts = map(positions, x[2:], kernel, stride, padding, dilation, extra, [ceil] * len(kernel))
    axes = zip(counts, padding, stride, kernel, dilation, strict=True)
    return [Run(0, windows, -before, step, places, apart) for windows, before, step, places, apart in axes]


def _shape(x: Shape, windows: list[Run]) -> Shape:
    return (*x[:2], *(run.windows for run in windows))


def _over(x: Shape, runs: tuple[Run, ...] | list[Run], output: str, update: str, pad: str = "") -> Nest:
    """Each window's places, put together by an update."""
    outer = loops(POSITIONS, [run.windows for run in runs])
    inner = loops(TAPS, [run.places for run in runs])
    place = f"{output}[n,c,{targets(runs)}]"
    return parse_nest(f"n<{x[0]} c<{x[1]} {outer} {inner}: {place} {update} x[n,c,{taps(runs)}{pad}]")


def _divided(x: Shape, runs: tuple[Run, ...], places: int) -> Nest:
    """Each window's sum divided by a number of places."""
    outer, place = loops(POSITIONS, [run.windows for run in runs]), f"n,c,{targets(runs)}"
    return parse_nest(f"n<{x[0]} c<{x[1]} {outer}: o[{place}] = {averaged(f't[{place}]', places)}")


def _max_pool(
    name: str, s: Shapes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil: bool, extra: Sizes
) -> Expansion:
    x = _input(name, s, len(kernel))
    windows = _windows(x, kernel, stride, padding, dilation, extra, ceil)
    return Expansion(_shape(x, windows), (_over(x, windows, "o", "max=", " | -inf"),))


def _avg_pool(
    name: str,
    s: Shapes,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    count_padding: bool,
    extra: Sizes,
    ceil: bool,
    divisor: int,
) -> Expansion:
    x = _input(name, s, len(kernel))
    require(divisor >= 0, f"{name} must divide by a positive number, or by that of the places, not by {divisor}")
    windows = _windows(x, kernel, stride, padding, (1,) * len(kernel), extra, ceil)
    total = _over(x, windows, "t", "+=", " | 0")
    limits = [
        (-y, size + y + e) if count_padding else (0, size) for y, size, e in zip(padding, x[2:], extra, strict=True)
    ]
    counted = [counted_runs(run, *limit) for run, limit in zip(windows, limits, strict=True)]
    runs = [[run] for run in windows] if divisor else counted
    means = [_divided(x, part, divisor or prod(run.places for run in part)) for part in product(*runs)]
    shape = _shape(x, windows)
    return Expansion(shape, (total, *means), (("t", shape),))


def _adaptive(name: str, s: Shapes, output: Sizes, update: str) -> Expansion:
    x = _input(name, s, len(output))
    boxes = list(product(*map(adaptive_runs, x[2:], output)))
    shape = (*x[:2], *output)
    if update != "+=":
        return Expansion(shape, tuple(_over(x, runs, "o", update) for runs in boxes))
    places = [prod(run.places for run in runs) for runs in boxes]
    if max(places) == 1:
        return Expansion(shape, tuple(_over(x, runs, "o", "=") for runs in boxes))
    pairs = ((_over(x, runs, "t", update), _divided(x, runs, n)) for runs, n in zip(boxes, places, strict=True))
    return Expansion(shape, tuple(nest for pair in pairs for nest in pair), (("t", shape),))


@operation("x")
def max_pool1d(
    s: Shapes,
    kernel: Single = (2,),
    stride: Single = (2,),
    padding: Single = (0,),
    dilation: Single = (1,),
    ceil: bool = False,
    extra: Single = (0,),
) -> Expansion:
    """Maximum over windows along one axis: x [N,C,L]; otherwise as max_pool2d."""
    return _max_pool("max_pool1d", s, kernel, stride, padding, dilation, ceil, extra)


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
    return _max_pool("max_pool2d", s, kernel, stride, padding, dilation, ceil, extra)


@operation("x")
def max_pool3d(
    s: Shapes,
    kernel: Triple = (2, 2, 2),
    stride: Triple = (2, 2, 2),
    padding: Triple = (0, 0, 0),
    dilation: Triple = (1, 1, 1),
    ceil: bool = False,
    extra: Triple = (0, 0, 0),
) -> Expansion:
    """Maximum over windows along three axes: x [N,C,D,H,W]; otherwise as max_pool2d."""
    return _max_pool("max_pool3d", s, kernel, stride, padding, dilation, ceil, extra)


@operation("x")
def avg_pool1d(
    s: Shapes,
    kernel: Single = (2,),
    stride: Single = (2,),
    padding: Single = (0,),
    count_padding: bool = True,
    extra: Single = (0,),
    ceil: bool = False,
    divisor: int = 0,
) -> Expansion:
    """Mean over windows along one axis: x [N,C,L]; otherwise as avg_pool2d."""
    return _avg_pool("avg_pool1d", s, kernel, stride, padding, count_padding, extra, ceil, divisor)


@operation("x")
def avg_pool2d(
    s: Shapes,
    kernel: Pair = (2, 2),
    stride: Pair = (2, 2),
    padding: Pair = (0, 0),
    count_padding: bool = True,
    extra: Pair = (0, 0),
    ceil: bool = False,
    divisor: int = 0,
) -> Expansion:
    """Mean over windows: x [N,C,H,W]. Padding counts as zeros, or, without `count_padding`, not at all.

    In the second case windows at a border have fewer places: outputs with equal counts have a nest of their own. What a
    window has behind the padding (with `ceil`) never counts. A `divisor` above 0 is divided by instead.
    """
    return _avg_pool("avg_pool2d", s, kernel, stride, padding, count_padding, extra, ceil, divisor)


@operation("x")
def avg_pool3d(
    s: Shapes,
    kernel: Triple = (2, 2, 2),
    stride: Triple = (2, 2, 2),
    padding: Triple = (0, 0, 0),
    count_padding: bool = True,
    extra: Triple = (0, 0, 0),
    ceil: bool = False,
    divisor: int = 0,
) -> Expansion:
    """Mean over windows along three axes: x [N,C,D,H,W]; otherwise as avg_pool2d."""
    return _avg_pool("avg_pool3d", s, kernel, stride, padding, count_padding, extra, ceil, divisor)


@operation("x")
def adaptive_avg_pool1d(s: Shapes, output: Single = (1,)) -> Expansion:
    """Mean over windows that cover one axis evenly: x [N,C,L]; otherwise as adaptive_avg_pool2d."""
    return _adaptive("adaptive_avg_pool1d", s, output, "+=")


@operation("x")
def adaptive_avg_pool2d(s: Shapes, output: Pair = (1, 1)) -> Expansion:
    """Mean over windows that cover the input evenly: window i of P is [floor(iH/P), ceil((i+1)H/P)).

    Where P divides H the windows are one nest; else those of equal size at equal distances are. Windows of one place
    are copies.
    """
    return _adaptive("adaptive_avg_pool2d", s, output, "+=")


@operation("x")
def adaptive_avg_pool3d(s: Shapes, output: Triple = (1, 1, 1)) -> Expansion:
    """Mean over windows that cover three axes evenly: x [N,C,D,H,W]; otherwise as adaptive_avg_pool2d."""
    return _adaptive("adaptive_avg_pool3d", s, output, "+=")


@operation("x")
def adaptive_max_pool1d(s: Shapes, output: Single = (1,)) -> Expansion:
    """Maximum over windows that cover one axis evenly: x [N,C,L]; the windows of adaptive_avg_pool1d."""
    return _adaptive("adaptive_max_pool1d", s, output, "max=")


@operation("x")
def adaptive_max_pool2d(s: Shapes, output: Pair = (1, 1)) -> Expansion:
    """Maximum over windows that cover the input evenly: x [N,C,H,W]; the windows of adaptive_avg_pool2d."""
    return _adaptive("adaptive_max_pool2d", s, output, "max=")


@operation("x")
def adaptive_max_pool3d(s: Shapes, output: Triple = (1, 1, 1)) -> Expansion:
    """Maximum over windows that cover three axes evenly: x [N,C,D,H,W]; the windows of adaptive_avg_pool3d."""
    return _adaptive("adaptive_max_pool3d", s, output, "max=")
